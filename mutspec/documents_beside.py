"""The documents that stand beside plans: recipe tests and locks. It imports little, for pytest's plug-in is light."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

TEST_SUFFIX = ".test.yaml"
"""How the names of recipe tests end."""
LOCK_SUFFIX = ".lock.yaml"
"""How the names of locks end."""


def files_below(folder: Path, is_meant: Callable[[Path], bool]) -> Iterator[Path]:
    """Yields files in a folder and in those below it, in alphabetical order.

    Hidden folders are left out, and links to folders are not followed.

    Arguments:
        folder: the folder.
        is_meant: whether to yield a file.
    """
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (path for name in sorted(files) if is_meant(path := Path(at, name)))
