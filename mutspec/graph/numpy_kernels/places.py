"""Places: the flat entries of a tensor that are computed together, a span or some scattered ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mutspec.graph.numpy_kernels.axis_indices import axis_index
from mutspec.graph.primitives import CHUNK

Entries = NDArray[np.int64]
Truth = NDArray[np.bool_]


def are_among(sorted_entries: Entries, entries: Entries) -> Truth:
    """Returns for each entry whether it is one of `sorted_entries`, which ascend."""
    if not len(sorted_entries):
        return np.zeros(len(entries), np.bool_)
    positions = np.searchsorted(sorted_entries, entries)
    np.minimum(positions, len(sorted_entries) - 1, out=positions)
    truth: Truth = sorted_entries[positions] == entries
    return truth


@dataclass(frozen=True, slots=True)
class Span:
    """The entries [start, stop)."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.stop - self.start

    def entries(self) -> Entries:
        """Returns the flat indices of the entries."""
        return np.arange(self.start, self.stop, dtype=np.int64)

    def slice_numbers(self, length: int, stride: int) -> Entries:
        """Returns for each entry the number of the slice that it lies in: see `StridedSlices`."""
        return axis_index(length, stride, self.start, self.stop)

    def holds(self, entries: Entries) -> Truth:
        """Returns for each entry of the tensor whether it is one of these."""
        return (entries >= self.start) & (entries < self.stop)

    def positions(self, entries: Entries) -> Entries:
        """Returns the positions of some of the entries among all of these."""
        return entries - self.start


@dataclass(frozen=True, slots=True, eq=False)
class SparseEntries:
    """Some entries, at least one, distinct and in ascending order."""

    indices: Entries

    @property
    def start(self) -> int:
        """The first entry."""
        return int(self.indices[0])

    @property
    def stop(self) -> int:
        """The number after the last entry."""
        return int(self.indices[-1]) + 1

    @property
    def size(self) -> int:
        """The number of entries."""
        return len(self.indices)

    def entries(self) -> Entries:
        """Returns the flat indices of the entries."""
        return self.indices

    def slice_numbers(self, length: int, stride: int) -> Entries:
        """Returns for each entry the number of the slice that it lies in: see `StridedSlices`."""
        return self.indices // stride % length

    def holds(self, entries: Entries) -> Truth:
        """Returns for each entry of the tensor whether it is one of these."""
        return are_among(self.indices, entries)

    def positions(self, entries: Entries) -> Entries:
        """Returns the positions of some of the entries among all of these."""
        return np.searchsorted(self.indices, entries)


Place = Span | SparseEntries
"""All primitives can be computed for a span. Sparse entries need primitives that are `is_by_entry`."""


def by_chunk(entries: Entries) -> Iterator[tuple[int, slice]]:
    """Yields the number of each chunk with some of the entries, which ascend, and the slice of these entries."""
    numbers, starts = np.unique(entries // CHUNK, return_index=True)
    edges = [*starts.tolist(), len(entries)]
    for number, start, stop in zip(numbers.tolist(), edges[:-1], edges[1:], strict=True):
        yield number, slice(start, stop)
