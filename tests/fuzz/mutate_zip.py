"""Zip files, taken apart and written again with something wrong in their headers, directory, sizes or methods."""

from __future__ import annotations

import bz2
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from io import BytesIO
from random import Random

from tests.fuzz.mutate_bytes import BOUNDARIES

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14


@dataclass(frozen=True)
class Entry:
    """A member as its local header and its entry in the directory have it: each may lie.

    Arguments:
        local, central: what differs from the truth there: any of `crc`, `packed`, `size`, `method`, `name`, `flags`.
        at: where the directory says that it is; None for the truth.
        raw: the packed data, where they are not made of `data`.
    """

    name: bytes
    data: bytes
    method: int = STORED
    local: dict[str, int | bytes] = field(default_factory=dict)
    central: dict[str, int | bytes] = field(default_factory=dict)
    at: int | None = None
    extra: bytes = b""
    raw: bytes | None = None

    @property
    def packed(self) -> bytes:
        return pack(self.data, self.method) if self.raw is None else self.raw

    def facts(self, lies: dict[str, int | bytes]) -> dict[str, int | bytes]:
        truth: dict[str, int | bytes] = {
            "name": self.name,
            "method": self.method,
            "flags": 0,
            "crc": zlib.crc32(self.data),
            "packed": len(self.packed),
            "size": len(self.data),
        }
        return truth | lies


@dataclass(frozen=True)
class Zip:
    """The entries, and what the end of the directory says: each may lie."""

    entries: tuple[Entry, ...]
    end: dict[str, int] = field(default_factory=dict)
    before: bytes = b""
    between: bytes = b""
    after: bytes = b""


@lru_cache(maxsize=16)
def pack(data: bytes, method: int) -> bytes:
    if method == DEFLATED:
        compressor = zlib.compressobj(1, zlib.DEFLATED, -15)
        return compressor.compress(data) + compressor.flush()
    if method == BZIP2:
        return bz2.compress(data)
    if method == LZMA:
        filters = [{"id": lzma.FILTER_LZMA1}]
        properties = lzma._encode_filter_properties(filters[0])  # type: ignore[attr-defined]
        head = struct.pack("<BBH", 9, 4, len(properties)) + properties
        return head + lzma.compress(data, lzma.FORMAT_RAW, filters=filters)
    return data


@lru_cache(maxsize=4)
def bomb(name: bytes, head: bytes, megabytes: int) -> Entry:
    """A member of some bytes and very many zeros, deflated, made without having them all."""
    zeros = bytes(10**6)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    begin = compressor.compress(head) + compressor.flush(zlib.Z_FULL_FLUSH)
    block = compressor.compress(zeros) + compressor.flush(zlib.Z_FULL_FLUSH)
    crc = zlib.crc32(head)
    for _ in range(megabytes):
        crc = zlib.crc32(zeros, crc)
    facts: dict[str, int | bytes] = {"crc": crc, "size": len(head) + megabytes * len(zeros)}
    return Entry(name, b"", DEFLATED, facts, facts, raw=begin + block * megabytes + compressor.flush())


def parsed(data: bytes) -> Zip:
    """A valid zip file, as entries."""
    with zipfile.ZipFile(BytesIO(data)) as file:
        return Zip(tuple(Entry(i.filename.encode(), file.read(i), i.compress_type) for i in file.infolist()))


def written(made: Zip) -> bytes:
    out = BytesIO()
    out.write(made.before)
    directory = BytesIO()
    for entry in made.entries:
        at = out.tell() if entry.at is None else entry.at
        f = entry.facts(entry.local)
        name = f["name"]
        assert isinstance(name, bytes)
        head = (b"PK\3\4", 20, f["flags"], f["method"], 0, 0x21, f["crc"], f["packed"], f["size"])
        out.write(_LOCAL.pack(*head, len(name), len(entry.extra)) + name + entry.extra + entry.packed)
        f = entry.facts(entry.central)
        name = f["name"]
        assert isinstance(name, bytes)
        head = (b"PK\1\2", 20, 20, f["flags"], f["method"], 0, 0x21, f["crc"], f["packed"], f["size"])
        directory.write(_CENTRAL.pack(*head, len(name), 0, 0, 0, 0, 0, at & 0xFFFFFFFF) + name)
    out.write(made.between)
    truth = {"count": len(made.entries), "size": len(directory.getvalue()), "at": out.tell(), "comment": 0}
    end = truth | made.end
    out.write(directory.getvalue())
    count = end["count"] & 0xFFFF
    out.write(_END.pack(b"PK\5\6", 0, 0, count, count, end["size"], end["at"], end["comment"]))
    out.write(made.after)
    return out.getvalue()


def mutated(data: bytes, random: Random) -> tuple[bytes, str]:
    """A zip file with something wrong in its structure; and why it must be refused, or nothing where it need not be."""
    made = parsed(data)
    changed, why = random.choice(_MUTATIONS)(made, random)
    return written(changed), why


def with_member(data: bytes, name: str, content: bytes) -> bytes:
    """A zip file, valid but for what one member holds."""
    made = parsed(data)
    entries = (replace(each, data=content) if each.name == name.encode() else each for each in made.entries)
    return written(replace(made, entries=tuple(entries)))


def member(data: bytes, name: str) -> bytes:
    return next(each.data for each in parsed(data).entries if each.name == name.encode())


def _one(made: Zip, random: Random, change: Callable[[Entry], Entry]) -> Zip:
    """The same, with one of the members that count changed."""
    index = random.choice([i for i, each in enumerate(made.entries) if each.name != b"metadata.json"])
    entries = list(made.entries)
    entries[index] = change(entries[index])
    return replace(made, entries=tuple(entries))


def _lie(made: Zip, random: Random) -> tuple[Zip, str]:
    """One number is wrong in one of the two headers."""
    key = random.choice(("crc", "packed", "size", "method", "flags"))
    number = random.choice(BOUNDARIES) & (0xFFFF if key in ("method", "flags") else 0xFFFFFFFF)
    where = random.choice(("local", "central"))
    return _one(made, random, lambda each: replace(each, **{where: {key: number}})), ""


def _sizes_disagree(made: Zip, random: Random) -> tuple[Zip, str]:
    where = random.choice(("local", "central"))
    key, more = random.choice(("packed", "size")), random.choice((-4, -1, 1, 4, 100))

    def change(each: Entry) -> Entry:
        truth = each.facts({})[key]
        assert isinstance(truth, int)
        return replace(each, **{where: {key: truth + more}})

    return _one(made, random, change), "sizes that disagree between headers"


def _crcs_disagree(made: Zip, random: Random) -> tuple[Zip, str]:
    where = random.choice(("local", "central"))
    return _one(made, random, lambda each: replace(each, **{where: {"crc": 12345}})), "checksums that disagree"


def _both_lie(made: Zip, random: Random) -> tuple[Zip, str]:
    """Both headers agree on a wrong size."""
    key, more = random.choice(("packed", "size")), random.choice((-100, -1, 1, 1000, 2**31))

    def change(each: Entry) -> Entry:
        truth = each.facts({})[key]
        assert isinstance(truth, int)
        lie: dict[str, int | bytes] = {key: (truth + more) & 0xFFFFFFFF}
        return replace(each, local=lie, central=lie)

    return _one(made, random, change), ""


def _other_method(made: Zip, random: Random) -> tuple[Zip, str]:
    """Packed in another way, truly or as the headers claim."""
    method = random.choice((STORED, DEFLATED, BZIP2, LZMA, 1, 6, 9, 93, 99, 0xFFFF))
    if random.random() < 0.5 and method in (STORED, DEFLATED, BZIP2, LZMA):
        return _one(made, random, lambda each: replace(each, method=method)), ""
    lie: dict[str, int | bytes] = {"method": method}
    return _one(made, random, lambda each: replace(each, local=lie, central=lie)), ""


def _twice(made: Zip, random: Random) -> tuple[Zip, str]:
    """Two members of one name, equal or not."""
    original = random.choice([each for each in made.entries if each.name != b"metadata.json"])
    data = original.data if random.random() < 0.5 else original.data.replace(b"dense", b"tense")
    copy = replace(original, data=data)
    entries = [*made.entries]
    entries.insert(random.randrange(len(entries) + 1), copy)
    return replace(made, entries=tuple(entries)), "duplicate members"


def _overlapping(made: Zip, random: Random) -> tuple[Zip, str]:
    """A further name for the bytes of another member, or for bytes within them."""
    original = random.choice(made.entries)
    at = len(made.before)
    for each in made.entries:
        if each is original:
            break
        at += _LOCAL.size + len(each.name) + len(each.packed)
    further = replace(original, name=b"assets/again", data=b"", central={"packed": len(original.packed)}, at=at)
    return replace(made, entries=(*made.entries, further)), "overlapping members"


def _misplaced(made: Zip, random: Random) -> tuple[Zip, str]:
    """The directory says that a member is where it is not."""
    at = random.choice((0, 1, 30, 100, 5000, 2**31, 2**32 - 1))
    return _one(made, random, lambda each: replace(each, at=at)), ""


def _another_name(made: Zip, random: Random) -> tuple[Zip, str]:
    name = random.choice((b"config.json", b"../config.json", b"/etc/x", b"", b"model.weights.h5\0x", b"x" * 60_000))
    where = random.choice(("local", "central"))
    return _one(made, random, lambda each: replace(each, **{where: {"name": name}})), ""


def _further(made: Zip, random: Random) -> tuple[Zip, str]:
    """Members that nobody asked for: traversals, bombs, thousands of them."""
    kind = random.randrange(4)
    if kind == 0:
        new = [Entry(b"../../escape", b"x"), Entry(b"/tmp/escape", b"x")]
    elif kind == 1:
        new = [Entry(b"assets/bomb", bytes(4_000_000), DEFLATED, central={"size": 2**31}, local={"size": 2**31})]
    elif kind == 2:
        new = [Entry(b"assets/bomb", bytes(60_000_000), DEFLATED)]
    else:
        new = [Entry(b"assets/%d" % number, b"") for number in range(5000)]
    return replace(made, entries=(*made.entries, *new)), ""


def _hidden(made: Zip, random: Random) -> tuple[Zip, str]:
    """Bytes that no member accounts for."""
    where = random.choice(("before", "between", "after"))
    return replace(
        made, **{where: random.choice((b"x", b"PK\3\4" + bytes(26), bytes(1000), b"PK\5\6" + bytes(18)))}
    ), ""


def _end_lies(made: Zip, random: Random) -> tuple[Zip, str]:
    key = random.choice(("count", "size", "at", "comment"))
    number = random.choice(BOUNDARIES) & (0xFFFF if key in ("count", "comment") else 0xFFFFFFFF)
    return replace(made, end={key: number}), ""


def _without(made: Zip, random: Random) -> tuple[Zip, str]:
    index = random.randrange(len(made.entries))
    name = made.entries[index].name
    entries = made.entries[:index] + made.entries[index + 1 :]
    return replace(made, entries=entries), "" if name == b"metadata.json" else "a missing member"


def _bomb(made: Zip, random: Random) -> tuple[Zip, str]:
    """A small member that becomes a large one."""
    size = random.choice((5, 20, 60)) * 10**6
    pad = random.choice((b" ", b"[", b"\0"))

    def change(each: Entry) -> Entry:
        return replace(each, data=each.data + pad * size, method=DEFLATED)

    return _one(made, random, change), ""


_MUTATIONS: tuple[Callable[[Zip, Random], tuple[Zip, str]], ...] = (
    *(_lie, _lie, _sizes_disagree, _crcs_disagree, _both_lie, _other_method, _twice, _overlapping, _misplaced),
    *(_another_name, _further, _hidden, _end_lies, _without, _bomb),
)
