"""Small real model files of every kind and storage, made without TensorFlow from those that Keras wrote."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copyfile
from typing import Any

import h5py
import numpy as np

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "data" / "old"
DIGITS = ROOT / "conf" / "model" / "digits.keras"
CNN = OLD / "keras_3.6.0" / "cnn.keras"
WEIGHTS = "model.weights.h5"


def rezip(source: Path, target: Path, *, compression: int = zipfile.ZIP_STORED, weights: bytes | None = None) -> None:
    """The same members in a new zip; the weights may be others."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for info in old.infolist():
            data = weights if weights is not None and info.filename == WEIGHTS else old.read(info)
            fresh = zipfile.ZipInfo(info.filename, (2024, 2, 29, 12, 34, 56))
            fresh.external_attr = 0o640 << 16
            new.writestr(fresh, data, compression)


class _Pipe:
    """A file that cannot seek, so that zipfile writes the checksum after the data."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")

    def write(self, data: bytes) -> int:
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def with_data_descriptors(source: Path, target: Path) -> None:
    pipe = _Pipe(target)
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(pipe, "w") as new:  # type: ignore[arg-type]
        for info in old.infolist():
            new.writestr(info.filename, old.read(info))
    pipe.file.close()


def rewrite_hdf5(source: Path, target: Path, write: Callable[[h5py.Group, str, Any], h5py.Dataset]) -> None:
    """The same groups, attributes and values; `write` makes the datasets."""

    def copy(old: h5py.Group, new: h5py.Group) -> None:
        for key, value in old.attrs.items():
            new.attrs[key] = value
        for name, item in old.items():
            if isinstance(item, h5py.Group):
                copy(item, new.create_group(name))
            else:
                dataset = write(new, name, item[()])
                for key, value in item.attrs.items():
                    dataset.attrs[key] = value

    with h5py.File(source) as old, h5py.File(target, "w") as new:
        copy(old, new)


def gzipped(group: h5py.Group, name: str, values: Any) -> h5py.Dataset:
    options = {"chunks": tuple(max(1, extent - 1) for extent in values.shape), "compression": "gzip", "shuffle": True}
    return group.create_dataset(name, data=values, **(options if np.ndim(values) else {}))


def big_endian(group: h5py.Group, name: str, values: Any) -> h5py.Dataset:
    values = np.asarray(values)
    return group.create_dataset(name, data=values.astype(values.dtype.newbyteorder(">")))


def write_stack(path: Path, *, layers: int, units: int) -> None:
    """A Sequential model of square Dense layers without bias, as Keras 3 lays it out."""
    random = np.random.default_rng(0)
    weights = path.with_suffix(".inner.h5")
    with h5py.File(weights, "w") as file:
        for index in range(layers):
            variables = file.create_group(f"layers/dense{f'_{index}' if index else ''}/vars")
            variables.create_dataset("0", data=random.standard_normal((units, units), dtype=np.float32))
    shape = [None, units]
    entries = [layer_config("InputLayer", {"batch_shape": shape, "dtype": "float32", "name": "input"})]
    entries += [
        layer_config("Dense", {"name": f"dense_{index}", "units": units, "use_bias": False}) for index in range(layers)
    ]
    model = {"name": "stack", "trainable": True, "layers": entries, "build_input_shape": shape}
    config = {"module": "keras", "class_name": "Sequential", "config": model, "registered_name": None}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.6.0"}))
        archive.writestr("config.json", json.dumps({**config, "build_config": {"input_shape": shape}}))
        archive.write(weights, WEIGHTS)
    weights.unlink()


def write_gzipped_stack(path: Path, *, layers: int, units: int) -> None:
    """The same model, whose weights HDF5 has compressed."""
    plain, weights, packed = (path.with_suffix(suffix) for suffix in (".plain.keras", ".plain.h5", ".packed.h5"))
    write_stack(plain, layers=layers, units=units)
    weights.write_bytes(hdf5_of(plain))
    rewrite_hdf5(weights, packed, gzipped)
    rezip(plain, path, weights=packed.read_bytes())
    for made in (plain, weights, packed):
        made.unlink()


def layer_config(class_name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": class_name, "config": dict(config), "registered_name": None}


def _zip_with(write: Callable[[h5py.Group, str, Any], h5py.Dataset], compression: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        plain, other = path.with_suffix(".plain.h5"), path.with_suffix(".other.h5")
        with zipfile.ZipFile(CNN) as archive:
            plain.write_bytes(archive.read(WEIGHTS))
        rewrite_hdf5(plain, other, write)
        rezip(CNN, path, compression=compression, weights=other.read_bytes())
        plain.unlink()
        other.unlink()

    return make


MAKERS: Mapping[str, tuple[str, Callable[[Path], None]]] = {
    "keras": (".keras", lambda path: copyfile(CNN, path) and None),
    "keras 3.0": (".keras", lambda path: copyfile(OLD / "keras_3.0.5" / "cnn.keras", path) and None),
    "keras of many chunks": (".keras", lambda path: write_stack(path, layers=3, units=300)),
    "keras with data descriptors": (".keras", lambda path: with_data_descriptors(CNN, path)),
    "keras, big-endian": (".keras", _zip_with(big_endian, zipfile.ZIP_STORED)),
    "h5": (".h5", lambda path: copyfile(OLD / "keras_3.6.0" / "cnn.h5", path) and None),
    "h5 of Keras 2": (".h5", lambda path: copyfile(OLD / "keras_2.0.9" / "cnn.h5", path) and None),
    "h5, big-endian": (".h5", lambda path: rewrite_hdf5(OLD / "keras_3.6.0" / "cnn.h5", path, big_endian)),
    "weights": (".weights.h5", lambda path: copyfile(OLD / "keras_3.6.0" / "cnn.weights.h5", path) and None),
    "keras, deflated": (".keras", lambda path: rezip(CNN, path, compression=zipfile.ZIP_DEFLATED)),
    "keras, gzipped datasets": (".keras", _zip_with(gzipped, zipfile.ZIP_STORED)),
    "keras, deflated, gzipped datasets": (".keras", _zip_with(gzipped, zipfile.ZIP_DEFLATED)),
    "h5, gzipped datasets": (".h5", lambda path: rewrite_hdf5(OLD / "keras_3.6.0" / "cnn.h5", path, gzipped)),
}
"""Kinds of files: suffix, and what writes one."""

SLOW = frozenset(kind for kind in MAKERS if "deflated" in kind or "gzipped" in kind)
"""The kinds whose tensors are not plain ranges of bytes."""


def make_file(kind: str, folder: Path, name: str = "base") -> Path:
    """A new model file of a kind."""
    suffix, make = MAKERS[kind]
    path = folder / f"{name}{suffix}"
    make(path)
    return path


def hdf5_of(path: Path) -> bytes:
    """The HDF5 file that is, or is in, a model file."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(WEIGHTS)
