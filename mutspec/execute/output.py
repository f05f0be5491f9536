"""Output files, whole or absent: a temporary file in the same folder takes the output's name at the end."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mutspec.errors import CallError, EnvironmentProblem
from mutspec.execute.copying import NO_SPACE
from mutspec.execute.temporary import create_temporary, remove_leftovers, temporary_name
from mutspec.interrupts import held_interrupts
from mutspec.model.files.sink import TEMPORARY_SUFFIX, write_at

__all__ = [
    "TEMPORARY_SUFFIX",
    "SideCar",
    "check_output",
    "put_both_in_place",
    "put_in_place",
    "refuse_inputs",
    "replacing",
    "telling_written",
    "write_at",
    "write_problem",
]

_NAME_BYTES = 255
"""The longest name of a file on Linux, macOS and Windows."""
_EXISTS_HINT = "give another name, or --force to replace it"


def check_output(output: Path, inputs: Iterable[Path | None], *, force: bool) -> None:
    """Refuses an output that cannot be written, before any work is done.

    Arguments:
        output: the file to write.
        inputs: all files that the call reads: models, plans, architectures, data. None and missing ones are
            skipped; reading them reports what is wrong.
        force: whether to replace the output if it exists.

    Raises:
        CallError: the output is one of the inputs, or exists without `force`, or is not a file, or its folder does not
            exist, or its name is too long.
    """
    if len(os.fsencode(output.name)) > _NAME_BYTES:
        message = f"the name of the output {output.name[:20]}… has {len(os.fsencode(output.name))} bytes"
        raise CallError(message, hint=f"file systems take {_NAME_BYTES}: give a shorter name")
    if output.is_dir():
        raise CallError(f"the output {output} is a folder", hint="give the name of a file in it")
    in_the_way = next((each for each in output.parents if os.path.lexists(each) and not each.is_dir()), None)
    if in_the_way is not None:
        raise CallError(f"the output {output} would be in {in_the_way}, which is a file", hint="give another folder")
    if not output.parent.is_dir():
        raise CallError(
            f"the folder {output.parent} of the output does not exist", hint=f"create it: mkdir -p {output.parent}"
        )
    if not os.path.lexists(output):
        return
    refuse_inputs(output, inputs)
    if output.exists() and not output.is_file():  # to replace /dev/null would harm the whole system
        raise CallError(f"the output {output} is a device or a pipe", hint="give the name of a file")
    if not force:
        raise CallError(f"the output {output} exists", hint=_EXISTS_HINT)


def refuse_inputs(output: Path, inputs: Iterable[Path | None]) -> None:
    """Refuses an output that is a file which the call reads, by whatever name or link.

    Raises:
        CallError: it is.
    """
    for path in inputs:
        if path is not None and path.exists() and output.exists() and os.path.samefile(path, output):
            raise CallError(
                f"the output {output} is the same file as the input {path}",
                hint="give another name: inputs are never changed",
            )


@dataclass(frozen=True)
class SideCar:
    """A file beside an output that belongs to it.

    Arguments:
        path: the file.
        content: makes its content, given the descriptor of the finished output; None if the output has none, so that
            one of an earlier output must not stay.
    """

    path: Path
    content: Callable[[int], bytes] | None


@contextmanager
def replacing(
    output: Path,
    *,
    force: bool,
    is_lasting: bool = True,
    is_kept: bool = True,
    inputs: Iterable[Path] = (),
    check: Callable[[Path], None] | None = None,
    sidecar: SideCar | None = None,
) -> Iterator[tuple[int, Path]]:
    """Yields a temporary file, open for reading and writing, which becomes `output` if all goes well.

    It lies in the folder of `output`.

    A file that is replaced hands on its permissions, and its owner where that is allowed; a link is replaced, not
    followed. What killed processes left in the folder is removed.

    Arguments:
        output: the file.
        force: whether to replace it if it exists.
        is_lasting: whether to wait until the disk has it, so that a power cut does not take it away.
        is_kept: whether the file takes the output's name. Otherwise it is checked and removed.
        inputs: what the output is made of. Only users who may read all of these may read a new output.
        check: called with the temporary file's path when it is written and closed; if it raises, the file does not
            become the output.
        sidecar: a file that belongs to the output. It is complete on the disk before the output takes its name.

    Yields:
        Its descriptor and its path.

    Raises:
        EnvironmentProblem: the disk is full, or the folder does not allow writing.
        CallError: the output has come to exist in the meantime, without `force`.
    """
    try:
        remove_leftovers(output.parent)
        mode = 0o600 if force and output.exists() else _mode_of_new(output, inputs)
        with ExitStack() as stack:
            with held_interrupts():
                lock, temporary = create_temporary(output, mode)
                stack.callback(_remove, temporary, lock)
            descriptor = os.dup(lock)
            try:
                yield descriptor, temporary
                if is_lasting and is_kept:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)  # some network file systems report a full disk only here
            if check is not None:
                check(temporary)
            if not is_kept:
                return
            beside = stack.enter_context(_complete(sidecar, lock, mode)) if sidecar is not None else None
            with held_interrupts():
                put_both_in_place(
                    (temporary, lock), output, None if sidecar is None else sidecar.path, beside, force=force
                )
                stack.enter_context(telling_written(output))
            if is_lasting:
                _sync_folder(output.parent)
    except OSError as error:
        raise write_problem(error, output) from error


@contextmanager
def _complete(sidecar: SideCar, made: int, mode: int) -> Iterator[tuple[Path, int] | None]:
    """Yields a temporary file with the content of a side-car, and its descriptor; None if there is to be none.

    Arguments:
        sidecar: the side-car.
        made: the descriptor of the finished output.
        mode: the permissions of the file.
    """
    if sidecar.content is None:
        yield None
        return
    with ExitStack() as stack:
        with held_interrupts():
            lock, temporary = create_temporary(sidecar.path, mode)
            stack.callback(_remove, temporary, lock)
        write_at(lock, sidecar.content(made), 0)
        os.fsync(lock)
        yield temporary, lock


def put_both_in_place(
    made: tuple[Path, int],
    output: Path,
    sidecar: Path | None,
    beside: tuple[Path, int] | None,
    *,
    force: bool,
) -> None:
    """Gives a finished file the name of an output, and another one that of the file that belongs to it.

    A side-car never lies next to an output that it is not about: an old one is removed first, and the new one comes
    last, with the permissions of the output. Interrupts must be held.

    Arguments:
        made: the finished file, and its descriptor.
        output: its new name.
        sidecar: the name of the file that belongs to the output; None if nothing is known of one.
        beside: what is to have this name, and its descriptor; None for nothing.
        force: whether to replace both if they exist.

    Raises:
        CallError: one of the two has come to exist in the meantime, without `force`.
    """
    if sidecar is None or (beside is None and not os.path.lexists(sidecar)):
        put_in_place(*made, output, force=force)
        return
    before = {each: _second_name(each) for each in (output, sidecar) if force and os.path.lexists(each)}
    placed: list[Path] = []
    try:
        if sidecar in before:
            sidecar.unlink()
        put_in_place(*made, output, force=force)
        placed.append(output)
        if beside is not None:
            _hand_on_permissions(output, beside[1])
            put_in_place(*beside, sidecar, force=force)
    except (CallError, OSError):
        for each in placed:
            if each not in before:
                each.unlink()
        for each, kept in before.items():
            if kept is not None:
                with suppress(OSError):  # the first error counts
                    kept.replace(each)
        raise
    finally:
        for kept in before.values():
            if kept is not None:
                kept.unlink(missing_ok=True)


def _second_name(path: Path) -> Path | None:
    """Gives a file a second, temporary name, by which it can be put back; None if the file system has no links."""
    name = temporary_name(path)
    try:
        os.link(path, name)
    except OSError:
        return None
    return name


def _remove(temporary: Path, lock: int) -> None:
    with held_interrupts():
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        os.close(lock)


@contextmanager
def telling_written(output: Path) -> Iterator[None]:
    """Runs a block after an output was written. The error of an interrupt in it says that the output exists."""
    try:
        yield
    except KeyboardInterrupt as error:
        note = f"{output} was written"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise


def write_problem(error: OSError, output: Path) -> EnvironmentProblem:
    """Returns the error that tells the user of a failure to write."""
    if error.errno in NO_SPACE:
        return EnvironmentProblem(
            f"cannot write {output}: {error.strerror}", hint="free some space, or write elsewhere; nothing was written"
        )
    return EnvironmentProblem(f"cannot write {output}: {error.strerror or error}", hint="nothing was written")


def _mode_of_new(output: Path, inputs: Iterable[Path]) -> int:
    """Returns the permissions of a new file: none for users who may not read what it is made of."""
    folder = output.parent.stat()
    group = folder.st_gid if folder.st_mode & stat.S_ISGID else os.getegid()
    mode = 0o666
    for path in inputs:
        status = path.stat()
        readable = status.st_mode & 0o444
        if status.st_gid != group:
            readable = readable & 0o404 | (readable & 0o004) << 3
        mode &= 0o600 | readable | readable >> 1
    return mode


def _hand_on_permissions(output: Path, descriptor: int) -> None:
    """Gives a file the permissions of another one that exists, and its owner and group where that is allowed."""
    with suppress(OSError):  # there is none; or the file system has no permissions
        replaced = output.stat()
        mode = stat.S_IMODE(replaced.st_mode) & 0o777
        try:
            os.fchown(descriptor, replaced.st_uid, replaced.st_gid)
        except OSError:
            with suppress(OSError):
                os.fchown(descriptor, -1, replaced.st_gid)
        if os.fstat(descriptor).st_gid != replaced.st_gid:  # another group gets the permissions of all users
            mode = mode & 0o707 | (mode & 0o007) << 3
        os.fchmod(descriptor, mode)


def put_in_place(temporary: Path, descriptor: int, output: Path, *, force: bool) -> None:
    """Gives a finished file the name of an output, and the permissions of the file that it replaces.

    Arguments:
        temporary: the finished file, on the same file system.
        descriptor: it too, open.
        output: its new name.
        force: whether to replace the output if it exists.

    Raises:
        CallError: the output has come to exist in the meantime, without `force`.
    """
    if force:
        _hand_on_permissions(output, descriptor)
        temporary.replace(output)
        return
    # A link, unlike a rename, never replaces a file that has come to exist in the meantime.
    try:
        os.link(temporary, output)
    except OSError as error:
        if isinstance(error, FileExistsError) or os.path.lexists(output):
            raise CallError(f"the output {output} exists", hint=_EXISTS_HINT) from None
        temporary.rename(output)  # the file system has no links


def _sync_folder(folder: Path) -> None:
    """Waits until the disk has the name. A refusal is ignored: the output is whole and in place already."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
