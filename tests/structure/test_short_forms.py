"""What a plan may write shortly, and over a pattern: regularizers and the like in short, `trainable` for models."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A model with an input, a nested model, an operation and a layer in a layer."""
    keras.utils.set_random_seed(2)
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="deep")], name="inner")
    x = keras.Input((4,), name="image")
    y = inner(keras.layers.Dense(4, name="first")(x)) + 1.0
    return keras.Model(x, keras.layers.Dense(2, name="last")(keras.layers.BatchNormalization(name="norm")(y)))


def mutant(model: keras.Model, *steps: dict[str, Any]) -> keras.Model:
    return mutspec.apply(mutspec.plan({"steps": list(steps)}), model)


def configuring(model: keras.Model, target: Any = "first", **changes: Any) -> keras.Model:
    return mutant(model, {"op": "configure_layer", "target": target, "set": changes})


SHORT = {
    "kernel_regularizer": ({"type": "L2", "l2": 0.01}, lambda made: float(made.l2) == pytest.approx(0.01)),
    "bias_constraint": ({"type": "MaxNorm", "max_value": 3}, lambda made: made.max_value == 3),
    "kernel_initializer": ({"type": "RandomNormal", "stddev": 0.5}, lambda made: made.stddev == 0.5),
    "bias_initializer": ({"type": "zeros"}, lambda made: isinstance(made, keras.initializers.Zeros)),
    "activation": ({"type": "elu"}, lambda made: made is keras.activations.elu),
}


@pytest.mark.parametrize("argument", SHORT)
def test_the_short_form_stands_for_keras_objects_as_for_layers(argument: str, model: keras.Model) -> None:
    value, is_meant = SHORT[argument]
    assert is_meant(getattr(configuring(model, **{argument: value}).get_layer("first"), argument))
    layer = {"type": "Dense", "units": 4, "name": "new", argument: value}
    made = mutant(model, {"op": "insert_layer", "after": "first", "layer": layer})
    assert is_meant(getattr(made.get_layer("new"), argument))


def test_weights_are_drawn_by_an_initializer_in_its_short_form(model: keras.Model) -> None:
    long = {"class_name": "RandomUniform", "config": {"minval": 1.0, "maxval": 2.0}}
    short = {"type": "RandomUniform", "minval": 1.0, "maxval": 2.0}
    made = [
        mutant(model, {"op": "reinitialize", "id": "draw", "target": "first/kernel", "initializer": each})
        for each in (long, short)
    ]
    kernels = [each.get_layer("first").kernel.numpy() for each in made]
    assert np.array_equal(*kernels)
    assert kernels[0].min() >= 1


@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        ("kernel_regularizer", {"l2": 0.01}, "for instance l2, or {type: L2, l2: 0.01}"),
        ("kernel_regularizer", {"type": "L3"}, "unknown regularizer `L3`"),
        ("kernel_constraint", 3, "for instance non_neg, or {type: MaxNorm, max_value: 2}"),
        ("activation", {"class_name": "LeakyReLU"}, "write `leaky_relu` for the function"),
        ("activation", "PReLU", "to use the layer, insert it after this one with `insert_layer`"),
    ],
)
def test_an_object_that_cannot_be_read_is_told_with_a_form_that_works(
    argument: str, value: Any, words: str, model: keras.Model
) -> None:
    with pytest.raises(PlanError) as caught:
        configuring(model, **{argument: value})
    assert words in str(caught.value)


def test_all_layers_are_frozen_by_a_pattern_that_takes_in_inputs_models_and_operations(model: keras.Model) -> None:
    frozen = configuring(model, {"type": "*"}, trainable=False)
    assert len(model.trainable_weights) > 0
    assert frozen.trainable_weights == []
    assert len(frozen.non_trainable_weights) == len(model.weights)
    assert all(np.array_equal(a, b) for a, b in zip(frozen.get_weights(), model.get_weights(), strict=True))


def test_a_model_passes_it_on_to_its_layers_and_back(model: keras.Model, tmp_path: Any) -> None:
    frozen = configuring(model, "inner", trainable=False)
    assert [each.path.split("/")[0] for each in frozen.trainable_weights] == ["first"] * 2 + ["norm"] * 2 + ["last"] * 2
    assert not frozen.get_layer("inner").trainable_weights
    frozen.save(tmp_path / "frozen.keras")
    thawed = configuring(keras.saving.load_model(tmp_path / "frozen.keras"), {"type": "*"}, trainable=True)
    assert len(thawed.trainable_weights) == len(model.trainable_weights)


def test_an_input_alone_has_nothing_to_freeze(model: keras.Model) -> None:
    with pytest.raises(PlanError, match="`image` is an input of the model, with nothing to set"):
        configuring(model, "image", trainable=False)


def test_other_arguments_of_a_model_are_those_of_its_layers(model: keras.Model) -> None:
    with pytest.raises(PlanError, match="`inner` is a model"):
        configuring(model, "inner", trainable=False, activation="elu")
