"""Checks that a file is still the one that was opened, by what the file system says of it before and after."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mutspec.errors import ModelError


@dataclass(frozen=True, slots=True)
class Stamp:
    """The properties of a file that change when it is replaced or written to.

    The time of the last change of its metadata is left out: a backup that links the file changes that.

    Arguments:
        device, inode: which file it is.
        bytes: its size.
        modified_nanoseconds: when its content was last written.
    """

    device: int
    inode: int
    bytes: int
    modified_nanoseconds: int


def stamp_of(file: Path | int) -> Stamp | None:
    """Returns the stamp of a path or an open descriptor; None if the file does not exist."""
    try:
        facts = os.stat(file)
    except (OSError, ValueError):
        return None
    return Stamp(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def check_unchanged(file: Path | int, stamp: Stamp | None, path: Path) -> None:
    """Compares a file with the stamp that it had when it was opened.

    Arguments:
        file: the path, or a descriptor that is open on it.
        stamp: its stamp then; None if none was taken.
        path: what to call it in errors.

    Raises:
        ModelError: it was replaced, written to or removed.
    """
    if stamp is None or (now := stamp_of(file)) == stamp:
        return
    what = "removed" if now is None else "changed"
    raise ModelError(f"{path} was {what} while it was read", hint="wait until nobody writes to it, and try again")
