"""The types of tensors between layers."""

from __future__ import annotations

from dataclasses import dataclass

Shape = tuple[int | None, ...]
"""The extents of a tensor between layers, with the batch first; None for an unknown or variable extent."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """The shape and the dtype (NumPy's name) of a tensor between layers."""

    shape: Shape
    dtype: str = "float32"
