"""Measures calls within one process in turns, so that a slow phase of the machine affects all of them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any


def in_turns(runs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Returns the median seconds of each call, after a round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 1):
        for name, run in runs.items():
            spent = seconds(run)
            if round_number:
                taken[name].append(spent)
    return {name: median(each) for name, each in taken.items()}


def seconds(run: Callable[[], Any]) -> float:
    """Returns the seconds of a call, without the time for garbage that earlier calls left."""
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
