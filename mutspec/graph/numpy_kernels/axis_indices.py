"""Where flat entries lie along an axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def axis_index(length: int, stride: int, start: int, stop: int) -> NDArray[np.int64]:
    """For each flat entry of a span, its index along an axis of `length` before axes of `stride` entries together."""
    first, last = start // stride, -(-stop // stride)
    # Rows go round the axis, each for `stride` entries: to repeat them is many times as fast as to divide each entry.
    rows = np.arange(first, last, dtype=np.int64) % length if stride > 1 else _cycle(start, stop, length)
    if stride == 1:
        return rows
    edges = np.clip(np.arange(first, last + 1, dtype=np.int64) * stride, start, stop)
    return np.repeat(rows, np.diff(edges))


def _cycle(start: int, stop: int, length: int) -> NDArray[np.int64]:
    """The numbers from `start` up to `stop`, modulo `length`."""
    turn = np.arange(start, start + min(length, stop - start), dtype=np.int64) % length
    return np.resize(turn, stop - start)
