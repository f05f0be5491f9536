"""Morphisms, conversions, inputs and sharing from file to file: plain Keras loads what is written."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec


@cache
def _model() -> Any:
    import keras

    layers = keras.layers
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    x = layers.PReLU(name="slopes")(layers.Conv2D(4, 3, padding="same", activation="relu", name="again")(x))
    dense = layers.Dense(6, activation="relu", name="dense")
    x = dense(dense(layers.Dense(6, name="first")(layers.GlobalAveragePooling2D(name="pool")(x))))
    model = keras.Model(inputs, layers.Dense(2, name="out")(layers.Dense(6, activation="relu", name="last")(x)))
    random = np.random.default_rng(5)
    for weight in model.weights:
        weight.assign(random.uniform(0.2, 0.8, weight.shape).astype("float32"))
    return model


STEPS: dict[str, dict[str, Any]] = {
    "fold": {"op": "fold_batch_normalization", "target": "norm"},
    "deepen": {"op": "deepen", "target": ["again", "last"], "batch_normalization": True},
    "mixed precision": {"op": "set_dtype_policy", "policy": "mixed_bfloat16"},
    "half precision": {"op": "set_dtype_policy", "policy": "float16", "output_policy": "float32"},
    "data format": {"op": "convert", "to": "channels_first"},
    "batch size": {"op": "set_input", "batch_size": 2},
    "share": {"op": "share_weights", "target": ["dense", "last"]},
    "unshare": {"op": "unshare_weights", "target": "dense"},
}
TOLERANCES = {"mixed precision": 2e-2, "half precision": 2e-3}


@pytest.mark.parametrize("what", STEPS)
def test_the_written_model_is_the_mutant_in_memory_and_predicts_what_it_should(what: str, tmp_path: Path) -> None:
    import keras
    import tensorflow

    base, out = tmp_path / "base.keras", tmp_path / "out.keras"
    _model().save(base)
    plan = mutspec.plan({"steps": [STEPS[what]]})
    mutspec.apply(plan, base, out)
    loaded, live = keras.saving.load_model(out), mutspec.apply(plan, _model())
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in live.layers]
    for one, other in zip(loaded.weights, live.weights, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes()
    values = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    expected = np.asarray(_model()(values))
    given = np.moveaxis(values, -1, 1).copy() if what == "data format" else values
    found = np.asarray(tensorflow.function(loaded, jit_compile=what == "data format")(given))
    if what != "share":
        assert np.abs(found - expected).max() <= TOLERANCES.get(what, 1e-5) * np.abs(expected).max()


def test_all_of_them_in_one_plan_and_weight_steps_between_them(tmp_path: Path) -> None:
    import keras

    base, out = tmp_path / "base.keras", tmp_path / "out.keras"
    _model().save(base)
    noise = {"op": "gaussian_noise", "std": 0.1, "target": "*"}
    names = ["unshare", "fold", "deepen", "batch size", "half precision"]
    steps = [each for name in names for each in ({**noise, "id": f"before_{len(name)}_{name[0]}"}, STEPS[name])]
    plan = mutspec.plan({"seed": 4, "steps": [*steps, {**noise, "id": "after"}]})
    report = mutspec.apply(plan, base, out)
    loaded = keras.saving.load_model(out)
    assert loaded.input_shape == (2, 8, 8, 3)
    for one, other in zip(loaded.weights, mutspec.apply(plan, _model()).weights, strict=True):
        assert one.numpy().tobytes() == other.numpy().tobytes()
    foreseen = mutspec.dry_run(plan, base)
    assert [step.edits for step in foreseen.steps] == [step.edits for step in report.steps]


def test_a_stateless_network_becomes_stateful(tmp_path: Path) -> None:
    import keras

    layers = keras.layers
    model = keras.Sequential([keras.Input((5, 3)), layers.LSTM(4, name="memory"), layers.Dense(1)])
    model.save(tmp_path / "base.keras")
    steps = [
        {"op": "set_input", "batch_size": 2},
        {"op": "configure_layer", "target": "memory", "set": {"stateful": True}},
    ]
    mutspec.apply(mutspec.plan({"steps": steps}), tmp_path / "base.keras", tmp_path / "out.keras")
    mutant = keras.saving.load_model(tmp_path / "out.keras")
    values = np.random.default_rng(1).normal(size=(2, 5, 3)).astype("float32")
    first, second = np.asarray(mutant(values)), np.asarray(mutant(values))
    np.testing.assert_allclose(first, model(values), rtol=1e-5)
    assert np.abs(first - second).max() > 1e-6
