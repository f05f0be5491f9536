"""Reads the members of a zip file, and checks each against the size and the checksum that the file states."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.model.files.archive import Member
from mutspec.model.files.sink import scratch_file
from mutspec.model.files.zip_directory import read_directory

_BLOCK = 1 << 20


def read_member(file: BinaryIO, members: Mapping[str, Member], name: str, limit: int, shown: str) -> bytes:
    """Returns a small member's bytes.

    Arguments:
        file: the open zip file.
        members: what is in it.
        name: the member.
        limit: the most bytes that it may have.
        shown: what to call the file in errors.

    Raises:
        ModelError: it is missing, too large, or damaged.
    """
    if name not in members:
        raise ModelError(
            f"{shown} has no {name}, so it is not a .keras file", hint="save the model with model.save('name.keras')"
        )
    member = members[name]
    if member.content_bytes > limit:
        raise ModelError(
            f"{name} in {shown} is {member.content_bytes:,} bytes; at most {limit:,} are read",
            hint="no Keras model needs this many",
        )
    return b"".join(content(file, member, shown))


@contextmanager
def inflated(path: Path, name: str, folder: Path | None = None) -> Iterator[BinaryIO]:
    """Inflates a member into an anonymous temporary file, open for reading and writing.

    Arguments:
        path: the zip file.
        name: the member.
        folder: where to put it; by default where the system puts temporary files.

    Raises:
        ModelError: the file or the member is damaged.
        EnvironmentProblem: the disk is full.
    """
    shown = str(path)
    with path.open("rb") as file, _temporary_file(folder) as target:
        members = read_directory(file, shown)
        if name not in members:
            raise ModelError(f"{shown} has no member {name}", hint="the file was changed while it was read")
        for block in content(file, members[name], shown):
            _write(target, block, name, shown)
        yield target


@contextmanager
def undamaged(name: str, shown: str) -> Iterator[None]:
    """Turns the errors that zipfile raises for a damaged member into a ModelError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        raise _damaged(name, shown, str(error)) from None


def content(file: BinaryIO, member: Member, shown: str) -> Iterator[bytes]:
    """Yields a member's content in blocks. Damage is known only after the last one.

    Arguments:
        file: the open zip file.
        member: the member.
        shown: what to call the file in errors.

    Raises:
        ModelError: it is damaged.
    """
    crc32 = size = 0
    blocks = _stored(file, member, shown)
    for block in _inflate(blocks, member, shown) if member.is_compressed else blocks:
        size += len(block)
        if size > member.content_bytes:
            raise _damaged(member.name, shown, "it is larger than it says")
        crc32 = zlib.crc32(block, crc32)
        yield block
    if size != member.content_bytes:
        raise _damaged(member.name, shown, "it is smaller than it says")
    if crc32 != member.crc32:
        raise _damaged(member.name, shown, "its checksum is wrong")


def _stored(file: BinaryIO, member: Member, shown: str) -> Iterator[bytes]:
    position, stop = member.offset, member.offset + member.bytes
    while position < stop:
        block = os.pread(file.fileno(), min(_BLOCK, stop - position), position)
        if not block:
            raise _damaged(member.name, shown, "the file ends within it")
        position += len(block)
        yield block


def _inflate(blocks: Iterable[bytes], member: Member, shown: str) -> Iterator[bytes]:
    """Yields the content of deflated blocks, never more than a block at a time."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for block in blocks:
            rest = block
            while rest and not inflater.eof:
                yield inflater.decompress(rest, _BLOCK)
                rest = inflater.unconsumed_tail
            if inflater.unused_data or (inflater.eof and rest is block):
                raise _damaged(member.name, shown, "bytes after its end belong to nothing")
        while data := inflater.decompress(b"", _BLOCK):
            yield data
    except zlib.error as error:
        raise _damaged(member.name, shown, str(error)) from None
    if not inflater.eof:
        raise _damaged(member.name, shown, "it ends too early")


def _damaged(name: str, shown: str, reason: str) -> ModelError:
    return ModelError(f"{name} in {shown} cannot be read ({reason})", hint="the file is damaged; save or copy it again")


@contextmanager
def _temporary_file(folder: Path | None) -> Iterator[BinaryIO]:
    try:
        file = scratch_file(folder)
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot make a temporary file: {error.strerror}", hint="set TMPDIR to a folder that can be written"
        ) from error
    with file:
        yield file


def _write(target: BinaryIO, block: bytes, name: str, shown: str) -> None:
    try:
        view = memoryview(block)
        while view:
            view = view[target.write(view) :]
    except OSError as error:
        raise EnvironmentProblem(
            f"cannot inflate {name} of {shown}: {error.strerror}",
            hint="free some space, or set TMPDIR to a folder that has it",
        ) from error
