"""Model files as a store of tensors for the engine. What becomes of results is up to each kind of output."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mutspec.access.read import TensorReader
from mutspec.execute.output import SideCar, replacing
from mutspec.execute.verify import Verification
from mutspec.graph.numpy_kernels.entrywise import Array
from mutspec.graph.numpy_kernels.places import Entries, by_chunk
from mutspec.graph.primitives import CHUNK
from mutspec.model.files.archive import Archive
from mutspec.model.files.sink import scratch_file, write_at


def paths_of(base: Archive, inputs: Mapping[str, Archive]) -> list[Path]:
    """Returns the paths of all files of some models."""
    return [part.path for each in (base, *inputs.values()) for part in each.files]


@contextmanager
def opened(
    base: Archive,
    inputs: Mapping[str, Archive],
    output: Path,
    *,
    force: bool,
    verification: Verification,
    check: Callable[[Path], None],
    sidecar: SideCar | None = None,
    is_kept: bool = True,
) -> Iterator[tuple[Mapping[str, TensorReader], int]]:
    """Opens the files that an output is made of, and a temporary file, which becomes the output if all goes well.

    Arguments:
        base: the model file to mutate.
        inputs: the other model files, by name.
        output: the file to write.
        force: whether to replace it if it exists.
        verification: what must hold of the files.
        check: as for `replacing`.
        sidecar: as for `replacing`.
        is_kept: as for `replacing`.

    Yields:
        Readers of the base, under "", and of the input files, by name; and the descriptor of the temporary file.
    """
    with ExitStack() as stack:
        readers = {name: stack.enter_context(TensorReader(each)) for name, each in {"": base, **inputs}.items()}
        sources = paths_of(base, inputs)
        replaced = replacing(output, force=force, inputs=sources, check=check, is_kept=is_kept, sidecar=sidecar)
        descriptor, _ = stack.enter_context(replaced)
        stack.enter_context(verification.guard())
        yield readers, descriptor


class FileTensors:
    """Tensors of model files, and an output that is under way.

    Arguments:
        readers: readers of the base, under "", and of the input files, by name.
        folder: where to store computed tensors for a while.
    """

    def __init__(self, readers: Mapping[str, TensorReader], folder: Path) -> None:
        self.readers = readers
        self.folder = folder

    def read(self, model: str, path: str, start: int, stop: int) -> Array:
        """Reads entries of a tensor of a file."""
        return self.readers[model].read(path, start, stop)

    def read_entries(self, model: str, path: str, entries: Entries) -> Array:
        """Reads some entries of a tensor of a file."""
        return self.readers[model].read_entries(path, entries)

    def write(self, path: str, start: int, before: Array | None, after: Array) -> None:
        """Takes a chunk of a result."""
        raise NotImplementedError

    def write_chunks(self, path: str, size: int, entries: Entries, after: Array) -> None:
        """Writes the chunks of a tensor of some size in which some entries are, with all others as the base has them.

        Whole chunks are written, because moving the CRC-32 of a change by an equal number of bytes again is quick: that
        power of x is cached.
        """
        for number, part in by_chunk(entries):
            start, stop = number * CHUNK, min((number + 1) * CHUNK, size)
            held = self.read("", path, start, stop)
            changed = held.copy()
            changed[entries[part] - start] = after[part]
            self.write(path, start, held, changed)

    def store(self, size: int, dtype: np.dtype[Any]) -> FileStore:
        """Returns a store in an anonymous temporary file, which vanishes with the process."""
        return FileStore(self.folder, dtype)


class FileStore:
    """A computed tensor in an anonymous temporary file."""

    def __init__(self, folder: Path, dtype: np.dtype[Any]) -> None:
        self.file = scratch_file(folder)
        self.dtype = dtype

    def write(self, start: int, values: Array) -> None:
        """Keeps entries from `start` on."""
        write_at(self.file.fileno(), bytes_of(values), start * self.dtype.itemsize)

    def read(self, start: int, stop: int) -> Array:
        """Reads the entries [start, stop)."""
        count = (stop - start) * self.dtype.itemsize
        return np.frombuffer(os.pread(self.file.fileno(), count, start * self.dtype.itemsize), self.dtype)

    def close(self) -> None:
        """Closes the temporary file."""
        self.file.close()


def bytes_of(values: Array) -> memoryview:
    """Returns the bytes of an array in C order."""
    return np.ascontiguousarray(values).view(np.uint8).data
