"""Reading the values of a model, a block at a time, from any number of threads."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Protocol, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from mutspec.errors import ModelError
from mutspec.graph.numpy_kernels.places import Entries, by_chunk
from mutspec.model.files.archive import Archive, Extent, Member
from mutspec.model.files.arrays import flat_range_as_slabs, numpy_dtype
from mutspec.model.files.hdf5 import FileWindow
from mutspec.model.files.sink import hdf5_locking
from mutspec.model.files.stamp import check_unchanged
from mutspec.model.files.zip_member import inflated
from mutspec.model.live import LiveModel, as_array, snapshot

_CHUNK_CACHE_BYTES = 16 << 20
"""The bytes of HDF5's cache of decoded chunks: neighbouring blocks often need the same chunk."""


Readable = Archive | LiveModel
"""A model whose spec is known, and whose values can be read."""


class Reader(Protocol):
    """Reads entries of a model's tensors. Safe to use from several threads at once."""

    def __enter__(self) -> Reader: ...
    def __exit__(self, *_: object) -> None: ...
    def read(self, path: str, start: int, stop: int) -> NDArray[Any]: ...
    def read_entries(self, path: str, entries: Entries) -> NDArray[Any]: ...


def reader_of(model: Readable) -> Reader:
    """Returns a reader of a model's tensors."""
    return TensorReader(model) if isinstance(model, Archive) else LiveReader(model)


def name_of(model: Readable) -> str:
    """Returns the name of a model in reports: the file, or a live model's own name."""
    return str(model.path) if isinstance(model, Archive) else model.spec.name


class LiveReader:
    """Reads entries of a live model's variables, each as it is when it is first asked for.

    Arguments:
        live: the model.
    """

    def __init__(self, live: LiveModel) -> None:
        """Reads nothing yet."""
        self._live = live
        self._lock = Lock()
        self._values: dict[str, NDArray[Any]] = {}

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Releases what was read."""
        self._values.clear()

    def read(self, path: str, start: int, stop: int) -> NDArray[Any]:
        """Returns the entries [start, stop) of a tensor in C order, which must not be written to."""
        return self._value(path)[start:stop]

    def read_entries(self, path: str, entries: Entries) -> NDArray[Any]:
        """Returns some entries of a tensor."""
        values: NDArray[Any] = self._value(path)[entries]
        return values

    def _value(self, path: str) -> NDArray[Any]:
        with self._lock:
            if path not in self._values:
                self._values[path] = self._whole(path)
            return self._values[path]

    def _whole(self, path: str) -> NDArray[Any]:
        variables = self._live.variables
        if path not in variables:
            path = self._live.spec.tensor_by_path[path].path
        return as_array(snapshot(variables[path]))


class TensorReader:
    """Reads entries of an archive's tensors. Safe to use from several threads at once.

    Plain extents are read by `pread`, at the speed of the disk. Chunked or compressed datasets take a slow path through
    h5py, one thread at a time. A deflated zip member is first inflated, once, into an anonymous temporary file.

    Arguments:
        archive: the model. A single file is opened for reading now; one of several files when it is needed. h5py opens
            a file only when it is needed.

    Raises:
        ModelError: a file cannot be opened, or has changed since the archive was read.
    """

    def __init__(self, archive: Archive) -> None:
        """Opens the file."""
        self._archive = archive
        self._lock = Lock()
        self._sources: dict[int, _Source] = {}
        self._source(0)

    def __enter__(self) -> Self:
        """The reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self.close()

    def read(self, path: str, start: int, stop: int) -> NDArray[Any]:
        """Returns the entries [start, stop) of a tensor in C order, as a new flat array in native byte order.

        Arguments:
            path: the tensor's canonical path, or an alias.
            start: the first entry's flat index.
            stop: one past the last entry's; at most the tensor's size.

        Raises:
            ModelError: a file ends before the tensor does, or its compressed data is damaged.
            EnvironmentProblem: the disk is too full to inflate a compressed file.
        """
        return self.read_extent(self._extent(path), start, stop)

    def read_extent(self, extent: Extent, start: int, stop: int) -> NDArray[Any]:
        """Returns the same for anything that is stored.

        Raises:
            ModelError, EnvironmentProblem: as for `read`.
        """
        source = self._source(extent.part)
        if extent.offset is not None:
            return _read_plain(source.file, extent, extent.offset, start, stop, source.path)
        with self._lock:
            datasets = source.datasets()
        return datasets.read(extent, start, stop)

    def read_entries(self, path: str, entries: Entries) -> NDArray[Any]:
        """Returns some entries of a tensor, in ascending order. Only the part of each chunk that holds them is read.

        Raises:
            ModelError, EnvironmentProblem: as for `read`.
        """
        values = np.empty(len(entries), numpy_dtype(self._extent(path).dtype))
        for _, part in by_chunk(entries):
            some = entries[part]
            values[part] = self.read(path, int(some[0]), int(some[-1]) + 1)[some - some[0]]
        return values

    def close(self) -> None:
        """Closes the files. Calling it again does nothing."""
        for source in self._sources.values():
            source.close()

    def _source(self, number: int) -> _Source:
        if number not in self._sources:
            with self._lock:
                if number not in self._sources:
                    self._sources[number] = _Source(self._archive, number)
        return self._sources[number]

    def _extent(self, path: str) -> Extent:
        extents = self._archive.extents
        return extents[path] if path in extents else extents[self._archive.spec.tensor_by_path[path].path]


class _Source:
    """One of the files that an archive lies in, open."""

    def __init__(self, archive: Archive, number: int) -> None:
        self.path = archive.files[number].path
        self._archive = archive
        self._datasets: _Datasets | None = None
        try:
            self.file: BinaryIO = open(self.path, "rb", buffering=0)  # noqa: SIM115 - `close` closes it
        except OSError as error:
            raise ModelError(f"cannot read {self.path}: {error.strerror}") from error
        try:
            check_unchanged(self.file.fileno(), archive.files[number].stamp, self.path)
        except ModelError:
            self.file.close()
            raise

    def datasets(self) -> _Datasets:
        """Returns the file as HDF5."""
        if self._datasets is None:
            self._datasets = _Datasets(self.file, self.path, self._archive.member)
        return self._datasets

    def close(self) -> None:
        """Closes the file."""
        if self._datasets is not None:
            self._datasets.close()
            self._datasets = None
        self.file.close()


class _Datasets:
    """The slow path: an HDF5 file, or one inside a zip, read through h5py."""

    def __init__(self, file: BinaryIO, path: Path, member: Member | None) -> None:
        self._path = path
        self._inflated: BinaryIO | None = None
        source: Any = path
        with ExitStack() as stack:
            if member is not None and member.is_compressed:
                self._inflated = source = stack.enter_context(inflated(path, member.name))
            elif member is not None:
                source = FileWindow(file, member.offset, member.bytes)
            try:
                locking = hdf5_locking(source)
                self._file = stack.enter_context(
                    h5py.File(source, "r", rdcc_nbytes=_CHUNK_CACHE_BYTES, locking=locking)
                )
            except OSError as error:
                message = f"cannot read the weights in {path}: {error}"
                raise ModelError(message, hint="the file is damaged") from error
            self._opened = stack.pop_all()

    def read(self, extent: Extent, start: int, stop: int) -> NDArray[Any]:
        dataset = self._file[extent.dataset]
        offset = dataset.id.get_offset()
        if self._inflated is not None and offset is not None:
            return _read_plain(self._inflated, extent, offset, start, stop, self._path)
        dtype = numpy_dtype(extent.dtype)
        values = np.empty(stop - start, dtype)
        filled = 0
        try:
            for slab in flat_range_as_slabs(extent.shape, start, stop):
                # An opaque type (`|V2`, how Keras stores bfloat16) is reinterpreted; others go to native byte order.
                part = np.asarray(dataset[slab]).reshape(-1)
                part = part.view(dtype) if part.dtype.kind == "V" else part.astype(dtype, copy=False)
                values[filled : filled + part.size] = part
                filled += part.size
        except OSError as error:
            message = f"cannot read `{extent.dataset}` in {self._path}: {error}"
            raise ModelError(message, hint="the file is damaged") from error
        return values

    def close(self) -> None:
        self._opened.close()


def _read_plain(file: BinaryIO, extent: Extent, offset: int, start: int, stop: int, path: Path) -> NDArray[Any]:
    dtype = numpy_dtype(extent.dtype)
    values = np.empty(stop - start, dtype)
    unread = values.view(np.uint8).data
    position = offset + start * dtype.itemsize
    while unread:
        count = os.preadv(file.fileno(), [unread], position)
        if count == 0:
            message = f"{path} ends inside `{extent.dataset}`"
            raise ModelError(message, hint="the file is damaged, or was changed after it was opened")
        unread, position = unread[count:], position + count
    # In place, and for every dtype: NumPy has no big-endian dtype for bfloat16.
    return values.byteswap(inplace=True) if extent.is_big_endian else values
