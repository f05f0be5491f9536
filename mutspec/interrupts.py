"""Interrupts at a time when they do no harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals that ask a process to end."""


@contextmanager
def held_interrupts() -> Iterator[Callable[[], bool]]:
    """Lets the first interrupt wait until the block ends, for work that must not stop half-way.

    A second interrupt does not wait. Signals whose handler is not a Python function are left alone, as is every thread
    but the main one, since Python runs handlers in no other.

    Yields:
        A function that says whether an interrupt waits, for blocks that can end early.
    """
    handlers: dict[int, Callable[[int, FrameType | None], object]] = {}
    waiting: list[tuple[int, FrameType | None]] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def hold(number: int, frame: FrameType | None) -> None:
        if waiting:
            handlers[number](number, frame)
        waiting.append((number, frame))

    try:
        for number in INTERRUPTS:
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, hold)
        yield lambda: bool(waiting)
    finally:
        for number, before in handlers.items():
            signal.signal(number, before)
        for number, frame in waiting:
            handlers[number](number, frame)
