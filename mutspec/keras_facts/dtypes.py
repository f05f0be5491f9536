"""Keras's dtype policies: the dtypes of a layer's computations and of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FLOATS = ("bfloat16", "float16", "float32", "float64")
WHOLES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}

POLICY_NAMES = (*FLOATS, *_MIXED)
"""The policies for layers with weights."""

_PLAIN_CLASSES = frozenset({"DTypePolicy", "FloatDTypePolicy", "Policy"})  # `Policy` is Keras 2's


@dataclass(frozen=True, slots=True)
class Policy:
    """The dtypes of computations and of variables, by NumPy's names."""

    compute: str
    variable: str


def policy_of(value: Any) -> Policy | None:
    """Returns the policy in a config's `dtype`; None if it is quantised, unknown, or different for inner layers.

    A layer whose config has no dtype has float32. The global policy of the process does not matter.
    """
    if isinstance(value, Mapping):
        if value.get("class_name") not in _PLAIN_CLASSES or not isinstance(value.get("config"), Mapping):
            return None
        value = value["config"].get("name")
    if value is None:
        return Policy("float32", "float32")
    if not isinstance(value, str):
        return None
    if value in _MIXED:
        return Policy(_MIXED[value], "float32")
    return Policy(value, value) if value in FLOATS or value in WHOLES else None
