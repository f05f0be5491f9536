"""Work on threads, in order and with only a little of it under way at once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AT_MOST = 8
UNDER_WAY = 3
"""Items under way for each thread: enough to keep it busy, few enough to bound memory."""


def default_threads() -> int:
    """One for each processor that this process may use, up to eight."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(AT_MOST, available)


def in_order(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], threads: int
) -> Iterator[tuple[T, R]]:
    """Maps over the threads of a pool. Each item comes with its result, in the order of the items."""
    under_way: deque[tuple[T, Future[R]]] = deque()
    try:
        for item in items:
            under_way.append((item, pool.submit(function, item)))
            if len(under_way) >= UNDER_WAY * threads:
                yield _first_done(under_way)
        while under_way:
            yield _first_done(under_way)
    finally:
        for _, future in under_way:
            future.cancel()
        # Whoever closes what they write to must know that they are done.
        wait([future for _, future in under_way])


def _first_done(under_way: deque[tuple[T, Future[R]]]) -> tuple[T, R]:
    item, future = under_way[0]
    result = future.result()  # if this is interrupted, the item is still under way
    under_way.popleft()
    return item, result
