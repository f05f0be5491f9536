"""Calls within one process, measured in turns, so that a slow phase of the machine meets all alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any


def in_turns(runs: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """The median seconds of each call, after a round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 1):
        for name, run in runs.items():
            spent = seconds(run)
            if round_number:
                taken[name].append(spent)
    return {name: median(each) for name, each in taken.items()}


def seconds(run: Callable[[], Any]) -> float:
    """How long a call takes, without clearing away what the calls before it left."""
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
