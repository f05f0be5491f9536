"""Copies of files, by reference or in the kernel where the system can, while something else is computed."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from threading import Condition, Thread

from mutspec.model.files.sink import write_at

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The errors of a disk on which there is no more space, or not for this user or this file."""
_FICLONE = 0x40049409
_BLOCK = 1 << 20
_COPIED_AT_ONCE = 32 << 20


class Copying:
    """A copy of a file into an empty one, on a thread of its own, so that computing need not wait for it.

    It goes from the first byte to the last. A writer to the copy first waits until its part is copied. If the file
    system can copy by reference, the copy is done at once. Its `size` is that of the file at the beginning.

    Arguments:
        source: the file.
        descriptor: the empty file, open for reading and writing.
    """

    def __init__(self, source: Path, descriptor: int) -> None:
        """Begins."""
        self._source = source
        self._descriptor = descriptor
        self.size = source.stat().st_size
        self._copied = 0
        self._error: Exception | None = None
        self._is_wanted = True
        self._progress = Condition()
        self._thread = Thread(target=self._run, name="mutspec-copy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Copying:
        """Returns the copy under way."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stops copying: the file is about to be closed."""
        self._is_wanted = False
        self._thread.join()

    def wait(self, stop: int | None = None) -> None:
        """Waits until the bytes before `stop`, by default all, are there.

        Raises:
            OSError: they cannot be written.
        """
        wanted = self.size if stop is None else min(stop, self.size)
        with self._progress:
            self._progress.wait_for(lambda: self._copied >= wanted or self._error is not None)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._source.open("rb") as file:
                if _is_cloned(file.fileno(), self._descriptor):
                    self._advance(self.size)
                else:
                    reserve(self._descriptor, self.size)
                while self._copied < self.size and self._is_wanted:
                    stop = min(self._copied + _COPIED_AT_ONCE, self.size)
                    _copy_range(file.fileno(), self._descriptor, self._copied, stop)
                    self._advance(stop)
        except Exception as error:
            with self._progress:
                self._error = error
                self._progress.notify_all()

    def _advance(self, copied: int) -> None:
        with self._progress:
            self._copied = copied
            self._progress.notify_all()


def _is_cloned(source: int, target: int) -> bool:
    with suppress(OSError):
        ioctl(target, _FICLONE, source)
        return True
    return False


def reserve(target: int, size: int) -> None:
    """Reserves the space, so that a full disk is reported at once. Ext4 then also copies in half the time."""
    if size and hasattr(os, "posix_fallocate"):  # macOS has none
        try:
            os.posix_fallocate(target, 0, size)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise


def _copy_range(source: int, target: int, start: int, stop: int) -> None:
    start = _copy_in_kernel(source, target, start, stop)
    while start < stop:
        data = os.pread(source, min(_BLOCK, stop - start), start)
        if not data:
            raise OSError(errno.EIO, "the model file became shorter while it was read")
        start += write_at(target, data, start)


def _copy_in_kernel(source: int, target: int, start: int, stop: int) -> int:
    """Copies as much as the kernel can copy by itself, and returns the offset at which it stopped."""
    if not hasattr(os, "copy_file_range"):  # only Linux has it
        return start
    try:
        while start < stop:
            copied = os.copy_file_range(source, target, stop - start, start, start)
            if copied == 0:
                break
            start += copied
    except OSError as error:
        if error.errno in NO_SPACE:
            raise
    return start
