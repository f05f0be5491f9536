"""Work on an untrusted file in a child process, with limits on time and memory.

libhdf5 loops for ever on some damaged files and crashes on others. While it runs, Python handles no signal. In a forked
child, all of that ends with the child. A fork takes a few milliseconds. A fresh interpreter would take much longer,
most of it to import h5py again.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import resource
import select
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import NoReturn

from mutspec.errors import EnvironmentProblem
from mutspec.interrupts import INTERRUPTS, held_interrupts

_WALL_PER_SECOND = 12
"""The seconds that may pass for each second of processor time. A slow disk or a busy machine must not matter."""

_BLOCK = 1 << 20


class ChildFailed(Exception):
    """The work was not finished. The text says why, as the end of a sentence about the file."""


class ChildTooSlow(ChildFailed):
    """The work took too much time."""


def watched(work: Callable[[], bytes], *, seconds: int, memory: int, most_bytes: int) -> bytes:
    """Returns the result of work that a forked child does.

    The child has only the thread that it was forked from, so it must not take a lock that another thread may hold. h5py
    takes its own lock for the fork, and releases it in both processes.

    Arguments:
        work: what to do. It must raise nothing, and leave no files or processes.
        seconds: the processor time that it may take.
        memory: the bytes that it may allocate, on systems that can say how much they have given already.
        most_bytes: what it may return.

    Raises:
        ChildFailed: it crashed, took too long, or returned too much.
        EnvironmentProblem: the system cannot start a process.
    """
    reading, writing = os.pipe()
    pid = 0
    try:
        # An interrupt during the cleanup of Python and its libraries after the fork would be printed, and lost.
        with held_interrupts():
            pid = _fork()
            if pid == 0:
                _be_child(work, (reading, writing), seconds, memory)
        os.close(writing)
        writing = -1
        answer = _answer(reading, monotonic() + seconds * _WALL_PER_SECOND, most_bytes)
        status, pid = _status(pid), 0
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
        if pid > 0:  # after an interrupt, or without an answer, the child is ended, whatever it does
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _status(pid)
    if answer is not None and status == 0 and len(answer) >= 8:
        length = int.from_bytes(answer[:8], "little")
        if len(answer) == 8 + length:
            return answer[8:]
    if answer is None or status == -signal.SIGXCPU:
        raise ChildTooSlow(f"reading it takes more than {seconds} seconds")
    if status == -signal.SIGKILL:
        raise ChildFailed("reading it was killed, perhaps for want of memory")
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"exit code {status}"
    raise ChildFailed(f"HDF5 crashes on it ({name})")


def _fork() -> int:
    try:
        with warnings.catch_warnings():
            # Python 3.12 and later warn of forks where there are threads, such as TensorFlow's. The child takes none of
            # their locks: it calls h5py, and ends without Python's or TensorFlow's clearing up.
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()
    except OSError as error:
        raise EnvironmentProblem(
            f"there is no process to read HDF5 in: {error.strerror}", hint="allow more processes or more memory"
        ) from None


def _be_child(work: Callable[[], bytes], pipe: tuple[int, int], seconds: int, memory: int) -> NoReturn:
    code, (reading, writing) = 1, pipe
    try:
        os.close(reading)  # so that writing fails once the parent is gone
        for number in INTERRUPTS:  # Python's handlers would wait for libhdf5 to return
            signal.signal(number, signal.SIG_DFL)
        faulthandler.disable()  # the parent reports a crash as a sentence
        gc.disable()
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_CPU, seconds)
        if used := _address_space():
            _limit(resource.RLIMIT_AS, used + memory)
        answer = work()
        for block in (len(answer).to_bytes(8, "little"), answer):
            view = memoryview(block)
            while view:
                view = view[os.write(writing, view[:_BLOCK]) :]
        code = 0
    finally:
        os._exit(code)


def _limit(which: int, value: int) -> None:
    """Lowers a limit. One that is lower already stays."""
    with suppress(OSError, ValueError):
        soft, hard = resource.getrlimit(which)
        lowest = min(value, *(each for each in (soft, hard) if each != resource.RLIM_INFINITY), value)
        resource.setrlimit(which, (lowest, hard))


def _address_space() -> int:
    """Returns the bytes that this process has mapped; 0 if the system does not tell."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return 0


def _answer(reading: int, end: float, most_bytes: int) -> bytes | None:
    """Returns all that the child writes; None if it is not done when the time is up."""
    poll = select.poll()
    poll.register(reading, select.POLLIN | select.POLLHUP)
    blocks: list[bytes] = []
    size = 0
    while True:
        left = end - monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            return None
        block = os.read(reading, _BLOCK)
        if not block:
            return b"".join(blocks)
        blocks.append(block)
        size += len(block)
        if size > most_bytes + 8:
            raise ChildFailed(f"what it lists takes more than {most_bytes:,} bytes")


def _status(pid: int) -> int:
    """Waits for a child, and returns its exit code, or minus the signal that ended it."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:  # the process ignores SIGCHLD, so that the system keeps no status; the answer counts
        return 0
