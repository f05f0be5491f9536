"""The types of the tensors that flow between layers."""

from __future__ import annotations

from dataclasses import dataclass

Shape = tuple[int | None, ...]
"""The extents of a tensor that flows between layers, the batch's first; None where any will do."""


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape and dtype (NumPy's name) of a tensor that flows between layers."""

    shape: Shape
    dtype: str = "float32"
