"""Output files, whole or absent: a temporary file beside the target takes its place at the end."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fcntl import ioctl
from pathlib import Path

from mutspec.language.errors import CallError, EnvironmentProblem

TEMPORARY_SUFFIX = ".mutspec-tmp"
_FICLONE = 0x40049409
_BLOCK = 1 << 20
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_output(output: Path, inputs: Iterable[Path], *, force: bool) -> None:
    """Refuse an output that cannot be written, before any work is done.

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
        if os.path.samefile(path, output):
            raise CallError(
                f"the output {output} is the same file as the input {path}",
                hint="give another name: inputs are never changed",
            )
    if not force:
        raise CallError(f"the output {output} exists", hint="give another name, or --force to replace it")


@contextmanager
def replacing(output: Path, *, force: bool) -> Iterator[tuple[int, Path]]:
    """A temporary file beside `output`, open for reading and writing, which becomes `output` if all goes well.

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
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _put_in_place(temporary, output, force=force)
    except OSError as error:
        raise write_problem(error, output) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


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
    folder = os.open(output.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def copy_contents(source: Path, descriptor: int) -> None:
    """Copy a whole file into an empty one: by reference where the file system can, so that a copy costs nothing."""
    with source.open("rb") as file:
        with suppress(OSError):
            ioctl(descriptor, _FICLONE, file.fileno())
            return
        size = os.fstat(file.fileno()).st_size
        done = _copy_in_kernel(file.fileno(), descriptor, size)
        while data := os.pread(file.fileno(), _BLOCK, done):
            done += write_at(descriptor, data, done)


def _copy_in_kernel(source: int, target: int, size: int) -> int:
    done = 0
    if not hasattr(os, "copy_file_range"):  # Linux alone has it
        return done
    try:
        while done < size:
            copied = os.copy_file_range(source, target, min(size - done, 64 * _BLOCK), done, done)
            if copied == 0:
                break
            done += copied
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise
    return done


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    """Write all of some bytes at an offset; how many there were."""
    view = memoryview(data)
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)
    return done
