"""Progress bars: on a terminal only, and only for work that takes longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE_SECONDS = 1.0
"""How long work may take without a bar."""

Advance = Callable[[int, int], None]
"""Told about the entries that are done, and the entries in all."""


@contextmanager
def progress(description: str, *, is_quiet: bool = False) -> Iterator[Advance | None]:
    """A bar on standard error for as long as the context lasts.

    Arguments:
        description: what is being done.
        is_quiet: whether there shall be none.

    Yields:
        What is to be told about the work; None if nobody would see it.
    """
    if is_quiet or not sys.stderr.isatty():
        yield None
        return
    bar = _Bar(description)
    try:
        yield bar.advance
    finally:
        bar.close()


class _Bar:
    """A bar that appears after a while."""

    def __init__(self, description: str) -> None:
        self.description = description
        self.start = monotonic()
        self.shown: Progress | None = None

    def advance(self, done: int, total: int) -> None:
        """Show how much is done."""
        if self.shown is None:
            if monotonic() - self.start < PATIENCE_SECONDS:
                return
            self.shown = rich_bar()
            self.shown.add_task(self.description, total=total)
            self.shown.start()
        self.shown.update(self.shown.task_ids[0], completed=done, total=total)

    def close(self) -> None:
        """Take it away: what is worth keeping is in the report."""
        if self.shown is not None:
            self.shown.stop()


def rich_bar(of: str = "") -> Progress:
    """A bar with the share that is done and the time that is left.

    Arguments:
        of: what is counted; by default the share alone is shown.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    done = (MofNCompleteColumn(), TextColumn(of)) if of else (TaskProgressColumn(),)
    columns = (TextColumn("{task.description}"), BarColumn(), *done, TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
