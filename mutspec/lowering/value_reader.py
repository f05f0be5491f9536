"""The interfaces of what is read while a plan is compiled: a few numbers of the models' weights, and activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mutspec.graph.graph import Graph
from mutspec.model.layer_output import LayerOutput

MOST_VALUES = 1 << 16
"""The most entries of one value that an op may ask for: norms of channels and singular values, but no weights."""


class ValueReader(Protocol):
    """Computes the new tensors of a graph from the values of the models that a plan is compiled for."""

    def __call__(self, graph: Graph) -> Sequence[tuple[float, ...]]:
        """Returns the entries of each new tensor of a graph, in C order.

        Arguments:
            graph: has no versions. Each new tensor has at most `MOST_VALUES` entries.

        Raises:
            ModelError: a file ends before its weights do, or was changed after it was opened.
        """
        ...


class ActivationReader(Protocol):
    """Measures what flows out of layers of the model that a plan is compiled for, on data that the call gives."""

    def __call__(self, places: Sequence[LayerOutput]) -> Sequence[tuple[float, ...]]:
        """Returns the mean absolute value at each index of some axes, over all samples, positions and calls.

        Arguments:
            places: the axes, of layers of the model before the plan.

        Raises:
            CallError: the data do not fit the model, or a mean is infinite or NaN.
            ModelError: Keras cannot load or call the model.
            EnvironmentProblem: Keras is not installed.
        """
        ...
