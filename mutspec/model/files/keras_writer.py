"""Writing what Keras saves: an unpacked `.keras` folder as a zip, and models in memory as each kind of file."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from shutil import copyfileobj
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import h5py

from mutspec.errors import ModelError
from mutspec.interrupts import held_interrupts
from mutspec.model.files.archive import WEIGHTS, Archive, Extent, ExtentReader
from mutspec.model.files.keras_zip import numbered, zip_member
from mutspec.model.files.sink import Sink, scratch_file
from mutspec.model.files.zip_directory import read_directory
from mutspec.model.live import write_keras, write_legacy

_BLOCK = 1 << 20


def write_folder_as_keras(archive: Archive, _: ExtentReader, descriptor: int) -> Archive:
    """Writes an unpacked folder as a `.keras` file, whose weights are the folder's bytes.

    Arguments:
        archive: the folder.
        descriptor: the empty file, open for reading and writing.

    Returns:
        The model, as it lies there.

    Raises:
        OSError: it cannot be written.
        ModelError: the weights are compressed.
    """
    if any(extent.offset is None for extent in archive.extents.values()):
        raise ModelError(
            f"the weights in {archive.path} are compressed, which takes Keras to write as a zip",
            hint="load the folder in Keras and save it as .keras",
        )
    files = {part.path.name: part.path for part in archive.parts}
    members = {"metadata.json": files["metadata.json"]} if "metadata.json" in files else {}
    members |= {"config.json": files["config.json"], **archive.assets, WEIGHTS: files[WEIGHTS]}
    sink = Sink(descriptor)
    with sink.judging(), ZipFile(sink, "w", ZIP_STORED) as target:
        for name, path in members.items():
            with path.open("rb") as source, target.open(zip_member(name), "w", force_zip64=True) as member:
                while block := source.read(_BLOCK):
                    member.write(block)
                    sink.check()
    with os.fdopen(os.dup(descriptor), "rb") as file:
        weights = read_directory(file, str(archive.path))[WEIGHTS]
    return replace(
        archive,
        member=weights,
        extents={path: _moved(extent, weights.offset) for path, extent in archive.extents.items()},
        copies={
            path: tuple(_moved(extent, weights.offset) for extent in extents)
            for path, extents in archive.copies.items()
        },
    )


def _moved(extent: Extent, by: int) -> Extent:
    assert extent.offset is not None
    return replace(extent, offset=extent.offset + by, part=0)


def save_keras(model: Any, descriptor: int, folder: Path, date_saved: str) -> None:
    """Writes a Keras model as a `.keras` file, the same bytes whenever the same model is written.

    Arguments:
        model: the keras.Model.
        descriptor: the empty file, open for reading and writing.
        folder: where to put temporary files.
        date_saved: the date that the file is to state; empty for Keras's own.

    Raises:
        OSError: it cannot be written.
        Exception: whatever Keras and the model's layers raise.
    """
    target = Sink(descriptor)
    with scratch_file(folder) as written:
        _save(model, written.fileno())
        with target.judging(), ZipFile(written) as old, ZipFile(target, "w", ZIP_STORED) as new:
            for info in old.infolist():
                _copy_member(old, info, new, date_saved)


def save_weights_h5(model: Any, descriptor: int, folder: Path) -> None:
    """Writes a Keras model's weights as a `.weights.h5` file: what Keras puts into a `.keras` file.

    Arguments and errors are those of `save_keras`.
    """
    target = Sink(descriptor)
    with scratch_file(folder) as written:
        _save(model, written.fileno())
        with target.judging(), ZipFile(written) as old, old.open(WEIGHTS) as source:
            copyfileobj(source, target, _BLOCK)


def save_whole_h5(model: Any, descriptor: int) -> None:
    """Writes a Keras model as a whole-model `.h5` file.

    Arguments and errors are those of `save_keras`.
    """
    sink = Sink(descriptor)
    with sink.judging(), held_interrupts(), h5py.File(sink, "w") as file:
        write_legacy(model, file)


def _save(model: Any, descriptor: int) -> None:
    sink = Sink(descriptor)
    with sink.judging(), held_interrupts():
        write_keras(model, sink)


def _copy_member(old: ZipFile, info: ZipInfo, new: ZipFile, date_saved: str) -> None:
    """Copies a member without what differs each time a model is saved: times, and the ids of objects in a process."""
    to = zip_member(info.filename)
    if info.filename == "metadata.json":
        metadata = json.loads(old.read(info))
        new.writestr(to, json.dumps(metadata | ({"date_saved": date_saved} if date_saved else {})))
    elif info.filename == "config.json":
        new.writestr(to, json.dumps(numbered(json.loads(old.read(info)))))
    else:
        with old.open(info) as source, new.open(to, "w", force_zip64=info.file_size >= 1 << 31) as member:
            copyfileobj(source, member, _BLOCK)
