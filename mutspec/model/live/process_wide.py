"""What exists once in a process, and is used to build models: one thread at a time builds.

Keras draws the seeds of initializers from Python's `random`, and keeps the image data format in a module; warnings are
silenced for all threads. Names, dtype policies and scopes are of the thread (`keras.src.backend.common.global_state`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any


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


@contextmanager
def without_trace(keras: Any) -> Iterator[None]:
    """Leave names of later layers, global policies and random numbers as they were, and take none of them."""
    from keras.src.backend.common import global_state

    state = vars(global_state.GLOBAL_STATE_TRACKER)
    before, numbers, data_format = dict(state), random.getstate(), keras.config.image_data_format()
    try:
        if "object_name_uids" in state:
            state["object_name_uids"] = state["object_name_uids"].copy()
        state["uninitialized_variables"] = []
        keras.config.set_dtype_policy("float32")
        if data_format != "channels_last":
            keras.config.set_image_data_format("channels_last")
        yield
    finally:
        if data_format != "channels_last":
            keras.config.set_image_data_format(data_format)
        random.setstate(numbers)
        state.clear()
        state.update(before)


@contextmanager
def making(keras: Any, with_values: bool) -> Iterator[None]:
    """Where variables have values, or only shapes."""
    if with_values:
        yield
        return
    with keras.StatelessScope(initialize_variables=False):
        yield


_TURNS = _Turns()

os.register_at_fork(after_in_child=_TURNS.renew)
