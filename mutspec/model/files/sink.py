"""Files to write into: bytes at an offset, temporary files, and files for libraries that crash if a write fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from mutspec.model.files.seekable import Seekable

TEMPORARY_SUFFIX = ".mutspec-tmp"
"""How the names of temporary files end. If the file system has files without names, they have no name."""


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    """Writes all of some bytes at an offset, and returns how many there were."""
    view = memoryview(data)
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)
    return done


def scratch_file(folder: Path | None) -> BinaryIO:
    """Returns a temporary file that vanishes when it is closed, and with the process.

    Arguments:
        folder: where to put it; None for the system's own folder.

    Raises:
        OSError: it cannot be made.
    """
    return TemporaryFile(dir=folder, prefix=".", suffix=TEMPORARY_SUFFIX, buffering=0)


def hdf5_locking(source: object) -> bool | None:
    """Returns whether HDF5 is to ask for the lock of a file that it reads; None for what HDF5 does by default.

    It cannot get the lock of an output that is checked before it takes its name, because its writer holds that.
    """
    return False if isinstance(source, Path) and source.name.endswith(TEMPORARY_SUFFIX) else None


class Sink(Seekable):
    """A file that takes every write, and keeps the first failure for its owner.

    libhdf5 1.14 ends the process with a segmentation fault if the flush fails when it closes a file, and Keras does not
    remove its folders if a zip file cannot be written. So neither sees a failure: what cannot be written is kept in
    memory, and reads back from there. Code that writes much checks `error` now and then, and stops.

    Arguments:
        descriptor: an open file, for reading and writing; it is not closed.
        offset: where the sink begins in it; everything that follows belongs to the sink.
    """

    def __init__(self, descriptor: int, offset: int = 0) -> None:
        super().__init__(max(0, os.fstat(descriptor).st_size - offset))
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._offset = offset
        self._kept: list[tuple[int, bytes]] = []

    def check(self) -> None:
        """Raises the first failure, if there was one.

        Raises:
            OSError: something could not be written.
        """
        if self.error is not None:
            raise self.error

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Runs a block that writes. At its end the first failure is raised, in place of what the library raised.

        Raises:
            OSError: something could not be written.
        """
        try:
            yield
        except Exception:
            self.check()
            raise
        self.check()

    def writable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        view = view[: max(0, min(len(view), self.size - self._position))]
        filled = 0
        while filled < len(view) and (count := self._read(view[filled:], self._position + filled)):
            filled += count
        view[filled:] = bytes(len(view) - filled)
        for at, data in self._kept:
            start, stop = max(at, self._position), min(at + len(data), self._position + len(view))
            if start < stop:
                view[start - self._position : stop - self._position] = data[start - at : stop - at]
        self._position += len(view)
        return len(view)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                write_at(self._descriptor, view, self._offset + self._position)
            except OSError as error:
                self.error = error
        if self.error is not None:
            self._kept.append((self._position, bytes(view)))
        self._position += len(view)
        self.size = max(self.size, self._position)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        self.size = self._position if size is None else size
        if self.error is None:
            try:
                os.ftruncate(self._descriptor, self._offset + self.size)
            except OSError as error:
                self.error = error
        return self.size

    def _read(self, view: memoryview, position: int) -> int:
        return os.preadv(self._descriptor, [view], self._offset + position)
