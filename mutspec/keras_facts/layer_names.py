"""Names of layers and models that Keras, or the files that it writes, cannot have."""

from __future__ import annotations

import re

_NOT_A_CHARACTER = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs, which UTF-8 does not have."""

_IN_TENSORFLOW = re.compile(r"[A-Za-z0-9_.-]*")
"""The names that TensorFlow takes for the scopes that Keras opens in compiled functions (`tf.name_scope`)."""


def name_problem(name: str) -> str:
    """Returns why no layer or model can have a name, as the rest of a sentence about it; empty if one can."""
    if not name:
        return "is empty, which Keras does not take"
    if "/" in name:
        return "holds a `/`, which Keras does not take"
    if "\0" in name:
        return "holds the character U+0000, which HDF5 does not store"
    if name == ".":
        return "stands for the group itself in HDF5"
    if found := _NOT_A_CHARACTER.search(name):
        return f"holds U+{ord(found[0]):04X}, which is half of a character"
    return ""


def is_scope_of_tensorflow(name: str) -> bool:
    """Returns whether Keras on TensorFlow can compile a layer of this name, as `predict` and `fit` do."""
    return _IN_TENSORFLOW.fullmatch(name) is not None
