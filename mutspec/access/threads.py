"""Runs work on threads, with results in order and a bounded number of items under way."""

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
"""The items under way for each thread: enough to keep it busy, few enough to bound memory."""


def default_threads() -> int:
    """Returns the number of processors that this process may use, but at most eight."""
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
        # The caller may close what the items write to, so all of them must be done.
        wait([future for _, future in under_way])


def _first_done(under_way: deque[tuple[T, Future[R]]]) -> tuple[T, R]:
    item, future = under_way[0]
    result = future.result()  # after an interrupt here, the item is still under way
    under_way.popleft()
    return item, result
