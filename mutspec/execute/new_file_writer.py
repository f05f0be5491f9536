"""Writes the file of a mutant with another architecture, without Keras: it is laid out, and then filled.

Each value comes from the base, a block at a time, or from the engine. Memory stays bounded, as for plans on weights.
The CRC-32 of all that is written follows from the parts as they go by, and is compared with that of the bytes in the
file.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from zlib import crc32

import numpy as np

from mutspec.access.read import TensorReader
from mutspec.access.threads import in_order
from mutspec.compare.arithmetic import count_non_finite
from mutspec.execute.both_outputs import OutputProvenance
from mutspec.execute.copying import reserve
from mutspec.execute.engine import Effect, Progress, execute
from mutspec.execute.file_tensors import FileTensors, bytes_of, opened
from mutspec.execute.hooks import NO_HOOKS, Hooks
from mutspec.execute.verify import Verification
from mutspec.graph.graph import Graph, Version
from mutspec.graph.numpy_kernels.entrywise import Array
from mutspec.graph.numpy_kernels.places import Entries
from mutspec.graph.primitives import CHUNK
from mutspec.model.files.archive import WEIGHTS, Archive, Extent, Member
from mutspec.model.files.arrays import numpy_dtype
from mutspec.model.files.crc import joined_crc32
from mutspec.model.files.formats import FORMATS, FileKind
from mutspec.model.files.hdf5 import FileWindow
from mutspec.model.files.new_model import LaidOut, NewModel
from mutspec.model.files.sink import write_at
from mutspec.model.files.written import check_places, check_size, not_whole
from mutspec.model.files.zip_directory import read_directory

_BLOCK = 1 << 20

Check = Callable[[Mapping[Version, Effect], Mapping[str, int]], None]
"""Called with the effects, and how many entries of each new weight are infinite or NaN at the end, by origin."""


def write_new_file(
    graph: Graph,
    model: NewModel,
    inputs: Mapping[str, Archive],
    output: Path,
    *,
    kind: FileKind,
    force: bool,
    threads: int,
    check: Check,
    verification: Verification,
    on_progress: Progress | None = None,
    provenance: OutputProvenance | None = None,
    hooks: Hooks = NO_HOOKS,
) -> Mapping[Version, Effect]:
    """Computes a graph over files, and writes a model that is made of its results and of what the base holds.

    Arguments:
        graph: what to compute.
        model: the model to write.
        inputs: the other model files, by name.
        output: the file to write.
        kind: the kind of file to write.
        force: whether to replace it if it exists.
        threads: how many chunks are computed at once.
        check: called before the output takes its place; if it raises, nothing is written.
        verification: what must hold of the files, before the output takes its place too.
        on_progress: told about the work that is done.
        provenance: what the output and the file beside it say of where it comes from; by default nothing.
        hooks: looks at the finished file.

    Returns:
        What each version changed.
    """
    base, writer = model.base, FORMATS[kind].writer
    assert writer is not None
    assert writer.lay_out is not None  # `new_file` says when it is not
    provenance = provenance or OutputProvenance(kind)
    filling: Filling
    files = opened(
        base,
        inputs,
        output,
        force=force,
        verification=verification,
        check=hooks.after(lambda path: filling.check(path)),
        is_kept=hooks.keeps_output,
        sidecar=provenance.beside(output),
    )
    with files as (readers, descriptor):
        laid_out = writer.lay_out(model, descriptor)
        reserve(descriptor, laid_out.bytes)
        filling = Filling(descriptor, laid_out)
        places = {tensor.origin: laid_out.places[tensor.path] for tensor in model.tensors}
        tensors = _Tensors(places, graph, readers, filling, output.parent)
        effects = execute(graph, tensors, threads=threads, on_progress=on_progress)
        verification.check_inputs()
        check(effects, tensors.non_finite)
        copied = ((value.source, place, None) for value, place in laid_out.others if value.source is not None)
        _copy([*tensors.kept(base), *copied], readers[""], filling, threads)
        for value, place in laid_out.others:
            if value.source is None:
                filling.write_number(place, value.initial)
        verification.check("")
        member = filling.finish()
        filling.grown = provenance.finish(descriptor)
        verification.check_output(descriptor, member)
    return effects


_Kept = tuple[Extent, Extent, set[int] | None]
"""The extent to copy, the extent to write it to, and the chunks that the engine has written already (None: none)."""


def _copy(kept: list[_Kept], reader: TensorReader, filling: Filling, threads: int) -> None:
    """Copies what the base holds, a block at a time."""

    def copy(piece: tuple[Extent, Extent, int, int]) -> None:
        source, place, start, stop = piece
        filling.write(place, start, reader.read_extent(source, start, stop))

    with ThreadPoolExecutor(threads) as pool:
        try:
            for _ in in_order(pool, copy, _pieces(kept), threads):
                pass
        finally:
            pool.shutdown(cancel_futures=True)


def _pieces(kept: list[_Kept]) -> Iterator[tuple[Extent, Extent, int, int]]:
    for source, place, written in kept:
        size = prod(source.shape)
        at_once = CHUNK if written else max(CHUNK, _BLOCK * size // max(1, source.bytes))
        for start in range(0, size, at_once):
            if not written or start // CHUNK not in written:
                yield source, place, start, min(start + at_once, size)


class _Tensors(FileTensors):
    """Tensors of the base and of other inputs, and the weights of a new file, as a store for the engine.

    Arguments:
        places: where the values of each weight of the new file go, by origin.
        graph: what is computed.
        readers: readers of the base, under "", and of the input files, by name.
        filling: takes the values.
        folder: where to store computed tensors for a while.
    """

    def __init__(
        self,
        places: Mapping[str, tuple[Extent, ...]],
        graph: Graph,
        readers: Mapping[str, TensorReader],
        filling: Filling,
        folder: Path,
    ) -> None:
        super().__init__(readers, folder)
        self.non_finite: Counter[str] = Counter()
        self._places = places
        self._created = graph.created
        self._filling = filling
        self._written: dict[str, set[int]] = {origin: set() for origin in places}

    def write(self, path: str, start: int, before: Array | None, after: Array) -> None:
        """Writes a chunk of a weight. The new file may not have it, as a step may change what a later one removes."""
        if path not in self._places:
            return
        for place in self._places[path]:
            self._filling.write(place, start, after)
        self._written[path].add(start // CHUNK)
        if path in self._created:
            self.non_finite[path] += count_non_finite(after).non_finite

    def write_entries(self, path: str, entries: Entries, before: Array, after: Array) -> None:
        """Writes the chunks in which some entries are, with all others as the base holds them."""
        if path in self._places:
            self.write_chunks(path, prod(self._places[path][0].shape), entries, after)

    def kept(self, base: Archive) -> Iterator[_Kept]:
        """Yields the weights that the base holds, without the chunks that were written."""
        for origin, places in self._places.items():
            if origin not in self._created:
                for place in places:
                    yield base.extents[origin], place, self._written[origin]


@dataclass(frozen=True, slots=True)
class _Part:
    """A range of bytes that was written, and its CRC-32."""

    start: int
    stop: int
    crc32: int


class Filling:
    """A file that is laid out, and gets its values.

    Arguments:
        descriptor: the file, open for reading and writing.
        laid_out: where the values go.
    """

    def __init__(self, descriptor: int, laid_out: LaidOut) -> None:
        self._descriptor = descriptor
        self._laid_out = laid_out
        self._parts: list[_Part] = []
        self._member: Member | None = None
        self.grown = 0
        """By how many bytes the file is larger than it was laid out, as it says where it comes from."""

    def write(self, place: Extent, start: int, values: Array) -> None:
        """Writes entries of a dataset from `start` on. Several threads may call it."""
        data = bytes_of(values)
        if data:
            assert place.offset is not None
            offset = place.offset + start * values.itemsize
            self._parts.append(_Part(offset, offset + len(data), crc32(data)))
            write_at(self._descriptor, data, offset)

    def write_number(self, place: Extent, number: float) -> None:
        """Writes one number into each entry of a dataset."""
        size, dtype = prod(place.shape), numpy_dtype(place.dtype)
        for start in range(0, size, _BLOCK // dtype.itemsize):
            self.write(place, start, np.full(min(_BLOCK // dtype.itemsize, size - start), number, dtype))

    def finish(self) -> Member:
        """Writes the CRC-32 of the weights, where the file states it. Returns the range of the file that it covers."""
        laid_out = self._laid_out
        whole = Member("", laid_out.offset, laid_out.size, 0, False, (), laid_out.size)
        member = replace(laid_out.member or whole, crc32=self._crc32())
        for offset in member.crc32_offsets:
            write_at(self._descriptor, member.crc32.to_bytes(4, "little"), offset)
        if laid_out.member is not None:
            self._member = member
        return member

    def check(self, path: Path) -> None:
        """Checks the finished file: its size, what its zip states, and that HDF5 finds all values where they were put.

        Raises:
            OSError: something is wrong.
        """
        laid_out = self._laid_out
        check_size(path, laid_out.bytes + self.grown)
        with path.open("rb") as file:
            if self._member is not None and read_directory(file, str(path)).get(WEIGHTS) != self._member:
                raise not_whole("the zip's directory")
            window = FileWindow(file, laid_out.offset, laid_out.size)
            check_places(window, laid_out.offset, laid_out.extents)

    def _crc32(self) -> int:
        """Returns the CRC-32 of the HDF5 file, from those of the values, and from the bytes between them.

        Raises:
            OSError: some values were not written.
        """
        laid_out = self._laid_out
        total, position = 0, laid_out.offset
        for part in sorted(self._parts, key=lambda part: part.start):
            total = self._with_bytes(total, position, part.start)
            total = joined_crc32(total, part.crc32, part.stop - part.start)
            position = part.stop
        wanted = sum(extent.bytes for extent in laid_out.extents.values())
        if sum(part.stop - part.start for part in self._parts) != wanted:
            raise not_whole("some values were not written")
        return self._with_bytes(total, position, laid_out.offset + laid_out.size)

    def _with_bytes(self, total: int, start: int, stop: int) -> int:
        """Returns the CRC-32 of what `total` is of, and of the bytes of a range after it."""
        while start < stop:
            data = os.pread(self._descriptor, min(_BLOCK, stop - start), start)
            if not data:
                raise not_whole("it is too short")
            total, start = crc32(data, total), start + len(data)
        return total
