"""Choices as masks: which entries of a span are touched, without ever scanning a large tensor for a few entries."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from mutspec.graph.choice import Choice, Listed, Scattered
from mutspec.graph.graph import Shape
from mutspec.graph.kernels import axis_index
from mutspec.graph.permutation import Permutation
from mutspec.graph.primitives import CHUNK

SPARSE_LIMIT = 1 << 20
"""Up to this many entries (8 bytes each), and an eighth of the pool, the chosen entries are listed."""


class Mask:
    """One choice over one tensor, ready to be asked span by span. Safe to share between threads.

    Arguments:
        choice: the entries to touch; None for all.
        shape: the tensor's shape.
    """

    def __init__(self, choice: Choice | None, shape: Shape) -> None:
        self.choice = choice
        self.shape = shape
        self.size = prod(shape)
        self.listed = _listed(choice, self.size)

    def at(self, start: int, stop: int) -> NDArray[np.bool_] | None:
        """Which of the entries [start, stop) are chosen; None if none is."""
        if self.listed is not None:
            first, last = np.searchsorted(self.listed, (start, stop))
            if first == last:
                return None
            mask = np.zeros(stop - start, np.bool_)
            mask[self.listed[first:last] - start] = True
            return mask
        if self.choice is None:
            return np.ones(stop - start, np.bool_)
        if isinstance(self.choice, Scattered):
            offset = self.choice.offset
            mask = (
                permute(self.choice.pool, np.arange(offset + start, offset + stop, dtype=np.uint64)) < self.choice.count
            )
        else:
            assert not isinstance(self.choice, Listed)
            index = axis_index(self.shape, self.choice.axis, start, stop)
            mask = (index >= self.choice.start) & (index < self.choice.stop)
        return mask if mask.any() else None

    def chunks(self) -> Iterable[int]:
        """The numbers of the chunks that may hold chosen entries, ascending."""
        if self.listed is not None:
            return [int(number) for number in np.unique(self.listed // CHUNK)]
        return range(-(-self.size // CHUNK))

    def count(self) -> int:
        """How many entries are chosen."""
        if self.listed is not None:
            return len(self.listed)
        if self.choice is None:
            return self.size
        spans = ((number * CHUNK, min((number + 1) * CHUNK, self.size)) for number in self.chunks())
        masks = (self.at(start, stop) for start, stop in spans)
        return sum(int(np.count_nonzero(mask)) for mask in masks if mask is not None)


def permute(permutation: Permutation, values: NDArray[np.uint64], *, inverse: bool = False) -> NDArray[np.uint64]:
    """`Permutation.image` of many values at once."""
    images = _network(permutation, values, inverse)
    outside = np.flatnonzero(images >= permutation.size)
    while outside.size:
        images[outside] = _network(permutation, images[outside], inverse)
        outside = outside[images[outside] >= permutation.size]
    return images


def _network(permutation: Permutation, values: NDArray[np.uint64], inverse: bool) -> NDArray[np.uint64]:
    _, lower_bits = permutation.half_bits
    halves = (values >> lower_bits).astype(np.uint32), (values & ((1 << lower_bits) - 1)).astype(np.uint32)
    upper, lower = permutation.rounds(*halves, inverse=inverse)
    joined: NDArray[np.uint64] = (upper.astype(np.uint64) << np.uint64(lower_bits)) | lower.astype(np.uint64)
    return joined


def _listed(choice: Choice | None, size: int) -> NDArray[np.int64] | None:
    """The chosen entries, ascending, where they are few."""
    if isinstance(choice, Listed):
        return np.array(choice.indices, np.int64)
    if isinstance(choice, Scattered) and choice.count <= min(SPARSE_LIMIT, choice.pool.size // 8):
        return _chosen_of_pool(choice, size)
    return None


def _chosen_of_pool(choice: Scattered, size: int) -> NDArray[np.int64]:
    chosen = _chosen(choice.pool, choice.count)
    first, last = np.searchsorted(chosen, (choice.offset, choice.offset + size))
    return chosen[first:last] - choice.offset


@lru_cache(maxsize=8)
def _chosen(pool: Permutation, count: int) -> NDArray[np.int64]:
    """The chosen entries of a pool, ascending. Kept, as the tensors of a pool ask for it one after the other."""
    return np.sort(permute(pool, np.arange(count, dtype=np.uint64), inverse=True).astype(np.int64))
