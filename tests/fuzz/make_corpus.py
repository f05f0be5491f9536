"""Writes the corpus: small valid files of every kind, which cases mutate. It is committed, so that cases stay the same.

TF_CPP_MIN_LOG_LEVEL=3 python -m tests.fuzz.make_corpus
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.execute.model_files import WEIGHTS, gzipped, rewrite_hdf5, rezip
from tests.experiment.made_up import sweep
from tests.fuzz.corpus import CORPUS


def main() -> None:
    models = CORPUS / "models"
    models.mkdir(parents=True, exist_ok=True)
    write_models(models)
    write_variants(models)
    write_data(CORPUS / "data")
    for result in sweep(scales=(0.1, 1), seeds=1):
        result.write(CORPUS / "results" / str(result.job.number))


def write_models(folder: Path) -> None:
    import keras

    keras.utils.set_random_seed(1)
    image = keras.Input((4, 4, 1), name="image")
    flow = keras.layers.Conv2D(2, 3, name="conv")(image)
    flow = keras.layers.BatchNormalization(name="norm")(flow)
    flow = keras.layers.Flatten(name="flat")(flow)
    flow = keras.layers.Dense(8, activation="relu", name="dense")(flow)
    flow = keras.layers.Add(name="add")([flow, keras.layers.Dense(8, name="skip")(flow)])
    model = keras.Model(image, keras.layers.Dense(3, activation="softmax", name="logits")(flow), name="tiny")
    model.save(folder / "tiny.keras")
    model.save(folder / "tiny.h5")
    model.save_weights(folder / "tiny.weights.h5")


def write_variants(folder: Path) -> None:
    """The same model, deflated; with chunked and compressed datasets; both."""
    stored = folder / "tiny.keras"
    rewrite_hdf5(folder / "tiny.h5", folder / "chunked.h5", chunked_kernel)
    inner, chunked = folder / "inner", folder / "inner_chunked"
    with zipfile.ZipFile(stored) as archive:
        inner.write_bytes(archive.read(WEIGHTS))
    rewrite_hdf5(inner, chunked, chunked_kernel)
    rezip(stored, folder / "deflated.keras", compression=zipfile.ZIP_DEFLATED)
    rezip(stored, folder / "chunked.keras", weights=chunked.read_bytes())
    inner.unlink()
    chunked.unlink()


def chunked_kernel(group: h5py.Group, name: str, values: Any) -> h5py.Dataset:
    """The kernel of `dense` in compressed chunks, the rest in one piece: each chunked dataset takes 2 kB more."""
    return gzipped(group, name, values) if np.shape(values) == (8, 8) else group.create_dataset(name, data=values)


def write_data(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(1)
    x = random.random((6, 4, 4, 1), np.float32)
    y = np.arange(6) % 3
    np.savez(folder / "stored.npz", x=x, y=y)
    np.savez_compressed(folder / "deflated.npz", x=x, y=y)
    rows = [
        ",".join(map(str, [*np.round(each, 3).ravel()[:4], f"kind {label}"])) for each, label in zip(x, y, strict=True)
    ]
    (folder / "table.csv").write_text("\n".join(["a,b,c,d,label", *rows]) + "\n")


if __name__ == "__main__":
    main()
