"""Reading and writing safetensors: a JSON object that says where each tensor lies, and the bytes of all of them.

The format is small and public (huggingface/safetensors, `README.md`). First comes the length of the header, as 8
little-endian bytes. The header follows, and then the values, little-endian and without gaps.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from mutspec.errors import ModelError
from mutspec.model.config import parse_json
from mutspec.model.files.archive import Archive, Extent, ExtentReader
from mutspec.model.files.named_weights import matched
from mutspec.model.files.sink import write_at
from mutspec.model.files.weights_file import read_config
from mutspec.model.limits import current_limits

LENGTH_BYTES = 8
"""The bytes that hold the length of the header."""
PATCH = "mutspec_patch"
"""The key in a file's metadata by which a patch is known. It holds the version of the patch's format."""
_METADATA = "__metadata__"
_DTYPES: Mapping[str, tuple[str, int]] = {
    "BOOL": ("bool", 1),
    "U8": ("uint8", 1),
    "I8": ("int8", 1),
    "F8_E4M3": ("float8_e4m3fn", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "U16": ("uint16", 2),
    "I16": ("int16", 2),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "U32": ("uint32", 4),
    "I32": ("int32", 4),
    "F32": ("float32", 4),
    "U64": ("uint64", 8),
    "I64": ("int64", 8),
    "F64": ("float64", 8),
    "C64": ("complex64", 8),
}
"""The format's dtypes: NumPy's name, and the bytes of an entry."""

_NAMES = {name: (short, size) for short, (name, size) in _DTYPES.items()}
_ALIGNED_TO = 8
_OURS: Mapping[str, str] = {"format": "mutspec"}
_AGAIN = "the file is damaged; copy or save it again"


def read_safetensors(path: Path, architecture: Path | None) -> Archive:
    """Reads a safetensors file.

    Arguments:
        path: the file.
        architecture: a file with the config of the model whose weights' paths are the names in it; None for a partial
            spec, with the names as they are.

    Raises:
        ModelError: it is damaged, or above a limit; or its names are not those of the architecture.
    """
    size = path.stat().st_size
    limits = current_limits()
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        limits.check("config_bytes", length, f"the header of {path}")
        if LENGTH_BYTES + length > size:
            raise ModelError(f"the header of {path} reaches beyond its end", hint=_AGAIN)
        header = parse_json(file.read(length), f"the header of {path}")
    metadata = header.get(_METADATA)
    if isinstance(metadata, Mapping) and PATCH in metadata:
        raise ModelError(
            f"{path} is a patch, not a model", hint=f"apply it to a model: mutspec patch MODEL {path} -o OUT"
        )
    names = [name for name in header if name != _METADATA]
    limits.check("hdf5_objects", len(names), f"tensors in {path}")
    if not names:
        raise ModelError(f"{path} holds no weights", hint="save it again")
    start = LENGTH_BYTES + length
    extents = {name: _extent(name, header[name], start, path) for name in names}
    _check_places(extents, start, size, path)
    config = None if architecture is None else read_config(architecture)
    found = matched(extents, config, path)
    return Archive(
        path=path,
        keras_version="",
        spec=found.spec,
        extents=found.extents,
        member=None,
        config=config or {},
        stored=found.stored,
        names=found.names,
    )


def write_safetensors(archive: Archive, reader: ExtentReader, descriptor: int) -> Archive:
    """Writes every weight under its canonical path.

    Arguments:
        archive: the model.
        reader: reads what is stored.
        descriptor: the empty file, open for writing.

    Returns:
        The model, as it lies there.

    Raises:
        OSError: it cannot be written.
        ModelError: the base is damaged, or the format has no such dtype.
    """
    from mutspec.model.files.arrays import blocks  # reading needs no NumPy

    shapes = {path: (extent.dtype, extent.shape) for path, extent in archive.extents.items()}
    header, offsets = header_of(shapes, archive.path)
    write_at(descriptor, header, 0)
    extents = {}
    for path, extent in archive.extents.items():
        offset = len(header) + offsets[path]
        for start, values in blocks(extent, reader):
            write_at(descriptor, values.tobytes(), offset + start * values.itemsize)
        extents[path] = Extent(path, extent.shape, extent.dtype, False, offset, extent.bytes)
    return replace(archive, extents=extents, copies={}, member=None)


def header_of(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]], path: Path, metadata: Mapping[str, str] = _OURS
) -> tuple[bytes, Mapping[str, int]]:
    """Returns the beginning of a safetensors file.

    Arguments:
        tensors: dtype and shape of each tensor, by name.
        path: the model's file, for errors.
        metadata: what the file states in addition.

    Returns:
        All bytes before the values, and the offset after them at which each tensor begins. Tensors with the widest
        entries come first, so that every entry lies at a multiple of its size.

    Raises:
        ModelError: the format has no such dtype.
    """
    unknown = next((dtype for dtype, _ in tensors.values() if dtype not in _NAMES), None)
    if unknown is not None:
        raise ModelError(f"{path} has weights of dtype {unknown}, which safetensors do not have", hint="save as .keras")
    header: dict[str, Any] = {_METADATA: dict(metadata)}
    offsets: dict[str, int] = {}
    places: dict[str, Any] = {}
    end = 0
    for name, (dtype, shape) in sorted(tensors.items(), key=lambda item: -_NAMES[item[1][0]][1]):
        short, size = _NAMES[dtype]
        offsets[name], end = end, end + prod(shape) * size
        places[name] = {"dtype": short, "shape": list(shape), "data_offsets": [offsets[name], end]}
    header |= {name: places[name] for name in tensors}  # their order in the header is that of the model
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + LENGTH_BYTES) % _ALIGNED_TO)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text, offsets


def _extent(name: str, facts: Any, start: int, path: Path) -> Extent:
    """Returns the extent of a tensor, as the header states it."""
    limits = current_limits()
    limits.check("path_characters", len(name), f"the name of a tensor in {path}")
    for part in name.split("/"):
        limits.check("name_characters", len(part), f"the name `{part[:20]}…` in {path}")
    facts = facts if isinstance(facts, Mapping) else {}
    dtype, shape, offsets = (facts.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not name or not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        raise ModelError(f"the header of {path} does not say where {name[:80]!r} lies", hint=_AGAIN)
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ModelError(f"{name[:80]!r} in {path} has the dtype {str(dtype)[:20]}, which mutspec does not know")
    known, entry = _DTYPES[dtype]
    begin, end = offsets
    if end - begin != prod(shape) * entry:
        raise ModelError(f"{name[:80]!r} in {path} has another size than its shape says", hint=_AGAIN)
    return Extent(name, tuple(shape), known, False, start + begin, end - begin)


def _are_counts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 64 and all(type(each) is int and each >= 0 for each in value)


def _check_places(extents: Mapping[str, Extent], start: int, size: int, path: Path) -> None:
    """Refuses tensors that overlap, leave gaps, or reach beyond the file, so that no bytes hide between them."""
    end = start
    for extent in sorted(extents.values(), key=lambda each: (each.offset or 0, each.bytes)):
        if extent.offset != end:
            what = "shares its bytes with another tensor" if (extent.offset or 0) < end else "comes after a gap"
            raise ModelError(f"{extent.dataset[:80]!r} in {path} {what}", hint=_AGAIN)
        end += extent.bytes
    if end != size:
        what = "reaches beyond the end" if end > size else "has bytes that belong to nothing"
        raise ModelError(f"{path} {what}", hint="the file is truncated or damaged; copy it again")
