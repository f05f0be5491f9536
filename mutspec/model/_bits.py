"""Sets of a model's layers or tensors as bits of integers, in model order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import TypeVar

T = TypeVar("T")

_ZERO_AND_ONE = bytes.maketrans(b"01", b"\x00\x01")


def members(things: Sequence[T], mask: int) -> Iterator[T]:
    """Yields the things whose bits are set, in order."""
    if mask.bit_count() * 16 < len(things):
        while mask:
            lowest = mask & -mask
            yield things[lowest.bit_length() - 1]
            mask ^= lowest
    else:
        yield from compress(things, f"{mask:b}"[::-1].encode().translate(_ZERO_AND_ONE))


def union(masks: Iterable[int]) -> int:
    """Returns the union of sets."""
    found = 0
    for mask in masks:
        found |= mask
    return found
