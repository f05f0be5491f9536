"""Stored tensors as NumPy's arrays: dtypes by name, and ranges of entries cut into blocks."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from mutspec.errors import ModelError
from mutspec.model.files.archive import Extent, ExtentReader

BLOCK = 1 << 20
"""The number of bytes that are copied at once."""


def numpy_dtype(name: str) -> np.dtype[Any]:
    """Returns the dtype of that name, `bfloat16` and the eight-bit floats of `ml_dtypes` included.

    Raises:
        ModelError: the dtype is unknown, or its values are not numbers.
    """
    try:
        dtype = np.dtype(getattr(ml_dtypes, name, name))
    except TypeError:
        raise ModelError(f"dtype `{name}` is unknown") from None
    if dtype.kind not in "biufc" and not hasattr(ml_dtypes, name):
        raise ModelError(f"dtype `{name}` is not one of numbers")
    return dtype


def flat_range_as_slabs(shape: tuple[int, ...], start: int, stop: int) -> Iterator[tuple[int | slice, ...]]:
    """Yields at most 2·rank - 1 index tuples whose blocks, joined in C order, are the flat entries [start, stop)."""
    if start >= stop:
        return
    if not shape:
        yield ()
        return
    row = 1
    for extent in shape[1:]:
        row *= extent
    first, into_first = divmod(start, row)
    last, into_last = divmod(stop, row)
    if first == last:
        yield from ((first, *rest) for rest in flat_range_as_slabs(shape[1:], into_first, into_last))
        return
    if into_first:
        yield from ((first, *rest) for rest in flat_range_as_slabs(shape[1:], into_first, row))
        first += 1
    if first < last:
        yield (slice(first, last),)
    if into_last:
        yield from ((last, *rest) for rest in flat_range_as_slabs(shape[1:], 0, into_last))


def blocks(extent: Extent, reader: ExtentReader) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yields the entries of a stored tensor a block at a time, each with the flat index of its first."""
    size, at_once = prod(extent.shape), max(1, BLOCK // numpy_dtype(extent.dtype).itemsize)
    for start in range(0, size, at_once):
        yield start, reader.read_extent(extent, start, min(start + at_once, size))


def write_range(dataset: Any, shape: tuple[int, ...], start: int, values: NDArray[Any]) -> None:
    """Writes a flat range of the entries of an HDF5 dataset."""
    values = values.view(dataset.dtype) if dataset.dtype.kind == "V" else values
    done = 0
    for slab in flat_range_as_slabs(shape, start, start + len(values)):
        lengths = [part.stop - part.start for part in slab if isinstance(part, slice)]
        part_shape = (*lengths, *shape[len(slab) :])
        dataset[slab] = values[done : done + prod(part_shape)].reshape(part_shape)
        done += prod(part_shape)
