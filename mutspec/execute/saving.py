"""Writing a live model as a file: whole or absent, and the same bytes whenever the same model is written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import h5py

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.execute.output import TEMPORARY_SUFFIX, replacing
from mutspec.execute.output_kind import kind_of_name
from mutspec.execute.sink import Sink
from mutspec.execute.written import WEIGHTS_MEMBER, check_model_file
from mutspec.interrupts import held_interrupts
from mutspec.model.files.archive import FileKind
from mutspec.model.live import first_operation, write_keras, write_legacy
from mutspec.model.live.keras_errors import first_line

_EPOCH = (1980, 1, 1, 0, 0, 0)
_BLOCK = 1 << 20


def save_model(model: Any, output: Path, *, force: bool, date_saved: str = "", inputs: Iterable[Path] = ()) -> None:
    """Write a Keras model as a file of the kind that its name asks for.

    Arguments:
        model: the keras.Model.
        output: the file. It comes to be whole or not at all.
        force: whether to replace it if it exists.
        date_saved: the date that the file is to state; that of the base, so that a rerun gives the same bytes.
        inputs: the files that the model was made of.

    Raises:
        CallError: the name asks for no kind, or the file exists.
        ModelError: Keras cannot save the model in that kind, or not load it again.
        EnvironmentProblem: the disk is full.
    """
    kind = kind_of_name(output)
    if kind is FileKind.LEGACY_H5 and (operation := first_operation(model)):
        raise ModelError(
            f"the mutant cannot be saved as .h5: `{operation}` is an operation between layers, or part of a mask, "
            "and Keras does not load it from an .h5 file",
            hint="name the output .keras",
        )
    checked = partial(check_model_file, kind=kind)
    with replacing(output, force=force, inputs=inputs, check=checked) as (descriptor, _):
        try:
            if kind is FileKind.LEGACY_H5:
                _write_legacy(model, descriptor)
            else:
                _write_keras(model, descriptor, kind, output.parent, date_saved)
        except (OSError, EnvironmentProblem):
            raise
        except Exception as error:  # Keras raises whatever its layers raise
            raise ModelError(
                f"Keras cannot save the mutant as {kind}: {first_line(error)}", hint="save it as .keras"
            ) from error


def _write_legacy(model: Any, descriptor: int) -> None:
    sink = Sink(descriptor)
    with sink.judging(), held_interrupts(), h5py.File(sink, "w") as file:
        write_legacy(model, file)


def _write_keras(model: Any, descriptor: int, kind: FileKind, folder: Path, date_saved: str) -> None:
    """Write a `.keras` file, or the weights of one: Keras puts the same into a `.weights.h5` file."""
    with TemporaryFile(dir=folder, prefix=".", suffix=TEMPORARY_SUFFIX, buffering=0) as written:
        sink = Sink(written.fileno())
        with sink.judging(), held_interrupts():
            write_keras(model, sink)
        target = Sink(descriptor)
        with target.judging(), ZipFile(written) as old:
            if kind is FileKind.KERAS:
                _rezip(old, target, date_saved)
            else:
                with old.open(WEIGHTS_MEMBER) as source:
                    copyfileobj(source, target, _BLOCK)


def _rezip(old: ZipFile, target: Any, date_saved: str) -> None:
    """The same members without what differs between two savings: times, and the ids of objects in a process."""
    with ZipFile(target, "w", ZIP_STORED) as new:
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
