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
    "bias_initializer": ({"type": "ones"}, lambda made: isinstance(made, keras.initializers.Ones)),
    "activation": ({"type": "elu"}, lambda made: made is keras.activations.elu),
    "activity_regularizer": ({"type": "L1L2", "l1": 0.5}, lambda made: float(made.l1) == 0.5),
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
        (
            "kernel_regularizer",
            {"type": "L2", "l3": 0.01},
            "the regularizer `L2` has no argument `l3`. its arguments are l2",
        ),
        ("kernel_regularizer", {"type": "L2", "l2": "much"}, "takes a number of at least 0, not the text"),
        ("kernel_regularizer", {"class_name": "L2", "l2": 0.01}, "under `config`, or write {type: L2, l2: …}"),
        (
            "kernel_regularizer",
            {"type": "L2", "config": {"l2": 0.01}},
            "has no argument `config`. its arguments are l2",
        ),
        ("kernel_initializer", {"type": "HeNormal", "stddev": 0.1}, "its arguments are seed, input_axes, output_axes"),
        ("kernel_initializer", {"type": "zeros", "value": 1}, "has no argument `value`. it has none"),
        ("activation", "LeakyReLU", "write {type: LeakyReLU}, with its arguments"),
        ("activation", {"type": "LeakyReLU", "slope": 0.1}, "a LeakyReLU has no argument `slope`"),
        ("activation", {"type": "relu", "alpha": 0.1}, "for instance relu, or {type: LeakyReLU, negative_slope: 0.1}"),
        ("activation", "PReLU", "to use the layer, insert it after this one with `insert_layer`"),
    ],
)
def test_an_object_that_cannot_be_read_is_told_with_a_form_that_works(
    argument: str, value: Any, words: str, model: keras.Model
) -> None:
    with pytest.raises(PlanError) as caught:
        configuring(model, **{argument: value})
    assert words in str(caught.value)


def test_a_mistake_in_a_short_form_is_said_at_its_argument(model: keras.Model) -> None:
    for form, path in (
        ({"type": "L2", "l3": 0.01}, ("l3",)),
        ({"class_name": "L2", "config": {"l3": 0.01}}, ("config", "l3")),
        ({"class_name": "L2", "l3": 0.01}, ("l3",)),
    ):
        with pytest.raises(PlanError) as caught:
            configuring(model, kernel_regularizer=form)
        assert caught.value.problems[0].path == ("steps", 0, "set", "kernel_regularizer", *path)


L2 = {"type": "L2", "l2": 0.25}
AT_DEPTH: dict[str, tuple[dict[str, Any], Any]] = {
    "a wrapper": (
        {"type": "TimeDistributed", "layer": {"type": "Dense", "units": 2, "kernel_regularizer": L2}},
        lambda made: made.layer.kernel_regularizer,
    ),
    "both directions": (
        {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 2, "recurrent_regularizer": L2}},
        lambda made: made.backward_layer.recurrent_regularizer,
    ),
    "a cell": (
        {
            "type": "RNN",
            "cell": [{"type": "GRUCell", "units": 2}, {"type": "LSTMCell", "units": 2, "bias_regularizer": L2}],
        },
        lambda made: made.cell.cells[1].bias_regularizer,
    ),
    "Keras's form": (
        {"class_name": "Conv1D", "config": {"filters": 2, "kernel_size": 1, "kernel_regularizer": L2}},
        lambda made: made.kernel_regularizer,
    ),
    "a model": (
        {
            "class_name": "Sequential",
            "config": {"layers": [{"type": "Dense", "units": 2, "kernel_regularizer": L2, "name": "in"}]},
        },
        lambda made: made.layers[-1].kernel_regularizer,
    ),
    "a normalisation": (
        {"type": "SpectralNormalization", "layer": {"type": "Dense", "units": 2, "kernel_regularizer": L2}},
        lambda made: made.layer.kernel_regularizer,
    ),
}


@pytest.mark.parametrize("case", AT_DEPTH)
def test_the_short_form_works_at_any_depth(case: str) -> None:
    layer, found = AT_DEPTH[case]
    base = keras.Sequential([keras.Input((5, 4)), keras.layers.Activation("linear", name="first")])
    made = mutant(base, {"op": "insert_layer", "id": "new", "after": "first", "layer": layer}).layers[-1]
    assert float(found(made).l2) == 0.25


@keras.saving.register_keras_serializable("short_forms")
class Scaled(keras.layers.Layer):
    """A layer of a user's own with a regularizer."""

    def __init__(self, kernel_regularizer: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)

    def call(self, x: Any) -> Any:
        return x

    def get_config(self) -> dict[str, Any]:
        written = keras.regularizers.serialize(self.kernel_regularizer)
        return {**super().get_config(), "kernel_regularizer": written}


def test_the_short_form_works_in_layers_of_the_users_own(model: keras.Model) -> None:
    layer = {"type": "short_forms>Scaled", "kernel_regularizer": L2, "name": "new"}
    made = mutant(model, {"op": "insert_layer", "after": "first", "layer": layer}).get_layer("new")
    assert float(made.kernel_regularizer.l2) == 0.25


def test_a_dtype_policy_has_a_short_form_too(model: keras.Model) -> None:
    layer = {"type": "Dense", "units": 4, "name": "new", "dtype": {"type": "DTypePolicy", "name": "mixed_bfloat16"}}
    made = mutant(model, {"op": "insert_layer", "after": "first", "layer": layer}).get_layer("new")
    assert made.dtype_policy.name == "mixed_bfloat16"


@pytest.mark.parametrize("form", ["type", "class_name"])
def test_a_layer_with_arguments_is_an_activation_where_keras_takes_one(
    form: str, model: keras.Model, tmp_path: Any
) -> None:
    arguments = {"negative_slope": 0.5}
    value = {"type": "LeakyReLU", **arguments} if form == "type" else {"class_name": "LeakyReLU", "config": arguments}
    made = configuring(model, activation=value)
    first = made.get_layer("first")
    assert isinstance(first.activation, keras.layers.LeakyReLU)
    x = np.array([[1.0, -2.0, 3.0, -4.0]], np.float32)
    plain = x @ first.kernel.numpy() + first.bias.numpy()
    np.testing.assert_allclose(first(x), np.where(plain < 0, plain / 2, plain), rtol=1e-5)
    made.save(tmp_path / "made.keras")
    again = {"op": "configure_layer", "target": "last", "set": {"activation": "tanh"}}
    mutspec.apply(mutspec.plan({"steps": [again]}), tmp_path / "made.keras", tmp_path / "again.keras")
    assert keras.saving.load_model(tmp_path / "again.keras").get_layer("first").activation.negative_slope == 0.5


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
