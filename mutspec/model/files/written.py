"""Checks files that were just written: they are opened again, and must hold what was written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from struct import unpack
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile

import h5py

from mutspec.errors import ModelError
from mutspec.model.files.archive import WEIGHTS, Extent
from mutspec.model.files.arrays import flat_range_as_slabs
from mutspec.model.files.hdf5 import FileWindow

_BLOCK_BYTES = 16 << 20
_LOCAL_HEADER_BYTES = 30
_NAME_BYTES_AT = 26


def not_whole(reason: str) -> OSError:
    """Returns the error of an output that reads back differently from what was written to it."""
    return OSError(errno.EIO, f"it does not read back as it was written ({reason})")


def check_size(path: Path, expected: int) -> None:
    """Checks that a file has the size that it should have.

    Raises:
        OSError: it does not.
    """
    if (size := path.stat().st_size) != expected:
        raise not_whole(f"{size:,} bytes instead of {expected:,}")


def check_zip(path: Path) -> None:
    """Checks the directory of a zip file, and the CRC-32 of each member.

    Raises:
        OSError: something is wrong.
    """
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()
    except (BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise not_whole(str(error)) from error
    if damaged is not None:
        raise not_whole(f"the CRC-32 of {damaged}")


def check_keras(path: Path) -> None:
    """Checks a `.keras` file: the zip's directory and CRC-32s, and that all datasets in it can be read.

    Raises:
        OSError: something is wrong.
    """
    check_zip(path)
    with path.open("rb") as file, ZipFile(file) as archive:
        info = archive.getinfo(WEIGHTS)
        # Only the local header of a member tells where its bytes begin: its extra field may have another length than
        # the one in the directory.
        file.seek(info.header_offset + _NAME_BYTES_AT)
        name_bytes, extra_bytes = unpack("<HH", file.read(4))
        offset = info.header_offset + _LOCAL_HEADER_BYTES + name_bytes + extra_bytes
        _check_datasets(FileWindow(file, offset, info.file_size))


def check_hdf5(path: Path) -> None:
    """Checks that all datasets of an HDF5 file can be read.

    Raises:
        OSError: one cannot.
    """
    with path.open("rb") as file:
        _check_datasets(whole(file))


def check_safetensors(path: Path) -> None:
    """Checks the header of a safetensors file, and that the file has the bytes which it states.

    Raises:
        OSError: something is wrong.
    """
    from mutspec.model.files.safetensors_file import read_safetensors  # with which all readers of weights come

    try:
        read_safetensors(path, None)
    except ModelError as error:
        raise not_whole(error.problems[0].message) from error


def whole(file: BinaryIO) -> FileWindow:
    """Returns all of an open file, for HDF5 to read. By path, HDF5 would ask for the lock that the writer holds."""
    return FileWindow(file, 0, os.fstat(file.fileno()).st_size)


@contextmanager
def reopened(source: FileWindow) -> Iterator[h5py.File]:
    """Opens HDF5 that was just written, for reading.

    Raises:
        OSError: HDF5 finds it broken, in opening or in use.
    """
    try:
        with h5py.File(source, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise not_whole(str(error)) from error


def check_places(source: FileWindow, base: int, extents: Mapping[str, Extent]) -> None:
    """Checks that HDF5 finds all datasets where they were put.

    Arguments:
        source: the HDF5 file.
        base: its offset in the file that it is a part of.
        extents: where the datasets were put, by path.

    Raises:
        OSError: it does not.
    """
    with reopened(source) as file:
        for path, extent in extents.items():
            dataset = h5py.h5d.open(file.id, path.encode())
            offset = dataset.get_offset()
            found = (dataset.shape, prod(dataset.shape) * dataset.dtype.itemsize, offset and base + offset)
            if found != (extent.shape, extent.bytes, extent.offset):
                raise not_whole(f"`{path}` lies elsewhere")


def _check_datasets(source: FileWindow) -> None:
    with reopened(source) as file:
        file.visititems(_read_through)


def _read_through(_: str, item: Any) -> None:
    """Reads all of a dataset, a part at a time."""
    if isinstance(item, h5py.Dataset) and item.shape is not None:
        at_once = max(1, _BLOCK_BYTES // item.dtype.itemsize)
        for start in range(0, item.size, at_once):
            for slab in flat_range_as_slabs(item.shape, start, min(start + at_once, item.size)):
                item[slab]
