"""What exists once in a process, and is used to build models: one thread at a time builds.

Keras draws the seeds of initializers from Python's `random`, and keeps the image data format in a module; warnings are
silenced for all threads. Names, dtype policies and scopes are of the thread (`keras.src.backend.common.global_state`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock


class _Turns:
    """The lock; a forked child gets a new one, as the thread that held it may not exist there."""

    def __init__(self) -> None:
        self.lock = RLock()

    def renew(self) -> None:
        self.lock = RLock()


@contextmanager
def building_alone() -> Iterator[None]:
    """Let no other thread of ours build, load, or ask for shapes meanwhile. Values are computed outside of it."""
    with _TURNS.lock:
        yield


_TURNS = _Turns()

os.register_at_fork(after_in_child=_TURNS.renew)
