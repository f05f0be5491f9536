"""Using models of the zoo: mutants, parts, inputs that fit them, what they predict, and their weights as bytes."""

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


def drawn(model: Any) -> Any:
    """The model with weights that are not trivial; variances are positive."""
    random = np.random.default_rng(5)
    for weight in model.weights:
        is_variance = weight.name in ("moving_variance", "variance", "gamma")
        low, high = (0.5, 1.5) if is_variance else (-0.5, 0.5)
        weight.assign(random.uniform(low, high, weight.shape).astype(str(weight.dtype)))
    return model


def mutant_of(model: Any, *steps: dict[str, Any], **inputs: Any) -> Any:
    """The mutant of a model by some steps, and other models by their names in the plan."""
    import mutspec  # the other helpers are for processes of plain Keras too, which cannot import it

    plan = mutspec.plan({"inputs": {name: {} for name in inputs}, "steps": list(steps)})
    return mutspec.apply(plan, model, inputs=inputs)


def part(model: Any, *names: str) -> Any:
    """A model up to some of its layers."""
    import keras

    given = model.inputs[0] if len(model.inputs) == 1 else model.input  # a Sequential may have no `input`
    made = [model.get_layer(name).output for name in names]
    return keras.Model(given, made[0] if len(made) == 1 else made)


def names(model: Any) -> list[str]:
    """The names of a model's layers, in their order."""
    return [layer.name for layer in model.layers]


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


def by_xla(model: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    """What a model of channels_first predicts: TensorFlow computes its convolutions on a CPU only when compiled."""
    import keras
    import tensorflow

    compiled = tensorflow.function(lambda *given: model(given[0] if len(given) == 1 else list(given)), jit_compile=True)
    return [np.asarray(each, "float64") for each in keras.tree.flatten(compiled(*values))]


def predict_the_same(one: Any, other: Any, *, tolerance: float = 0) -> bool:
    """Tells whether two models predict the same for inputs of the second."""
    given = inputs_of(other)
    pairs = zip(outputs(one, given), outputs(other, given), strict=True)
    return all(a.shape == b.shape and np.allclose(a, b, rtol=0, atol=tolerance) for a, b in pairs)


def assert_same_outputs(one: list[np.ndarray], other: list[np.ndarray], relative: float = 1e-6) -> None:
    """Two predictions are the same but for a part of the largest number in the first."""
    for left, right in zip(one, other, strict=True):
        assert np.abs(left - right).max() <= relative * max(np.abs(left).max(), 1e-9)


def weights(model: Any) -> list[bytes]:
    """All weights to the bit."""
    return [np.asarray(variable.numpy()).tobytes() for variable in model.weights]
