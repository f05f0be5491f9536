"""Whole processes, measured from outside: wall time and peak memory of a command, its start included.

This module and its callers import only the standard library: on Linux a child's peak memory cannot read lower than its
parent's, so the parent stays small.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""`ru_maxrss` is in bytes on macOS and in KiB elsewhere."""


@dataclass(frozen=True)
class Command:
    """A command to measure.

    Arguments:
        label: what the table calls it.
        arguments: the program and its arguments.
        exit_codes: the exit codes that mean success.
        says_seconds: whether the last thing that it prints is the time that counts, instead of its wall time.
    """

    label: str
    arguments: tuple[str, ...]
    exit_codes: tuple[int, ...] = (0,)
    says_seconds: bool = False


@dataclass(frozen=True)
class Run:
    """The seconds of one run, and its peak memory in bytes."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Measured:
    """A command and its runs; `failure` says why there are none."""

    command: Command
    runs: tuple[Run, ...] = ()
    failure: str = ""

    @property
    def seconds(self) -> float:
        """The median of the runs' seconds."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """The largest peak of all runs."""
        return max(run.peak_bytes for run in self.runs)


class CommandFailed(Exception):
    """A command ended with an unexpected exit code."""


def run_once(command: Command, folder: Path) -> Run:
    """Runs a command to its end.

    Raises:
        CommandFailed: it could not be started, or its exit code says that it failed.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        try:
            process = subprocess.Popen(command.arguments, cwd=folder, stdout=output, stderr=errors)
        except OSError as error:
            raise CommandFailed(str(error)) from error
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        complaints = errors.read().decode(errors="replace")
        # A crash ends with exit code 1 too, which for `diff` means success.
        if process.returncode not in command.exit_codes or "Traceback (most recent call last)" in complaints:
            last_lines = " / ".join(line.strip() for line in complaints.strip().splitlines()[-3:])
            raise CommandFailed(f"exit code {process.returncode}: {last_lines}")
        if command.says_seconds:
            seconds = float(output.read().split()[-1])
    return Run(seconds, usage.ru_maxrss * MAXRSS_UNIT)


def measure(
    commands: Sequence[Command],
    repeats: int,
    folder: Path,
    warm_up: bool = True,
    between: Sequence[Command] = (),
) -> list[Measured]:
    """Measures commands in turns, so that other work of the machine affects all of them equally.

    Arguments:
        commands: the commands, the reference last.
        repeats: the number of rounds that count.
        folder: the folder in which they run.
        warm_up: whether a first round runs that fills caches and does not count.
        between: the commands that run before each of them.
    """
    runs: dict[Command, list[Run]] = {command: [] for command in commands}
    failures: dict[Command, str] = {}
    for turn in range(-1 if warm_up else 0, repeats):
        for command in commands:
            if command in failures:
                continue
            try:
                for each in between:
                    run_once(each, folder)
                run = run_once(command, folder)
            except CommandFailed as error:
                failures[command] = str(error)
                continue
            if turn >= 0:
                runs[command].append(run)
    return [
        Measured(command, failure=failures[command]) if command in failures else Measured(command, tuple(runs[command]))
        for command in commands
    ]
