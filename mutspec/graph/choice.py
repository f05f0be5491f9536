"""Which entries of a tensor a step touches, as data."""

from __future__ import annotations

from dataclasses import dataclass

from mutspec.graph.permutation import Permutation


@dataclass(frozen=True, slots=True)
class Scattered:
    """The entries whose images under a keyed permutation of a pool are below `count`.

    Arguments:
        pool: the permutation; its size is that of all the tensors which the amount counts over.
        count: how many entries of the pool are chosen.
        offset: where this tensor's entries begin in the pool.
    """

    pool: Permutation
    count: int
    offset: int


@dataclass(frozen=True, slots=True)
class Listed:
    """Entries by flat index in C order: ascending, distinct, from 0."""

    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """The entries with `start` ≤ index < `stop` along one axis.

    Arguments:
        axis: counted from 0.
        start: the first index.
        stop: the index after the last.
    """

    axis: int
    start: int
    stop: int


Choice = Scattered | Listed | Window


def chosen_count(choice: Choice, shape: tuple[int, ...]) -> int | None:
    """How many entries of a tensor are chosen; None where only drawing them tells (a pool of several tensors)."""
    size = 1
    for extent in shape:
        size *= extent
    if isinstance(choice, Listed):
        return len(choice.indices)
    if isinstance(choice, Window):
        return size // shape[choice.axis] * (choice.stop - choice.start) if size else 0
    if choice.pool.size == size or choice.count in (0, choice.pool.size):
        return min(choice.count, size)
    return None
