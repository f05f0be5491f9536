"""Opens model files. The readers of each format are imported only when they are needed."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mutspec.errors import EnvironmentProblem, ModelError, Place, nearest
from mutspec.model.files.archive import Archive
from mutspec.model.files.found import END_BYTES, Found
from mutspec.model.files.stamp import check_unchanged, stamp_of

if TYPE_CHECKING:
    from mutspec.model.files.formats import Format


def open_archive(path: Path, *, architecture: Path | None = None) -> Archive:
    """Reads a model file, without values and without TensorFlow. Its content decides its kind, not its name.

    Arguments:
        path: a file or folder of one of the formats in `mutspec.model.files.formats`.
        architecture: for weights alone, a file with the model's config: `.keras`, `.h5`, or JSON as
            `model.to_json()` writes it. Without one the spec is partial.

    Raises:
        ModelError: the file is missing, damaged, not understood, or changed meanwhile. The problems name it.
    """
    path = _named(path)
    stamp = None if os.path.isdir(path) else stamp_of(path)  # a folder changes with each file that is written into it
    try:
        archive = _opened(path, architecture)
    except ModelError:
        check_unchanged(path, stamp, path)  # what seems to be damaged may be half of one file and half of another
        raise
    archive = replace(archive, stamp=stamp)
    archive.check_unchanged()
    return archive


def _named(path: Path) -> Path:
    """Returns the file that a path names. TensorFlow names a checkpoint by the common beginning of its files' names."""
    with suppress(OSError, ValueError):  # opening the path will report what is wrong with it
        if path.name and not os.path.lexists(path) and (index := path.with_name(f"{path.name}.index")).is_file():
            return index
    return path


def format_of(path: Path) -> Format | None:
    """Returns the format of a file, as far as can be told without reading it; None if no format fits.

    Raises:
        ModelError: it cannot be read.
    """
    return _fitting(_found(path))


def open_beside(path: Path, architecture: Path | None) -> Archive:
    """Reads one of several model files. Those that hold weights alone share an architecture.

    Arguments and errors are those of `open_archive`, except that a file with an architecture of its own keeps it.
    """
    try:
        return open_archive(path, architecture=architecture)
    except OwnArchitectureError:
        return open_archive(path)


class OwnArchitectureError(ModelError):
    """An architecture is given for a file that has one."""


def _unread(path: Path, error: OSError, hint: str, candidates: tuple[str, ...] = ()) -> ModelError | EnvironmentProblem:
    """Returns the error that a file cannot be read, which is not the file's fault if too many are open."""
    message = f"{path} cannot be read: {error.strerror or error}"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return EnvironmentProblem(message, hint="allow more of them: ulimit -n")
    return ModelError(message, hint=hint, candidates=candidates)


def _opened(path: Path, architecture: Path | None) -> Archive:
    """Reads a file. Problems that do not name it get it as their place."""
    try:
        return _open(path, architecture)
    except OSError as error:
        raise _unread(path, error, "check the file's disk") from error
    except ModelError as error:
        place = Place(str(path), 0, 0, 0)
        raise type(error)(
            problem if problem.place or str(path) in problem.message else replace(problem, place=place)
            for problem in error.problems
        ) from error


def _open(path: Path, architecture: Path | None) -> Archive:
    from mutspec.model.files.unsupported import UNSUPPORTED

    found = _found(path)
    form = _fitting(found)
    if form is not None:
        if form.is_whole:
            _no_architecture(path, architecture)
        return replace(form.read(found, architecture), kind=form.kind)
    for other in UNSUPPORTED:
        if other.fits(found):
            raise ModelError(f"{path} is {other.title}, which mutspec does not read", hint=other.hint)
    if found.is_folder:
        raise ModelError(f"{path} is a folder", hint=_guess_in_folder(path))
    raise ModelError(f"{path} is not a model file", hint=_guess(found.head))


def _fitting(found: Found) -> Format | None:
    from mutspec.model.files.formats import FORMATS

    return next((each for each in FORMATS.values() if each.fits(found)), None)


def _found(path: Path) -> Found:
    """Looks at a path.

    Raises:
        ModelError: nothing that can be read.
    """
    try:
        if path.is_dir():
            return Found(path, True)
        if path.exists() and not path.is_file():  # opening a pipe would wait until another process writes to it
            hint = "a model is read in places: write it to a file first"
            raise ModelError(f"{path} is a pipe or a device, not a file", hint=hint)
        with path.open("rb") as file:
            head = file.read(END_BYTES)
            file.seek(max(0, os.fstat(file.fileno()).st_size - END_BYTES))
            return Found(path, False, head, file.read(END_BYTES))
    except OSError as error:
        raise _unread(path, error, "check the path", _near(path)) from None
    except ValueError as error:
        raise ModelError(f"{path} cannot be read: {error}", hint="check the path", candidates=_near(path)) from None


def _near(path: Path) -> tuple[str, ...]:
    try:
        return nearest(path.name, [item.name for item in path.parent.iterdir() if item.name != path.name])
    except (OSError, ValueError):
        return ()


def _no_architecture(path: Path, architecture: Path | None) -> None:
    if architecture is not None:
        raise OwnArchitectureError(
            f"{path} has its own architecture", hint="--architecture is for files of weights alone; leave it out"
        )


def _guess(head: bytes) -> str:
    if not head:
        return "the file is empty; save the model again"
    return "mutspec reads what Keras writes, TensorFlow's checkpoints, and .safetensors files"


def _guess_in_folder(path: Path) -> str:
    """Returns a hint on a folder that is not a model itself."""
    indexes = sorted(each.name for each in path.glob("*.index"))[:3]
    return f"name a checkpoint in it: {', '.join(indexes)}" if indexes else "name the file in it"
