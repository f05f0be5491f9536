"""Interrupts that wait until they do no harm."""

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
    """Delays the first interrupt until the block ends, for work that must not stop half-way.

    A second interrupt is not delayed. Signals whose handler is not a Python function are left alone. In other threads
    than the main one nothing is delayed, because Python runs handlers only in the main thread.

    Yields:
        A function that returns whether an interrupt is waiting, for blocks that can end early.
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
