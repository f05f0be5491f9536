"""Protects state of the process that is used to build models: one thread at a time builds.

Keras draws the seeds of initializers from Python's `random`, and stores the image data format in a module; warnings are
silenced for all threads. Names, dtype policies and scopes are those of a thread
(`keras.src.backend.common.global_state`).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any


class _Turns:
    """The lock. A forked child gets a new one, because the thread that holds it may not exist there."""

    def __init__(self) -> None:
        self.lock = RLock()

    def renew(self) -> None:
        self.lock = RLock()


@contextmanager
def building_alone() -> Iterator[None]:
    """Lets only one thread of mutspec build, load, or ask for shapes. Values are computed outside of the block."""
    with _TURNS.lock:
        yield


@contextmanager
def without_trace(keras: Any) -> Iterator[None]:
    """Isolates a block from Keras's global names, policies and formats and from random numbers, and restores them."""
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
    """Makes variables in the block have values, or only shapes."""
    if with_values:
        yield
        return
    with keras.StatelessScope(initialize_variables=False):
        yield


_TURNS = _Turns()

os.register_at_fork(after_in_child=_TURNS.renew)
