"""Using models of the zoo: inputs that fit them, what they predict, and their weights as bytes."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np

from tests.zoo import ZOO


@cache
def shared(name: str) -> Any:
    """A model of the zoo, built once for all tests of a session; they must leave it as it is."""
    return fresh(name)


def fresh(name: str) -> Any:
    """A model of the zoo that a test may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ZOO[name]()
    for layer in getattr(model, "layers", ()):
        if type(layer).__name__ == "Normalization":
            layer.finalize_state()  # the zoo has assigned to its statistics, as loading does
    return model


def inputs_of(model: Any, rows: int = 3) -> list[np.ndarray]:
    """Random inputs in the order of the model's inputs; axes without extent are 5 long."""
    random = np.random.default_rng(0)
    found = []
    for tensor in model.inputs:
        shape = [rows, *(extent or 5 for extent in tensor.shape[1:])]
        is_whole = "int" in tensor.dtype
        values = random.integers(0, 3, shape) if is_whole else random.uniform(-1, 1, shape)
        found.append(values.astype(tensor.dtype))
    return found


def outputs(model: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    """What a model predicts, flat and in float64."""
    import keras

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        structure = getattr(model, "_inputs_struct", None)
        given = values[0] if len(values) == 1 else values
        if structure is not None and not hasattr(structure, "shape"):
            given = keras.tree.pack_sequence_as(structure, values)
        predicted = model(given, training=False)
    return [np.asarray(keras.ops.convert_to_numpy(each)).astype("float64") for each in keras.tree.flatten(predicted)]


def weights(model: Any) -> list[bytes]:
    """All weights to the bit."""
    return [np.asarray(variable.numpy()).tobytes() for variable in model.weights]
