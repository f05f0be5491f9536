"""Reads the directory of a zip file, and checks it against the rest of the file.

A zip file states most facts twice, and readers differ in which of the two they use. Some begin at the end of a file,
others at its first byte. Here both must agree, each name must be there once, and every byte must belong to exactly one
member or to the directory. So a file cannot show one model to mutspec and another one to Keras, and no bytes hide
between members (docs/security.md). The layout is that of PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 to 4.6.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

from mutspec.errors import ModelError
from mutspec.model.files.archive import Member
from mutspec.model.limits import UNPACKED_BYTES, current_limits

_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_END_MARK, _END_64_MARK, _LOCATOR_64_MARK = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_CENTRAL_MARK, _LOCAL_MARK, _DESCRIPTOR_MARK = b"PK\x01\x02", b"PK\x03\x04", b"PK\x07\x08"
END_BYTES = _END.size
"""The size of the record with which a zip file ends, before its comment. It ends with the comment's length."""
LONGEST_COMMENT = 0xFFFF
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
"""The values of fields that are too small for the fact: it stands in a field of 64 bits instead."""
_CENTRAL_CRC_OFFSET, _LOCAL_CRC_OFFSET = 16, 14
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
"""The ids of extra fields: sizes of 64 bits, and a second name, which some readers prefer."""

_IS_ENCRYPTED, _HAS_DESCRIPTOR, _IS_UTF8 = 0x0001, 0x0008, 0x0800
_NEVER_WRITTEN = 0x0020 | 0x0040 | 0x2000
"""Flags of a patch, strong encryption and masked headers: Python's zipfile, and so Keras, reads none of them."""
_WHAT_COUNTS = _IS_ENCRYPTED | _HAS_DESCRIPTOR | _IS_UTF8 | _NEVER_WRITTEN
"""The flags that change how a member is read. The others tell how hard the writer compressed it."""

_NEWEST_VERSION = 63
"""The newest version of the specification: zipfile, and so Keras, refuses what needs a newer one."""
_STORED, _DEFLATED = 0, 8
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 99: "AES"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of the central directory: the facts that it states of a member."""

    at: int
    raw_name: bytes
    name: str
    flags: int
    method: int
    crc32: int
    stored_bytes: int
    content_bytes: int
    header: int


def read_directory(file: BinaryIO, shown: str) -> Mapping[str, Member]:
    """Reads the members of a zip file by name, in the order of its directory.

    Arguments:
        file: the open zip file.
        shown: what to call it in errors.

    Raises:
        ModelError: the file is damaged; its parts contradict each other; or it is encrypted, compressed by another
            method than Deflate, or declares more than any model needs.
    """
    return _Zip(file, shown).members()


def place_of_end(file: BinaryIO, shown: str) -> int:
    """Returns the offset of the record with which a zip file ends, before its comment.

    Arguments and errors are those of `read_directory`.
    """
    return _Zip(file, shown).place_of_end()


class _Zip:
    """A zip file while its directory is read."""

    def __init__(self, file: BinaryIO, shown: str) -> None:
        self._file = file
        self._shown = shown
        self._limits = current_limits()
        self._bytes = os.fstat(file.fileno()).st_size

    def members(self) -> Mapping[str, Member]:
        start, stop, count = self._place_of_directory()
        entries = list(self._entries(start, stop, count))
        self._check_names(entries)
        self._check_sizes(entries)
        in_file = sorted(entries, key=lambda entry: entry.header)
        ends = [*(entry.header for entry in in_file[1:]), start]
        if not in_file or in_file[0].header != 0:
            self._refuse("bytes before its first member belong to nothing")
        found = {entry.name: self._member(entry, end) for entry, end in zip(in_file, ends, strict=True)}
        return {entry.name: found[entry.name] for entry in entries}

    def _place_of_directory(self) -> tuple[int, int, int]:
        """Returns the beginning and the end of the central directory, and the number of its entries."""
        at = self.place_of_end()
        _, disk, first_disk, here, count, size, start, _ = _END.unpack(self._read(at, _END.size))
        stop = at
        if at >= _LOCATOR_64.size and self._read(at - _LOCATOR_64.size, 4) == _LOCATOR_64_MARK:
            _, _, stop, disks = _LOCATOR_64.unpack(self._read(at - _LOCATOR_64.size, _LOCATOR_64.size))
            if stop + _END_64.size + _LOCATOR_64.size != at or disks > 1:
                self._refuse("its zip directory is not where it says")
            mark, rest, _, _, *wide = _END_64.unpack(self._read(stop, _END_64.size))
            if mark != _END_64_MARK or rest != _END_64.size - 12:
                self._refuse("its zip directory is not where it says")
            # Each field of 16 or 32 bits must equal the one of 64 bits, or be full, which refers to that one.
            narrow = (disk, first_disk, here, count, size, start)
            full = (*[_FULL_16] * 4, *[_FULL_32] * 2)
            if any(a not in (b, limit) for a, b, limit in zip(narrow, wide, full, strict=True)):
                self._refuse("it has two directories that say different things")
            disk, first_disk, here, count, size, start = wide
        if (disk, first_disk) != (0, 0) or here != count:
            self._refuse("it is one part of several")
        self._limits.check("zip_members", count, self._shown)
        self._limits.check("zip_directory_bytes", size, self._shown)
        # Readers differ: zipfile finds the directory by its size before the end record, others by its offset.
        if start + size != stop:
            self._refuse("its zip directory is not where it says")
        return start, stop, count

    def place_of_end(self) -> int:
        """Returns the offset of the end record: the last one in the file, which must reach exactly to its end."""
        length = min(self._bytes, _END.size + LONGEST_COMMENT)
        tail = self._read(self._bytes - length, length)
        # zipfile takes the last mark in this range too. The comment after the record has at most 65,535 bytes.
        at = tail.rfind(_END_MARK)
        if at < 0 or at + _END.size > length:
            raise ModelError(
                f"{self._shown} is not a whole zip file: its directory is missing",
                hint="it may be truncated; copy it again",
            )
        if at + _END.size + _END.unpack_from(tail, at)[-1] != length:
            self._refuse("its zip directory is not at its end")
        return self._bytes - length + at

    def _entries(self, start: int, stop: int, count: int) -> Iterator[_Entry]:
        data = self._read(start, stop - start)
        at = 0
        for _ in range(count):
            if at + _CENTRAL.size > len(data):
                self._refuse("its zip directory ends too early")
            fields = _CENTRAL.unpack_from(data, at)
            mark, _, version, flags, method, _, _, crc32, stored, content, *lengths, disk, _, _, header = fields
            if mark != _CENTRAL_MARK or version & 0xFF > _NEWEST_VERSION:
                self._refuse("its zip directory is not one")
            name_end = at + _CENTRAL.size + lengths[0]
            end = name_end + lengths[1] + lengths[2]
            if end > len(data):
                self._refuse("its zip directory ends too early")
            raw_name = data[at + _CENTRAL.size : name_end]
            name = self._name(raw_name, flags)
            extra = self._extra(data[name_end : name_end + lengths[1]], _short(name))
            # The 64-bit fields stand in this order, and only for those of 32 bits that are full (APPNOTE 4.5.3).
            wide = iter(self._wide(extra, _short(name)))
            content, stored, header = (
                next(wide, -1) if value == _FULL_32 else value for value in (content, stored, header)
            )
            if min(content, stored, header) < 0 or disk not in (0, _FULL_16):
                self._refuse(f"it does not say how large {_short(name)} is")
            if extra.get(_UNICODE_PATH, b"")[5:] not in (b"", name.encode()):
                self._refuse(f"{_short(name)} has two names")
            yield _Entry(start + at, raw_name, name, flags, method, crc32, stored, content, header)
            at = end
        if at != len(data):
            self._refuse("its zip directory lists more than it counts")

    def _name(self, raw: bytes, flags: int) -> str:
        self._limits.check("path_characters", len(raw), f"the name of a member of {self._shown}")
        try:
            name = raw.decode("utf8" if flags & _IS_UTF8 else "cp437")
        except UnicodeDecodeError:
            self._refuse("the name of a member is not text")
        if not name or "\0" in name:  # zipfile ends the name at the NUL
            self._refuse("the name of a member is not one")
        return name

    def _extra(self, data: bytes, name: str) -> Mapping[int, bytes]:
        """Returns the extra fields of a member. Padding that aligns the data may be shorter than a field."""
        fields: dict[int, bytes] = {}
        at = 0
        while at + 4 <= len(data):
            kind, length = struct.unpack_from("<2H", data, at)
            at += 4 + length
            if at > len(data) or (kind in fields and kind in (_ZIP64, _UNICODE_PATH)):
                self._refuse(f"the header of {name} is not whole")
            fields[kind] = data[at - length : at]
        return fields

    def _wide(self, extra: Mapping[int, bytes], name: str) -> Sequence[int]:
        """Returns the 64-bit values of a member. The number of a disk, of 32 bits, may follow them."""
        data = extra.get(_ZIP64, b"")
        if len(data) % 8 not in (0, 4) or len(data) > 28:
            self._refuse(f"the header of {name} is not whole")
        return struct.unpack_from(f"<{len(data) // 8}Q", data)

    def _check_names(self, entries: Sequence[_Entry]) -> None:
        seen: set[str] = set()
        for entry in entries:
            if entry.name in seen:
                raise ModelError(
                    f"{self._shown} has more than one member {_short(entry.name)}",
                    hint="it is not a .keras file that Keras wrote; save the model again",
                )
            seen.add(entry.name)

    def _check_sizes(self, entries: Sequence[_Entry]) -> None:
        """Refuses members that cannot be read, or that would grow beyond the limit when inflated."""
        for entry in entries:
            name = _short(entry.name)
            if entry.flags & (_IS_ENCRYPTED | _NEVER_WRITTEN):
                raise ModelError(
                    f"{name} in {self._shown} is encrypted", hint="Keras cannot read it either; save the model again"
                )
            if entry.method not in (_STORED, _DEFLATED):
                method = _METHODS.get(entry.method, f"number {entry.method}")
                raise ModelError(
                    f"{name} in {self._shown} is compressed by a method that mutspec does not read: {method}",
                    hint="save the model again in Keras, or pack the file again with Deflate or without compression",
                )
            if entry.method == _STORED and entry.stored_bytes != entry.content_bytes:
                self._refuse(f"it states two sizes for {name}")
            self._refuse_bomb(name, entry.content_bytes, entry.stored_bytes)
        content, stored = (sum(getattr(entry, name) for entry in entries) for name in ("content_bytes", "stored_bytes"))
        self._refuse_bomb("all members", content, stored)

    def _refuse_bomb(self, what: str, content: int, stored: int) -> None:
        if content > UNPACKED_BYTES:
            times = -(-content // max(stored, 1))
            shown = f"{what} in {self._shown} would grow from {stored:,} to {content:,} bytes"
            self._limits.check("inflation", times, shown)

    def _member(self, entry: _Entry, end: int) -> Member:
        """Returns the member. Its header must agree with the directory, and it must end where the next one begins."""
        name = _short(entry.name)
        if entry.header + _LOCAL.size > end:
            self._refuse(f"{name} overlaps with what comes after it")
        header = _LOCAL.unpack(self._read(entry.header, _LOCAL.size))
        mark, _, flags, method, _, _, crc32, stored, content, name_bytes, extra_bytes = header
        if mark != _LOCAL_MARK:
            self._refuse(f"{name} is not where the zip directory says")
        offset = entry.header + _LOCAL.size + name_bytes + extra_bytes
        if offset + entry.stored_bytes > end:
            self._refuse(f"{name} overlaps with what comes after it")
        rest = self._read(entry.header + _LOCAL.size, name_bytes + extra_bytes)
        if rest[:name_bytes] != entry.raw_name or (flags ^ entry.flags) & _WHAT_COUNTS or method != entry.method:
            self._refuse(f"it describes {name} in two ways")
        extra = self._extra(rest[name_bytes:], name)
        if extra.get(_UNICODE_PATH, b"")[5:] not in (b"", entry.name.encode()):
            self._refuse(f"{name} has two names")
        wide = iter(self._wide(extra, name))
        content, stored = (next(wide, -1) if value == _FULL_32 else value for value in (content, stored))
        # A writer that streams does not know these when it writes the header: it writes 0, and a descriptor after the
        # data (APPNOTE 4.4.4, bit 3).
        may_be_unknown = (0,) if flags & _HAS_DESCRIPTOR else ()
        for stated, wanted, what in (
            (crc32, entry.crc32, "checksums"),
            (stored, entry.stored_bytes, "sizes"),
            (content, entry.content_bytes, "sizes"),
        ):
            if stated not in (wanted, *may_be_unknown):
                self._refuse(f"it states two {what} for {name}")
        checksums = [entry.at + _CENTRAL_CRC_OFFSET]
        if crc32 == entry.crc32:
            checksums.append(entry.header + _LOCAL_CRC_OFFSET)
        after = offset + entry.stored_bytes
        if flags & _HAS_DESCRIPTOR:
            checksums.append(self._place_of_descriptor(entry, after, end))
        elif after != end:
            self._refuse(f"bytes after {name} belong to nothing")
        is_compressed = entry.method != _STORED
        return Member(
            entry.name, offset, entry.stored_bytes, entry.crc32, is_compressed, tuple(checksums), entry.content_bytes
        )

    def _place_of_descriptor(self, entry: _Entry, start: int, end: int) -> int:
        """Returns the offset of the checksum in the data descriptor, which follows the data.

        Its mark is optional, and its sizes have 32 or 64 bits (APPNOTE 4.3.9): hence four lengths.
        """
        name = _short(entry.name)
        form = {12: "<3I", 16: "<4s3I", 20: "<I2Q", 24: "<4sI2Q"}.get(end - start)
        if form is None:
            self._refuse(f"bytes after {name} belong to nothing")
        fields = struct.unpack(form, self._read(start, end - start))
        if fields[-3:] != (entry.crc32, entry.stored_bytes, entry.content_bytes):
            self._refuse(f"it states two checksums or sizes for {name}")
        if len(fields) == 4 and fields[0] != _DESCRIPTOR_MARK:
            self._refuse(f"bytes after {name} belong to nothing")
        return start + 4 * (len(fields) == 4)

    def _read(self, start: int, length: int) -> bytes:
        data = os.pread(self._file.fileno(), length, start) if 0 <= start <= self._bytes else b""
        if len(data) != length:
            self._refuse("its zip directory points beyond its end")
        return data

    def _refuse(self, reason: str) -> NoReturn:
        raise ModelError(f"{self._shown} is damaged: {reason}", hint="copy the file again, or save the model again")


def _short(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:79]}…"
