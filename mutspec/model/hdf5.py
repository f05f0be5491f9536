"""Reading HDF5 without values: which datasets there are, and where in the file their bytes lie. Needs h5py."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from mutspec.language.errors import ModelError
from mutspec.model.archive import Extent


class Window(io.RawIOBase):
    """A read-only view of a part of a file, read by position: cheap to seek in, and safe beside other readers.

    Arguments:
        file: an open file; it must stay open.
        offset: where the part begins.
        size: its length in bytes.
    """

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        super().__init__()
        self._descriptor = file.fileno()
        self._offset = offset
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._position))
        data = os.pread(self._descriptor, wanted, self._offset + self._position)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


@contextmanager
def open_hdf5(source: Path | io.IOBase, shown: str) -> Iterator[h5py.File]:
    """Open HDF5 for reading.

    Arguments:
        source: a path or a file object.
        shown: what to call it in errors.

    Errors: ModelError where HDF5 finds the file broken, in opening and in use.
    """
    try:
        with h5py.File(source, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeDecodeError) as error:
        reason = str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{shown} is not a whole HDF5 file ({reason})", hint="it may be truncated; save or copy the model again"
        ) from None


def extents_of(group: h5py.Group, base: int, shown: str) -> dict[str, Extent]:
    """The extents of all datasets below a group, by path relative to it.

    Arguments:
        group: where to begin.
        base: the offset of the HDF5 data in the model file; negative if they lie there compressed, so that nothing in
            them has an offset.
        shown: what to call the file in errors.

    Errors: ModelError for links and datasets that lead out of the file or to another dataset.
    """
    paths: list[str] = []

    def visit(name: bytes, info: Any) -> str | None:
        shown_name = name.decode("utf8", "surrogateescape")
        if info.type != h5py.h5l.TYPE_HARD:
            return shown_name  # anything but None ends the visit; h5py cannot let exceptions through
        paths.append(shown_name)
        return None

    link = group.id.links.visit(visit, info=True)
    if link is not None:
        raise ModelError(
            f"{link!r} in {shown} is a soft or external link, which Keras never writes",
            hint="save the model again in Keras",
        )
    extents = {}
    for path in paths:
        identity = h5py.h5o.open(group.id, path.encode("utf8", "surrogateescape"))
        if isinstance(identity, h5py.h5d.DatasetID):
            extents[path] = _extent(h5py.Dataset(identity), base, shown)
    return extents


def _extent(dataset: h5py.Dataset, base: int, shown: str) -> Extent:
    creation = dataset.id.get_create_plist()
    layout = creation.get_layout()
    if layout == h5py.h5d.VIRTUAL or creation.get_external_count():
        raise ModelError(
            f"The values of {dataset.name!r} in {shown} lie in another file, which Keras never does",
            hint="save the model again in Keras",
        )
    dtype, is_big_endian = _dtype(dataset)
    count = int(dataset.size) if dataset.shape is not None else 0
    inner = dataset.id.get_offset() if layout == h5py.h5d.CONTIGUOUS else None
    offset = base + inner if inner is not None and base >= 0 and not creation.get_nfilters() else None
    return Extent(
        dataset=str(dataset.name).lstrip("/"),
        shape=tuple(int(extent) for extent in dataset.shape or ()),
        dtype=dtype,
        is_big_endian=is_big_endian,
        offset=offset,
        bytes=count * dataset.dtype.itemsize,
    )


def _dtype(dataset: h5py.Dataset) -> tuple[str, bool]:
    """The dtype by NumPy's name, and whether it is big-endian.

    HDF5 has no bfloat16. Keras writes two opaque bytes, and the attribute `dtype` in files of its own format alone.
    """
    dtype = dataset.dtype
    if dtype.kind == "V" and dtype.itemsize == 2:
        return "bfloat16", False
    is_big_endian = dtype.byteorder == ">"
    return np.dtype(dtype.newbyteorder("=")).name if dtype.kind in "iufcb" else str(dtype), is_big_endian


def text(value: Any) -> str:
    """An attribute's value as a string."""
    if isinstance(value, bytes):
        return value.decode("utf8", "replace")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return text(value.item())
    return str(value)


def text_list(attributes: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """A list of strings among attributes; long ones are split into `name0`, `name1`, …. None if there is none."""
    if name in attributes:
        return tuple(text(item) for item in attributes[name])
    parts: list[str] = []
    index = 0
    while f"{name}{index}" in attributes:
        parts.extend(text(item) for item in attributes[f"{name}{index}"])
        index += 1
    return tuple(parts) if index else None


def check_extents(extents: Mapping[str, Extent], size: int, shown: str) -> None:
    """Refuse extents that reach beyond the file or into each other.

    Errors: ModelError.
    """
    end, previous = 0, ""
    for extent in sorted(
        (item for item in extents.values() if item.offset is not None and item.bytes), key=lambda item: item.offset or 0
    ):
        offset = extent.offset or 0
        if offset + extent.bytes > size:
            raise ModelError(
                f"{extent.dataset!r} reaches beyond the end of {shown}", hint="the file is truncated; copy it again"
            )
        if offset < end:
            raise ModelError(
                f"{extent.dataset!r} and {previous!r} in {shown} share their bytes, which Keras never writes",
                hint="save the model again in Keras",
            )
        end, previous = offset + extent.bytes, extent.dataset
