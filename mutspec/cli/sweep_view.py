"""A live view of a running sweep: how far it is, how long it will take, its best and worst mutants so far."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from mutspec.cli import progress
from mutspec.cli.live import Bar, Live, Ticker, is_live
from mutspec.text import words
from mutspec.text.visible import in_one_line

if TYPE_CHECKING:
    from mutspec.experiment.jobs.sweep_progress import Extreme, SweepMonitor, SweepProgress

REFRESH_SECONDS = 0.5
LEISURE = 20
"""The pause between two looks, as a multiple of the time that a look takes: 40 ms for a thousand jobs."""


@contextmanager
def sweep_view(*, is_quiet: bool = False) -> Iterator[Callable[[SweepMonitor], None] | None]:
    """Shows a sweep on standard error for as long as the context lasts, if that is longer than a second.

    Arguments:
        is_quiet: whether there shall be no view.

    Yields:
        A function that takes the sweep's monitor; None if nobody would see the view.
    """
    if is_quiet or not is_live(sys.stderr):
        yield None
        return

    def show(watch: SweepMonitor) -> None:
        view, live = _View(watch), Live(sys.stderr)
        at_the_end.callback(live.close)
        ticker = Ticker(lambda: live.draw(view.lines()), progress.PATIENCE_SECONDS, REFRESH_SECONDS)
        at_the_end.callback(ticker.stop)

    with ExitStack() as at_the_end:
        yield show


class _View:
    """The lines that show a sweep."""

    def __init__(self, watch: SweepMonitor) -> None:
        self._watch = watch
        self._bar = Bar("Sweeping", "jobs")
        self._next_look = 0.0
        self._standing: SweepProgress | None = None

    def lines(self) -> list[str]:
        """Returns the bar, and below it what is known so far."""
        start = monotonic()
        if self._standing is None or start >= self._next_look:
            self._standing = self._watch.progress()
            self._next_look = start + LEISURE * (monotonic() - start)
        return [self._bar.line(self._standing.done, self._standing.jobs), *lines(self._standing)]


def lines(standing: SweepProgress) -> list[str]:
    """Returns the lines below the bar of a sweep."""
    found = []
    if standing.lowest is not None and standing.highest is not None:
        ends = {"highest": standing.highest, "lowest": standing.lowest}
        found = [_extreme(name, standing.objective, each) for name, each in ends.items()]
    if standing.failed:
        found.append(f"{words.plural(standing.failed, 'job')} failed")
    if standing.refused:
        found.append(f"{words.plural(standing.refused, 'job')} with a gate that does not hold")
    return found


def _extreme(name: str, objective: str, extreme: Extreme) -> str:
    return in_one_line(f"{name:<8} {objective} {extreme.value:<8.4g} {extreme.folder}")
