"""Entries of a tensor in any order, from a source that is read by range, with bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mutspec.graph.numpy_kernels.entrywise import Array
from mutspec.graph.numpy_kernels.places import Entries
from mutspec.graph.primitives import CHUNK

READ_LIMIT = 16 * CHUNK
"""The entries that are read at once. If the wanted ones span more, only what lies around them is read."""
GAP = 4096
"""Wanted entries that are closer than this are read together: 16 kB more cost as much as another read."""
LONG_RUN = 64
"""If the wanted entries lie in runs of this length on average, each run is read by itself."""
PANEL = 8 * CHUNK
"""Scattered entries are gathered for this many entries of the result at once, because neighbours of a wanted entry are
often wanted by the next chunks."""
LATEST_PANELS = 4
"""The panels that are kept: as many as threads work on at once, usually."""

Read = Callable[[int, int], Array]
"""Reads the entries [start, stop)."""


def are_scattered(indices: Entries) -> bool:
    """Returns whether entries, in the order of their indices, neither lie near each other nor in long runs."""
    is_near = int(indices.max()) - int(indices.min()) < READ_LIMIT
    return not is_near and len(indices) < LONG_RUN * (1 + int(np.count_nonzero(np.diff(indices) != 1)))


def gathered(read: Read, indices: Entries, dtype: np.dtype[Any]) -> Array:
    """Returns some entries in the order of their indices."""
    first, last = int(indices.min()), int(indices.max())
    if last - first < READ_LIMIT:
        values: Array = read(first, last + 1)[indices - first]
        return values
    if are_scattered(indices):
        distinct, positions = np.unique(indices, return_inverse=True)
        return _ascending(read, distinct, dtype)[positions]
    result = np.empty(len(indices), dtype)
    edges = [0, *(np.flatnonzero(np.diff(indices) != 1) + 1).tolist(), len(indices)]
    for start, stop in pairwise(edges):
        result[start:stop] = read(int(indices[start]), int(indices[stop - 1]) + 1)
    return result


def _ascending(read: Read, indices: Entries, dtype: np.dtype[Any]) -> Array:
    """Returns entries whose indices ascend. Those that are close are read together."""
    result = np.empty(len(indices), dtype)
    edges = [0, *(np.flatnonzero(np.diff(indices) > GAP) + 1).tolist(), len(indices)]
    for start, stop in pairwise(edges):
        while start < stop:
            first = int(indices[start])
            end = start + int(np.searchsorted(indices[start:stop], first + READ_LIMIT))
            values = read(first, int(indices[end - 1]) + 1)
            result[start:end] = values[indices[start:end] - first]
            start = end
    return result


class Panels:
    """The panels that were gathered last. Each is made by one thread, and others wait for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._latest: OrderedDict[Hashable, _Panel] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Array]) -> Array:
        """Returns the panel of a key, which is made if it is not one of the latest."""
        with self._lock:
            panel = self._latest.setdefault(key, _Panel())
            self._latest.move_to_end(key)
            if len(self._latest) > LATEST_PANELS:
                self._latest.popitem(last=False)
        with panel.lock:
            if panel.values is None:
                panel.values = make()
        return panel.values


@dataclass(slots=True)
class _Panel:
    lock: Lock = field(default_factory=Lock)
    values: Array | None = None


def summed(take: Callable[[Entries], Array], indices: Entries, count: int, stride: int) -> NDArray[np.float64]:
    """Returns for each entry the sum of `count` entries from it on, `stride` apart.

    They are added one after the other, so the result depends neither on the chunk nor on the processor.

    Arguments:
        take: returns entries of the source.
        indices: the first entry of each sum.
        count: the number of entries of a sum.
        stride: the distance of two of them.
    """
    result = np.zeros(len(indices))
    steps = np.arange(count, dtype=np.int64)[:, None] * stride
    for some in _parts(len(indices), max(1, CHUNK // max(1, count))):
        for rows in _parts(count, CHUNK):
            wanted = indices[some] + steps[rows]
            values = take(wanted.reshape(-1)).reshape(wanted.shape).astype(np.float64)
            values[0] += result[some]
            result[some] = np.add.accumulate(values)[-1]  # unlike a sum, which NumPy makes in pairs
    return result


def _parts(size: int, length: int) -> Iterator[slice]:
    return (slice(start, min(start + length, size)) for start in range(0, size, length))
