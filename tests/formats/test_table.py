"""A format is a row of the table: one that is added there is read, converted, edited and checked as all others are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import mutspec
from mutspec.execute.files import apply
from mutspec.execute.output_kind import kind_of_name
from mutspec.model.files import formats
from mutspec.model.files.archive import Archive, Extent, ExtentReader
from mutspec.model.files.arrays import blocks
from mutspec.model.files.formats import Format, Writer
from mutspec.model.files.found import Found
from mutspec.model.files.named_weights import matched
from mutspec.model.files.opening import open_archive
from mutspec.model.files.sink import write_at
from tests.execute.model_files import CNN

SHIFT = mutspec.plan({"seed": 3, "steps": [{"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.5}]})


def read(found: Found, architecture: Path | None) -> Archive:
    """Reads a made-up format: a line of JSON that begins with DUMP, and the bytes of each weight after it."""
    with found.path.open("rb") as file:
        line = file.readline()
    extents, end = {}, len(line)
    for name, (dtype, shape, size) in json.loads(line[4:]).items():
        extents[name] = Extent(name, tuple(shape), dtype, False, end, size)
        end += size
    weights = matched(extents, None, found.path)
    return Archive(found.path, "", weights.spec, weights.extents, None)


def write(archive: Archive, reader: ExtentReader, descriptor: int) -> Archive:
    header = {path: (each.dtype, each.shape, each.bytes) for path, each in archive.extents.items()}
    line = b"DUMP" + json.dumps(header).encode() + b"\n"
    write_at(descriptor, line, 0)
    extents, end = {}, len(line)
    for path, extent in archive.extents.items():
        extents[path] = replace(extent, offset=end, is_big_endian=False)
        for start, values in blocks(extent, reader):
            write_at(descriptor, values.tobytes(), end + start * values.itemsize)
        end += extent.bytes
    return replace(archive, extents=extents, copies={}, member=None)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A row more in the table, for the length of a test; and the outputs that its check is called with."""
    checked: list[Path] = []
    row = Format(
        kind=".dump",  # type: ignore[arg-type]
        title="a .dump file",
        suffixes=(".dump",),
        fits=lambda found: found.head.startswith(b"DUMP"),
        read=read,
        writer=Writer(check=checked.append, convert=write, takes=lambda _: True),
    )
    monkeypatch.setitem(formats.FORMATS, ".dump", row)  # type: ignore[arg-type]
    return checked


def test_a_format_that_is_added_to_the_table_is_read_written_edited_and_checked(
    checked: list[Path], tmp_path: Path
) -> None:
    expected, once, twice = tmp_path / "expected.keras", tmp_path / "once.dump", tmp_path / "twice.dump"
    apply(SHIFT, CNN, expected)
    apply(SHIFT, CNN, once)
    assert len(checked) == 1
    assert open_archive(once).kind == ".dump"
    assert mutspec.diff(expected, once, architecture=CNN).identical
    apply(SHIFT, once, twice)
    apply(SHIFT, expected, tmp_path / "again.keras")
    assert mutspec.diff(tmp_path / "again.keras", twice, architecture=CNN).identical


def test_the_names_that_an_output_may_have_follow_from_the_table(checked: list[Path]) -> None:
    with pytest.raises(mutspec.CallError, match="which kind of model file") as caught:
        kind_of_name(Path("out.bin"))
    assert caught.value.problems[0].hint == "end it with .keras, .h5, .weights.h5, .safetensors or .dump"
