"""Laying out what Keras 3 writes: `.keras` and `.weights.h5` files, the same bytes as Keras's but for the values."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from zipfile import ZIP_STORED, ZipFile

from mutspec.model.files.archive import WEIGHTS, Extent, Member
from mutspec.model.files.assets import read_asset
from mutspec.model.files.hdf5_layout import NewDataset, NewGroup, write_layout
from mutspec.model.files.keras_zip import numbered, zip_member
from mutspec.model.files.new_model import LaidOut, NewModel, others_of, places_of, vars_of
from mutspec.model.files.sink import Sink
from mutspec.model.files.zip_directory import read_directory
from mutspec.model.stored import natural

_ZIP64_FROM = (1 << 31) - (64 << 20)
"""The bytes of weights from which a member's sizes are stated with 64 bits. HDF5's own bytes come in addition."""


def lay_out_weights_h5(model: NewModel, descriptor: int) -> LaidOut:
    """Lays a model out as a `.weights.h5` file.

    Arguments:
        model: the model.
        descriptor: the empty file, open for reading and writing.

    Raises:
        OSError: it cannot be written.
    """
    sink = Sink(descriptor)
    with sink.judging():
        extents = write_layout(sink, 0, _groups(model))
    size = os.fstat(descriptor).st_size
    return LaidOut(extents, places_of(model, extents), tuple(others_of(model, extents)), 0, size, None, size)


def lay_out_keras(model: NewModel, descriptor: int) -> LaidOut:
    """Lays a model out as a `.keras` file. The CRC-32 that it states of the weights is 0 until they are there.

    Arguments and errors are those of `lay_out_weights_h5`.
    """
    sink = Sink(descriptor)
    metadata = {"keras_version": model.keras_version, "date_saved": model.date_saved}
    with sink.judging(), ZipFile(sink, "w", ZIP_STORED) as target:
        target.writestr(zip_member("metadata.json"), json.dumps(metadata))
        target.writestr(zip_member("config.json"), json.dumps(numbered(model.config)))
        extents = _lay_out_member(target, sink, descriptor, model)
        for name, source in model.assets.items():
            with target.open(zip_member(name), "w", force_zip64=True) as file:
                for block in read_asset(model.base, source):
                    file.write(block)
                    sink.check()
    with os.fdopen(os.dup(descriptor), "rb") as file:
        member: Member = read_directory(file, WEIGHTS)[WEIGHTS]
    places, others = places_of(model, extents), tuple(others_of(model, extents))
    return LaidOut(extents, places, others, member.offset, member.bytes, member, os.fstat(descriptor).st_size)


def _lay_out_member(target: ZipFile, sink: Sink, descriptor: int, model: NewModel) -> dict[str, Extent]:
    """Lays out the weights in a zip. `ZipFile` itself can write a member only together with its values."""
    info = zip_member(WEIGHTS)
    values = sum(dataset.bytes for group in _groups(model) for dataset in group.datasets)
    is_large = values >= _ZIP64_FROM
    info.header_offset, info.CRC = sink.tell(), 0
    sink.write(info.FileHeader(is_large))
    weights = Sink(descriptor, sink.tell())
    with weights.judging():
        extents = write_layout(weights, sink.tell(), _groups(model))
    info.file_size = info.compress_size = weights.size
    sink.seek(info.header_offset)
    sink.write(info.FileHeader(is_large))
    target.start_dir = sink.seek(weights.size, os.SEEK_CUR)
    target.filelist.append(info)
    target.NameToInfo[info.filename] = info
    return dict(extents)


def _groups(model: NewModel) -> Iterator[NewGroup]:
    for group in model.groups:
        held = {key: NewDataset(key, each.shape, each.dtype) for key, each in group.tensors.items()}
        sources = ((key, model.base.stored[at]) for key, at in group.others.items())
        held |= {key: NewDataset(key, each.shape, each.dtype) for key, each in sources}
        datasets = tuple(held[key] for key in sorted(held, key=natural))
        yield NewGroup(vars_of(group.path), {"name": group.name} if group.name else {}, datasets)
    for state in model.state:
        datasets = tuple(NewDataset(str(key), each.shape, each.dtype) for key, each in enumerate(state.values))
        yield NewGroup(vars_of(state.path), {"name": state.name}, datasets)
