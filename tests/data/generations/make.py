"""Writes one small model in every form that the installed Keras knows: run once in an environment for each Keras.

    python make.py                                # Keras 2: tensorflow-cpu==2.12.*, 2.13.*, 2.15.*, each in a venv
    PYTHONPATH=/tmp/keras36 python make.py        # Keras 3: pip install --no-deps --target /tmp/keras36 keras==3.6.0
    python make.py --list-config                  # rewrites keras-2.12/dense.h5 as Keras 2.0 to 2.2 wrote it
    python make.py --nested                       # with Keras 2.15: SavedModels of layers in layers
    PYTHONPATH=… python make.py --masks           # with Keras 3.6 and 3.10: operations, masks and none
    PYTHONPATH=… python make.py --safetensors     # with the package safetensors

Every file holds `VALUES`, so that no other file is needed to say what is right. The graphs of SavedModels, which nobody
reads here, are cut to their first bytes.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
SHAPES = {"fc1/kernel": (4, 3), "fc1/bias": (3,), "out/kernel": (3, 2), "out/bias": (2,)}
VALUES = {
    path: (np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1) / 8 - number
    for number, (path, shape) in enumerate(SHAPES.items())
}
SHARD_GIGABYTES = 5e-8
GRAPH_BYTES = 64


def main() -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    warnings.simplefilter("ignore")
    import keras
    import tensorflow as tf

    model = keras.Sequential(
        [
            keras.layers.InputLayer((4,), name="input") if keras.__version__ < "3" else keras.Input((4,), name="input"),
            keras.layers.Dense(3, activation="relu", name="fc1"),
            keras.layers.Dense(2, name="out"),
        ],
        name="dense",
    )
    model.set_weights(list(VALUES.values()))
    folder = HERE / ("keras-" + ".".join(keras.__version__.split(".")[:2]))
    folder.mkdir(exist_ok=True)
    tries = {
        "dense.h5": lambda path: model.save(path),
        "dense.keras": lambda path: model.save(path),
        "dense.weights.h5": lambda path: model.save_weights(path),
        "dense.legacy.h5": lambda path: model.save_weights(path),
        "dense.weights.json": lambda path: model.save_weights(path, max_shard_size=SHARD_GIGABYTES),
        "unpacked": lambda path: model.save(path, zipped=False),
        "checkpoint": lambda path: tf.train.Checkpoint(model=model).write(path),
        "saved_model": lambda path: (
            model.save(path, save_format="tf") if keras.__version__ < "3" else model.export(path, verbose=False)
        ),
    }
    for name, write in tries.items():
        try:
            write(str(folder / name))
        except Exception as error:  # this Keras does not know the form
            print(f"{folder.name} has no {name}: {error}")
    for graph in folder.glob("*/saved_model.pb"):
        graph.write_bytes(graph.read_bytes()[:GRAPH_BYTES])
    for left in folder.glob("*/fingerprint.pb"):
        left.unlink()


def write_nested() -> None:
    """SavedModels of Keras 2 with layers in layers. Weight number n, in the order of the model, holds n alone."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    layers = keras.layers
    inner = keras.Sequential([layers.InputLayer((4,)), layers.Dense(3, name="a"), layers.Dense(2, name="b")], "inner")
    x = keras.Input((5, 2), name="x")
    h = layers.TimeDistributed(layers.Dense(3, name="each"), name="all")(x)
    save_counted(keras.Model(x, inner(layers.Bidirectional(layers.GRU(2, name="gru"), name="both")(h)), name="nested"))

    # What Keras 2 calls otherwise than its configuration, or stores although it is not a weight.
    x = keras.Input((3, 3, 2), name="x")
    inner = keras.Sequential([layers.InputLayer((3, 3, 2)), layers.DepthwiseConv2D(2, name="depth")], "inner")
    h = layers.Reshape((4, 2), name="steps")(inner(layers.RandomFlip(name="turn")(x)))
    backward = layers.SimpleRNN(2, go_backwards=True, name="back")
    both = layers.Bidirectional(layers.GRU(2, name="gru"), backward_layer=backward, name="both")
    save_counted(keras.Model(x, both(h), name="renamed"))


def write_masks() -> None:
    """Two models that differ in a layer that makes a mask. Both have operations between layers, with arguments."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    layers = keras.layers
    folder = HERE / ("keras-" + ".".join(keras.__version__.split(".")[:2]))
    for name in ("plain", "masked"):
        keras.backend.clear_session()
        x = keras.Input((4, 6), name="x")
        h = layers.Masking(name="masking")(x) if name == "masked" else x
        first, second = keras.ops.split(layers.GRU(4, return_sequences=True, name="gru")(h), 2, axis=-1)
        model = keras.Model(x, layers.Dense(2, name="out")(keras.ops.concatenate([second, first], axis=-1)), name="ops")
        model.set_weights([np.full(each.shape, number, np.float32) for number, each in enumerate(model.weights)])
        model.save(folder / f"{name}.keras")


def save_counted(model) -> None:
    import keras

    model.set_weights([np.full(each.shape, number, np.float32) for number, each in enumerate(model.weights)])
    folder = HERE / ("keras-" + ".".join(keras.__version__.split(".")[:2])) / model.name
    model.save(str(folder), save_format="tf")
    (folder / "saved_model.pb").write_bytes((folder / "saved_model.pb").read_bytes()[:GRAPH_BYTES])
    (folder / "fingerprint.pb").unlink()
    metadata = folder / "keras_metadata.pb"
    metadata.write_bytes(first_node(metadata.read_bytes()))


def first_node(metadata: bytes) -> bytes:
    """What Keras 2 says of a SavedModel's root, which is all that anybody reads here."""
    size, at = 0, 1
    while metadata[at] & 128:
        size |= (metadata[at] & 127) << 7 * (at - 1)
        at += 1
    size |= metadata[at] << 7 * (at - 1)
    return metadata[: at + 1 + size]


def write_list_config() -> None:
    """What Keras 2.0 to 2.2 wrote for a Sequential: its layers as a bare list, and their version."""
    import h5py

    folder = HERE / "keras-2.2"
    folder.mkdir(exist_ok=True)
    (folder / "dense.h5").write_bytes((HERE / "keras-2.12" / "dense.h5").read_bytes())
    with h5py.File(folder / "dense.h5", "a") as file:
        config = json.loads(file.attrs["model_config"])
        layers = [each for each in config["config"]["layers"] if each["class_name"] != "InputLayer"]
        layers[0]["config"]["batch_input_shape"] = [None, 4]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
        for group in (file, file["model_weights"]):
            group.attrs["keras_version"] = "2.2.4"


def write_safetensors() -> None:
    from safetensors.numpy import save_file

    (HERE / "safetensors").mkdir(exist_ok=True)
    save_file(VALUES, HERE / "safetensors" / "dense.safetensors")


if __name__ == "__main__":
    if "--list-config" in sys.argv:
        write_list_config()
    elif "--nested" in sys.argv:
        write_nested()
    elif "--masks" in sys.argv:
        write_masks()
    elif "--safetensors" in sys.argv:
        write_safetensors()
    else:
        main()
