"""Output files, whole or absent: a temporary file beside the target takes its place at the end."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from pathlib import Path
from threading import Condition, Thread

from mutspec.language.errors import CallError, EnvironmentProblem

TEMPORARY_SUFFIX = ".mutspec-tmp"
_FICLONE = 0x40049409
_BLOCK = 1 << 20
_COPIED_AT_ONCE = 32 << 20
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_output(output: Path, inputs: Iterable[Path | None], *, force: bool) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Arguments:
        output: the file to write.
        inputs: all files that the call reads. None and missing ones are passed over; who reads them says so.
        force: whether to replace the output if it exists.

    Raises:
        CallError: the output is one of the inputs, or exists without `force`, or its folder does not exist.
    """
    if output.is_dir():
        raise CallError(f"the output {output} is a folder", hint="give the name of a file in it")
    if not output.parent.is_dir():
        raise CallError(
            f"the folder {output.parent} of the output does not exist", hint=f"create it: mkdir -p {output.parent}"
        )
    if not output.exists():
        return
    for path in inputs:
        if path is not None and path.exists() and os.path.samefile(path, output):
            raise CallError(
                f"the output {output} is the same file as the input {path}",
                hint="give another name: inputs are never changed",
            )
    if not force:
        raise CallError(f"the output {output} exists", hint="give another name, or --force to replace it")


@contextmanager
def replacing(output: Path, *, force: bool, is_lasting: bool = True) -> Iterator[tuple[int, Path]]:
    """A temporary file beside `output`, open for reading and writing, which becomes `output` if all goes well.

    Arguments:
        output: the file.
        force: whether to replace it if it exists.
        is_lasting: whether to wait until the disk has it, so that a power cut does not take it away.

    Yields:
        Its descriptor and its path.

    Raises:
        EnvironmentProblem: the disk is full, or the folder does not allow writing.
        CallError: the output has come to exist in the meantime, without `force`.
    """
    temporary = output.with_name(f".{output.name[:50]}.{secrets.token_hex(4)}{TEMPORARY_SUFFIX}")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            yield descriptor, temporary
            if is_lasting:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _put_in_place(temporary, output, force=force)
        if is_lasting:
            _sync_folder(output.parent)
    except OSError as error:
        raise write_problem(error, output) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def forget_temporary_files(folder: Path) -> None:
    """Take away what a killed process has left in a folder that is one's own: nobody else is writing there."""
    for path in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        path.unlink(missing_ok=True)


def write_problem(error: OSError, output: Path) -> EnvironmentProblem:
    """What a failure to write means to the user."""
    if error.errno in _NO_SPACE:
        return EnvironmentProblem(
            f"cannot write {output}: {error.strerror}", hint="free some space, or write elsewhere; nothing was written"
        )
    return EnvironmentProblem(f"cannot write {output}: {error.strerror or error}", hint="nothing was written")


def _put_in_place(temporary: Path, output: Path, *, force: bool) -> None:
    if force:
        temporary.replace(output)
    else:
        # A link, unlike a rename, never replaces a file that has come to exist in the meantime.
        try:
            os.link(temporary, output)
        except FileExistsError:
            raise CallError(f"the output {output} exists", hint="give another name, or --force to replace it") from None
        except OSError:
            temporary.rename(output)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Copying:
    """A copy of a file into an empty one, on a thread of its own, so that computing need not wait for it.

    It goes from the first byte to the last; whoever writes to the copy first waits for the part that they write. Where
    the file system can copy by reference, it is done at once.

    Arguments:
        source: the file.
        descriptor: the empty file, open for reading and writing.
    """

    def __init__(self, source: Path, descriptor: int) -> None:
        """Begin."""
        self._source = source
        self._descriptor = descriptor
        self._size = source.stat().st_size
        self._copied = 0
        self._error: Exception | None = None
        self._is_wanted = True
        self._progress = Condition()
        self._thread = Thread(target=self._run, name="mutspec-copy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Copying:
        """The copy under way."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop copying: the file is about to be closed."""
        self._is_wanted = False
        self._thread.join()

    def wait(self, stop: int | None = None) -> None:
        """Wait until the bytes before `stop`, by default all, are there.

        Raises:
            OSError: they cannot be written.
        """
        wanted = self._size if stop is None else min(stop, self._size)
        with self._progress:
            self._progress.wait_for(lambda: self._copied >= wanted or self._error is not None)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._source.open("rb") as file:
                if _is_cloned(file.fileno(), self._descriptor):
                    self._advance(self._size)
                else:
                    _reserve(self._descriptor, self._size)
                while self._copied < self._size and self._is_wanted:
                    stop = min(self._copied + _COPIED_AT_ONCE, self._size)
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


def _reserve(target: int, size: int) -> None:
    """Take the room on disk, so that a full one is known at once. Ext4 then also copies in half the time."""
    if size and hasattr(os, "posix_fallocate"):  # macOS has none
        try:
            os.posix_fallocate(target, 0, size)
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise


def _copy_range(source: int, target: int, start: int, stop: int) -> None:
    start = _copy_in_kernel(source, target, start, stop)
    while start < stop:
        data = os.pread(source, min(_BLOCK, stop - start), start)
        if not data:
            raise OSError(errno.EIO, "the model file became shorter while it was read")
        start += write_at(target, data, start)


def _copy_in_kernel(source: int, target: int, start: int, stop: int) -> int:
    """Copy what the kernel can by itself; where it stopped."""
    if not hasattr(os, "copy_file_range"):  # Linux alone has it
        return start
    try:
        while start < stop:
            copied = os.copy_file_range(source, target, stop - start, start, start)
            if copied == 0:
                break
            start += copied
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise
    return start


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    """Write all of some bytes at an offset; how many there were."""
    view = memoryview(data)
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)
    return done
