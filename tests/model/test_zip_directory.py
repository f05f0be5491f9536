"""A zip file is read if all readers must find the same in it, and refused in one sentence otherwise."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mutspec.errors import ModelError
from mutspec.model.files.archive import Archive
from mutspec.model.files.opening import open_archive
from mutspec.model.files.zip_directory import read_directory
from mutspec.model.limits import Limits
from tests.model.raw_zip import Part, parts_of, raw_zip

OLD = Path(__file__).parents[1] / "data" / "old"
CNN = OLD / "keras_3.6.0" / "cnn.keras"
WEIGHTS = b"model.weights.h5"


class Pipe:
    """A target that cannot seek, so that zipfile states sizes and checksums after the data."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def repacked(path: Path, *, streamed: bool = False, is_large: bool = False, **options: Any) -> Path:
    """The model once more, as zipfile writes it."""
    target: Any = Pipe(path) if streamed else path
    with zipfile.ZipFile(CNN) as old, zipfile.ZipFile(target, "w", **options) as new:
        new.comment = b"a comment" if streamed else b""
        for name in old.namelist():
            with new.open(name, "w", force_zip64=is_large) as member:
                member.write(old.read(name))
    if streamed:
        target.close()
    return path


def check_as_zipfile_reads_it(path: Path) -> None:
    """Hold the directory against zipfile's, each stated place of a checksum included."""
    data = path.read_bytes()
    with path.open("rb") as file, zipfile.ZipFile(path) as archive:
        members = read_directory(file, "it")
        assert list(members) == archive.namelist()
        for name, member in members.items():
            info = archive.getinfo(name)
            stored = data[member.offset : member.offset + member.bytes]
            assert (zlib.decompress(stored, -15) if member.is_compressed else stored) == archive.read(name)
            assert (member.crc32, member.bytes, member.content_bytes) == (info.CRC, info.compress_size, info.file_size)
            assert all(data[at : at + 4] == info.CRC.to_bytes(4, "little") for at in member.crc32_offsets)
            assert len(set(member.crc32_offsets)) >= 2


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_what_zipfile_writes_is_read(streamed: bool, is_large: bool, compression: int, tmp_path: Path) -> None:
    path = repacked(tmp_path / "model.keras", streamed=streamed, is_large=is_large, compression=compression)
    check_as_zipfile_reads_it(path)
    assert open_archive(path).spec == open_archive(CNN).spec


@pytest.mark.skipif(shutil.which("zip") is None, reason="Info-ZIP is not installed")
@pytest.mark.parametrize("options", ["-q -r", "-q -r -0", "-q -r -X -fz", "-q -r -fd", "-q -r -0 -fd"])
def test_what_info_zip_writes_is_read(options: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with zipfile.ZipFile(CNN) as archive:
        archive.extractall(folder)
    (folder / "assets" / "größe").mkdir(parents=True)
    (folder / "assets" / "größe" / "vocabulary.txt").write_text("a\nb\n")
    path = tmp_path / "model.keras"
    subprocess.run(["zip", *options.split(), str(path), "."], cwd=folder, check=True)
    check_as_zipfile_reads_it(path)
    assert open_archive(path).spec == open_archive(CNN).spec


@pytest.mark.skipif(shutil.which("zip") is None, reason="Info-ZIP is not installed")
def test_what_info_zip_writes_to_a_pipe_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(CNN) as archive:
        archive.extractall(tmp_path)
    path = tmp_path / "model.keras"
    names = ["metadata.json", "config.json", WEIGHTS.decode()]
    with path.open("wb") as file:
        whole = subprocess.run(["zip", "-q", "-", *names], cwd=tmp_path, check=True, stdout=subprocess.PIPE)
        file.write(whole.stdout)
    check_as_zipfile_reads_it(path)
    assert open_archive(path).spec == open_archive(CNN).spec


@pytest.mark.parametrize("path", sorted(OLD.rglob("*.keras")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_file_that_keras_has_written_is_read(path: Path) -> None:
    check_as_zipfile_reads_it(path)


@pytest.mark.parametrize("form", ["<4s3I", "<3I", "<4sI2Q", "<I2Q"])
def test_the_four_forms_of_what_follows_the_data_are_told_apart(form: str, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(raw_zip([replace(part, descriptor=form) for part in parts_of(CNN)]))
    check_as_zipfile_reads_it(path)


def test_data_may_be_aligned_by_extra_fields(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    padding = struct.pack("<2H", 0xD935, 6) + bytes(6) + b"\0\0\0"
    path.write_bytes(raw_zip([replace(part, local={"extra": padding}) for part in parts_of(CNN)]))
    check_as_zipfile_reads_it(path)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        open_archive(path)
    (problem,) = caught.value.problems
    assert problem.hint
    assert "\n" not in problem.message
    return problem.message


def zip64(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values)


def unicode_path(name: bytes) -> bytes:
    return struct.pack("<2HBI", 0x7075, 5 + len(name), 1, 0) + name


Change = Callable[[Part], Part]

LIES: dict[str, tuple[str, Change]] = {
    "another name": ("in two ways", lambda part: replace(part, local={"name": b"model.weights.h6"})),
    "a longer name": ("in two ways", lambda part: replace(part, local={"name": WEIGHTS + b"5"})),
    "another method": ("in two ways", lambda part: replace(part, local={"method": 8})),
    "an encrypted header": ("in two ways", lambda part: replace(part, local={"flags": 1})),
    "another checksum": ("two checksums", lambda part: replace(part, local={"crc32": 1})),
    "no checksum": ("two checksums", lambda part: replace(part, local={"crc32": 0})),
    "another size": ("two sizes", lambda part: replace(part, local={"content": 7})),
    "another stored size": ("two sizes", lambda part: replace(part, local={"stored": 7})),
    "a larger size": ("overlaps", lambda part: _sized(part, 1)),
    "a smaller size": ("belong to nothing", lambda part: _sized(part, -1)),
    "two sizes at once": ("two sizes", lambda part: replace(part, central={"content": 1}, local={"content": 1})),
    "a large size in small": ("two sizes", lambda part: replace(part, local={"content": 2**32 - 1})),
    "no large size": ("does not say how large", lambda part: replace(part, central={"content": 2**32 - 1})),
    "a broken extra field": ("not whole", lambda part: replace(part, central={"extra": b"\1\0\xff\xff"})),
    "an odd large size": ("not whole", lambda part: replace(part, local={"extra": b"\1\0\3\0abc"})),
    "two large sizes": ("not whole", lambda part: replace(part, central={"extra": zip64(1) + zip64(2)})),
    "a second name": ("two names", lambda part: replace(part, central={"extra": unicode_path(b"other.json")})),
    "a second local name": ("two names", lambda part: replace(part, local={"extra": unicode_path(b"x")})),
    "encrypted": ("is encrypted", lambda part: replace(part, flags=1)),
    "bzip2": ("bzip2", lambda part: replace(part, method=12)),
    "LZMA": ("LZMA", lambda part: replace(part, method=14)),
    "an unheard-of method": ("number 77", lambda part: replace(part, method=77)),
    "bytes before it": ("belong to nothing", lambda part: replace(part, before=b"hidden")),
    "bytes after it": ("belong to nothing", lambda part: replace(part, after=b"hidden")),
    "bytes after its descriptor": (
        "belong to nothing",
        lambda part: replace(part, descriptor="<4s3I", after=b"hidden"),
    ),
    "twelve bytes, as a descriptor has": (
        "two checksums or sizes",
        lambda part: replace(part, flags=8, after=b"hidden bytes"),
    ),
    "another place": ("overlaps", lambda part: replace(part, header=11)),
    "a place beyond the end": ("belong to nothing", lambda part: replace(part, header=2**31)),
    "a NUL in its name": ("is not one", lambda part: replace(part, name=WEIGHTS + b"\0.txt")),
    "no name": ("is not one", lambda part: replace(part, name=b"")),
    "a name that is not text": ("is not text", lambda part: replace(part, name=b"\xff\xfe", flags=0x800)),
    "a name without end": ("65,000 characters", lambda part: replace(part, name=b"x" * 65_000)),
}


def _sized(part: Part, by: int) -> Part:
    size = {"stored": len(part.data) + by, "content": len(part.data) + by}
    return replace(part, local=size, central=size)


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("where", [1, 2])
def test_headers_that_contradict_each_other_are_refused(lie: str, where: int, tmp_path: Path) -> None:
    said, change = LIES[lie]
    parts = parts_of(CNN)
    assert parts[2].name == WEIGHTS
    parts[where] = change(parts[where])
    path = tmp_path / "model.keras"
    path.write_bytes(raw_zip(parts))
    assert said in refusal(path)


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    parts = parts_of(CNN)
    for name in (WEIGHTS, b"config.json", b"notes.txt"):
        path.write_bytes(raw_zip([*parts, Part(b"notes.txt", b"1"), Part(name, b"2")]))
        assert f"more than one member {name.decode()}" in refusal(path)


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    parts = parts_of(CNN)
    path.write_bytes(raw_zip([*parts, replace(parts[0], name=b"other.json", header=0)]))
    assert "overlaps" in refusal(path)
    inner = raw_zip([Part(b"inner.txt", b"hello")])
    outer = Part(b"outer.zip", inner)
    path.write_bytes(raw_zip([outer, *parts, Part(b"inner.txt", b"hello", header=30 + len(outer.name))]))
    assert "overlaps" in refusal(path)


def test_what_no_member_and_no_directory_explains_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    parts = parts_of(CNN)
    whole = raw_zip(parts)
    path.write_bytes(raw_zip(parts, gap=b"hidden"))
    assert "belong to nothing" in refusal(path)
    path.write_bytes(raw_zip(parts, tail=b"hidden"))
    assert "not at its end" in refusal(path)
    path.write_bytes(raw_zip(parts, comment=b"a comment that may be there"))
    open_archive(path)
    path.write_bytes(whole + whole)  # two models: which one a reader finds depends on the reader
    assert "beyond its end" in refusal(path) or "damaged" in refusal(path)
    path.write_bytes(raw_zip([replace(parts[0], before=b"PK\x03\x04"), *parts[1:]]))
    assert "belong to nothing" in refusal(path)
    for count in (0, 2, 4):
        path.write_bytes(raw_zip(parts, count=count))
        assert "directory" in refusal(path) or "belong to nothing" in refusal(path)
    decoy = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0, 0, 0, 0, 0)
    path.write_bytes(raw_zip(parts, comment=decoy))
    assert "damaged" in refusal(path)


def test_a_file_in_several_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    data = bytearray(raw_zip(parts_of(CNN)))
    data[-18:-16] = b"\1\0"
    path.write_bytes(data)
    assert "one part of several" in refusal(path)


def test_a_large_directory_that_contradicts_the_small_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    whole = raw_zip(parts_of(CNN))
    count, size, start = struct.unpack_from("<H2I", whole, len(whole) - 12)

    def large(*, count: int, size: int, start: int, place: int = 0, rest: int = 44) -> bytes:
        record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", rest, 45, 45, 0, 0, count, count, size, start)
        locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(whole) - 22 + place, 1)
        return whole[:-22] + record + locator + whole[-22:]

    path.write_bytes(large(count=count, size=size, start=start))
    check_as_zipfile_reads_it(path)
    for wrong in (
        {"count": count - 1},
        {"size": size - 1},
        {"start": 0},
        {"start": 2**63},
        {"place": 1},
        {"place": 2**40},
        {"rest": 43},
    ):
        path.write_bytes(large(**{"count": count, "size": size, "start": start, **wrong}))
        assert "director" in refusal(path)


def test_more_members_than_any_model_has_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    many = [Part(b"%d" % number, b"") for number in range(Limits().zip_members)]
    path.write_bytes(raw_zip([*parts_of(CNN), *many]))
    assert "10,003 members" in refusal(path)
    path.write_bytes(raw_zip([*parts_of(CNN), *many[:-3]]))
    open_archive(path)
    path.write_bytes(raw_zip([*parts_of(CNN), *(Part(b"%4000d" % number, b"") for number in range(9_000))]))
    assert "zip_directory_bytes" in refusal(path)
    path.write_bytes(raw_zip([*parts_of(CNN), Part(b"x" * Limits().path_characters, b"")]))
    open_archive(path)


def test_members_that_grow_without_measure_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"

    def claiming(name: bytes, size: int) -> Part:
        return Part(name, b"0" * 100, method=8, central={"content": size}, local={"content": size})

    for name in (b"notes.txt", WEIGHTS):
        others = [part for part in parts_of(CNN) if part.name != name]
        path.write_bytes(raw_zip([*others, claiming(name, 2**28 + 1)]))
        assert f"{name.decode()} in" in refusal(path)
        assert "would grow" in refusal(path)
    path.write_bytes(raw_zip([*parts_of(CNN), claiming(b"a", 2**27 + 1), claiming(b"b", 2**27 + 1)]))
    assert "all members" in refusal(path)
    path.write_bytes(raw_zip([*parts_of(CNN), claiming(b"a", 2**27 + 1)]))
    open_archive(path)


@pytest.mark.parametrize("name", [b"config.json", WEIGHTS])
def test_deflated_data_that_are_not_what_they_claim_are_refused(name: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    (at,) = (number for number, part in enumerate(parts_of(CNN)) if part.name == name)

    def write(change: Change) -> str:
        parts = parts_of(CNN)
        parts[at] = change(replace(parts[at], method=8))
        path.write_bytes(raw_zip(parts))
        return refusal(path)

    def sized(part: Part, by: int) -> Part:
        return replace(part, central={"content": len(part.data) + by}, local={"content": len(part.data) + by})

    def claimed(part: Part, stored: bytes) -> Part:
        facts = {"method": 8, "content": len(part.data), "crc32": zlib.crc32(part.data)}
        return replace(part, data=stored, method=0, central=facts, local=facts)

    def deflated(part: Part) -> bytes:
        deflate = zlib.compressobj(wbits=-15)
        return deflate.compress(part.data) + deflate.flush()

    assert "larger than it says" in write(lambda part: sized(part, -1))
    assert "smaller than it says" in write(lambda part: sized(part, 1))
    wrong = {"crc32": 1}
    assert "checksum" in write(lambda part: replace(part, central=wrong, local=wrong))
    assert "ends too early" in write(lambda part: claimed(part, deflated(part)[:-5]))
    assert "belong to nothing" in write(lambda part: claimed(part, deflated(part) + b"hidden"))
    assert "belong to nothing" in write(lambda part: claimed(part, deflated(part) + bytes(3 << 20)))
    assert "cannot be read" in write(lambda part: claimed(part, b"\xff" * 100))


def test_any_change_of_a_header_is_refused_or_read_as_zipfile_reads_it(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    path = tmp_path / "model.keras"
    outcomes = {"read": 0, "refused": 0}
    for form in ("", "<4s3I", "<I2Q"):
        parts = [replace(part, descriptor=form) for part in parts_of(CNN)]
        whole = raw_zip(parts)
        with zipfile.ZipFile(CNN) as archive:
            data = archive.read(WEIGHTS.decode())
        weights = whole.index(data)
        outside = [*range(200), *range(weights - 60, weights), *range(weights + len(data), len(whole))]
        for _ in range(60):
            changed = bytearray(whole)
            for at in random.choice(outside, random.integers(1, 4), replace=False):
                changed[at] = random.choice([0, 1, 8, 0x7F, 0xFF, int(random.integers(256))])
            path.write_bytes(changed)
            try:
                archive_read = open_archive(path)
            except ModelError:
                outcomes["refused"] += 1
            else:
                assert isinstance(archive_read, Archive)
                check_as_zipfile_reads_it(path)
                outcomes["read"] += 1
    assert min(outcomes.values()) > 5, outcomes
