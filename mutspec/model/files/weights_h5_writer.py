"""Writing `.weights.h5` files without Keras: all that is stored as one HDF5 file, laid out as Keras 3 does."""

from __future__ import annotations

import os
from dataclasses import replace
from math import prod

import h5py
import numpy as np

from mutspec.interrupts import held_interrupts
from mutspec.model.files.archive import Archive, Extent, ExtentReader
from mutspec.model.files.arrays import BLOCK, blocks, numpy_dtype, write_range
from mutspec.model.files.hdf5 import stored_hdf5
from mutspec.model.files.sink import Sink
from mutspec.model.files.written import whole


def write_weights_h5(archive: Archive, reader: ExtentReader, descriptor: int) -> Archive:
    """Writes a model's weights as a `.weights.h5` file.

    Arguments:
        archive: the model, with the paths at which Keras 3 stores its weights.
        reader: reads what is stored.
        descriptor: the empty file, open for reading and writing.

    Returns:
        The model, as it lies there.

    Raises:
        OSError: it cannot be written.
        ModelError: the base is damaged.
    """
    sink = Sink(descriptor)
    with sink.judging(), held_interrupts() as is_interrupted, h5py.File(sink, "w") as file:
        for path, extent in archive.stored.items():
            if sink.error is not None or is_interrupted():
                break
            group = file.require_group(path.rpartition("/")[0])
            name = archive.names.get(path.rpartition("/")[0].removesuffix("vars").rstrip("/"))
            if name is not None:
                group.attrs["name"] = name
            _write_dataset(group, path.rpartition("/")[2], extent, reader)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        made = stored_hdf5(whole(file), 0, str(archive.path), attributes=False).extents
    stored_at = {extent: path for path, extent in archive.stored.items()}
    return replace(
        archive,
        extents={path: made[stored_at[extent]] for path, extent in archive.extents.items()},
        copies={path: tuple(made[stored_at[extent]] for extent in extents) for path, extents in archive.copies.items()},
    )


def _write_dataset(group: h5py.Group, name: str, extent: Extent, reader: ExtentReader) -> None:
    dtype, shape = numpy_dtype(extent.dtype), extent.shape
    is_opaque = extent.dtype == "bfloat16"  # HDF5 lacks this type: Keras stores two opaque bytes, and the name
    stored = np.dtype("V2") if is_opaque else dtype
    if prod(shape) * dtype.itemsize <= BLOCK:
        values = reader.read_extent(extent, 0, prod(shape)).reshape(shape)
        dataset = group.create_dataset(name, data=values.view(stored) if is_opaque else values)
    else:
        dataset = group.create_dataset(name, shape, stored)
        for start, values in blocks(extent, reader):
            write_range(dataset, shape, start, values)
    if is_opaque:
        dataset.attrs["dtype"] = extent.dtype
