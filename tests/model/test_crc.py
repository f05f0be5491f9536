"""The CRC-32 of a range, and the patched one of changed bytes, are zlib's."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutspec.model.files.crc import crc32_of_range, patched_crc32


@st.composite
def edits(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Some bytes, and disjoint ranges of them with what they become, in any order."""
    data = draw(st.binary(min_size=1, max_size=400) | st.builds(lambda n: bytes(n), st.integers(1, 70_000)))
    ends = sorted(draw(st.lists(st.integers(0, len(data)), min_size=2, max_size=8, unique=True)))
    ranges = list(zip(ends[::2], ends[1::2], strict=False))
    changes = [
        (start, draw(st.binary(min_size=stop - start, max_size=stop - start)))
        for start, stop in ranges
        if stop - start < 500
    ]
    return data, draw(st.permutations(changes))


@given(edits(), st.integers(0, 2**32 - 1))
def test_random_edits(edit: tuple[bytes, list[tuple[int, bytes]]], damage: int) -> None:
    old, changes = edit
    new = bytearray(old)
    deltas = []
    for start, data in changes:
        end = start + len(data)
        deltas.append((end, zlib.crc32(old[start:end]) ^ zlib.crc32(data)))
        new[start:end] = data
    assert patched_crc32(zlib.crc32(old), len(old), deltas) == zlib.crc32(new)
    # A checksum that was wrong stays wrong by as much.
    assert patched_crc32(zlib.crc32(old) ^ damage, len(old), deltas) == zlib.crc32(new) ^ damage


def test_gigabytes_take_no_time() -> None:
    size = 5 << 30
    assert patched_crc32(0xDEADBEEF, size, []) == 0xDEADBEEF
    once = patched_crc32(0, size, [(4096, 0x12345678)])
    assert patched_crc32(once, size, [(4096, 0x12345678)]) == 0


@given(st.integers(0, 20 << 20), st.integers(0, 20 << 20), st.integers(1, 5))
@settings(max_examples=30)
def test_the_checksum_of_a_range_is_zlibs_for_any_number_of_threads(
    range_file: tuple[Path, bytes], start: int, stop: int, threads: int
) -> None:
    path, data = range_file
    start, stop = min(start, stop), max(start, stop)
    with path.open("rb") as file:
        assert crc32_of_range(file.fileno(), start, stop - start, threads) == zlib.crc32(data[start:stop])


def test_a_range_beyond_the_end_is_an_error(range_file: tuple[Path, bytes]) -> None:
    path, data = range_file
    with path.open("rb") as file, pytest.raises(OSError, match="became shorter"):
        crc32_of_range(file.fileno(), len(data) - 10, 11, 2)


@pytest.fixture(scope="module")
def range_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    data = np.random.default_rng(0).bytes(20 << 20)
    path = tmp_path_factory.mktemp("crc") / "data"
    path.write_bytes(data)
    return path, data
