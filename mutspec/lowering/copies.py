"""What a step copied, and what it left out, for reports."""

from __future__ import annotations

from dataclasses import dataclass

from mutspec.model.spec import TensorSpec


@dataclass(frozen=True, slots=True)
class CopiedFrom:
    """The weight that another one was copied from.

    Arguments:
        source: its path, after the input that it is in: `teacher:conv_1/kernel`.
        shape: its shape.
        copied: the number of entries of the target that took its values.
        cut: the number of its entries that were not used.
        padded: the number of entries of the target that were set to zero.
    """

    source: str
    shape: tuple[int, ...]
    copied: int
    cut: int
    padded: int


@dataclass(frozen=True, slots=True)
class SkippedWeight:
    """A weight that a step was for, and left as it was.

    Arguments:
        tensor: the weight.
        reason: why.
    """

    tensor: TensorSpec
    reason: str
