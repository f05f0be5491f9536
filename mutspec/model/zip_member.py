"""Facts about the members of a zip file that patching needs: where the data lie, and where their CRC-32 stands."""

from __future__ import annotations

import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mutspec.language.errors import EnvironmentProblem, ModelError
from mutspec.model.archive import Member

_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL_BYTES = 30
_HAS_DESCRIPTOR = 0x08
_IS_ENCRYPTED = 0x01
_DESCRIPTOR_MARK = b"PK\x07\x08"
_BLOCK = 1 << 20
_INFLATION_LIMIT = 100
"""A compressed member that grows more than so many times is a zip bomb; Keras refuses the same."""


def member_of(file: BinaryIO, archive: zipfile.ZipFile, name: str, shown: str) -> Member:
    """Where a member lies.

    Arguments:
        file: the open zip file.
        archive: the same, as zipfile sees it.
        name: the member.
        shown: what to call the file in errors.

    Errors: ModelError if the member is missing, encrypted, there twice, or not where the zip file says.
    """
    found = [(index, info) for index, info in enumerate(archive.infolist()) if info.filename == name]
    if len(found) != 1:
        reason = "has no member" if not found else "has more than one member"
        raise ModelError(f"{shown} {reason} {name}", hint="it is not a whole .keras file; save the model again")
    index, info = found[0]
    if info.flag_bits & _IS_ENCRYPTED:
        raise ModelError(f"{name} in {shown} is encrypted", hint="Keras cannot read it either; save the model again")
    local = os.pread(file.fileno(), _LOCAL_BYTES, info.header_offset)
    if len(local) < _LOCAL_BYTES or local[:4] != b"PK\x03\x04":
        raise ModelError(f"{shown} is damaged: {name} is not where the zip directory says", hint="copy the file again")
    name_bytes, extra_bytes = struct.unpack_from("<HH", local, 26)
    offset = info.header_offset + _LOCAL_BYTES + name_bytes + extra_bytes
    if info.flag_bits & _HAS_DESCRIPTOR:
        after = offset + info.compress_size
        has_mark = os.pread(file.fileno(), 4, after) == _DESCRIPTOR_MARK
        beside_data = after + (4 if has_mark else 0)
    else:
        beside_data = info.header_offset + 14
    offsets = (_central_crc_offset(file, archive, index), beside_data)
    for at in offsets:
        if os.pread(file.fileno(), 4, at) != struct.pack("<I", info.CRC):
            raise ModelError(f"{shown} is damaged: it states two checksums for {name}", hint="copy the file again")
    is_compressed = info.compress_type != zipfile.ZIP_STORED
    return Member(name, offset, info.file_size, info.CRC, is_compressed, offsets)


def _central_crc_offset(file: BinaryIO, archive: zipfile.ZipFile, index: int) -> int:
    """Where the central directory states the CRC-32 of its entry number `index`."""
    at = archive.start_dir
    for _ in range(index):
        fields = _CENTRAL.unpack(os.pread(file.fileno(), _CENTRAL.size, at))
        at += _CENTRAL.size + fields[10] + fields[11] + fields[12]
    return at + 16


def read_member(archive: zipfile.ZipFile, name: str, limit: int, shown: str) -> bytes:
    """A small member's bytes.

    Arguments:
        archive: the zip file.
        name: the member.
        limit: the most bytes that it may have.
        shown: what to call the file in errors.

    Errors: ModelError if it is missing, too large, or damaged.
    """
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ModelError(
            f"{shown} has no {name}, so it is not a .keras file", hint="save the model with model.save('name.keras')"
        ) from None
    if info.file_size > limit:
        raise ModelError(
            f"{name} in {shown} is {info.file_size:,} bytes; at most {limit:,} are read",
            hint="no Keras model needs so many",
        )
    with undamaged(name, shown), archive.open(info) as member:
        data = member.read(limit + 1)
    if len(data) > limit:
        raise ModelError(f"{name} in {shown} is larger than it says", hint="the file is damaged")
    return data


@contextmanager
def inflated(path: Path, name: str, folder: Path | None = None) -> Iterator[BinaryIO]:
    """A member as a file of its own: anonymous and temporary, for reading and writing.

    Arguments:
        path: the zip file.
        name: the member.
        folder: where to put it; by default where the system puts temporary files.

    Errors: ModelError if the member is damaged; EnvironmentProblem if there is no room.
    """
    shown = str(path)
    with zipfile.ZipFile(path) as archive, _temporary_file(folder) as target:
        info = archive.getinfo(name)
        if info.file_size > max(2**28, _INFLATION_LIMIT * info.compress_size):
            raise ModelError(
                f"{name} in {path} claims {info.file_size:,} bytes from {info.compress_size:,}",
                hint="this is no model but a zip bomb",
            )
        with undamaged(name, shown), archive.open(info) as member:
            while block := member.read(_BLOCK):
                _write(target, block, name, shown)
        yield target


@contextmanager
def undamaged(name: str, shown: str) -> Iterator[None]:
    """Turns the ways in which zipfile says that a member is damaged into a ModelError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        raise ModelError(
            f"{name} in {shown} cannot be read ({error})", hint="the file is damaged; save or copy it again"
        ) from None


@contextmanager
def _temporary_file(folder: Path | None) -> Iterator[BinaryIO]:
    try:
        file = tempfile.TemporaryFile(dir=folder, prefix=".", suffix=".mutspec-tmp", buffering=0)  # noqa: SIM115
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
