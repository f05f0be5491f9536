"""Selecting by argument: what a config states, in any spelling, or Keras's default."""

# ruff: noqa: E501 (tables to read down)

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.classes import ancestry_of
from mutspec.language.types import Target
from mutspec.model.select import NothingMatched, SelectorIndex
from mutspec.model.spec import LayerSpec, ModelSpec


def layer(class_name: str, name: str, **config: Any) -> LayerSpec:
    """A layer of Keras's, or one of the user's own if its class begins with `My`."""
    ancestry = (class_name,) if class_name.startswith("My") else ancestry_of({"class_name": class_name})
    return LayerSpec(name, name, class_name, ancestry, {"name": name, **config})


def keras_object(class_name: str, **config: Any) -> dict[str, Any]:
    """An object as Keras 3 writes it."""
    return {"module": "keras.x", "class_name": class_name, "config": config, "registered_name": None}


FUNCTION = {"module": "builtins", "class_name": "function", "config": "my_gelu", "registered_name": "function"}
OWN = {"module": "mine", "class_name": "Own", "config": {}, "registered_name": "mine>Own"}

MODEL = ModelSpec(
    "model",
    "Functional",
    (
        layer("InputLayer", "in", batch_shape=[None, 8, 8, 3], dtype="float32"),
        layer("Conv2D", "conv", filters=64, kernel_size=[3, 3], padding="same", activation="relu", kernel_initializer=keras_object("HeNormal", seed=None), kernel_regularizer=keras_object("L2", l2=0.01)),
        layer("Conv2D", "wide", filters=128, kernel_size=[1, 7], strides=[2, 2], activation="swish", dtype=keras_object("DTypePolicy", name="mixed_float16"), kernel_initializer="he_normal"),
        layer("Dense", "old", units=10, kernel_initializer={"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_in", "distribution": "normal"}}, kernel_regularizer={"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.1}}, trainable=False),
        layer("Dense", "leaky", units=4, use_bias=False, activation=keras_object("LeakyReLU", negative_slope=0.2)),
        layer("Dense", "custom", units=2, activation=FUNCTION, kernel_constraint=OWN),
        layer("Dropout", "drop", rate=0.5, seed=None, noise_shape=None),
        layer("MyLayer", "mine", width=3, mode="fast"),
        layer("ReLU", "relu"),
        LayerSpec("implied", "implied", "EinsumDense", ("EinsumDense", "Layer")),
    ),
    (),
)  # fmt: skip
INDEX = SelectorIndex(MODEL)


def select(where: Any, index: SelectorIndex = INDEX, **keys: Any) -> list[str]:
    return [each.path for each in index.layers(msgspec.convert({"where": where, **keys}, Target)).layers]


def refusal(where: Any, **keys: Any) -> Problem:
    with pytest.raises(PlanError) as caught:
        select(where, **keys)
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"activation": "relu"}, ["conv"]),
        ({"activation": "silu"}, ["wide"]),
        ({"activation": ["relu", "swish"]}, ["conv", "wide"]),
        ({"activation": "linear"}, ["old"]),
        ({"activation": None}, ["old"]),
        ({"activation": "LeakyReLU"}, ["leaky"]),
        ({"activation": "my_gelu"}, ["custom"]),
        ({"kernel_initializer": "he_normal"}, ["conv", "wide", "old"]),
        ({"kernel_initializer": "HeNormal"}, ["conv", "wide", "old"]),
        ({"kernel_initializer": "glorot_uniform"}, ["leaky", "custom"]),
        ({"kernel_regularizer": "L2"}, ["conv", "old"]),
        ({"kernel_regularizer": "l2"}, ["conv", "old"]),
        ({"kernel_regularizer": None}, ["wide", "leaky", "custom"]),
        ({"kernel_constraint": "mine>Own"}, ["custom"]),
        ({"kernel_constraint": "Own"}, ["custom"]),
        ({"dtype": "mixed_float16"}, ["wide"]),
        ({"dtype": "float32", "units": {"min": 4}}, ["old", "leaky"]),
        ({"trainable": False}, ["old"]),
        ({"use_bias": False}, ["leaky"]),
        ({"use_bias": True}, ["conv", "wide", "old", "custom"]),
        ({"filters": {"min": 65}}, ["wide"]),
        ({"filters": {"max": 127}}, ["conv"]),
        ({"filters": {"min": 64, "max": 128}}, ["conv", "wide"]),
        ({"kernel_size": 3}, ["conv"]),
        ({"kernel_size": [3, 3]}, ["conv"]),
        ({"kernel_size": [1, 7]}, ["wide"]),
        ({"kernel_size": [[1, 7], 3]}, ["conv", "wide"]),
        ({"kernel_size": {"min": 2}}, ["conv"]),
        ({"strides": 1}, ["conv"]),
        ({"units": [10, 2, 99]}, ["old", "custom"]),
        ({"rate": 0.5}, ["drop"]),
        ({"data_format": "channels_last", "padding": "valid"}, ["wide"]),
        ({"width": 3}, ["mine"]),
        ({"mode": ["fast", "slow"]}, ["mine"]),
        ({"batch_shape": [None, 8, 8, 3]}, ["in"]),
    ],
)
def test_where_stands_for_these_layers(where: Any, expected: list[str]) -> None:
    assert select(where) == expected


def test_where_intersects_with_the_other_keys() -> None:
    assert select({"use_bias": True}, type="Dense") == ["old", "custom"]
    assert select({"use_bias": True}, type="Dense", **{"not": {"where": {"units": 2}}}) == ["old"]
    assert select({"use_bias": True}, pick={"last": 1}) == ["custom"]


def test_a_truth_value_is_not_a_number() -> None:
    with pytest.raises(PlanError, match="takes true or false, not 1"):
        select({"use_bias": 1})


@pytest.mark.parametrize(
    ("where", "path", "message", "rest"),
    [
        ({"activaton": "relu"}, ("where", "activaton"), "no layer has an argument `activaton`", "activation"),
        ({"activation": "rellu"}, ("where", "activation"), "no layer has `activation: rellu`", "relu"),
        (
            {"activation": "tanh"},
            ("where", "activation"),
            "no layer has `activation: tanh`",
            "`activation` is `relu`, `swish`, `linear`, `LeakyReLU`, `my_gelu`",
        ),
        (
            {"units": "many"},
            ("where", "units"),
            '`units` of a Dense takes a whole number of at least 1, not the text "many"',
            "",
        ),
        (
            {"units": [10, "many"]},
            ("where", "units", 1),
            '`units` of a Dense takes a whole number of at least 1, not the text "many"',
            "",
        ),
        (
            {"activation": 3},
            ("where", "activation"),
            "`activation` of a Conv2D takes the name of an activation, not 3",
            "relu",
        ),
        (
            {"activation": {"min": 1}},
            ("where", "activation"),
            "`activation` is not a number in any layer, so it has no `min` or `max`",
            "`relu`",
        ),
        (
            {"padding": "smae"},
            ("where", "padding"),
            '`padding` of a Conv2D takes valid or same, not the text "smae"',
            "same",
        ),
        ({"rate": 2}, ("where", "rate"), "`rate` of a Dropout takes a number from 0 to 1, not 2", ""),
        ({"units": {"min": 11}}, ("where", "units"), "no layer has `units: {min: 11}`", "`units` is `10`, `4`, `2`"),
        ({"units": 10, "use_bias": False}, ("where",), "no layer has all of `units: 10`, `use_bias: false`", ""),
        ({"mode": "slow"}, ("where", "mode"), "no layer has `mode: slow`", "`mode` is `fast`"),
    ],
)
def test_what_no_layer_has_is_explained(where: Any, path: tuple[Any, ...], message: str, rest: str) -> None:
    problem = refusal(where)
    assert (problem.message, problem.path) == (message, path)
    assert rest in f"{problem.hint} {problem.candidates}"


def test_what_the_other_keys_match_is_said() -> None:
    problem = refusal({"activation": "relu"}, type="Dense")
    assert problem.message == "no layer matches `type` and `where` together"
    assert problem.hint == "in the layers that the other keys match, `activation` is `linear`, `LeakyReLU`, `my_gelu`"


def test_an_unknown_argument_or_name_under_not_is_noted() -> None:
    target = {"type": "Dense", "not": {"where": {"activaton": "relu", "activation": ["relu", "rellu"]}}}
    selection = INDEX.layers(msgspec.convert(target, Target))
    assert [each.path for each in selection.layers] == ["old", "leaky", "custom"]
    assert selection.notes == (
        "no layer has an argument `activaton`; did you mean `activation`?",
        "no layer has `activation: rellu`; did you mean `relu`?",
    )


def test_an_argument_that_keras_has_and_the_model_does_not_is_not_noted() -> None:
    selection = INDEX.layers(msgspec.convert({"type": "Dense", "not": {"where": {"num_heads": 3}}}, Target))
    assert (len(selection.layers), selection.notes) == (3, ())


def test_a_layer_that_is_an_activation_is_hinted_at() -> None:
    index = SelectorIndex(ModelSpec("m", "Functional", (layer("Dense", "dense", units=3), layer("ReLU", "relu")), ()))
    with pytest.raises(NothingMatched) as caught:
        select({"activation": "relu"}, index)
    assert caught.value.problems[0].hint == (
        "`activation` is `linear`; to select layers of the class ReLU, write `{type: ReLU}`"
    )


@pytest.mark.parametrize(
    ("class_name", "required"),
    [
        ("Dense", {"units": 3}),
        ("Conv2D", {"filters": 3, "kernel_size": 3}),
        ("SeparableConv1D", {"filters": 3, "kernel_size": 3}),
        ("LSTM", {"units": 3}),
        ("GRU", {"units": 3}),
        ("BatchNormalization", {}),
        ("LayerNormalization", {}),
        ("MaxPooling2D", {"pool_size": 2, "strides": 2}),
        ("Embedding", {"input_dim": 3, "output_dim": 2}),
        ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "value_dim": 3}),
        ("Dropout", {"rate": 0.5}),
    ],
)
def test_what_a_config_leaves_out_has_kerass_default(class_name: str, required: dict[str, Any]) -> None:
    import keras

    config = getattr(keras.layers, class_name)(**required).get_config()
    index = SelectorIndex(ModelSpec("m", "Functional", (layer(class_name, config["name"], **required),), ()))
    for argument, value in config.items():
        if isinstance(value, dict):
            value = value["config"]["name"] if argument == "dtype" else value["class_name"]
        elif isinstance(value, list | tuple):
            value = [list(value)]
        if argument not in required:
            assert select({argument: value}, index) == [config["name"]], argument
