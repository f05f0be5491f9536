"""Keras's dtype policies: in what a layer computes, and in what it keeps its weights."""

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
    """What a dtype policy says, by NumPy's names."""

    compute: str
    variable: str


def policy_of(value: Any) -> Policy | None:
    """What a config's `dtype` says; None if it is quantised, different for each layer in the layer, or unknown.

    A layer whose config has no dtype is a float32 one: what is global in somebody's process has no say.
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
