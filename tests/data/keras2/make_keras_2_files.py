"""Write small model files with Keras 2.13 to 2.15, each with an oracle: inputs, what the model predicts, weights.

The files are committed; this script says where they come from. It runs once in each of these scratch environments, and
writes to the folder `keras_<version>` beside itself:

    for version in 2.13 2.14 2.15; do
        python3.11 -m venv keras-$version && keras-$version/bin/pip install "tensorflow-cpu==$version.*" "numpy<2"
        keras-$version/bin/python make_keras_2_files.py
    done

Two models:

- `stack`: Sequential, three Dense layers and a Dropout, compiled with what Keras 3 does not know by the names that
  Keras 2.15 gives it. Versions 2.13 and 2.14 write it as `.keras`, where the names of stored layers are counted by two
  and by one; 2.15 writes it as `.h5`, and its weights alone in the form of Keras 2 (`stack.legacy.h5`).
- `graph`: Functional, with what Keras 3 spells otherwise: a model called twice, recurrent layers with `time_major` and
  an initial state, an axis in a list.

`../keras2_classes/sync.keras` was made by hand with Keras 2.15: a Dense layer `d` of 3 units on 4 inputs, and
`layers.experimental.SyncBatchNormalization(name="sbn")` on it.

`<name>.2.0.9.npz` holds what Keras 2.0.9 predicts with its files in `../old`, on the inputs that stand there too:

    old-2.0/bin/python make_keras_2_files.py --predict ../old/keras_2.0.9
"""

from __future__ import annotations  # Python 3.7 runs it too

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

HERE = Path(__file__).parent


def stack():
    """Dense layers, one of them after a Dropout."""
    model = keras.Sequential(
        [
            layers.Dense(6, activation="relu", input_shape=(5,), name="fc1", kernel_regularizer="l2"),
            layers.Dropout(0.2, name="drop"),
            layers.Dense(4, activation="tanh", name="fc2"),
            layers.Dense(3, name="fc3"),
        ],
        name="stack",
    )
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", metrics=["mse"])
    return model, [np.linspace(-1, 1, 20).reshape(4, 5)]


def graph():
    """A graph with what Keras 2 spells in its own way."""
    inner_in = keras.Input((3,), name="inner_in")
    dense = layers.Dense(3, name="dense", use_bias=False)(inner_in)
    inner = keras.Model(inner_in, layers.BatchNormalization(name="norm", scale=False)(dense), name="inner")
    state, series = keras.Input((3,), name="state"), keras.Input((6, 3), name="series")
    both = layers.Add(name="both")([inner(state), inner(inner(state))])
    wide = layers.LeakyReLU(alpha=0.1, name="leaky")(series)
    ends = layers.GRU(3, name="gru")(wide, initial_state=both)
    other = layers.Bidirectional(layers.LSTM(2, use_bias=False), name="two_ways")(wide)
    joined = layers.Concatenate(name="joined")([ends, other])
    model = keras.Model([state, series], layers.Dense(2, name="score", use_bias=False)(joined), name="graph")
    return model, [np.linspace(-1, 1, 12).reshape(4, 3), np.linspace(-1, 1, 72).reshape(4, 6, 3)]


def write(name, model, inputs, version):
    """Write what a version is wanted for, and the oracle."""
    random = np.random.RandomState(0)
    model.set_weights([random.uniform(0.1, 0.5, weight.shape) for weight in model.get_weights()])
    folder = HERE / f"keras_{keras.__version__}"
    folder.mkdir(exist_ok=True)
    if version == "2.15":
        model.save(str(folder / f"{name}.h5"))
        model.save_weights(str(folder / f"{name}.legacy.h5"), save_format="h5")
    else:
        model.save(str(folder / f"{name}.keras"))
    oracle(folder / f"{name}.npz", inputs, model.predict(inputs, verbose=0), model.get_weights())


def oracle(path, inputs, outputs, weights):
    """Write inputs, outputs and weights, by number."""
    arrays = {"x": inputs, "y": outputs if isinstance(outputs, list) else [outputs], "w": weights}
    named = {f"{kind}{index}": each for kind, items in arrays.items() for index, each in enumerate(items)}
    np.savez_compressed(str(path), **{key: np.float32(value) for key, value in named.items()})


def main():
    """Write all files of the installed version."""
    if sys.argv[1:2] == ["--predict"]:
        for name in ("cnn", "residual", "recurrent"):
            model = keras.models.load_model(os.path.join(sys.argv[2], name + ".h5"), compile=False)
            shapes = [[4] + [int(extent) for extent in each.shape[1:]] for each in model.inputs]
            inputs = [np.linspace(0, 1, int(np.prod(shape))).reshape(shape) for shape in shapes]
            inputs = [np.floor(each * 6) for each in inputs] if name == "recurrent" else inputs
            oracle(HERE / (name + ".2.0.9.npz"), inputs, model.predict(inputs), [])
        return
    version = keras.__version__.rpartition(".")[0]
    write("stack", *stack(), version)
    if version == "2.15":
        write("graph", *graph(), version)


if __name__ == "__main__":
    main()
