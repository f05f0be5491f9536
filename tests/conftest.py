"""Settings of all tests."""

from __future__ import annotations

import gc
import os
import sys
import typing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says more about what else runs on the machine than about us.
settings.register_profile("mutspec", deadline=None, print_blob=True, max_examples=60)
settings.load_profile("mutspec")

# Keras makes and drops so many objects that the collector, which looks at them after each 700 by default, takes a
# twentieth of the time.
gc.set_threshold(50_000, 20, 100)

# TensorFlow asks of each value that Keras gives it whether it has the attributes of a protocol. Python 3.11 lists the
# attributes again each time, for 3 % of the time; Python 3.12 keeps the list in the protocol.
if sys.version_info < (3, 12):
    typing._get_protocol_attrs = cache(typing._get_protocol_attrs)

FROZEN = pytest.StashKey[tuple[Path, int]]()
"""When the collector was last told what stays: in which file of tests, and with how many hundred modules loaded."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Keeps the garbage collector from walking over modules and shared models, which stay until the end.

    Keras collects whenever its session is cleared, as it is before each model of the zoo is built: over TensorFlow's
    objects that takes 0.3 s, more than most of these models take.
    """
    now = (item.path, len(sys.modules) // 500)
    if item.config.stash.get(FROZEN, None) != now:
        item.config.stash[FROZEN] = now
        gc.collect()
        gc.freeze()


NOT_ABOUT_READING = ("conf", "experiment", "keras_facts", "ops", "recipes", "requests", "structure")
"""Folders whose tests read HDF5 where they run."""


@pytest.fixture(autouse=True)
def _hdf5_in_this_process_if_not_about_reading(request: pytest.FixtureRequest) -> None:
    if request.path.relative_to(Path(__file__).parent).parts[0] in NOT_ABOUT_READING:
        request.getfixturevalue("hdf5_in_this_process")


ABOUT_OUTPUTS = ("execute", "fuzz")
"""Folders whose tests wait until what they write is on the disk."""


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk_if_not_about_outputs(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaves what is written to the operating system: each output waits for the disk twice, for some milliseconds."""
    if request.path.relative_to(Path(__file__).parent).parts[0] not in ABOUT_OUTPUTS:
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def reads_hdf5_here() -> Callable[[], AbstractContextManager[None]]:
    """A context in which HDF5 is read by this process, for fixtures that more than one test uses."""
    return _reads_hdf5_here


@pytest.fixture
def hdf5_in_this_process() -> Iterator[None]:
    """Reads HDF5 where the test runs, for tests that are not about reading.

    The product reads it in a forked child, and a fork of a process with TensorFlow in it takes 40 ms of processor time.
    The child is tried by the tests in `tests/model`, `tests/formats`, `tests/fuzz`, `tests/execute` and `tests/cli`
    that do not ask for this. No test of damaged bytes may: HDF5 crashes on some, and loops on others.
    """
    with _reads_hdf5_here():
        yield


@contextmanager
def _reads_hdf5_here() -> Iterator[None]:
    from mutspec.model.files import hdf5

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5, "watched", lambda work, **limits: work())
        yield
