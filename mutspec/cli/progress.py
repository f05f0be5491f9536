"""Progress bars: on a terminal only, and only for work that takes longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mutspec.cli.live import Bar, Live, Ticker, is_live

PATIENCE_SECONDS = 1.0
"""How long work may take without a bar."""
REFRESH_SECONDS = 0.1

Advance = Callable[[int, int], None]
"""Told about the entries that are done, and the entries in all."""


@contextmanager
def progress(description: str, *, is_quiet: bool = False) -> Iterator[Advance | None]:
    """Shows a bar on standard error for as long as the context lasts.

    Arguments:
        description: what is being done.
        is_quiet: whether there shall be none.

    Yields:
        What is to be told about the work; None if nobody would see it.
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
