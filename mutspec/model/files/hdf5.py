"""Reading HDF5 without values: groups, their attributes, and where in the file the bytes of datasets lie. Needs h5py.

A forked child reads all of it, in one walk, and sends it back as a value: readers of model files never call h5py. The
reason is in `watched.py`: on a damaged file libhdf5 may crash, or never return.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import msgspec
import numpy as np

from mutspec.errors import ModelError, Problem
from mutspec.model.files.archive import Extent
from mutspec.model.files.seekable import Seekable
from mutspec.model.files.sink import hdf5_locking
from mutspec.model.files.watched import ChildFailed, ChildTooSlow, watched
from mutspec.model.limits import UNPACKED_BYTES, Limits, current_limits

Attribute = str | list[str]

_TEXTS = ("model_config", "training_config", "keras_version", "name")
_LISTS = ("layer_names", "weight_names")
"""The attributes that Keras's readers need. Long lists are split into `layer_names0`, `layer_names1`, …."""

_SKIPPED = b"optimizer_weights/"
"""The groups that training leaves in a whole-model file."""

_MOST_BYTES = 2**62


@dataclass(frozen=True)
class StoredHdf5:
    """The groups, attributes and extents of an HDF5 file, without values.

    Arguments:
        groups: the attributes of each group, by its path. The outermost group's path is empty. Attributes that
            readers do not need are left out.
        extents: the datasets by path.
    """

    groups: Mapping[str, Mapping[str, Attribute]]
    extents: Mapping[str, Extent]

    def attributes(self, path: str = "") -> Mapping[str, Attribute]:
        """The attributes of a group; none if there is no such group."""
        return self.groups.get(path, {})

    def text(self, name: str, path: str = "") -> str | None:
        """An attribute that is a text; None if there is none."""
        value = self.attributes(path).get(name)
        return value if isinstance(value, str) else None

    def texts(self, name: str, path: str = "") -> tuple[str, ...] | None:
        """An attribute that is a list of texts; None if there is none."""
        value = self.attributes(path).get(name)
        return tuple(value) if isinstance(value, list) else None

    def below(self, path: str) -> StoredHdf5:
        """Returns the content of a group, by paths relative to it."""
        start = f"{path}/"
        groups = {at.removeprefix(start): each for at, each in self.groups.items() if at.startswith(start)}
        extents = {at.removeprefix(start): each for at, each in self.extents.items() if at.startswith(start)}
        return StoredHdf5({"": self.attributes(path), **groups}, extents)


class FileWindow(Seekable):
    """A read-only view of a part of a file, read by position: cheap to seek in, and safe while others read the file.

    Arguments:
        file: an open file; it must stay open.
        offset: where the part begins.
        size: its length in bytes.
    """

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        super().__init__(size)
        self._descriptor = file.fileno()
        self._offset = offset

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self.size - self._position))
        data = os.pread(self._descriptor, wanted, self._offset + self._position)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def stored_hdf5(
    source: Path | FileWindow, base: int, shown: str, *, attributes: bool = True, training: bool = False
) -> StoredHdf5:
    """Returns the groups, attributes and extents of an HDF5 file, without values.

    Arguments:
        source: a path, or a part of an open file.
        base: the offset of the HDF5 data in the model file; negative if they lie there compressed, so that nothing in
            them has an offset.
        shown: what to call the file in errors.
        attributes: whether to read the groups' attributes. A `.keras` file has their content in its configuration.
        training: whether to read what training leaves in a whole-model file.

    Raises:
        ModelError: it is damaged, above a limit, or has links and datasets that lead out of it or to another dataset.
    """
    limits = current_limits()
    most = 2 * limits.hdf5_metadata_bytes + 256 * limits.hdf5_objects
    try:
        answer = watched(
            partial(_answer, source, base, shown, limits, attributes, training),
            seconds=limits.hdf5_seconds,
            memory=limits.hdf5_memory_bytes,
            most_bytes=most,
        )
    except ChildFailed as error:
        hint = "the file is damaged; save or copy the model again"
        if isinstance(error, ChildTooSlow):
            hint += ", or give it more time: --limit hdf5_seconds=N"
        raise ModelError(f"{shown} cannot be read: {error}", hint=hint) from None
    decoded = msgspec.msgpack.decode(answer, type=_Answer)
    if decoded.stored is None:
        raise ModelError(Problem(message, hint=hint) for message, hint in decoded.problems)
    return decoded.stored


@dataclass(frozen=True)
class _Answer:
    """The answer of the child: the content of the file, or messages with hints."""

    stored: StoredHdf5 | None
    problems: list[tuple[str, str]] = field(default_factory=list)


def _answer(
    source: Path | FileWindow, base: int, shown: str, limits: Limits, attributes: bool, training: bool
) -> bytes:
    """Reads the file, in the child. No exception leaves this function."""
    try:
        answer = _Answer(_read(source, base, shown, limits, attributes, training))
    except ModelError as error:
        answer = _Answer(None, [(problem.message, problem.hint) for problem in error.problems])
    except MemoryError:
        message = f"{shown} cannot be read: HDF5 asks for more than {limits.hdf5_memory_bytes:,} bytes of memory"
        hint = "the file is damaged; save or copy the model again, or raise --limit hdf5_memory_bytes=N"
        answer = _Answer(None, [(message, hint)])
    except Exception as error:  # h5py turns libhdf5's errors into many classes: OSError, RuntimeError, KeyError, …
        reason = str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
        message = f"{shown} is not a whole HDF5 file ({reason})"
        answer = _Answer(None, [(message, "it may be truncated; save or copy the model again")])
    return msgspec.msgpack.encode(answer)


def _read(
    source: Path | FileWindow, base: int, shown: str, limits: Limits, attributes: bool, training: bool
) -> StoredHdf5:
    with h5py.File(source, "r", locking=hdf5_locking(source)) as file:
        root = file["/"].id
        groups: dict[str, Mapping[str, Attribute]] = {}
        extents: dict[str, Extent] = {}
        size = source.size if isinstance(source, FileWindow) else source.stat().st_size
        budget = _Budget(limits, shown, size)
        for path in (b"", *_paths(root, shown, budget, () if training else (_SKIPPED,))):
            identity = h5py.h5o.open(root, path) if path else root
            name = path.decode("utf8")
            if isinstance(identity, h5py.h5d.DatasetID):
                extents[name] = _extent(identity, name, base, budget)
            elif isinstance(identity, h5py.h5g.GroupID):
                groups[name] = _attributes(identity, name, budget) if attributes else {}
        budget.check_inflation()
    return StoredHdf5(groups, extents)


class _Budget:
    """Counts what a file has declared so far."""

    def __init__(self, limits: Limits, shown: str, size: int) -> None:
        self.limits = limits
        self.shown = shown
        self.size = size
        self.bytes = 0
        self.declared = 0
        self.stored = 0

    def take(self, count: int) -> None:
        """Counts bytes of paths and attributes.

        Raises:
            ModelError: there are too many.
        """
        self.bytes += count
        what = f"the paths and attributes of {self.shown}"
        self.limits.check("hdf5_metadata_bytes", self.bytes, what, is_counted=False)

    def check_inflation(self) -> None:
        """Compares the bytes that packed and unwritten datasets declare with the bytes that are stored for them.

        Raises:
            ModelError: the ratio is above the limit.
        """
        if self.declared > UNPACKED_BYTES:
            times = -(-self.declared // max(1, self.stored))
            what = f"datasets of {self.shown} declare {self.declared:,} bytes and hold {self.stored:,}"
            self.limits.check("inflation", times, what)


def _paths(root: Any, shown: str, budget: _Budget, skipped: tuple[bytes, ...]) -> list[bytes]:
    """Returns the paths of all groups and datasets, but those that begin in one of some ways."""
    limits = budget.limits
    paths: list[bytes] = []
    count = 0

    def look(name: bytes, is_hard: bool) -> None:
        nonlocal count
        count += 1
        limits.check("hdf5_objects", count, f"groups and datasets in {shown}", is_counted=False)
        limits.check("hdf5_depth", name.count(b"/") + 1, f"groups in groups in {shown}", is_counted=False)
        last = name.rpartition(b"/")[2]
        limits.check("name_characters", len(last), f"the name `{last[:20].decode('utf8', 'replace')}…` in {shown}")
        limits.check("path_characters", len(name), f"a path in {shown}")
        if name.startswith(skipped):
            return
        budget.take(len(name))
        # A link may lead to any file on the machine: only what the call names is read (docs/security.md).
        if not is_hard:
            raise ModelError(
                f"{name.decode('utf8', 'replace')!r} in {shown} is a soft or external link, which Keras never writes",
                hint="save the model again in Keras",
            )
        paths.append(name)

    failed: list[ModelError] = []

    def visit(name: bytes, info: Any) -> bool | None:
        try:
            look(name, info.type == h5py.h5l.TYPE_HARD)
        except ModelError as error:  # h5py does not pass exceptions on; any result except None ends the visit
            failed.append(error)
            return True
        return None

    root.links.visit(visit, info=True)
    if failed:
        raise failed[0]
    return paths


def _attributes(group: Any, path: str, budget: _Budget) -> Mapping[str, Attribute]:
    """Returns those attributes of a group that readers need."""
    found: dict[str, Attribute] = {}
    if not h5py.h5a.get_num_attrs(group):
        return found
    for name in _TEXTS:
        if h5py.h5a.exists(group, name.encode()):
            found[name] = text(_value(group, name, path, budget))
    for name in _LISTS:
        values = _list(group, name, path, budget)
        if values is not None:
            found[name] = values
    for value in found.values():
        budget.take(len(value) if isinstance(value, str) else sum(map(len, value)))
    return found


def _value(group: Any, name: str, path: str, budget: _Budget) -> Any:
    """Returns an attribute's value. Refuses one whose declared size is above a limit, before any of it is read."""
    identity = h5py.h5a.open(group, name.encode())
    count = int(identity.get_space().get_simple_extent_npoints())
    what = f"the attribute `{name}` of {path or 'the file'} in {budget.shown}"
    if name == "model_config":
        budget.limits.check("config_bytes", count * identity.get_type().get_size(), what)
    budget.limits.check("hdf5_metadata_bytes", count * identity.get_type().get_size(), what)
    budget.limits.check("hdf5_objects", count, what)
    # This is what h5py's high-level attributes do, in a third of the time. A file of weights has an attribute in
    # each group, so the time counts.
    array = np.empty(identity.shape, identity.dtype)
    identity.read(array)
    return array


def _list(group: Any, name: str, path: str, budget: _Budget) -> list[str] | None:
    """Returns a list of texts, stored whole or in parts; None if there is none."""
    if h5py.h5a.exists(group, name.encode()):
        return _texts(_value(group, name, path, budget))
    if not h5py.h5a.exists(group, f"{name}0".encode()):
        return None
    parts: list[str] = []
    index = 0
    while h5py.h5a.exists(group, f"{name}{index}".encode()):
        parts.extend(_texts(_value(group, f"{name}{index}", path, budget)))
        index += 1
    return parts


def _extent(dataset: Any, path: str, base: int, budget: _Budget) -> Extent:
    shown = budget.shown
    creation = dataset.get_create_plist()
    layout = creation.get_layout()
    # Such values could be those of any file on the machine: only what the call names is read (docs/security.md).
    if layout == h5py.h5d.VIRTUAL or creation.get_external_count():
        raise ModelError(
            f"The values of {path!r} in {shown} lie in another file, which Keras never does",
            hint="save the model again in Keras",
        )
    stored = dataset.dtype
    dtype, is_big_endian = _dtype(stored)
    shape = dataset.shape
    size = 0 if shape is None else prod(shape) * stored.itemsize
    inner = dataset.get_offset() if layout == h5py.h5d.CONTIGUOUS else None
    # Only an unfiltered, contiguous dataset in uncompressed HDF5 is a plain range of the model file.
    offset = base + inner if inner is not None and base >= 0 and not creation.get_nfilters() else None
    if offset is None:
        # For a chunked dataset this call makes HDF5 walk the whole index of chunks, which may be damaged too. So a
        # crash or an endless loop on it happens here, in the child, and not first when the values are read.
        budget.stored += dataset.get_storage_size()
        budget.declared += size
        if layout == h5py.h5d.CHUNKED:
            chunk = prod(creation.get_chunk()) * stored.itemsize
            budget.limits.check("hdf5_chunk_bytes", chunk, f"a chunk of {path!r} in {shown}")
        if inner is not None and inner + size > budget.size:
            raise ModelError(f"{path!r} reaches beyond the end of {shown}", hint="the file is truncated; copy it again")
    if size > _MOST_BYTES:
        budget.check_inflation()
        raise ModelError(f"{path!r} reaches beyond the end of {shown}", hint="the file is damaged")
    return Extent(
        dataset=path,
        shape=() if shape is None else tuple(shape),
        dtype=dtype,
        is_big_endian=is_big_endian,
        offset=offset,
        bytes=size,
    )


def _dtype(dtype: np.dtype[Any]) -> tuple[str, bool]:
    """Returns the dtype by NumPy's name, and whether it is big-endian.

    HDF5 has no bfloat16. Keras writes two opaque bytes. Only in files of its own format it adds the attribute `dtype`,
    so the attribute is not used.
    """
    if dtype.kind == "V" and dtype.itemsize == 2:
        return "bfloat16", False
    if dtype.kind not in "iufcb":
        return str(dtype), False
    is_big_endian = dtype.byteorder == ">"
    return (dtype.newbyteorder("=") if is_big_endian else dtype).name, is_big_endian


def text(value: Any) -> str:
    """Returns an attribute's value as a string."""
    if isinstance(value, bytes):
        return value.decode("utf8", "replace")
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return text(value.item())
    return str(value)


def _texts(value: Any) -> list[str]:
    return [text(item) for item in value] if isinstance(value, np.ndarray) and value.ndim else [text(value)]


def check_extents(extents: Mapping[str, Extent], size: int, shown: str) -> None:
    """Refuses extents that reach beyond the file or overlap.

    Raises:
        ModelError: an extent does.
    """
    end, previous = 0, ""
    for extent in sorted(
        (item for item in extents.values() if item.offset is not None and item.bytes), key=lambda item: item.offset or 0
    ):
        offset = extent.offset or 0
        if offset + extent.bytes > size:
            raise ModelError(
                f"{extent.dataset!r} reaches beyond the end of {shown}", hint="the file is truncated; copy it again"
            )
        if offset < end:
            raise ModelError(
                f"{extent.dataset!r} and {previous!r} in {shown} share their bytes, which Keras never writes",
                hint="save the model again in Keras",
            )
        end, previous = offset + extent.bytes, extent.dataset
