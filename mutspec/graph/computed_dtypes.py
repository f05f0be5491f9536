"""The dtypes that tensors are computed in, by NumPy's names and those of ml_dtypes."""

from __future__ import annotations

FLOATS = frozenset({"float32", "float64"})
NARROW_FLOATS = ("float16", "bfloat16", "float8_", "float6_", "float4_")
"""Dtypes, by how their names begin, that are computed in float32 and rounded once."""
INTEGERS = frozenset(
    {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "int4", "uint4"}
)


def is_computed_with(dtype: str) -> bool:
    """Returns whether expressions may have a dtype."""
    return dtype in FLOATS or dtype in INTEGERS or dtype.startswith(NARROW_FLOATS)
