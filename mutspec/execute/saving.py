"""Writing a live model as a file: whole or absent, and the same bytes whenever the same model is written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from mutspec.execute.output import replacing
from mutspec.language.errors import CallError, ModelError
from mutspec.model.archive import FileKind
from mutspec.model.live.errors import first_line

SUFFIXES: Mapping[FileKind, tuple[str, ...]] = {
    FileKind.WEIGHTS_H5: (".weights.h5",),
    FileKind.KERAS: (".keras",),
    FileKind.LEGACY_H5: (".h5", ".hdf5"),
}
"""How the names of each kind of file end; the first that fits tells."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_BLOCK = 1 << 20


def kind_of_name(path: Path) -> FileKind:
    """The kind of model file that a name asks for.

    Raises:
        CallError: it asks for none.
    """
    name = path.name.lower()
    for kind, suffixes in SUFFIXES.items():
        if name.endswith(suffixes):
            return kind
    raise CallError(
        f"the name of the output {path.name} does not say which kind of model file it is to be",
        hint="end it with .keras, .h5 or .weights.h5",
    )


def save_model(model: Any, output: Path, *, force: bool, date_saved: str = "") -> None:
    """Write a Keras model as a file of the kind that its name asks for.

    Arguments:
        model: the keras.Model.
        output: the file. It comes to be whole or not at all.
        force: whether to replace it if it exists.
        date_saved: the date that the file is to state; that of the base, so that a rerun gives the same bytes.

    Raises:
        CallError: the name asks for no kind, or the file exists.
        ModelError: Keras cannot save the model in that kind.
        EnvironmentProblem: the disk is full.
    """
    kind = kind_of_name(output)
    with TemporaryDirectory(prefix=".mutspec-", dir=output.parent) as folder:
        written = Path(folder) / f"model{SUFFIXES[kind][0]}"
        try:
            if kind is FileKind.WEIGHTS_H5:
                model.save_weights(written)
            else:
                _save(model, written)
        except OSError:
            raise
        except Exception as error:  # Keras raises whatever its layers raise
            raise ModelError(
                f"Keras cannot save the mutant as {kind}: {first_line(error)}", hint="save it as .keras"
            ) from error
        with replacing(output, force=force) as (descriptor, _), os.fdopen(os.dup(descriptor), "wb") as target:
            if kind is FileKind.KERAS:
                _rezip(written, target, date_saved)
            else:
                with written.open("rb") as source:
                    copyfileobj(source, target, _BLOCK)


def _save(model: Any, path: Path) -> None:
    """Save without Keras's advice on kinds of files: the call has chosen one."""
    from absl import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        model.save(path)
    finally:
        logging.set_verbosity(verbosity)


def _rezip(written: Path, target: Any, date_saved: str) -> None:
    """The same members without what differs between two savings: times, and the ids of objects in a process."""
    with ZipFile(written) as old, ZipFile(target, "w", ZIP_STORED) as new:
        for info in old.infolist():
            fresh = ZipInfo(info.filename, _EPOCH)
            fresh.external_attr = 0o644 << 16
            if info.filename == "metadata.json":
                metadata = json.loads(old.read(info))
                new.writestr(fresh, json.dumps(metadata | ({"date_saved": date_saved} if date_saved else {})))
            elif info.filename == "config.json":
                new.writestr(fresh, json.dumps(_numbered(json.loads(old.read(info)), {})))
            else:
                with old.open(info) as source, new.open(fresh, "w", force_zip64=info.file_size >= 1 << 31) as member:
                    copyfileobj(source, member, _BLOCK)


def _numbered(value: Any, known: dict[Any, int]) -> Any:
    """A config whose shared objects are numbered in order, instead of by their place in memory."""
    if isinstance(value, dict):
        return {
            key: known.setdefault(item, len(known)) if key == "shared_object_id" else _numbered(item, known)
            for key, item in value.items()
        }
    return [_numbered(item, known) for item in value] if isinstance(value, list) else value


def date_saved_of(path: Path) -> str:
    """The date that a `.keras` file states; for other files a fixed one."""
    try:
        with ZipFile(path) as file:
            return str(json.loads(file.read("metadata.json")).get("date_saved", "")) or "1980-01-01@00:00:00"
    except Exception:  # not a zip, or one without metadata: whoever reads the model says what is wrong with it
        return "1980-01-01@00:00:00"
