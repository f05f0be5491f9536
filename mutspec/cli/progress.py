"""Progress bars: on a terminal only, and only for work that takes longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mutspec.cli.live import Bar, Live, Ticker, is_live

PATIENCE_SECONDS = 1.0
"""The time that work takes before a bar appears."""
REFRESH_SECONDS = 0.1

Advance = Callable[[int, int], None]
"""A function that is told the number of entries that are done, and of all entries."""


@contextmanager
def progress(description: str, *, is_quiet: bool = False) -> Iterator[Advance | None]:
    """Shows a bar on standard error for as long as the context lasts.

    Arguments:
        description: what is being done.
        is_quiet: whether to show no bar.

    Yields:
        The function to call as the work goes on; None if nobody would see the bar.
    """
    if is_quiet or not is_live(sys.stderr):
        yield None
        return
    bar, live, standing = Bar(description), Live(sys.stderr), (0, 0)

    def advance(done: int, total: int) -> None:
        nonlocal standing
        standing = done, total

    def draw() -> None:
        if standing[1]:
            live.draw([bar.line(*standing)])

    ticker = Ticker(draw, PATIENCE_SECONDS, REFRESH_SECONDS)
    try:
        yield advance
    finally:
        ticker.stop()
        live.close()
