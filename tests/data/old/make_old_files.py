"""Write small model files with old versions of Keras, each with an oracle of its weights.

The files are committed; this script says where they come from. It runs once in each of these scratch environments, and
writes to the folder `<package>_<version>` beside itself:

    python3.7 -m venv old-2.0 && old-2.0/bin/pip install \
        tensorflow==1.15.5 keras==2.0.9 "h5py<3" "numpy<1.19" "protobuf<3.21"
    old-2.0/bin/python make_old_files.py

    python3.11 -m venv old-2.15 && old-2.15/bin/pip install tensorflow-cpu==2.15.1 tf_keras==2.15.1
    old-2.15/bin/python make_old_files.py --package tf_keras

    for version in 3.0.5 3.5.0 3.6.0; do
        python3.11 -m venv old-$version && old-$version/bin/pip install tensorflow-cpu==2.16.2 dm-tree
        old-$version/bin/pip install --no-deps keras==$version
        old-$version/bin/python make_old_files.py
    done

Three models, with automatic layer names in the first, so that these differ by version as they do in real life:

- `cnn`: Sequential convolution, batch normalisation, dense; compiled with Adam and fitted for a step.
- `residual`: Functional with two inputs, a residual addition, a shared Dense, and a nested model with a frozen layer;
  not compiled.
- `recurrent`: Embedding, Bidirectional LSTM, GRU, TimeDistributed Dense; not compiled.

Each is written as whole-model `.h5`; by versions that know them, as `.keras` and `.weights.h5` too. The Keras 2.0 file
`cnn_reloaded.h5` was saved, loaded in the same process, and saved again: its layer `conv2d_1` holds the weight
`conv2d_1_1/kernel:0`. Keras 3.0 cannot write `.h5` where a nested or wrapped layer has two weights of one name ("name
already exists"), so those files are missing.

The oracle `<file>.npz` has an array for each weight, under the key `<top-level layer>/<index in layer.weights>/<last
component of the variable's name>`, as that Keras itself gives them. All weights are set to seeded uniform numbers, so
that no two are alike and a variance is positive; the optimizer's slots are what the fitted step left.
"""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np


def build_cnn(keras):
    """A Sequential model whose layers have automatic names."""
    layers = keras.layers
    model = keras.models.Sequential()
    model.add(layers.Conv2D(3, 3, activation="relu", input_shape=(6, 6, 1)))
    model.add(layers.BatchNormalization())
    model.add(layers.Conv2D(2, 2))
    model.add(layers.BatchNormalization(scale=False))
    model.add(layers.Flatten())
    model.add(layers.Dense(4, activation="softmax"))
    model.compile(optimizer=keras.optimizers.Adam(), loss="categorical_crossentropy")
    return model


def build_residual(keras):
    """A Functional model with two inputs, a residual addition, a shared layer and a nested model."""
    layers, Model = keras.layers, keras.models.Model
    inner_input = layers.Input(shape=(5,), name="encoder_input")
    inner = layers.Dense(4, name="frozen_dense", trainable=False)(inner_input)
    inner = layers.BatchNormalization(name="encoder_norm")(inner)
    encoder = Model(inputs=inner_input, outputs=layers.Dense(4, name="encoder_dense")(inner), name="encoder")

    left = layers.Input(shape=(5,), name="left")
    right = layers.Input(shape=(4,), name="right")
    encoded = encoder(left)
    shared = layers.Dense(4, activation="relu", name="shared_dense")
    joined = layers.Add(name="residual_add")([shared(encoded), encoded, shared(right)])
    normal = layers.BatchNormalization(name="joined_norm")(joined)
    score = layers.Dense(2, use_bias=False, name="score")(normal)
    return Model(inputs=[left, right], outputs=score, name="residual")


def build_recurrent(keras):
    """Recurrent layers after an embedding."""
    layers = keras.layers
    tokens = layers.Input(shape=(5,), name="tokens")
    hidden = layers.Embedding(7, 3, name="embedding")(tokens)
    hidden = layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="both_ways")(hidden)
    hidden = layers.GRU(3, return_sequences=True, name="gru")(hidden)
    tagged = layers.TimeDistributed(layers.Dense(2), name="tags")(hidden)
    return keras.models.Model(inputs=tokens, outputs=tagged, name="recurrent")


BUILDERS = {"cnn": build_cnn, "residual": build_residual, "recurrent": build_recurrent}


def fit_one_step(model, random):
    """One training step, so that the optimizer has slots and they are not zero."""
    inputs = random.rand(4, *(int(extent) for extent in model.inputs[0].shape[1:]))
    model.fit(inputs, random.rand(4, int(model.outputs[0].shape[-1])), epochs=1, batch_size=4, verbose=0)


def oracle(model):
    """Every weight by layer, index in `layer.weights` and variable name, from the live model."""
    arrays = {}
    for layer in model.layers:
        names = [variable.name.split("/")[-1].split(":")[0] for variable in layer.weights]
        for index, (name, value) in enumerate(zip(names, values_of(layer.weights))):  # noqa: B905 - Python 3.7
            arrays[f"{layer.name}/{index}/{name}"] = value
    return arrays


def values_of(variables):
    """The values of variables, for TensorFlow 1 sessions and for eager variables."""
    if variables and not hasattr(variables[0], "numpy"):
        from keras import backend

        return backend.batch_get_value(variables)
    try:
        return [np.asarray(variable.numpy()) for variable in variables]
    except (AttributeError, NotImplementedError):
        from keras import backend

        return backend.batch_get_value(variables)


def write(model, path, save):
    """Save a model and its oracle."""
    try:
        save(str(path))
    except ValueError as error:
        if "name already exists" not in str(error):
            raise
        path.unlink()
        print(f"{path.parent.name}/{path.name}: this Keras cannot write it ({error})")
        return
    np.savez_compressed(str(path) + ".npz", **oracle(model))
    print(f"{path.parent.name}/{path.name}: {path.stat().st_size} bytes")


def main():
    """Write all files that the installed Keras can write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--package", default="keras", help="the module to import: keras or tf_keras")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="where the version's folder goes")
    options = parser.parse_args()
    keras = importlib.import_module(options.package)
    version = tuple(int(part) for part in keras.__version__.split(".")[:2])
    folder = options.out / f"{options.package}_{keras.__version__}"
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, build) in enumerate(BUILDERS.items()):
        random = np.random.RandomState(seed)
        model = build(keras)
        if name == "cnn":
            fit_one_step(model, random)
        model.set_weights([random.uniform(0.5, 1.5, weight.shape).astype("float32") for weight in model.get_weights()])
        write(model, folder / f"{name}.h5", model.save)
        if version >= (2, 15):
            write(model, folder / f"{name}.keras", model.save)
            write(model, folder / f"{name}.weights.h5", model.save_weights)
        if name == "cnn" and version < (2, 15):
            reloaded = keras.models.load_model(str(folder / "cnn.h5"))
            write(reloaded, folder / "cnn_reloaded.h5", reloaded.save)


if __name__ == "__main__":
    main()
