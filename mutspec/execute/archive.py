"""The archive executor: runs a program over model files, streaming, and writes a file.

The output begins as a copy of the input, or as what `convert` makes of it if the output is another kind of file. Then
only the bytes of the touched tensors are written, by pwrite. (Pages of a writable mapping would count as memory, and a
full disk would kill the process.) The CRC-32 of the weights in a zip is patched by what the touched bytes changed. If a
touched tensor is chunked or compressed, and so not one plain range of the file, the file takes the slow path of
`SlowWriter`: HDF5 writes it, and a zip is written again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np

from mutspec.access.read import TensorReader
from mutspec.execute.both_outputs import OutputProvenance
from mutspec.execute.copying import Copying
from mutspec.execute.engine import Effect, Progress, execute
from mutspec.execute.file_tensors import FileTensors, bytes_of, opened
from mutspec.execute.hooks import NO_HOOKS, Hooks
from mutspec.execute.slow_writer import SlowWriter
from mutspec.execute.verify import Verification
from mutspec.graph.graph import Graph, Version
from mutspec.graph.numpy_kernels.entrywise import Array
from mutspec.graph.numpy_kernels.places import Entries
from mutspec.model.files.archive import Archive, Extent, Member
from mutspec.model.files.crc import crc32_delta, patched_crc32
from mutspec.model.files.damage import COPY_AGAIN
from mutspec.model.files.formats import FORMATS, FileKind
from mutspec.model.files.sink import write_at
from mutspec.model.files.written import check_size

Check = Callable[[Mapping[Version, Effect]], None]


def write_archive(
    graph: Graph,
    archive: Archive,
    inputs: Mapping[str, Archive],
    output: Path,
    *,
    kind: FileKind | None = None,
    force: bool,
    threads: int,
    check: Check,
    verification: Verification,
    on_progress: Progress | None = None,
    provenance: OutputProvenance | None = None,
    hooks: Hooks = NO_HOOKS,
) -> Mapping[Version, Effect]:
    """Computes a graph over files, and writes the result.

    Arguments:
        graph: what to compute.
        archive: the model file to mutate.
        inputs: the other model files, by name.
        output: the file to write.
        kind: the kind of file to write; by default that of the model's file.
        force: whether to replace it if it exists.
        threads: how many chunks are computed at once.
        check: called with the effects before the output takes its place; if it raises, nothing is written.
        verification: what must hold of the files, before the output takes its place too.
        on_progress: told about the work that is done.
        provenance: what the output and the file beside it say of where it comes from; by default nothing.
        hooks: looks at the finished file.

    Returns:
        What each version changed.
    """
    kind = kind or FileKind(archive.kind)
    provenance = provenance or OutputProvenance(kind)
    tensors: ArchiveTensors
    files = opened(
        archive,
        inputs,
        output,
        force=force,
        verification=verification,
        check=hooks.after(lambda path: tensors.writer.check(path)),
        is_kept=hooks.keeps_output,
        sidecar=provenance.beside(output),
    )
    with (
        files as (readers, descriptor),
        edited(
            archive,
            readers,
            descriptor,
            output.parent,
            list(graph.outputs),
            verification=verification,
            provenance=provenance,
        ) as tensors,
    ):
        effects = execute(graph, tensors, threads=threads, on_progress=on_progress)
        verification.check_inputs()
        check(effects)
    return effects


@contextmanager
def edited(
    archive: Archive,
    readers: Mapping[str, TensorReader],
    descriptor: int,
    folder: Path,
    paths: Iterable[str],
    *,
    verification: Verification,
    provenance: OutputProvenance,
) -> Iterator[ArchiveTensors]:
    """Begins an output as a copy of a model's file, and finishes it at the end of the block.

    Arguments:
        archive: the model file.
        readers: readers of it, under "", and of the input files, by name.
        descriptor: the output under way, empty, open for reading and writing.
        folder: where to put temporary files.
        paths: the tensors that may be written.
        verification: what must hold of the model's file.
        provenance: the kind of file to write, and what it says of where it comes from.

    Yields:
        A store that writes into the output.
    """
    with ExitStack() as stack:
        target = archive
        copying: Copying | Converted | None = None
        if provenance.kind != archive.kind:
            target, copying = _converted(archive, readers[""], provenance.kind, descriptor)
        elif all(extent.offset is not None for extent in _extents(archive, paths)):
            copying = stack.enter_context(Copying(archive.path, descriptor))
        writer: PlainWriter | SlowWriter
        if copying is not None:
            writer = PlainWriter(descriptor, copying, target.member)
        else:
            verification.check("", hint=COPY_AGAIN)  # a zip that is written again states new checksums
            writer = stack.enter_context(SlowWriter(archive, _extents(archive, paths), descriptor, folder))
        yield ArchiveTensors(target, readers, writer, folder)
        writer.finish()
        grown = provenance.finish(descriptor)
        if isinstance(writer, PlainWriter):
            writer.grown = grown
            verification.check_output(descriptor, writer.member)


def _converted(archive: Archive, reader: TensorReader, kind: FileKind, descriptor: int) -> tuple[Archive, Converted]:
    """Writes a model's file in another format, and returns the model as it lies there."""
    writer = FORMATS[kind].writer
    assert writer is not None
    assert writer.convert is not None  # `kind_of_output` refuses what cannot be made
    target = writer.convert(archive, reader, descriptor)
    return target, Converted(os.fstat(descriptor).st_size, writer.check)


@dataclass(frozen=True)
class Converted:
    """An output that holds all of its base already, in another format; in place of a `Copying` under way.

    Arguments:
        size: how many bytes it has.
        check: checks it when it is finished.
    """

    size: int
    check: Callable[[Path], None]

    def wait(self, stop: int | None = None) -> None:
        """Waits for nothing."""


def _extents(archive: Archive, paths: Iterable[str]) -> list[Extent]:
    """Returns all places of some tensors."""
    return [extent for path in paths for extent in (archive.extents[path], *archive.copies.get(path, ()))]


class ArchiveTensors(FileTensors):
    """Tensors of model files, and an output that is under way, as a store for the engine.

    Arguments:
        archive: the output, as it is before anything is written into it.
        readers: readers of it, under "", and of the input files, by name.
        writer: takes the bytes of results.
        folder: where to store computed tensors for a while.
    """

    def __init__(
        self, archive: Archive, readers: Mapping[str, TensorReader], writer: PlainWriter | SlowWriter, folder: Path
    ) -> None:
        super().__init__(readers, folder)
        self.archive = archive
        self.writer = writer

    def write(self, path: str, start: int, before: Array | None, after: Array) -> None:
        """Writes the entries that differ by any bit. Equal ones are in the copy already."""
        assert before is not None  # a file takes no new tensors
        bits = np.dtype(f"u{after.dtype.itemsize}")
        if not np.array_equal(before.view(bits), after.view(bits)):
            self.writer.write(self.archive.extents[path], start, before, after)
            for copy in self.archive.copies.get(path, ()):
                self.writer.write(copy, start, None, after)

    def write_entries(self, path: str, entries: Entries, before: Array, after: Array) -> None:
        """Writes the chunks in which some entries differ by any bit."""
        self.write_chunks(path, prod(self.archive.extents[path].shape), entries, after)


class PlainWriter:
    """Writes plain ranges of bytes into a copy of the input, and patches the zip's CRC-32."""

    def __init__(self, descriptor: int, copying: Copying | Converted, member: Member | None) -> None:
        self.descriptor = descriptor
        self.copying = copying
        self.member = member
        self.deltas: list[tuple[int, int]] = []
        self.grown = 0
        """By how many bytes the output is larger than its base, as it says where it comes from."""

    def write(self, extent: Extent, start: int, before: Array | None, after: Array) -> None:
        """Writes entries of a tensor from `start` on; `before` is what the input holds there, None to read it."""
        assert extent.offset is not None
        new = _stored(after, extent)
        offset = extent.offset + start * after.dtype.itemsize
        self.copying.wait(offset + len(new))
        if self.member is not None:
            old = os.pread(self.descriptor, len(new), offset) if before is None else _stored(before, extent)
            difference = np.bitwise_xor(np.frombuffer(old, np.uint8), np.frombuffer(new, np.uint8))
            self.deltas.append((offset + len(new) - self.member.offset, crc32_delta(difference.data)))
        write_at(self.descriptor, new, offset)

    def finish(self) -> None:
        """Waits for the copy, and patches the CRC-32. After that, `member` is the output's."""
        self.copying.wait()
        if self.member is None or not self.deltas:
            return
        crc32 = patched_crc32(self.member.crc32, self.member.bytes, self.deltas)
        for offset in self.member.crc32_offsets:
            write_at(self.descriptor, crc32.to_bytes(4, "little"), offset)
        self.member = replace(self.member, crc32=crc32)

    def check(self, path: Path) -> None:
        """Checks the finished file: that nothing of the copy is missing, and that what was converted can be read."""
        check_size(path, self.copying.size + self.grown)
        if isinstance(self.copying, Converted):
            self.copying.check(path)


def _stored(values: Array, extent: Extent) -> memoryview:
    return bytes_of(values.byteswap() if extent.is_big_endian else values)
