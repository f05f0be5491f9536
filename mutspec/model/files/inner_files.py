"""The files that a model of several files consists of: only plain files in its own folder, known by plain names."""

from __future__ import annotations

import stat
from pathlib import Path

from mutspec.errors import ModelError
from mutspec.model.limits import current_limits


def inner_file(folder: Path, name: object, shown: str) -> Path:
    """Returns the path of a file of a model.

    Arguments:
        folder: where the model lies.
        name: what the model calls the file; anything that its index may hold.
        shown: what to call the model in errors.

    Raises:
        ModelError: the name leads elsewhere, or what it names is missing, a link, or not a plain file.
    """
    if not isinstance(name, str) or not name or name in (".", "..") or any(sign in name for sign in "/\\\0"):
        raise ModelError(
            f"{shown} names the file {str(name)[:80]!r}, which is not the name of a file in its folder",
            hint="files of one model lie in one folder; save the model again in Keras",
        )
    current_limits().check("name_characters", len(name), f"the name of a file in {shown}")
    path = folder / name
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"{path}, which {shown} needs, cannot be read: {reason}", hint="copy all its files") from None
    if not stat.S_ISREG(mode):
        what = "a link" if stat.S_ISLNK(mode) else "no file"
        raise ModelError(f"{path}, which {shown} needs, is {what}", hint="copy the files of the model themselves")
    return path


def read_inner(folder: Path, name: str, most: int, shown: str) -> bytes:
    """Reads all of such a file, or up to one byte above a limit.

    Raises:
        ModelError: as for `inner_file`.
    """
    with inner_file(folder, name, shown).open("rb") as file:
        return file.read(most + 1)
