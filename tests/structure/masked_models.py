"""Small models with masks, built by hand: as they are before a step, and as they should be after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

STEPS, WIDTH = 8, 3


def layer(name: str) -> Any:
    """A layer of a chain, by name. Names of one kind may be numbered: `lstm`, `lstm2`."""
    import keras

    layers = keras.layers
    makers: dict[str, Callable[..., Any]] = {
        "masking": layers.Masking,
        "tens": lambda **keys: layers.Masking(mask_value=10.0, **keys),
        "dense": lambda **keys: layers.Dense(WIDTH, **keys),
        "lstm": lambda **keys: layers.LSTM(WIDTH, return_sequences=True, **keys),
        "gru": lambda **keys: layers.GRU(WIDTH, return_sequences=True, **keys),
        "rnn": lambda **keys: layers.SimpleRNN(WIDTH, return_sequences=True, **keys),
        "both": lambda **keys: layers.Bidirectional(
            layers.LSTM(WIDTH, return_sequences=True), merge_mode="sum", **keys
        ),
        "each": lambda **keys: layers.TimeDistributed(layers.Dense(WIDTH), **keys),
        "conv": lambda **keys: layers.Conv1D(WIDTH, 2, **keys),
        "same": lambda **keys: layers.Conv1D(WIDTH, 2, padding="same", **keys),
        "pool": lambda **keys: layers.MaxPooling1D(2, strides=1, **keys),
        "dropout": lambda **keys: layers.Dropout(0.5, **keys),
        "batch": layers.BatchNormalization,
        "norm": layers.LayerNormalization,
        "softmax": layers.Softmax,
        "permute": lambda **keys: layers.Permute((1, 2), **keys),
        "average": layers.GlobalAveragePooling1D,
        "last": lambda **keys: layers.LSTM(2, **keys),
        "gates": lambda **keys: layers.GRU(2, **keys),
    }
    return makers[name.rstrip("0123456789")](name=name)


INNER = (
    "masking", "tens", "dense", "lstm", "gru", "rnn", "both", "each", "conv", "same", "pool", "dropout", "batch",
    "norm", "softmax", "permute",
)  # fmt: skip
"""Layers that give a sequence for a sequence of the same width."""

LAST = ("average", "last", "gates")


def chain(*names: str) -> Any:
    """A Functional model of layers that are called one after the other."""
    import keras

    inputs = x = keras.Input((STEPS, WIDTH), name="source")
    for name in names:
        x = layer(name)(x)
    return keras.Model(inputs, x)


def tokens(*names: str, masks: bool = True) -> Any:
    """A chain on an embedding of whole numbers."""
    import keras

    inputs = keras.Input((STEPS,), dtype="int32", name="source")
    x = keras.layers.Embedding(5, WIDTH, mask_zero=masks, name="embedding")(inputs)
    for name in names:
        x = layer(name)(x)
    return keras.Model(inputs, x)


def written(name: str) -> dict[str, Any]:
    """A layer of a chain as a step writes it."""
    made = layer(name)
    config = made.get_config()
    del config["name"]
    return {"class_name": type(made).__name__, "config": config}


def padded(model: Any, rows: int = 4) -> list[np.ndarray]:
    """Inputs in which the last steps of each row are 0, as in texts of different lengths; of the rest, some are 10."""
    random = np.random.default_rng(1)
    found = []
    for tensor in model.inputs:
        shape = (rows, *tensor.shape[1:])
        values = random.integers(1, 5, shape) if "int" in tensor.dtype else random.uniform(0.5, 1.0, shape)
        if tensor.dtype == "bool":
            values = np.ones(shape)
        for row in range(rows):
            values[row, 2 + row :] = 0
        if tensor.dtype == "float32":
            values[:, 1] = 10
        found.append(values.astype(tensor.dtype))
    return found


def with_weights_of(model: Any, other: Any) -> Any:
    """Gives a model the weights of another one with layers of the same names; returns it."""
    for each in model.layers:
        if each.weights:
            each.set_weights(other.get_layer(each.name).get_weights())
    return model
