"""TensorFlow's checkpoints: an index that says where each tensor lies, and files with their bytes.

The index is a sorted table of LevelDB's kind, from names to messages (`tensor_bundle.proto`). TensorFlow is not needed
to read it. Values are plain ranges of bytes, as in the other formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from mutspec.errors import ModelError
from mutspec.model.files.archive import Extent, FilePart
from mutspec.model.files.hdf5 import check_extents
from mutspec.model.files.inner_files import inner_file, read_inner
from mutspec.model.files.stamp import stamp_of
from mutspec.model.files.wire import Field, fields, message, number, text, varint
from mutspec.model.limits import current_limits

_FOOTER_BYTES, _TRAILER_BYTES = 48, 5
_MOST_EXTENTS = 64
_STRING = 7
_DTYPES: Mapping[int, tuple[str, int]] = {
    1: ("float32", 4),
    2: ("float64", 8),
    3: ("int32", 4),
    4: ("uint8", 1),
    5: ("int16", 2),
    6: ("int8", 1),
    8: ("complex64", 8),
    9: ("int64", 8),
    10: ("bool", 1),
    14: ("bfloat16", 2),
    17: ("uint16", 2),
    18: ("complex128", 16),
    19: ("float16", 2),
    22: ("uint32", 4),
    23: ("uint64", 8),
    24: ("float8_e5m2", 1),
    25: ("float8_e4m3fn", 1),
}
"""TensorFlow's numbers of dtypes: NumPy's names, and the bytes of an entry. Texts and handles are not weights."""

GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_AGAIN = "the file is damaged; copy all files of the checkpoint again"


@dataclass(frozen=True)
class Bundle:
    """A checkpoint.

    Arguments:
        extents: where its tensors of numbers lie, by key; `part` counts its data files.
        checksums: what the index states of the values, by key.
        variables: the names that TensorFlow has for variables, by key. Not every key has one.
        parts: the data files, then the index.
    """

    extents: Mapping[str, Extent]
    checksums: Mapping[str, int]
    variables: Mapping[str, str]
    parts: tuple[FilePart, ...]


def read_bundle(index: Path) -> Bundle:
    """Reads a checkpoint without its values.

    Arguments:
        index: the file that ends in `.index`.

    Raises:
        ModelError: it is damaged, above a limit, or incomplete.
    """
    limits = current_limits()
    data = read_inner(index.parent, index.name, limits.checkpoint_index_bytes, str(index.parent))
    limits.check("checkpoint_index_bytes", len(data), str(index))
    try:
        entries = dict(_table(data))
        header = message(entries.pop(b"", b""))
        described = {key.decode("utf-8"): message(value) for key, value in entries.items()}
    except (ValueError, UnicodeError) as error:
        raise ModelError(f"{index} is not the index of a whole checkpoint ({error})", hint=_AGAIN) from None
    limits.check("hdf5_objects", len(described), f"tensors in {index}")
    shards = number(header.get(1)) or 1
    limits.check("shards", shards, str(index))
    prefix = index.name.removesuffix(".index")
    names = [f"{prefix}.data-{shard:05}-of-{shards:05}" for shard in range(shards)]
    files = [*(inner_file(index.parent, name, str(index)) for name in names), index]
    parts = tuple(FilePart(file, stamp_of(file)) for file in files)
    extents, checksums = {}, {}
    for key, entry in described.items():
        limits.check("path_characters", len(key), f"the key of a tensor in {index}")
        extent = _extent(key, entry, bool(number(header.get(2))), index)
        if extent is not None:
            extents[key] = extent
            checksums[key] = number(entry.get(6))
    for shard, part in enumerate(parts[:-1]):
        own = {key: extent for key, extent in extents.items() if extent.part == shard}
        check_extents(own, part.path.stat().st_size, str(part.path))
    if any(extent.part >= shards for extent in extents.values()):
        raise ModelError(f"{index} names a file that it does not have", hint=_AGAIN)
    return Bundle(extents, checksums, _variables(described.get(GRAPH), parts, index), parts)


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the entries of a sorted table.

    Raises:
        ValueError: it is damaged, or compressed.
    """
    if len(data) < _FOOTER_BYTES:
        raise ValueError("it is too short")
    footer = data[-_FOOTER_BYTES:]
    _, at = varint(footer, 0)
    _, at = varint(footer, at)
    offset, at = varint(footer, at)
    size, _ = varint(footer, at)
    seen = 0
    for _, handle in _block(data, offset, size):
        offset, at = varint(handle, 0)
        size, _ = varint(handle, at)
        seen += size + _TRAILER_BYTES
        if seen > len(data):
            raise ValueError("its blocks overlap")
        yield from _block(data, offset, size)


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields the entries of a block. Each key is stored without the beginning that it shares with the one before."""
    if offset + size + _TRAILER_BYTES > len(data) or size < 4:
        raise ValueError("a block reaches beyond the end")
    if data[offset + size]:
        raise ValueError("it is compressed")
    block = data[offset : offset + size]
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise ValueError("a block is too short")
    at, key, taken = 0, b"", 0
    while at < end:
        shared, at = varint(block, at)
        unshared, at = varint(block, at)
        length, at = varint(block, at)
        if shared > len(key) or at + unshared + length > end:
            raise ValueError("an entry reaches beyond its block")
        key = key[:shared] + block[at : at + unshared]
        taken += len(key)
        if taken > current_limits().hdf5_metadata_bytes:
            raise ValueError("its keys are too long")
        at += unshared + length
        yield key, block[at - length : at]


def _extent(key: str, entry: Mapping[int, Field], is_big_endian: bool, index: Path) -> Extent | None:
    """Returns the extent of a tensor; None if it does not hold numbers."""
    known = _DTYPES.get(number(entry.get(1)))
    if known is None:
        return None
    if 7 in entry:
        raise ModelError(
            f"{key[:80]!r} in {index} is one variable in several slices, which mutspec does not read",
            hint="load the checkpoint in TensorFlow, and save the model again",
        )
    dtype, size = known
    try:
        shape = entry.get(2, b"")
        dimensions = [] if isinstance(shape, int) else [part for field, part in fields(shape) if field == 2]
        extents = [number(message(part).get(1)) for part in dimensions if isinstance(part, bytes)]
    except ValueError as error:
        raise ModelError(f"{index} does not say the shape of {key[:80]!r} ({error})", hint=_AGAIN) from None
    stated = number(entry.get(5))
    if len(extents) > _MOST_EXTENTS or prod(extents) * size != stated:
        raise ModelError(f"{key[:80]!r} in {index} has another size than its shape says", hint=_AGAIN)
    return Extent(key, tuple(extents), dtype, is_big_endian, number(entry.get(4)), stated, number(entry.get(3)))


def _variables(entry: Mapping[int, Field] | None, parts: tuple[FilePart, ...], index: Path) -> Mapping[str, str]:
    """Returns the names of the variables by key, from the graph of objects in the checkpoint."""
    if entry is None or number(entry.get(1)) != _STRING:
        return {}
    size, shard = number(entry.get(5)), number(entry.get(3))
    what = f"the graph of objects in {index}"
    current_limits().check("checkpoint_index_bytes", size, what)
    if shard >= len(parts) - 1:
        raise ModelError(f"{index} names a file that it does not have", hint=_AGAIN)
    path, offset = parts[shard].path, number(entry.get(4))
    if offset + size > path.stat().st_size:
        raise ModelError(f"{what} reaches beyond the end of {path}", hint=_AGAIN)
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
    try:
        length, at = varint(data, 0)
        graph = data[at + 4 : at + 4 + length]  # a checksum stands between them
        found = {}
        for field, node in fields(graph):
            if field != 1 or not isinstance(node, bytes):
                continue
            for inner, attribute in fields(node):
                if inner == 2 and isinstance(attribute, bytes):
                    stated = message(attribute)
                    found[text(stated.get(3))] = re.sub(r":\d+$", "", text(stated.get(2)))
    except ValueError as error:
        raise ModelError(f"{what} is damaged ({error})", hint=_AGAIN) from None
    return {key: name for key, name in found.items() if name}
