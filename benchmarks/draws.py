"""Normal numbers as mutspec draws them: by NumPy's Philox, chunk by chunk, on two threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

T = TypeVar("T")

THREADS = 2
CHUNK = 1 << 16


def normals(chunk: int, count: int) -> np.ndarray:
    """Returns the first numbers of a chunk."""
    bits = np.random.Philox(key=5, counter=[0, 0, chunk, 0])
    return np.random.Generator(bits).standard_normal(count, dtype=np.float32)


def on_threads(function: Callable[[T], object], items: Iterable[T]) -> None:
    """Calls a function for each item, on two threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(function, items):
            pass
