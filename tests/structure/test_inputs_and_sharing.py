"""Inputs of other shapes, and layers that share weights or share them no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from tests.structure.real_networks import first_stages
from tests.zoo.play import drawn, inputs_of, mutant_of, outputs, shared, weights


def _with_input(model: Any, **keys: Any) -> Any:
    return mutant_of(model, {"op": "set_input", **keys})


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=shape).astype("float32")


# Inputs


def _backbone(size: int) -> Any:
    """A classifier on a nested network of convolutions, as people take them from applications."""
    import keras

    layers = keras.layers
    inside = keras.Input((size, size, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(layers.ZeroPadding2D()(inside)))
    base = keras.Model(inside, layers.MaxPooling2D(2)(x), name="base")
    inputs = keras.Input((size, size, 3), name="image")
    pooled = layers.GlobalAveragePooling2D()(base(layers.Rescaling(0.5)(inputs)))
    return keras.Model(inputs, layers.Dense(2)(pooled))


@pytest.mark.parametrize("keys", [{"size": 12}, {"size": [12, 12]}, {"shape": [12, 12, 3], "input": "image"}])
def test_a_model_for_images_of_another_size_is_the_one_that_keras_builds(keys: dict[str, Any]) -> None:
    model, by_hand = drawn(_backbone(8)), _backbone(12)
    by_hand.set_weights(model.get_weights())
    mutant = _with_input(model, **keys)
    assert mutant.input_shape == (None, 12, 12, 3)
    assert mutant.get_layer("base").input_shape == (None, 12, 12, 3)
    assert weights(mutant) == weights(model)
    np.testing.assert_array_equal(mutant(_random(2, 12, 12, 3)), by_hand(_random(2, 12, 12, 3)))


def test_a_model_takes_images_of_any_size() -> None:
    mutant = _with_input(drawn(_backbone(8)), shape=[None, None, 3])
    assert mutant.output_shape == (None, 2)
    assert mutant(_random(1, 20, 10, 3)).shape == (1, 2)


def test_a_real_network_takes_larger_images() -> None:
    model = first_stages("MobileNetV2", 32)
    mutant = _with_input(model, size=64)
    assert mutant.input_shape == (None, 64, 64, 3)
    assert weights(mutant) == weights(model)


def test_a_dense_layer_after_a_flatten_cannot_follow_and_a_later_step_replaces_it() -> None:
    model = shared("sequential")
    said = r"`dense` has a kernel of 12×5, but its inputs, \(None, 27\), need 27×5.*`replace_layer`"
    with pytest.raises(PlanError, match=said):
        _with_input(model, size=8)
    replaced = {"op": "replace_layer", "target": "dense", "layer": {"type": "Dense", "units": 5, "name": "wider"}}
    mutant = mutant_of(model, {"op": "set_input", "size": 8}, replaced)
    assert mutant.get_layer("wider").kernel.shape == (27, 5)
    pooled = {"op": "replace_layer", "target": "flatten", "layer": {"type": "GlobalMaxPooling2D"}}
    with pytest.raises(PlanError, match=r"`dense` has a kernel of 12×5, but its inputs, \(None, 3\)"):
        mutant_of(model, {"op": "set_input", "size": 8}, pooled)


def test_a_sequence_of_another_length() -> None:
    model = shared("embedding_mask")
    mutant = _with_input(model, length=11)
    assert mutant.input_shape == (None, 11)
    values = np.random.default_rng(0).integers(0, 9, (3, 11)).astype("int32")
    longer = np.concatenate([values, np.zeros((3, 4), "int32")], axis=1)  # 0 is masked
    np.testing.assert_allclose(mutant(values), _with_input(model, length=15)(longer), rtol=1e-5)


def test_a_batch_size_is_set_in_all_models_and_unset_again() -> None:
    model = shared("nested")
    fixed = _with_input(model, batch_size=4)
    assert fixed.input_shape == (4, 5)
    assert fixed.output_shape == (4, 1)
    again = _with_input(fixed, batch_size=None)
    assert again.input_shape == (None, 5)
    values = inputs_of(model, 4)
    np.testing.assert_array_equal(outputs(model, values)[0], outputs(fixed, values)[0])


def test_an_input_of_bytes_is_cast_by_the_layers_themselves() -> None:
    model = drawn(_backbone(8))
    mutant = _with_input(model, dtype="uint8")
    values = np.random.default_rng(3).integers(0, 255, (2, 8, 8, 3)).astype("uint8")
    assert mutant.inputs[0].dtype == "uint8"
    np.testing.assert_allclose(mutant(values), model(values.astype("float32")), rtol=1e-6)


def test_a_model_that_was_built_by_a_call_gets_an_input() -> None:
    mutant = _with_input(shared("sequential_deferred"), batch_size=2)
    assert mutant.input_shape == (2, 3)
    assert weights(mutant) == weights(shared("sequential_deferred"))


def test_a_model_that_is_called_on_a_dictionary_follows_by_its_keys() -> None:
    import keras

    layers = keras.layers
    inside = {"z": keras.Input((4, 4, 3), name="z"), "a": keras.Input((5,), name="a")}
    made = {"image": layers.Conv2D(2, 2)(inside["z"]), "vector": layers.Dense(2)(inside["a"])}
    inner = keras.Model(inside, made, name="inner")
    first, second = keras.Input((4, 4, 3), name="first"), keras.Input((5,), name="second")
    both = inner({"z": first, "a": second})
    model = drawn(keras.Model([first, second], [layers.MaxPooling2D(2)(both["image"]), both["vector"]]))
    mutant = _with_input(model, input="first", size=6)
    assert {tuple(each.shape) for each in mutant.get_layer("inner").inputs} == {(None, 6, 6, 3), (None, 5)}
    vector = _random(2, 5)
    np.testing.assert_array_equal(mutant([_random(2, 6, 6, 3), vector])[1], model([_random(2, 4, 4, 3), vector])[1])


@pytest.mark.parametrize(
    ("name", "keys", "why"),
    [
        ("multiple_io", {"batch_size": 2, "dtype": "float16"}, "the model has 2 inputs: `a`, `b`"),
        ("multiple_io", {"input": "c", "batch_size": 2}, "the model has no input `c`"),
        ("nested", {"size": [3]}, r"`size` has 1 extents, but `input_layer.*`, of \(None, 5\), has 0 between"),
        ("nested", {"shape": [5]}, "has this shape and dtype already"),
    ],
)
def test_inputs_that_are_set_wrongly(name: str, keys: dict[str, Any], why: str) -> None:
    with pytest.raises(PlanError, match=why):
        _with_input(shared(name), **keys)


# Sharing


def _towers() -> Any:
    import keras

    layers = keras.layers
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    one = layers.Dense(5, activation="relu", name="one")(left)
    two = layers.Dense(5, activation="relu", name="two")(right)
    return drawn(keras.Model([left, right], [layers.Subtract(name="difference")([one, two]), two]))


def test_layers_that_share_weights_are_called_as_keras_would_call_one() -> None:
    import keras

    model = _towers()
    mutant = mutant_of(model, {"op": "share_weights", "target": ["one", "two"]})
    shared_layer = model.get_layer("one")
    left, right = keras.Input((4,)), keras.Input((4,))
    by_hand = keras.Model([left, right], [shared_layer(left) - shared_layer(right), shared_layer(right)])
    values = inputs_of(model)
    for ours, theirs in zip(outputs(mutant, values), outputs(by_hand, values), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [layer.name for layer in mutant.layers] == ["left", "right", "one", "difference"]
    assert len(mutant.weights) == 2


def test_a_stack_of_layers_in_a_sequential_model_becomes_one_layer_in_a_row() -> None:
    import keras

    dense = [keras.layers.Dense(4, activation="tanh", name=f"dense_{number}") for number in range(3)]
    model = drawn(keras.Sequential([keras.Input((4,)), *dense, keras.layers.Dense(1, name="last")]))
    with pytest.warns(mutspec.MutspecWarning, match="becomes a Functional model"):
        mutant = mutant_of(model, {"op": "share_weights", "target": ["dense_0", "dense_1", "dense_2"]})
    value = _random(3, 4)
    expected = model.layers[-1](dense[0](dense[0](dense[0](value))))
    np.testing.assert_array_equal(mutant(value), expected)
    mutant.compile("sgd", "mse")
    assert np.isfinite(mutant.fit(value, np.zeros((3, 1)), verbose=0).history["loss"]).all()


@pytest.mark.parametrize("name", ["shared_layers", "siamese", "called_twice"])
def test_a_layer_that_is_split_predicts_the_same_with_more_weights(name: str) -> None:
    model = shared(name)
    target = {"shared_layers": "shared", "siamese": "encoder", "called_twice": "inner"}[name]
    split = mutant_of(model, {"op": "unshare_weights", "target": target})
    values = inputs_of(model)
    for ours, expected in zip(outputs(split, values), outputs(model, values), strict=True):
        np.testing.assert_array_equal(ours, expected)
    own = model.get_layer(target).count_params()
    calls = 3 if name == "shared_layers" else 2
    assert split.count_params() == model.count_params() + (calls - 1) * own
    assert {f"{target}_{number}" for number in range(1, calls)} <= {layer.name for layer in split.layers}


def test_what_is_split_is_changed_apart_and_shared_again() -> None:
    model = shared("shared_layers")
    split = {"op": "unshare_weights", "target": "shared"}
    zero = {"op": "zero", "target": "shared_1/kernel"}
    mutant = mutant_of(model, split, zero)
    assert np.asarray(mutant.get_layer("shared").kernel).any()
    assert not np.asarray(mutant.get_layer("shared_1").kernel).any()
    again = mutant_of(model, split, {"op": "share_weights", "target": "shared*"})
    values = inputs_of(model)
    for ours, expected in zip(outputs(again, values), outputs(model, values), strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(
    ("name", "step", "why"),
    [
        ("nested", {"op": "share_weights", "target": "dense_4"}, "one layer, and two or more can share"),
        ("residual", {"op": "share_weights", "target": ["stem", "norm"]}, "is a Conv2D, and `norm` is a BatchNorm"),
        (
            "residual",
            {"op": "share_weights", "target": ["stem", "branch"]},
            "`use_bias` of `stem` and `branch`",
        ),
        (
            "sequential_deferred",
            {"op": "share_weights", "target": ["first", "second"]},
            "`units` of `first` and `second` differs",
        ),
        (
            "siamese",
            {"op": "unshare_weights", "target": "encoder/dense"},
            "`encoder`, which it is in",
        ),
        ("nested", {"op": "unshare_weights", "target": "encoder"}, "is called once"),
    ],
)
def test_layers_that_cannot_share_or_do_not(name: str, step: dict[str, Any], why: str) -> None:
    with pytest.raises(PlanError, match=why):
        mutant_of(shared(name), step)
