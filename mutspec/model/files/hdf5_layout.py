"""Writing an HDF5 file without values: groups, their attributes, and datasets with room for their values.

The calls of HDF5 are those that Keras makes through h5py, in the same order and with the same properties, so that the
file becomes the same as one that Keras writes. Only the values are missing: they are plain ranges of bytes, and what
fills them need not know HDF5. h5py's own objects for groups and datasets would take most of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5fd, h5g, h5o, h5p, h5s, h5t

from mutspec.interrupts import held_interrupts
from mutspec.model.files.archive import Extent
from mutspec.model.files.arrays import numpy_dtype
from mutspec.model.files.sink import Sink

Attribute = Any
"""A text, bytes, or an array of NumPy."""


@dataclass(frozen=True, slots=True)
class NewDataset:
    """A dataset to make.

    Arguments:
        name: its name in its group; below a path of further groups, if it has slashes.
        shape: its shape.
        dtype: its dtype by NumPy's name, `bfloat16` included.
        is_named_first: whether it gets its name before its values, as by h5py's `create_dataset`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_named_first: bool = False

    @property
    def bytes(self) -> int:
        """The number of bytes of its values."""
        return prod(self.shape) * numpy_dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A group to make, with all groups on the way to it that do not exist.

    Arguments:
        path: its path.
        attributes: its attributes.
        datasets: the datasets in it.
    """

    path: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    datasets: tuple[NewDataset, ...] = ()


def write_layout(
    sink: Sink, base: int, groups: Iterable[NewGroup], attributes: Mapping[str, Attribute] | None = None
) -> Mapping[str, Extent]:
    """Writes an HDF5 file whose values are all zero, and returns where the values lie.

    Arguments:
        sink: the empty file. The owner looks whether a write failed.
        base: the offset of the HDF5 file in the file that it is a part of.
        groups: the groups, in the order in which they are made.
        attributes: the attributes of the file itself.

    Returns:
        The extents of the datasets, by path, in the order of their offsets.
    """
    extents: dict[str, Extent] = {}
    with held_interrupts() as is_interrupted, h5py.File(_created(sink)) as file:
        root = h5g.open(file.id, b"/")
        outermost = {"": root}
        _write_attributes(root, attributes or {})
        for group in groups:
            if sink.error is not None or is_interrupted():
                break
            identity = _made(outermost, group.path)
            _write_attributes(identity, group.attributes)
            for dataset in group.datasets:
                owner, _, name = dataset.name.rpartition("/")
                offset = _write_dataset(_required(identity, owner) if owner else identity, replace(dataset, name=name))
                path = f"{group.path}/{dataset.name}"
                place = None if offset is None else base + offset
                extents[path] = Extent(path, dataset.shape, dataset.dtype, False, place, dataset.bytes)
    return dict(sorted(extents.items(), key=lambda item: item[1].offset or 0))


def _links(encoding: int) -> h5p.PropLCID:
    properties = h5p.create(h5p.LINK_CREATE)
    properties.set_create_intermediate_group(True)
    properties.set_char_encoding(encoding)
    return properties


_ASCII, _UTF8 = _links(h5t.CSET_ASCII), _links(h5t.CSET_UTF8)
"""The properties of links that make the groups on the way. A group with a name in UTF-8 has another form."""


def _named(path: str) -> tuple[bytes, h5p.PropLCID]:
    return path.encode(), _ASCII if path.isascii() else _UTF8


def _created(sink: Sink) -> h5f.FileID:
    """Returns a new HDF5 file, with h5py's properties, except that it keeps no values in memory."""
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_libver_bounds(h5f.LIBVER_EARLIEST, h5f.LIBVER_LATEST)
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    access.set_sieve_buf_size(0)
    access.set_fileobj_driver(h5fd.fileobj_driver, sink)
    return h5f.create(repr(sink).encode(), h5f.ACC_TRUNC, fapl=access)


def _made(outermost: dict[str, h5g.GroupID], path: str) -> h5g.GroupID:
    """Makes a group, and before it the one that it is in. `outermost` has the groups of the file that exist."""
    owner, _, name = path.rpartition("/")
    parent = outermost.get(owner)
    if parent is None:
        at, links = _named(owner)
        parent = h5g.create(outermost[""], at, lcpl=links)
    at, links = _named(name)
    made = h5g.create(parent, at, lcpl=links)
    if not owner:
        outermost[name] = made
    return made


def _required(group: h5g.GroupID, path: str) -> h5g.GroupID:
    """Returns a group in another one. It makes it if there is none."""
    at, links = _named(path)
    return h5g.open(group, at) if at in group else h5g.create(group, at, lcpl=links)


_TEXTS: Mapping[type, Any] = {str: h5py.string_dtype(), bytes: h5py.string_dtype("ascii")}
"""The types of single texts, as h5py chooses them."""


def _write_attributes(identity: Any, attributes: Mapping[str, Attribute]) -> None:
    for name, value in attributes.items():
        array: Any = np.asarray(value, _TEXTS.get(type(value)))
        space = h5s.create_simple(array.shape) if array.shape else h5s.create(h5s.SCALAR)
        kind = h5t.py_create(array.dtype, logical=True)
        attribute = h5a.create(identity, name.encode(), kind, space)
        attribute.write(array, mtype=h5t.py_create(array.dtype))


def _write_dataset(group: h5g.GroupID, dataset: NewDataset) -> int | None:
    """Makes a dataset, and returns the offset at which its values lie; None if it has none."""
    is_opaque = dataset.dtype == "bfloat16"  # HDF5 lacks this type: Keras stores two opaque bytes, and the name
    dtype = np.dtype("V2") if is_opaque else numpy_dtype(dataset.dtype)
    space = h5s.create_simple(dataset.shape) if dataset.shape else h5s.create(h5s.SCALAR)
    properties = h5p.create(h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    at, links = _named(dataset.name)
    # Keras makes these two in different ways: by `create_dataset`, and by an assignment to an item of the group.
    is_named = is_opaque or dataset.is_named_first
    identity = h5d.create(group, at if is_named else None, h5t.py_create(dtype, logical=True), space, properties)
    if 0 not in dataset.shape:
        _reserve(identity, dataset.shape, dtype)
    if not is_named:
        h5o.link(identity, group, at, lcpl=links)
    elif is_opaque:
        _write_attributes(identity, {"dtype": dataset.dtype})
    offset: int | None = identity.get_offset()
    return offset


def _reserve(dataset: h5d.DatasetID, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Makes room for a dataset's values: HDF5 does that when the first one is written."""
    space = dataset.get_space()
    if shape:
        space.select_hyperslab((0,) * len(shape), (1,) * len(shape))
    dataset.write(h5s.create(h5s.SCALAR), space, np.zeros((), dtype))
