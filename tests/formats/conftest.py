"""One small model, saved by Keras in every form that it has; and what any file holds, read without our code."""

from __future__ import annotations

import os
import struct
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from json import loads
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import mutspec

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

SHARD = 1e-7
"""The most gigabytes of a shard: some hundred bytes."""

NOISE = {"steps": [{"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.5}]}
RENAME = {"steps": [{"op": "rename_layer", "target": "out", "to": "head"}]}


@dataclass(frozen=True)
class Saved:
    """A model, and the folder with its files."""

    model: Any
    folder: Path

    def __getitem__(self, name: str) -> Path:
        return self.folder / name

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The model's own values, by canonical path."""
        return {
            f"{layer.name}/{variable.name}": np.asarray(variable.value)
            for layer in self.model.layers
            for variable in layer.weights
            if "seed" not in variable.name
        }


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, name="first"),
            layers.Dropout(0.1, name="drop"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(2, name="out"),
        ],
        name="small",
    )
    for variable in model.weights:
        if variable.dtype == "float32":
            variable.assign(np.random.default_rng(len(variable.path)).normal(size=variable.shape))
    folder = tmp_path_factory.mktemp("forms")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(folder / "model.keras")
        model.save(folder / "model.h5")
        model.save_weights(folder / "model.weights.h5")
        model.save_weights(folder / "parts.weights.json", max_shard_size=SHARD)
        model.save(folder / "unpacked", zipped=False)
    tf.train.Checkpoint(model=model).write(str(folder / "checkpoint"))
    kept = Saved(model, folder)
    write_safetensors(folder / "model.safetensors", kept.weights)
    return kept


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray], **changes: Any) -> None:
    """The format as its page describes it, written without our code."""
    from json import dumps

    header: dict[str, Any] = {}
    at = 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    header |= changes
    text = dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(each.tobytes() for each in tensors.values()))


def values_in(path: Path) -> dict[str, np.ndarray]:
    """All float32 values of a file by path, read by h5py and NumPy alone; without the seeds."""
    data = path.read_bytes()
    if data.startswith(b"PK"):
        with zipfile.ZipFile(path) as archive:
            data = archive.read("model.weights.h5")
    if not data.startswith(b"\x89HDF"):
        (length,) = struct.unpack("<Q", data[:8])
        header = loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        return {
            name: np.frombuffer(data[8 + length :][slice(*facts["data_offsets"])], "<f4").reshape(facts["shape"])
            for name, facts in header.items()
        }
    found: dict[str, np.ndarray] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype == "<f4":
            found[name] = item[()]

    with h5py.File(BytesIO(data)) as file:
        file.visititems(keep)
    return found


def apply(model: Path, output: Path, plan: Mapping[str, Any] = NOISE, **options: Any) -> Any:
    """A plan put on a file."""
    return mutspec.apply(mutspec.plan(plan), model, output, **options)


def same(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> bool:
    """Whether two files hold the same values, whatever they call them."""
    key = lambda values: (values.shape, values.tobytes())  # noqa: E731
    return sorted(map(key, first.values())) == sorted(map(key, second.values()))
