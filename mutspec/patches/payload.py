"""The values in a patch: bits of weights as unsigned words, whole or as differences, and the names of their tensors.

A difference is the exclusive or of the bits before and after. So it leads from either model to the other. Where few
words differ, it holds their places and nothing of the others.

A word has the size of an entry, at most eight bytes. So each dtype is stored as it is, those that the format of
safetensors does not have included.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mutspec.model.files.arrays import numpy_dtype

Words = NDArray[Any]

_WIDEST = 8


class Part(StrEnum):
    """What a tensor of a patch holds of a weight. Its name is this, a slash, and the weight's path."""

    XOR = "xor"
    """The difference, of every word."""
    ENTRIES = "entries"
    """The indices of the words that differ, ascending."""
    BITS = "bits"
    """The difference of each of these."""
    BEFORE = "before"
    """The weight of the model before, whole."""
    AFTER = "after"
    """That of the model after."""
    STORED_BEFORE = "stored-before"
    """A stored value of the model before that is not a weight."""
    STORED_AFTER = "stored-after"
    """That of the model after."""


def part_name(part: Part, path: str) -> str:
    """Returns the name of a tensor of a patch."""
    return f"{part}/{path}"


def word_of(dtype: str) -> np.dtype[Any]:
    """Returns the dtype of the words of a tensor.

    Raises:
        ModelError: the tensor holds something else than numbers.
    """
    return np.dtype(f"<u{min(_WIDEST, numpy_dtype(dtype).itemsize)}")


def words_per_entry(dtype: str) -> int:
    """Returns how many words an entry takes: two for `complex128`, and one for all others."""
    return max(1, numpy_dtype(dtype).itemsize // _WIDEST)


def as_words(values: NDArray[Any], dtype: str) -> Words:
    """Returns the words of some entries."""
    return np.ascontiguousarray(values).reshape(-1).view(word_of(dtype).newbyteorder("=")).astype(word_of(dtype))


def as_entries(words: Words, dtype: str) -> NDArray[Any]:
    """Returns the entries that some words are."""
    native = words.astype(word_of(dtype).newbyteorder("="), copy=False)
    return np.ascontiguousarray(native).view(numpy_dtype(dtype))


def index_dtype(words: int) -> np.dtype[Any]:
    """Returns the dtype of indices into so many words."""
    return np.dtype("<u4" if words <= 1 << 32 else "<u8")


def is_smaller_sparse(changed: int, words: int, dtype: str) -> bool:
    """Returns whether a difference of `changed` of `words` words is smaller if it lists their places."""
    size = word_of(dtype).itemsize
    return changed * (index_dtype(words).itemsize + size) < words * size
