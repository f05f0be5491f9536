"""Model files in another form, without Keras: what an output begins as where it is not to be a copy of its base.

A row of a table for each form. What is made holds the base's values, plain: the bytes of what a plan touches are
written into it as into a copy.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import h5py
import numpy as np

from mutspec.access.read import TensorReader, numpy_dtype
from mutspec.errors import ModelError
from mutspec.execute.output import write_at
from mutspec.execute.sink import Sink
from mutspec.execute.written import whole
from mutspec.interrupts import held_interrupts
from mutspec.model.files.archive import Archive, Extent, FileKind
from mutspec.model.files.hdf5 import stored_hdf5
from mutspec.model.files.keras_folder import WEIGHTS
from mutspec.model.files.safetensors_file import header_of
from mutspec.model.files.zip_directory import read_directory

_BLOCK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Written:
    """An output that holds all of its base already.

    Arguments:
        size: how many bytes it has.
        check: checks it when it is finished.
    """

    size: int
    check: Callable[[Path], None]

    def wait(self, stop: int | None = None) -> None:
        """Wait for nothing."""


def convert(archive: Archive, reader: TensorReader, kind: FileKind, descriptor: int) -> Archive:
    """Write a model in another form into an empty file.

    Arguments:
        archive: the model.
        reader: reads it.
        kind: the form; one that `FORMATS` says it can become.
        descriptor: the file, open for reading and writing.

    Returns:
        The model, as it lies there.

    Raises:
        OSError: it cannot be written.
        ModelError: the base is damaged, or lies in it in a way that this form does not take.
    """
    return _FORMS[kind](archive, reader, descriptor)


def _as_keras(archive: Archive, _: TensorReader, descriptor: int) -> Archive:
    """An unpacked folder as a zip, whose weights are the folder's bytes."""
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
            info = ZipInfo(name, _EPOCH)
            info.external_attr = 0o644 << 16
            with path.open("rb") as source, target.open(info, "w", force_zip64=True) as member:
                while block := source.read(_BLOCK):
                    member.write(block)
                    sink.check()
    with os.fdopen(os.dup(descriptor), "rb") as file:
        member_of = read_directory(file, str(archive.path))[WEIGHTS]
    return replace(
        archive,
        member=member_of,
        extents={path: _moved(extent, member_of.offset) for path, extent in archive.extents.items()},
        copies={
            path: tuple(_moved(extent, member_of.offset) for extent in extents)
            for path, extents in archive.copies.items()
        },
    )


def _moved(extent: Extent, by: int) -> Extent:
    assert extent.offset is not None
    return replace(extent, offset=extent.offset + by, part=0)


def _as_weights_h5(archive: Archive, reader: TensorReader, descriptor: int) -> Archive:
    """All that is stored as one HDF5 file, laid out as Keras 3 does."""
    sink = Sink(descriptor)
    with sink.judging(), held_interrupts() as is_interrupted, h5py.File(sink, "w") as file:
        for path, extent in archive.stored.items():
            if sink.error is not None or is_interrupted():
                break
            group = file.require_group(path.rpartition("/")[0])
            name = archive.names.get(path.rpartition("/")[0].removesuffix("vars").rstrip("/"))
            if name is not None:
                group.attrs["name"] = name
            _write_dataset(group, path.rpartition("/")[2], extent, reader)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        made = stored_hdf5(whole(file), 0, str(archive.path), attributes=False).extents
    stored_at = {extent: path for path, extent in archive.stored.items()}
    return replace(
        archive,
        extents={path: made[stored_at[extent]] for path, extent in archive.extents.items()},
        copies={path: tuple(made[stored_at[extent]] for extent in extents) for path, extents in archive.copies.items()},
    )


def _write_dataset(group: h5py.Group, name: str, extent: Extent, reader: TensorReader) -> None:
    dtype = numpy_dtype(extent.dtype)
    is_opaque = extent.dtype == "bfloat16"
    shape, stored = extent.shape, np.dtype("V2") if is_opaque else dtype
    if prod(shape) * dtype.itemsize <= _BLOCK:
        values = reader.read_extent(extent, 0, prod(shape)).reshape(shape)
        dataset = group.create_dataset(name, data=values.view(stored) if is_opaque else values)
    else:
        from mutspec.execute.slow_writer import write_range

        dataset = group.create_dataset(name, shape, stored)
        for start, values in _blocks(extent, reader):
            write_range(dataset, shape, start, values)
    if is_opaque:
        dataset.attrs["dtype"] = extent.dtype


def _as_safetensors(archive: Archive, reader: TensorReader, descriptor: int) -> Archive:
    """Every weight under its canonical path, least significant byte first."""
    shapes = {path: (extent.dtype, extent.shape) for path, extent in archive.extents.items()}
    header, offsets = header_of(shapes, archive.path)
    write_at(descriptor, header, 0)
    extents = {}
    for path, extent in archive.extents.items():
        offset = len(header) + offsets[path]
        for start, values in _blocks(extent, reader):
            write_at(descriptor, _little(values), offset + start * values.itemsize)
        extents[path] = Extent(path, extent.shape, extent.dtype, False, offset, extent.bytes)
    return replace(archive, extents=extents, copies={}, member=None)


def _blocks(extent: Extent, reader: TensorReader) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    size, at_once = prod(extent.shape), max(1, _BLOCK // numpy_dtype(extent.dtype).itemsize)
    for start in range(0, size, at_once):
        yield start, reader.read_extent(extent, start, min(start + at_once, size))


def _little(values: np.ndarray[Any, Any]) -> memoryview:
    return np.ascontiguousarray(values).view(np.uint8).data


_FORMS: Mapping[FileKind, Callable[[Archive, TensorReader, int], Archive]] = {
    FileKind.KERAS: _as_keras,
    FileKind.WEIGHTS_H5: _as_weights_h5,
    FileKind.SAFETENSORS: _as_safetensors,
}
