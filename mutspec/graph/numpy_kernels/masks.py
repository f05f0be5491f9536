"""Choices as masks: the chosen entries of a span. A large tensor is never scanned for a few entries.

There are two ways to find the chosen entries. If they are few, they are listed once by the inverse permutation, and a
mask is a search in the sorted list (`_listed`). If they are many, each entry of a span is tested by the permutation
itself (`_Test`). Both choose the same entries.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mutspec.graph.choice import (
    Bits,
    Box,
    Choice,
    ChosenSlices,
    Computed,
    Listed,
    Run,
    Scattered,
    Tiles,
    Window,
    Within,
    region_of,
)
from mutspec.graph.graph import Shape
from mutspec.graph.numpy_kernels.axis_indices import axis_index
from mutspec.graph.numpy_kernels.places import Entries, Place, Truth, are_among
from mutspec.graph.permutation import SMALLEST_DOMAIN_BITS, Permutation
from mutspec.graph.primitives import CHUNK

SPARSE_LIMIT = 1 << 20
"""Choices of up to this many entries (8 bytes each), and of up to an eighth of the pool, are listed."""


class Mask:
    """The mask of one choice in one tensor, for any span. It can be shared between threads.

    Arguments:
        choice: the chosen entries; None for all.
        shape: the tensor's shape.
    """

    def __init__(self, choice: Choice | None, shape: Shape) -> None:
        self.choice = choice
        self.shape = shape
        self.size = prod(shape)
        self.listed = _listed(choice, self.size)
        # Of all entries and of few, no test is needed; of `Computed` ones the graph tells, and nobody asks a mask.
        self._test = None if self.listed is not None or choice is None else _test(choice, shape)

    def at(self, start: int, stop: int) -> Truth | None:
        """Returns for each of the entries [start, stop) whether it is chosen; None if none is."""
        if self.listed is not None:
            first, last = np.searchsorted(self.listed, (start, stop))
            if first == last:
                return None
            mask = np.zeros(stop - start, np.bool_)
            mask[self.listed[first:last] - start] = True
            return mask
        if self._test is None:
            return np.ones(stop - start, np.bool_)
        mask = self._test.span(start, stop)
        return mask if mask.any() else None

    def these(self, entries: Entries) -> Truth | None:
        """Returns for each of some entries whether it is chosen; None if none is."""
        if self.listed is not None:
            mask = are_among(self.listed, entries)
        elif self._test is not None:
            mask = self._test.these(entries)
        else:
            return np.ones(len(entries), np.bool_)
        return mask if mask.any() else None

    def count(self) -> int:
        """Counts the chosen entries."""
        if self.listed is not None:
            return len(self.listed)
        if self.choice is None:
            return self.size
        spans = ((start, min(start + CHUNK, self.size)) for start in range(0, self.size, CHUNK))
        masks = (self.at(start, stop) for start, stop in spans)
        return sum(int(np.count_nonzero(mask)) for mask in masks if mask is not None)

    def entries(self) -> Entries:
        """Returns the chosen entries, in ascending order."""
        if self.listed is not None:
            return self.listed
        mask = self.at(0, self.size) if self.size else None
        return np.empty(0, np.int64) if mask is None else np.flatnonzero(mask)


class _Test:
    """Tests any entries for whether they are chosen."""

    def __init__(self, choice: Any, shape: Shape) -> None:
        self.choice = choice
        self.shape = shape

    def span(self, start: int, stop: int) -> Truth:
        """Tests the entries [start, stop)."""
        return self.these(np.arange(start, stop, dtype=np.int64))

    def these(self, entries: Entries) -> Truth:
        """Tests some entries."""
        raise NotImplementedError


class _ScatteredTest(_Test):
    def these(self, entries: Entries) -> Truth:
        # The pool runs through all tensors that the amount counts over; this one's entries begin at the offset.
        pool: Permutation = self.choice.pool
        chosen: Truth = permute(pool, (entries + self.choice.offset).astype(np.uint64)) < self.choice.count
        return chosen


class _ListedTest(_Test):
    def these(self, entries: Entries) -> Truth:
        return np.isin(entries, self.choice.indices)


class _RunTest(_Test):
    def these(self, entries: Entries) -> Truth:
        truth: Truth = (entries >= self.choice.start) & (entries < self.choice.stop)
        return truth


class _BoxTest(_Test):
    def these(self, entries: Entries) -> Truth:
        inside = np.ones(len(entries), np.bool_)
        # In C order the last axis varies fastest: its index is the remainder, and the quotient counts the others.
        for extent, (start, stop) in zip(reversed(self.shape), reversed(self.choice.spans), strict=True):
            entries, index = np.divmod(entries, extent)
            inside &= (index >= start) & (index < stop)
        return inside


class _SliceTest(_Test):
    """Tests entries that are chosen by whole slices, with a table of the slices."""

    def __init__(self, choice: ChosenSlices | Window, shape: Shape) -> None:
        super().__init__(choice, shape)
        if isinstance(choice, ChosenSlices):
            self.length, self.stride = choice.length, choice.stride
            self.table = _table(choice.chosen, self.length)
        else:
            self.length, self.stride = shape[choice.axis], prod(shape[choice.axis + 1 :])
            self.table = np.zeros(self.length, np.bool_)
            self.table[choice.start : choice.stop] = True

    def span(self, start: int, stop: int) -> Truth:
        truth: Truth = self.table[axis_index(self.length, self.stride, start, stop)]
        return truth

    def these(self, entries: Entries) -> Truth:
        truth: Truth = self.table[entries // self.stride % self.length]
        return truth


class _TilesTest(_Test):
    def __init__(self, choice: Tiles, shape: Shape) -> None:
        super().__init__(choice, shape)
        self.across = -(-choice.columns // choice.width)
        rows = prod(shape) // choice.columns
        self.table = _table(choice.chosen, -(-rows // choice.height) * self.across)

    def these(self, entries: Entries) -> Truth:
        row, column = np.divmod(entries, self.choice.columns)
        truth: Truth = self.table[row // self.choice.height * self.across + column // self.choice.width]
        return truth


class _WithinTest(_Test):
    """Tests entries of a region by their number within the region.

    The region's entries are numbered in C order, as if the slices that are not in it did not exist. So an entry's
    number is computed like its flat index, with the rank of its slice among the kept ones in place of its index.
    """

    def __init__(self, choice: Within, shape: Shape) -> None:
        super().__init__(choice, shape)
        kept = region_of(choice)
        self.region = choice.region
        self.kept = len(kept)
        # The number of each slice among those kept; -1 for one that is not.
        self.rank = np.full(self.region.length, -1, np.int64)
        self.rank[list(kept)] = np.arange(self.kept)
        size = prod(shape) // self.region.length * self.kept
        self.inner = None if choice.chosen is None else _test(choice.chosen, (size,))

    def these(self, entries: Entries) -> Truth:
        # An entry's number has three digits: the block of slices it lies in, its slice, its place in the slice. Among
        # the region's entries the slice's digit is its rank among those kept, and a block has fewer slices.
        outer, inner = np.divmod(entries, self.region.length * self.region.stride)
        number, within = np.divmod(inner, self.region.stride)
        rank = self.rank[number]
        chosen: Truth = np.asarray(rank >= 0)
        if self.inner is not None:
            # Of entries outside the region these numbers mean nothing; only those of chosen ones are asked about.
            numbers = (outer * self.kept + rank) * self.region.stride + within
            chosen[chosen] = self.inner.these(numbers[chosen])
        return chosen


class _BitsTest(_Test):
    def these(self, entries: Entries) -> Truth:
        truth: Truth = np.asarray(_bits_of(self.choice, entries).any(axis=1))
        return truth


_TESTS: dict[type[Any], type[_Test]] = {
    Scattered: _ScatteredTest,
    Listed: _ListedTest,
    Box: _BoxTest,
    Run: _RunTest,
    Window: _SliceTest,
    ChosenSlices: _SliceTest,
    Tiles: _TilesTest,
    Within: _WithinTest,
    Bits: _BitsTest,
}


def _test(choice: Choice, shape: Shape) -> _Test | None:
    """Returns the test for a choice; None for one that a node of the graph computes."""
    return None if isinstance(choice, Computed) else _TESTS[type(choice)](choice, shape)


def chosen_bits(choice: Bits, positions: NDArray[np.uint64], at: Place) -> NDArray[np.uint64]:
    """Returns for each entry of a place a word in which its chosen bits are set.

    Arguments:
        choice: the chosen bits, by number.
        positions: the position of each bit in the word.
        at: the place.
    """
    listed = _listed(choice.chosen, at.stop * choice.bits)
    if listed is None:
        truth = _bits_of(choice, at.entries())
        dense: NDArray[np.uint64] = (truth * (np.uint64(1) << positions)).sum(axis=1, dtype=np.uint64)
        return dense
    # Bits are numbered through the tensor, `bits` for each entry, so those of a place are one run of the listed ones;
    # sparse places hold some of them. `bitwise_or.at`, as an entry may have several and plain indexing keeps the last.
    words = np.zeros(at.size, np.uint64)
    here = listed[np.searchsorted(listed, at.start * choice.bits) :]
    here = here[at.holds(here // choice.bits)]
    slots = at.positions(here // choice.bits)
    np.bitwise_or.at(words, slots, np.uint64(1) << positions[here % choice.bits])
    return words


def _bits_of(choice: Bits, entries: Entries) -> Truth:
    """Returns for each of some entries (rows) whether each of its bits (columns) is chosen."""
    numbers = entries[:, None] * choice.bits + np.arange(choice.bits)
    truth: Truth = _ScatteredTest(choice.chosen, ()).these(numbers.ravel()).reshape(numbers.shape)
    return truth


def _table(choice: Scattered | Listed, size: int) -> Truth:
    """Returns for each of a small number of things whether it is chosen."""
    table = np.zeros(size, np.bool_)
    listed = _listed(choice, size)
    if listed is not None:
        table[listed] = True
    elif size:
        table[:] = _ScatteredTest(choice, (size,)).span(0, size)
    return table


def permute(permutation: Permutation, values: NDArray[np.uint64], *, inverse: bool = False) -> NDArray[np.uint64]:
    """Computes `Permutation.image` of many values at once."""
    network: Callable[[NDArray[np.uint64]], NDArray[np.uint64]] = partial(_network, permutation, inverse=inverse)
    if permutation.size < _TINY_SIZE:
        # Most images are outside, so that walks are long: up to hundreds of rounds over small arrays. Instead, the
        # network is computed once for the whole domain of 2**8, and used as a table.
        network = network(np.arange(2 * _TINY_SIZE, dtype=np.uint64)).__getitem__
    images = network(values)
    # Cycle walking: an image outside goes through the network again. A permutation of the domain that walks from inside
    # comes back inside, as its cycle holds the entry that it began with. A domain is less than twice the pool, except
    # for tiny ones, so that a walk takes less than two rounds on average.
    outside = np.flatnonzero(images >= permutation.size)
    while outside.size:
        images[outside] = network(images[outside])
        outside = outside[images[outside] >= permutation.size]
    return images


_TINY_SIZE = 1 << SMALLEST_DOMAIN_BITS - 1
"""Permutations of fewer entries use less than half of their domain."""


def _network(permutation: Permutation, values: NDArray[np.uint64], *, inverse: bool) -> NDArray[np.uint64]:
    _, lower_bits = permutation.half_bits
    halves = (values >> lower_bits).astype(np.uint32), (values & ((1 << lower_bits) - 1)).astype(np.uint32)
    upper, lower = permutation.rounds(*halves, inverse=inverse)
    joined: NDArray[np.uint64] = (upper.astype(np.uint64) << np.uint64(lower_bits)) | lower.astype(np.uint64)
    return joined


def _listed(choice: Choice | None, size: int) -> Entries | None:
    """Returns the chosen entries in ascending order if they are few, else None."""
    if isinstance(choice, Listed):
        return np.array(choice.indices, np.int64)
    if isinstance(choice, Scattered) and choice.count <= min(SPARSE_LIMIT, choice.pool.size // 8):
        return chosen_of_pool(choice, size)
    if isinstance(choice, Bits):
        bits = _listed(choice.chosen, size * choice.bits)
        return None if bits is None else np.unique(bits // choice.bits)
    if isinstance(choice, Within):
        return _listed_within(choice, size)
    return None


def _listed_within(choice: Within, size: int) -> Entries | None:
    kept = np.array(region_of(choice), np.int64)
    length, stride = choice.region.length, choice.region.stride
    numbers = _listed(choice.chosen, size // length * len(kept))
    if numbers is None:
        return None
    # The inverse of `_WithinTest`: from numbers within the region to flat indices of the tensor.
    outer, inner = np.divmod(numbers, len(kept) * stride)
    entries: Entries = (outer * length + kept[inner // stride]) * stride + inner % stride
    return entries


def chosen_of_pool(choice: Scattered, size: int) -> Entries:
    """Returns the entries of one tensor that are chosen from its pool, in ascending order."""
    chosen = _chosen(choice.pool, choice.count)
    first, last = np.searchsorted(chosen, (choice.offset, choice.offset + size))
    return chosen[first:last] - choice.offset


@lru_cache(maxsize=8)
def _chosen(pool: Permutation, count: int) -> Entries:
    """Returns the chosen entries of a pool in ascending order. They are cached for the other tensors of the pool."""
    return np.sort(permute(pool, np.arange(count, dtype=np.uint64), inverse=True).astype(np.int64))
