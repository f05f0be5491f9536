"""The indices of flat entries along an axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def axis_index(length: int, stride: int, start: int, stop: int) -> NDArray[np.int64]:
    """Returns the index (i // stride) mod length of each entry i of a span.

    It is the index along an axis of `length` entries, if the axes after it have `stride` entries together.
    """
    first, last = start // stride, -(-stop // stride)
    # The index is constant for `stride` entries, then goes on round the axis. Repeating the indices is many times as
    # fast as dividing each entry.
    rows = np.arange(first, last, dtype=np.int64) % length if stride > 1 else _cycle(start, stop, length)
    if stride == 1:
        return rows
    edges = np.clip(np.arange(first, last + 1, dtype=np.int64) * stride, start, stop)
    return np.repeat(rows, np.diff(edges))


def _cycle(start: int, stop: int, length: int) -> NDArray[np.int64]:
    """Returns the numbers from `start` up to `stop`, modulo `length`."""
    turn = np.arange(start, start + min(length, stop - start), dtype=np.int64) % length
    return np.resize(turn, stop - start)
