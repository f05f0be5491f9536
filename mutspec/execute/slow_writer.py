"""The slow path of the archive executor: HDF5 writes chunked or compressed tensors, and zips are written again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from itertools import accumulate
from math import prod
from pathlib import Path
from threading import Lock
from typing import IO, BinaryIO, Self
from zipfile import ZipFile, ZipInfo
from zlib import crc32

import h5py
import numpy as np

from mutspec.execute.copying import Copying
from mutspec.graph.numpy_kernels.entrywise import Array
from mutspec.interrupts import held_interrupts
from mutspec.model.files.archive import Archive, Extent
from mutspec.model.files.arrays import flat_range_as_slabs, numpy_dtype, write_range
from mutspec.model.files.hdf5 import FileWindow
from mutspec.model.files.sink import Sink, scratch_file, write_at
from mutspec.model.files.written import check_zip, not_whole, reopened, whole
from mutspec.model.files.zip_member import inflated, undamaged

_BLOCK = 1 << 20
_WRITTEN_AT_ONCE = 16 << 20
"""The bytes that HDF5 gets at once. A larger row of chunks is written as a whole."""


class SlowWriter:
    """Writes through HDF5, for tensors that are chunked or compressed, and writes a zip again.

    What threads compute is kept in an anonymous temporary file until it is complete. HDF5 then gets it in a fixed
    order, so that the bytes of the output do not depend on which thread was first.

    Arguments:
        archive: the input.
        touched: where the tensors lie that are written.
        descriptor: the output under way.
        folder: where to put temporary files.
    """

    def __init__(self, archive: Archive, touched: Sequence[Extent], descriptor: int, folder: Path) -> None:
        self.archive = archive
        self.descriptor = descriptor
        self.touched = touched
        ends = list(accumulate(extent.bytes for extent in touched))
        self.places = {extent.dataset: end - extent.bytes for extent, end in zip(touched, ends, strict=True)}
        self.ranges: dict[str, list[tuple[int, int]]] = {extent.dataset: [] for extent in touched}
        self.weights: BinaryIO | None = None
        self.digest = 0
        self.lock = Lock()
        with ExitStack() as stack:
            self.kept = stack.enter_context(scratch_file(folder))
            if archive.member is None:
                with Copying(archive.path, descriptor) as copying:
                    copying.wait()
            else:
                self.weights = stack.enter_context(inflated(archive.path, archive.member.name, folder))
            self.opened = stack.pop_all()

    def __enter__(self) -> Self:
        """Returns the writer itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes what is open."""
        self.opened.close()

    def write(self, extent: Extent, start: int, before: Array | None, after: Array) -> None:
        """Keeps entries of a tensor from `start` on."""
        offset = self.places[extent.dataset] + start * after.dtype.itemsize
        write_at(self.kept.fileno(), np.ascontiguousarray(after).view(np.uint8).data, offset)
        with self.lock:
            self.ranges[extent.dataset].append((start, start + len(after)))

    def finish(self) -> None:
        """Writes the tensors, and the zip around them with all other members as they were."""
        if self.weights is None:
            self._write_tensors(self.descriptor)
        else:
            self._write_tensors(self.weights.fileno())
            self._check_tensors(whole(self.weights))
            self._write_zip(self.weights)

    def check(self, path: Path) -> None:
        """Checks the finished file: that its tensors read back as they were written, or the zip's CRC-32s."""
        if self.weights is None:
            with path.open("rb") as file:
                self._check_tensors(whole(file))
        else:
            check_zip(path)

    def _write_tensors(self, descriptor: int) -> None:
        sink = Sink(descriptor)
        digest = 0
        with sink.judging(), held_interrupts() as is_interrupted, h5py.File(sink, "r+") as file:
            for extent, start, stop in self._pieces(file):
                if sink.error is not None or is_interrupted():
                    break
                values = self._values(extent, start, stop)
                digest = crc32(values.view(np.uint8).data, digest)
                write_range(file[extent.dataset], extent.shape, start, values)
        self.digest = digest

    def _check_tensors(self, source: FileWindow) -> None:
        digest = 0
        with reopened(source) as file:
            for extent, start, stop in self._pieces(file):
                dataset = file[extent.dataset]
                native = dataset.dtype.newbyteorder("=")
                for slab in flat_range_as_slabs(extent.shape, start, stop):
                    digest = crc32(np.asarray(dataset[slab]).astype(native, copy=False).tobytes(), digest)
        if digest != self.digest:
            raise not_whole("the weights differ")

    def _pieces(self, file: h5py.File) -> Iterator[tuple[Extent, int, int]]:
        """Yields the ranges of kept entries in order, cut so that each chunk is in as few of them as possible."""
        for extent in self.touched:
            at_once = _entries_at_once(file[extent.dataset])
            for first, last in _merged(self.ranges[extent.dataset]):
                for start in range(first // at_once * at_once, last, at_once):
                    yield extent, max(start, first), min(start + at_once, last)

    def _values(self, extent: Extent, start: int, stop: int) -> Array:
        values = np.empty(stop - start, numpy_dtype(extent.dtype))
        unread = values.view(np.uint8).data
        position = self.places[extent.dataset] + start * values.itemsize
        while unread:
            count = os.preadv(self.kept.fileno(), [unread], position)
            if count == 0:
                raise not_whole("a temporary file is too short")
            unread, position = unread[count:], position + count
        return values

    def _write_zip(self, weights: BinaryIO) -> None:
        assert self.archive.member is not None
        sink = Sink(self.descriptor)
        with sink.judging(), ZipFile(self.archive.path) as source, ZipFile(sink, "w") as target:
            for info in source.infolist():
                is_weights = info.filename == self.archive.member.name
                weights.seek(0)
                with (
                    nullcontext(weights) if is_weights else source.open(info) as data,
                    target.open(_fresh(info), "w", force_zip64=True) as member,
                ):
                    _copy(data, member, info.filename, str(self.archive.path))
                sink.check()


def _entries_at_once(dataset: h5py.Dataset) -> int:
    """Returns how many entries are written at once: whole rows of chunks, if they are not too large."""
    row = (dataset.chunks[0] if dataset.chunks else 1) * prod(dataset.shape[1:])
    most = max(1, _WRITTEN_AT_ONCE // dataset.dtype.itemsize)
    rows: int = most // row * row
    return rows or most


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges that do not overlap, in order, those that touch joined."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged


def _copy(source: IO[bytes], target: IO[bytes], name: str, shown: str) -> None:
    while True:
        with undamaged(name, shown):
            block = source.read(_BLOCK)
        if not block:
            return
        target.write(block)


def _fresh(info: ZipInfo) -> ZipInfo:
    """Returns a member of the same name, date, permissions and compression, without a size and CRC-32 yet."""
    fresh = ZipInfo(info.filename, info.date_time)
    fresh.compress_type = info.compress_type
    fresh.external_attr = info.external_attr
    fresh.create_system = info.create_system
    return fresh
