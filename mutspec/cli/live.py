"""Lines on a terminal that change while work goes on, and are gone when it is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, RLock, Thread
from time import monotonic
from typing import Any, TextIO

from mutspec.cli.boundary import is_unicode
from mutspec.text.layout import prefix
from mutspec.text.visible import in_one_line

BAR_WIDTH = 40


def is_live(stream: TextIO) -> bool:
    """Returns whether a stream is a terminal that can erase lines."""
    return stream.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


class Live:
    """Lines that each drawing replaces; what others print meanwhile stays above them.

    Arguments:
        stream: the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = RLock()  # what other threads print erases the lines
        self._rows = 0
        self._is_within_line = False
        self._replaced: dict[str, tuple[Any, Any]] = {}
        self._process = os.getpid()

    def draw(self, lines: Sequence[str]) -> None:
        """Draws lines in the place of those before, each cut to the width of the terminal."""
        width = _columns(self._stream) - 1
        with self._lock:
            if not self._replaced:
                self._take_streams()
            start = "\n" if self._is_within_line else ""
            self._is_within_line = False
            self._stream.write(start + self._erasure() + "\n".join(prefix(line, width) for line in lines))
            self._stream.flush()
            self._rows = len(lines)

    def close(self) -> None:
        """Erases the lines for good."""
        with self._lock:
            self._erase()
            for name, (before, after) in self._replaced.items():
                if getattr(sys, name) is after:
                    setattr(sys, name, before)
            self._replaced = {}

    def printed(self, stream: TextIO, text: str) -> int:
        """Prints a text of someone else's above the lines, which come back with the next drawing."""
        if os.getpid() != self._process:  # a forked child, which may have been made while the lock was taken
            return stream.write(text)
        with self._lock:
            self._erase()
            self._is_within_line = not text.endswith(("\n", "\r")) if text else self._is_within_line
            return stream.write(text)

    def _erase(self) -> None:
        if self._rows:
            self._stream.write(self._erasure())
            self._stream.flush()
            self._rows = 0

    def _erasure(self) -> str:
        """Returns what moves the cursor to the first line drawn, and clears the screen from there on."""
        return "\r" + "\x1b[1A" * (self._rows - 1) + "\x1b[J" if self._rows else ""

    def _take_streams(self) -> None:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream.isatty():
                self._replaced[name] = (stream, _Above(stream, self))
                setattr(sys, name, self._replaced[name][1])


class _Above:
    """A standard stream whose texts are printed above live lines."""

    def __init__(self, stream: TextIO, live: Live) -> None:
        self._stream = stream
        self._live = live

    def write(self, text: str) -> int:
        return self._live.printed(self._stream, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Ticker:
    """Calls a function again and again in a thread of its own, after a while without a call.

    Arguments:
        function: the function.
        patience_seconds: how long it is not called.
        period_seconds: the time between two calls.
    """

    def __init__(self, function: Callable[[], object], patience_seconds: float, period_seconds: float) -> None:
        self._stopped = Event()

        def tick() -> None:
            wait = patience_seconds
            with suppress(OSError, ValueError):  # the terminal is gone
                while not self._stopped.wait(wait):
                    function()
                    wait = period_seconds

        self._thread = Thread(target=tick, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the calls; the last one has returned then."""
        self._stopped.set()
        self._thread.join()


class Bar:
    """The line of a progress bar: how much is done, and how long the rest takes at the pace so far.

    Arguments:
        description: what is being done.
        unit: what is counted; by default the share alone is shown.
    """

    def __init__(self, description: str, unit: str = "") -> None:
        self._description = in_one_line(description)
        self._unit = unit
        self._at_first: int | None = None
        self._pace_from: tuple[float, int] | None = None

    def line(self, done: int, total: int) -> str:
        """Returns the line; `total` is 0 while it is not known."""
        now = monotonic()
        if self._at_first is None:
            self._at_first = done
        elif self._pace_from is None and done > self._at_first:
            self._pace_from = now, done  # what comes before the first part, such as loading, is not its pace
        share = min(done / total, 1.0) if total else 0.0
        full = int(BAR_WIDTH * share)
        bar = "━" * full + "─" * (BAR_WIDTH - full) if is_unicode(sys.stderr) else "#" * full + "-" * (BAR_WIDTH - full)
        count = f"{done}/{total or '?'} {self._unit}" if self._unit else f"{share:4.0%}"
        return f"{self._description} {bar} {count}  {self._left(now, done, total)}".rstrip()

    def _left(self, now: float, done: int, total: int) -> str:
        if self._pace_from is None or done <= self._pace_from[1] or not total:
            return ""
        start, before = self._pace_from
        seconds = round((now - start) * (total - done) / (done - before))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"
