"""The measures of weights that tests set bounds to. Weights are read in blocks, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mutspec.access.read import Reader, reader_of
from mutspec.graph.primitives import CHUNK
from mutspec.model.files.archive import Archive

NO_DIFFERENCE: dict[str, float] = {
    "changed": 0,
    "l2": 0.0,
    "relative_l2": 0.0,
    "max_abs": 0.0,
    "mean": 0.0,
    "std": 0.0,
    "cosine": 1.0,
    "non_finite": 0,
}
"""The measures of the difference of two equal weights."""

MOST_AT_ONCE = 1 << 22
"""The most different values that are kept at once to count them; more are counted in several passes."""


@dataclass(frozen=True)
class Values:
    """What is measured of the values of a weight: see `ValuesExpected`. `distinct` is None if it was not counted."""

    zeros: int
    min: float
    max: float
    mean: float
    distinct: int | None


def values_of(model: Archive, path: str, *, counts_distinct: bool = True) -> Values:
    """Returns the measures of a weight's values.

    Arguments:
        model: the model file.
        path: the weight's path.
        counts_distinct: whether to count different values, too, for which a large weight is read several times.

    Raises:
        ModelError: they cannot be read.
    """
    size = model.spec.tensor_by_path[path].size
    zeros, total = 0, 0.0
    low, high = (np.inf, -np.inf) if size else (np.nan, np.nan)
    with reader_of(model) as reader, np.errstate(invalid="ignore"):
        for block in blocks(reader, path, size):
            wide = block.astype(np.float64)
            zeros += int(block.size - np.count_nonzero(block))
            low, high = np.minimum(low, wide.min()), np.maximum(high, wide.max())  # unlike min(), they keep a NaN
            total += float(wide.sum())
        distinct = _distinct(reader, path, size) if counts_distinct else None
    return Values(zeros, float(low), float(high), total / size if size else np.nan, distinct)


def blocks(reader: Reader, path: str, size: int) -> Iterator[NDArray[Any]]:
    """Yields the entries of a weight, as they are stored, in blocks."""
    for start in range(0, size, CHUNK):
        yield np.asarray(reader.read(path, start, min(start + CHUNK, size)))


def _distinct(reader: Reader, path: str, size: int) -> int:
    """Returns how many different values there are. Zeros of both signs count as one value, and so do all NaN."""
    count = _distinct_in_part(reader, path, size, 0, 0)
    if count is not None:
        return count
    bits = (size // MOST_AT_ONCE).bit_length()
    return sum(_distinct_in_part(reader, path, size, part, bits) or 0 for part in range(1 << bits))


def _distinct_in_part(reader: Reader, path: str, size: int, part: int, bits: int) -> int | None:
    """Returns how many different values there are in a part of all that there can be.

    Arguments:
        reader: the reader of the model.
        path: the weight's path.
        size: its entries.
        part: the number of the part.
        bits: the bits of that number. Without any, the part is all values; None is returned if they are too many.
    """
    found: list[NDArray[Any]] = []
    kept, limit = 0, MOST_AT_ONCE
    for block in blocks(reader, path, size):
        keys = _keys(block)
        found.append(_once_each(keys[_parts_of(keys, bits) == part] if bits else keys))
        kept += found[-1].size
        if kept > limit:
            found = [_once_each(np.concatenate(found))]
            kept = found[0].size
            if not bits and kept > MOST_AT_ONCE // 2:
                return None
            limit = max(MOST_AT_ONCE, 2 * kept)
    return _once_each(np.concatenate(found)).size if found else 0


def _once_each(keys: NDArray[Any]) -> NDArray[Any]:
    """Returns each key once. Sorting is many times faster than `numpy.unique`, which has a table of millions."""
    ordered = np.sort(keys)
    is_new = np.ones(ordered.size, bool)
    is_new[1:] = ordered[1:] != ordered[:-1]
    return ordered[is_new]


def _keys(values: NDArray[Any]) -> NDArray[Any]:
    """Returns an unsigned integer for each value, the same for equal ones."""
    if values.dtype.kind not in "biu":
        values = (values if values.dtype.kind == "f" else values.astype(np.float64)) + 0  # which makes -0 to 0
        values[np.isnan(values)] = np.nan
    return values.view(f"u{values.dtype.itemsize}")


def _parts_of(keys: NDArray[Any], bits: int) -> NDArray[Any]:
    """Returns the number of the part of each key: the first bits of a product, which depend on all bits of the key."""
    factor = keys.dtype.type(0x9E3779B97F4A7C15 >> (64 - 8 * keys.itemsize))
    parts: NDArray[Any] = keys * factor >> keys.dtype.type(8 * keys.itemsize - bits)
    return parts
