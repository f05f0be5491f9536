"""Archives written by hand: an HDF5 file, bare or inside a zip, and the `Archive` that describes it."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mutspec.keras_facts.roles import Group
from mutspec.model.files.archive import Archive, Extent, Member
from mutspec.model.files.formats import FileKind
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec

GROUP_OF_ROLE = {"kernel": Group.KERNELS, "bias": Group.BIASES, "gamma": Group.NORMS, "moving_mean": Group.STATISTICS}


def write_archive(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    *,
    layers: tuple[LayerSpec, ...] | None = None,
    zipped: bool = False,
    deflated: bool = False,
    **dataset_options: Any,
) -> Archive:
    """Write tensors under their canonical paths, and describe where they lie by what h5py and zipfile say."""
    hdf5_path = path.with_suffix(".inner.h5") if zipped else path
    with h5py.File(hdf5_path, "w") as file:
        for name, values in tensors.items():
            stored = values.view("V2") if values.dtype.name == "bfloat16" else values
            file.create_dataset(name, data=stored, **(dataset_options if values.shape else {}))
    member, base = None, 0
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", "{}")
            archive.write(hdf5_path, "model.weights.h5", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED)
            info = archive.getinfo("model.weights.h5")
        name_length, extra_length = struct.unpack(
            "<HH", path.read_bytes()[info.header_offset + 26 : info.header_offset + 30]
        )
        base = info.header_offset + 30 + name_length + extra_length
        member = Member("model.weights.h5", base, info.compress_size, info.CRC, deflated, (), info.file_size)
    extents = {}
    with h5py.File(hdf5_path) as file:
        for name, values in tensors.items():
            offset = file[name].id.get_offset()
            is_plain = offset is not None and not deflated
            extents[name] = Extent(
                name,
                values.shape,
                values.dtype.name,
                values.dtype.byteorder == ">",
                base + offset if is_plain else None,
                values.nbytes,
            )
    specs = []
    for name, values in tensors.items():
        layer, _, role = name.rpartition("/")
        specs.append(
            TensorSpec(
                name, layer, role, GROUP_OF_ROLE.get(role, Group.OTHER), values.shape, values.dtype.name, origin=name
            )
        )
    if layers is None:
        layers = tuple(
            LayerSpec(layer, layer.rpartition("/")[2], "Dense", ("Dense", "Layer"))
            for layer in dict.fromkeys(spec.layer for spec in specs)
        )
    kind = FileKind.KERAS if zipped else FileKind.LEGACY_H5
    spec = ModelSpec("model", "Sequential", layers, tuple(specs))
    return Archive(path, "3.15.1", spec, extents, member, kind=kind)


@pytest.fixture
def archive_of(tmp_path: Path) -> Callable[..., Archive]:
    """Writes a new file each time: `archive_of({"dense/kernel": array}, zipped=…, layers=…, **dataset_options)`."""
    count = 0

    def build(tensors: Mapping[str, np.ndarray], **options: Any) -> Archive:
        nonlocal count
        count += 1
        return write_archive(tmp_path / f"model{count}", tensors, **options)

    return build
