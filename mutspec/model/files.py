"""Opening model files: the door to their readers, which load when they are needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mutspec.language.errors import ModelError, Place, nearest
from mutspec.model.archive import Archive
from mutspec.model.stamp import check_unchanged, stamp_of

_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"


def open_archive(path: Path, *, architecture: Path | None = None) -> Archive:
    """Read a model file, without values and without TensorFlow. Its content decides its kind, not its name.

    Arguments:
        path: a `.keras`, whole-model `.h5`, or `.weights.h5` file.
        architecture: for `.weights.h5`, a file with the model's config: `.keras`, `.h5`, or JSON as
            `model.to_json()` writes it. Without one the spec is partial.

    Errors: ModelError if the file is missing, damaged, not understood, or changed meanwhile. Its problems name it.
    """
    stamp = stamp_of(path)
    try:
        archive = _opened(path, architecture)
    except ModelError:
        check_unchanged(path, stamp, path)  # what seems to be damaged may be half of one file and half of another
        raise
    check_unchanged(path, stamp, path)
    return replace(archive, stamp=stamp)


def open_beside(path: Path, architecture: Path | None) -> Archive:
    """Read one of several model files, of which those with weights alone share an architecture.

    Arguments, errors: as for `open_archive`, but that a file with an architecture of its own keeps it.
    """
    try:
        return open_archive(path, architecture=architecture)
    except OwnArchitectureError:
        return open_archive(path)


class OwnArchitectureError(ModelError):
    """An architecture is given for a file that has one."""


def _opened(path: Path, architecture: Path | None) -> Archive:
    """What is in the file, as far as it is known while it is read; its problems name the file."""
    try:
        return _open(path, architecture)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}", hint="check the file's disk") from error
    except ModelError as error:
        place = Place(str(path), 0, 0, 0)
        raise type(error)(
            problem if problem.place or str(path) in problem.message else replace(problem, place=place)
            for problem in error.problems
        ) from error


def _open(path: Path, architecture: Path | None) -> Archive:
    head = _head(path)
    if head.startswith(_ZIP):
        from mutspec.model.keras_file import read_keras

        _no_architecture(path, architecture)
        return read_keras(path)
    if head.startswith(_HDF5):
        from mutspec.model.hdf5 import stored_hdf5
        from mutspec.model.legacy_file import is_whole_model, read_whole_h5
        from mutspec.model.weights_file import read_weights_h5

        stored = stored_hdf5(path, 0, str(path))
        if not is_whole_model(stored):
            return read_weights_h5(path, stored, architecture)
        _no_architecture(path, architecture)
        return read_whole_h5(path, stored)
    raise ModelError(f"{path} is not a model file", hint=_guess(head))


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
            is_saved_model = (path / "saved_model.pb").exists()
            hint = "convert the SavedModel in Keras and save it as .keras" if is_saved_model else "name the file in it"
            raise ModelError(f"{path} is a folder", hint=hint)
        if path.exists() and not path.is_file():  # opening a pipe would wait for whoever writes to it
            hint = "a model is read in places: write it to a file first"
            raise ModelError(f"{path} is a pipe or a device, not a file", hint=hint)
        with path.open("rb") as file:
            return file.read(16)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"{path} cannot be read: {reason}", hint="check the path", candidates=_near(path)) from None


def _near(path: Path) -> tuple[str, ...]:
    try:
        return nearest(path.name, [item.name for item in path.parent.iterdir() if item.name != path.name])
    except (OSError, ValueError):
        return ()


def _no_architecture(path: Path, architecture: Path | None) -> None:
    if architecture is not None:
        raise OwnArchitectureError(
            f"{path} has its own architecture", hint="--architecture is for .weights.h5 files; leave it out"
        )


def _guess(head: bytes) -> str:
    if not head:
        return "the file is empty; save the model again"
    if head.startswith(b"version https://"):
        return "it is a Git LFS pointer; fetch the file itself with `git lfs pull`"
    return "mutspec reads .keras, .h5 and .weights.h5 files that Keras wrote"
