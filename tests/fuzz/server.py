"""Processes that import once and fork for each call, so that a crash, a hang or a bomb takes one call with it."""

from __future__ import annotations

import gc
import os
import pkgutil
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

MEGABYTE = 10**6
_TICK = 0.05
_PATIENCE = 12
_PAGE = resource.getpagesize()
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Limits:
    """What a call may use before it is ended.

    Arguments:
        seconds: of the processor. The clock says more about what else runs on the machine: it gets more of it.
        megabytes: of memory, at its peak. A call is ended at three times as much.
        written: the most megabytes that a file may come to have.
    """

    seconds: float = 10
    megabytes: int = 500
    written: float = 300


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    Arguments:
        code: its exit code; negative, the signal that ended it.
        out, err: what it printed.
        seconds: of the processor.
        megabytes: of memory, at its peak.
        ended: why it was ended before its time; empty if it was not.
        left: whether it left processes running.
        wall: seconds of the clock, from when the function was called.
    """

    code: int
    out: str
    err: str
    seconds: float
    megabytes: float
    ended: str = ""
    left: bool = False
    wall: float = 0


@dataclass(frozen=True)
class Blow:
    """A signal that a call gets, unless it has ended.

    Arguments:
        signal: its number.
        seconds: how long after the beginning of the call.
    """

    signal: int
    seconds: float


@dataclass(frozen=True)
class _Request:
    function: str
    arguments: tuple[str, ...]
    folder: str
    limits: Limits
    blow: Blow | None


class Server:
    """A process that forks for each call.

    Arguments:
        preload: imports what calls need.
    """

    def __init__(self, preload: Callable[[], None]) -> None:
        self._preload = preload
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def call(
        self, function: str, arguments: Sequence[str], folder: Path, limits: Limits, blow: Blow | None = None
    ) -> Outcome:
        """Call `module:function` with arguments in a folder. Its standard streams are files; the input is empty."""
        if self._pipe is None:
            self._start()
        assert self._pipe is not None
        self._pipe.send(_Request(function, tuple(arguments), str(folder), limits, blow))
        outcome = self._pipe.recv()
        assert isinstance(outcome, Outcome), outcome
        return outcome

    def stop(self) -> None:
        """End the process."""
        if self._pipe is not None and self._process is not None:
            self._pipe.close()
            self._process.join()
            self._pipe = self._process = None

    def _start(self) -> None:
        # A fresh interpreter: what this process has imported, and its threads, are not those of calls.
        context = get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, self._preload), daemon=True)
        self._process.start()
        there.close()


def _serve(pipe: Connection, preload: Callable[[], None]) -> NoReturn:
    try:
        preload()
        gc.collect()
        gc.freeze()
        while True:
            pipe.send(_run(pipe.recv()))
    except (EOFError, KeyboardInterrupt):
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _run(request: _Request) -> Outcome:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        ready, begun = os.pipe()
        child = os.fork()
        if child == 0:
            _become(request, out.fileno(), err.fileno(), begun)
        os.close(begun)
        os.read(ready, 1)  # ends when the child has closed its end, and is about to call the function
        os.close(ready)
        began = time.monotonic()
        ended = _wait(child, request.limits, request.blow)
        _, status, usage = os.wait4(child, 0)
        wall = time.monotonic() - began
        return Outcome(
            os.waitstatus_to_exitcode(status),
            _text(out.fileno()),
            _text(err.fileno()),
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss * 1024 / MEGABYTE,
            ended,
            _end_group(child),
            wall,
        )


def _become(request: _Request, out: int, err: int, begun: int) -> NoReturn:
    """Be the process of a call."""
    code = 1
    try:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (as in a fresh process)
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        os.chdir(request.folder)
        tempfile.tempdir = None  # found again, from TMPDIR
        signal.signal(signal.SIGINT, signal.default_int_handler)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        written = int(request.limits.written * MEGABYTE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
        module, _, name = request.function.partition(":")
        function = getattr(import_module(module), name)
        os.close(begun)
        function(request.arguments)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # before it was called
            print("interrupted", file=sys.stderr)
            code = 130
        else:
            traceback.print_exc()
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _wait(child: int, limits: Limits, blow: Blow | None) -> str:
    """Wait until a process has ended, or used too much: then end it, and say why."""
    began = time.monotonic()
    descriptor = os.pidfd_open(child)
    try:
        if blow is not None and not select.select([descriptor], [], [], blow.seconds)[0]:
            os.kill(child, blow.signal)
        while not select.select([descriptor], [], [], _TICK)[0]:
            ended = _used_too_much(child, limits, time.monotonic() - began)
            if ended:
                with suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
                return ended
    finally:
        os.close(descriptor)
    return ""


def _used_too_much(child: int, limits: Limits, wall: float) -> str:
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    seconds = sum(map(int, fields[11:15])) / _TICKS_PER_SECOND
    megabytes = int(fields[21]) * _PAGE / MEGABYTE
    if seconds > limits.seconds:
        return f"took over {limits.seconds:g} s"
    if wall > _PATIENCE * limits.seconds:
        return f"waited for over {_PATIENCE * limits.seconds:g} s"
    if megabytes > 3 * limits.megabytes:
        return f"took over {3 * limits.megabytes} MB of memory"
    return ""


def _end_group(leader: int) -> bool:
    """Whether processes of a call outlive it; they are ended."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _text(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return file.read(4 * MEGABYTE).decode("utf-8", errors="surrogateescape")


# -- what is imported beforehand


def without_keras() -> None:
    """Import all that needs no Keras, and take care that nothing else is imported."""
    _import_mutspec()
    for name in ("keras", "tensorflow", "matplotlib", "pyarrow"):
        assert name not in sys.modules
        sys.modules[name] = None  # type: ignore[assignment]


def with_pictures() -> None:
    """Import all that reports need."""
    _import_mutspec()
    import matplotlib.pyplot  # noqa: F401
    import pyarrow.parquet  # noqa: F401


def with_keras() -> None:
    """Import Keras too. It starts no threads before it computes."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _import_mutspec()
    import hydra  # noqa: F401
    import keras  # noqa: F401


def _import_mutspec() -> None:
    import mutspec
    import tests.fuzz.commands
    import tests.fuzz.oracle  # noqa: F401

    for module in pkgutil.walk_packages(mutspec.__path__, "mutspec."):
        if not module.name.startswith(("mutspec.model.live", "mutspec.experiment.jobs", "mutspec.conf")):
            import_module(module.name)
