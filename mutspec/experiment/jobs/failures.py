"""Jobs that fail: they do not end a sweep, and write their error to a file next to their result.

A launcher may run jobs in other processes or on other machines, and a sweeper may keep what they return to itself; a
file is what is left of all of them.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Self

import msgspec

from mutspec.documents import json_bytes
from mutspec.errors import (
    CallError,
    CheckError,
    EnvironmentProblem,
    ModelError,
    MutspecError,
    Place,
    PlanError,
    Problem,
)
from mutspec.experiment.jobs.objectives import NoNumber
from mutspec.experiment.result import write_whole

FILE_NAME = "error.json"
KINDS: dict[str, type[MutspecError]] = {
    kind.__name__: kind for kind in (PlanError, ModelError, CallError, CheckError, EnvironmentProblem)
}
_ABOUT_PATHS = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG})


class _FailureDocument(msgspec.Struct):
    kind: str
    problems: list[Problem]


class FailedJob(NoNumber):
    """The value that a failed job returns to its sweeper: NaN, which is never taken for a good value, and the error."""

    error: MutspecError

    def __new__(cls, error: MutspecError) -> Self:
        """Makes the value that stands for an error."""
        failed = super().__new__(cls)
        failed.error = error
        return failed

    def __reduce__(self) -> tuple[type[FailedJob], tuple[MutspecError]]:
        """Supports launchers that run jobs in other processes."""
        return type(self), (self.error,)


def as_error(error: Exception) -> MutspecError:
    """An exception that a user is meant to see, as one of ours."""
    if isinstance(error, MutspecError):
        return error
    if isinstance(error, MemoryError):
        return EnvironmentProblem("there is not enough memory")
    assert isinstance(error, OSError)
    reason = error.strerror or str(error)
    place = Place(str(error.filename), 0, 0, 0) if error.filename is not None else None
    kind = CallError if error.errno in _ABOUT_PATHS else EnvironmentProblem
    return kind(Problem(reason[:1].lower() + reason[1:], place))


def in_short(error: MutspecError) -> str:
    """Returns an error as a line for each problem, without hints."""
    return "\n".join(str(replace(problem, hint="", candidates=())) for problem in error.problems)


def write_failure(folder: Path, error: MutspecError) -> None:
    """Writes an error into a job's folder."""
    kind = next(each.__name__ for each in type(error).__mro__ if each.__name__ in KINDS)
    write_whole(folder / FILE_NAME, json_bytes(msgspec.to_builtins(_FailureDocument(kind, list(error.problems)))))


def forget_failure(folder: Path) -> None:
    """Removes the error of an earlier job in the same folder."""
    (folder / FILE_NAME).unlink(missing_ok=True)


def read_failures(folder: Path) -> list[tuple[str, MutspecError]]:
    """The errors of all jobs of a sweep, by their folders."""
    found = []
    for path in sorted(folder.glob(f"**/{FILE_NAME}")):
        try:
            document = msgspec.json.decode(path.read_bytes(), type=_FailureDocument)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        error = KINDS.get(document.kind, CallError)(document.problems)
        found.append((path.parent.relative_to(folder).as_posix(), error))
    return found
