"""The exit codes of commands, and which error has which. From 1 on nothing was written, unless a message says so."""

from __future__ import annotations

import errno
from enum import IntEnum

from mutspec.errors import CallError, CheckError, EnvironmentProblem, ModelError, MutspecError, PlanError


class ExitCode(IntEnum):
    """The exit codes, which scripts rely on."""

    DONE = 0
    """Done; or compared, and no difference."""
    CHECK_FAILED = 1
    """A check failed: there are differences, a gate does not hold, a result became non-finite."""
    WRONG_INPUT = 2
    """The plan, the model or the call is wrong."""
    ENVIRONMENT = 3
    """The machine does not allow it: a full disk, a missing package, an op with a bug."""
    HUNG_UP = 129
    """Ended by SIGHUP: the terminal was closed."""
    INTERRUPTED = 130
    """Ended by Ctrl-C (SIGINT)."""
    TERMINATED = 143
    """Ended by SIGTERM."""


CODE_OF_ERROR: dict[type[MutspecError], ExitCode] = {
    CheckError: ExitCode.CHECK_FAILED,
    PlanError: ExitCode.WRONG_INPUT,
    ModelError: ExitCode.WRONG_INPUT,
    CallError: ExitCode.WRONG_INPUT,
    EnvironmentProblem: ExitCode.ENVIRONMENT,
    MutspecError: ExitCode.WRONG_INPUT,
}

CALLERS_FAULT = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EINVAL,
    }
)
"""Errors of the operating system that are about the paths of the call; all others are about the machine."""


def code_of(error: MutspecError | OSError) -> ExitCode:
    """Returns the exit code for an error."""
    if isinstance(error, OSError):
        return ExitCode.WRONG_INPUT if error.errno in CALLERS_FAULT else ExitCode.ENVIRONMENT
    return next(CODE_OF_ERROR[kind] for kind in type(error).__mro__ if kind in CODE_OF_ERROR)
