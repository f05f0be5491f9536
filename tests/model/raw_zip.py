"""Zip files put together byte by byte, so that any part of one can lie."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

NUMBERS = ("flags", "method", "time", "date", "crc32", "stored", "content")
"""What both headers of a member say, in this order."""


@dataclass(frozen=True)
class Part:
    """A member, and what its headers say that is not so.

    Arguments:
        name, data: the member.
        method: 0 for stored, 8 for deflated; the data of other methods are taken as they are.
        flags: of both headers.
        local, central: fields of one header that differ from what is true: `name`, `extra`, or one of `NUMBERS`.
        before, after: bytes that belong to nothing.
        descriptor: the form of what follows the data, as `struct` has it: `<4s3I`, `<3I`, `<4sI2Q` or `<I2Q`.
        header: where the directory says that it begins; by default where it does.
    """

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 0
    local: Mapping[str, object] = field(default_factory=dict)
    central: Mapping[str, object] = field(default_factory=dict)
    before: bytes = b""
    after: bytes = b""
    descriptor: str = ""
    header: int | None = None


def raw_zip(
    parts: Sequence[Part], *, count: int | None = None, gap: bytes = b"", comment: bytes = b"", tail: bytes = b""
) -> bytes:
    """The bytes of a zip file.

    Arguments:
        parts: its members.
        count: how many there are, as its end says.
        gap: between its members and its directory.
        comment, tail: what its end says to follow, and what follows.
    """
    body, directory = bytearray(), bytearray()
    for part in parts:
        deflate = zlib.compressobj(wbits=-15)
        stored = deflate.compress(part.data) + deflate.flush() if part.method == 8 else part.data
        true = {"flags": part.flags | (8 if part.descriptor else 0), "method": part.method, "time": 0, "date": 0x21}
        true |= {"crc32": zlib.crc32(part.data), "stored": len(stored), "content": len(part.data)}
        unknown = {"crc32": 0, "stored": 0, "content": 0} if part.descriptor else {}
        body += part.before
        header = len(body) if part.header is None else part.header
        body += _local({**true, "name": part.name, "extra": b"", **unknown, **part.local}) + stored
        if part.descriptor:
            values = (true["crc32"], len(stored), len(part.data))
            mark = (b"PK\x07\x08",) if part.descriptor.startswith("<4s") else ()
            body += struct.pack(part.descriptor, *mark, *values)
        body += part.after
        directory += _central({**true, "name": part.name, "extra": b"", **part.central}, header)
    body += gap
    count = len(parts) if count is None else count
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), len(comment))
    return bytes(body + directory + end + comment + tail)


def _local(fields: Mapping[str, object]) -> bytes:
    name, extra = fields["name"], fields["extra"]
    assert isinstance(name, bytes)
    assert isinstance(extra, bytes)
    numbers = [fields[key] for key in NUMBERS]
    return struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, *numbers, len(name), len(extra)) + name + extra


def _central(fields: Mapping[str, object], header: int) -> bytes:
    name, extra = fields["name"], fields["extra"]
    assert isinstance(name, bytes)
    assert isinstance(extra, bytes)
    numbers = [fields[key] for key in NUMBERS]
    lengths = (len(name), len(extra), 0, 0, 0, 0, header)
    return struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, *numbers, *lengths) + name + extra


def parts_of(path: Path) -> list[Part]:
    """The members of a zip file that zipfile reads."""
    with ZipFile(path) as archive:
        return [Part(name.encode(), archive.read(name)) for name in archive.namelist()]
