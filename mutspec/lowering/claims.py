"""Claims of steps about the model as a whole, which `mutspec apply --check` tests in Keras."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SamePredictions:
    """The claim that the model predicts after a step what it predicted before.

    Arguments:
        tolerance: the largest difference, as a part of the largest output. Layers of half precision get more.
    """

    tolerance: float = 1e-5
