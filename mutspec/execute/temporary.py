"""Temporary files that are locked while a process writes them, so that those of killed processes can be found."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from mutspec.model.files.sink import TEMPORARY_SUFFIX

_OURS = re.compile(r"\..+\.(\d+)-[0-9a-f]{8}" + re.escape(TEMPORARY_SUFFIX), re.DOTALL)
_SECONDS_WITHOUT_LOCKS = 24 * 60 * 60
"""The seconds without a write after which the writer of a file counts as gone, if the file system has no locks."""


def temporary_name(output: Path) -> Path:
    """Returns a name beside an output that no file has, and by which `remove_leftovers` knows what was left."""
    return output.with_name(f".{output.name[:50]}.{os.getpid()}-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")


def create_temporary(output: Path, mode: int) -> tuple[int, Path]:
    """Creates a temporary file in the folder of an output.

    It is locked for as long as the descriptor, or a duplicate of it, is open.

    Arguments:
        output: the file that it will become.
        mode: its permissions, from which the process's umask takes some away.

    Returns:
        Its descriptor, for reading and writing, and its path.

    Raises:
        OSError: it cannot be created.
    """
    while True:
        path = temporary_name(output)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with suppress(OSError):  # file systems without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # `remove_leftovers` of another process removed it before it was locked


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files in a folder whose writers were killed.

    A file is left over if its lock can be taken. If the file system has no locks, it is left over if its process does
    not run and it was not written to for a day. Files that this process may not remove stay.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(TEMPORARY_SUFFIX) and (found := _OURS.fullmatch(entry.name)):
                _remove_if_left(Path(entry.path), int(found[1]))


def _remove_if_left(path: Path, process: int) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            is_left = stat.S_ISREG(status.st_mode) and _is_left(descriptor, status, process)
            if is_left and os.path.samestat(status, path.lstat()):  # else its writer finished in between
                path.unlink()
        finally:
            os.close(descriptor)


def _is_left(descriptor: int, status: os.stat_result, process: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return time.time() - status.st_mtime > _SECONDS_WITHOUT_LOCKS and not _runs(process)
    return True


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs, but belongs to another user
        return True
    return True
