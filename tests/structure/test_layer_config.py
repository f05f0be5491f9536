"""A layer as a plan writes it becomes an entry that Keras makes the meant layer of; or all that is wrong is said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from mutspec.errors import PlanError
from mutspec.keras_facts.layer_arguments import arguments_of, known_classes
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.live.oracle import KerasOracle
from mutspec.structure.layer_config import configured, layer_entry
from mutspec.structure.shape_rules import TableOracle
from tests.keras_facts.installed import skip_if_keras_lacks
from tests.structure.layer_cases import CASES
from tests.zoo import ZOO
from tests.zoo.play import shared


def _entry(layer: Any, like: Mapping[str, Any] | None = None, width: int | None = 8, **more: Any) -> dict[str, Any]:
    return layer_entry(layer, name="step", like=like or {}, width=width, **more)


def _keras_makes(entry: Mapping[str, Any]) -> Any:
    import keras

    return keras.saving.deserialize_keras_object(json.loads(json.dumps(entry)))


# What becomes of it


def test_a_layer_is_written_in_full() -> None:
    assert _entry({"type": "Dense", "units": "same", "activation": "relu"}) == {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"name": "step", "units": 8, "activation": "relu", "dtype": "float32"},
        "registered_name": None,
        "name": "step",
    }


def test_both_forms_mean_the_same() -> None:
    plain = _entry({"type": "Conv2D", "filters": 3, "kernel_size": [3, 3], "name": "mine"})
    keras_form = {"class_name": "Conv2D", "config": {"filters": 3, "kernel_size": [3, 3], "name": "mine"}}
    assert _entry(keras_form) == plain
    whole = {**keras_form, "module": "keras.layers", "registered_name": None, "name": "mine", "build_config": {}}
    assert _entry(whole) == plain


@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{index}-{case[0]}" for index, case in enumerate(CASES)])
def test_keras_makes_the_layer_that_was_meant(index: int) -> None:
    import keras

    class_name, config, shapes = CASES[index]
    entry = _entry({"type": class_name, **config})
    layer = _keras_makes(entry)
    meant = getattr(keras.layers, class_name)(**config, name="step", dtype="float32").get_config()
    assert layer.get_config() == meant
    inputs = tuple(TensorType(shape) for shape in shapes)
    assert TableOracle()(entry, inputs) == KerasOracle()(entry, inputs)


EXAMPLES: dict[str, Any] = {
    **dict.fromkeys(
        ("units", "filters", "n", "output_size", "input_dim", "output_dim", "output_shape", "num_heads"), 2
    ),
    **dict.fromkeys(("key_dim", "head_dim", "num_query_heads", "num_key_value_heads", "num_bins", "num_tokens"), 2),
    **dict.fromkeys(("height", "width", "pool_size", "kernel_size", "max_number", "axes"), 2),
    **dict.fromkeys(("rate", "stddev", "scale", "factor", "height_factor", "width_factor"), 0.1),
    "dims": [2, 1],
    "target_shape": [-1, 2],
    "activation": "relu",
    "equation": "ab,bc->ac",
    "layer": {"type": "LSTM", "units": 2},
    "cell": {"type": "GRUCell", "units": 2},
    "cells": [{"type": "GRUCell", "units": 2}],
}


@pytest.mark.parametrize("class_name", known_classes())
def test_keras_makes_every_class_of_what_it_requires(class_name: str) -> None:
    skip_if_keras_lacks(class_name)
    layer = {key: EXAMPLES[key] for key, each in (arguments_of(class_name) or {}).items() if each.is_required}
    layer |= {"CategoryEncoding": {"num_tokens": 2}, "Discretization": {"num_bins": 2}}.get(class_name, {})
    layer |= {"RandomPosterization": {"factor": 4}}.get(class_name, {})
    layer |= {"SpectralNormalization": {"layer": {"type": "Dense", "units": 2}}}.get(class_name, {})
    base = {"trainable": False, "activity_regularizer": "l2"}
    layer |= {key: value for key, value in base.items() if key in (arguments_of(class_name) or {})}
    assert _keras_makes(_entry({"type": class_name, **layer})).name == "step"


def test_policy_and_data_format_are_those_of_the_neighbouring_layer() -> None:
    policy = {"class_name": "DTypePolicy", "module": "keras", "config": {"name": "mixed_float16"}}
    like = {"dtype": policy, "data_format": "channels_first", "filters": 3}
    config = _entry({"type": "Conv2D", "filters": 2, "kernel_size": 1}, like)["config"]
    assert (config["dtype"], config["data_format"]) == ("mixed_float16", "channels_first")
    layer = _keras_makes(_entry({"type": "Conv2D", "filters": 2, "kernel_size": 1}, like))
    assert (layer.compute_dtype, layer.variable_dtype, layer.data_format) == ("float16", "float32", "channels_first")


def test_what_the_layer_says_itself_wins() -> None:
    like = {"dtype": "mixed_float16", "data_format": "channels_first"}
    layer = {"type": "Flatten", "dtype": "float64", "data_format": "channels_last", "name": "mine"}
    entry = _entry(layer, like)
    assert entry["config"] == {"name": "mine", "dtype": "float64", "data_format": "channels_last"}
    assert entry["name"] == "mine"


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (None, "float32"),
        ("float16", "float16"),
        ("int32", "float32"),
        ("int8_from_mixed_bfloat16", "mixed_bfloat16"),
        ({"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}}, "float32"),
        ({"class_name": "Policy", "config": {"name": "mixed_float16"}}, "mixed_float16"),
        (
            {
                "class_name": "DTypePolicyMap",
                "config": {"default_policy": {"class_name": "DTypePolicy", "config": {"name": "float16"}}},
            },
            "float16",
        ),
    ],
)
def test_a_new_layer_computes_as_its_neighbour_but_is_not_quantised(dtype: Any, expected: str) -> None:
    assert _entry({"type": "Dense", "units": 1}, {"dtype": dtype})["config"]["dtype"] == expected


def test_global_settings_do_not_matter() -> None:
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    keras.config.set_image_data_format("channels_first")
    try:
        layer = _keras_makes(_entry({"type": "MaxPooling2D"}))
        assert (layer.compute_dtype, layer.data_format) == ("float32", "channels_last")
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_image_data_format("channels_last")


def test_same_is_the_width_wherever_a_width_stands() -> None:
    for layer, key in (
        ({"type": "Dense", "units": "same"}, "units"),
        ({"type": "Conv2D", "filters": "same", "kernel_size": 1, "padding": "same"}, "filters"),
        ({"type": "Embedding", "input_dim": 3, "output_dim": "same"}, "output_dim"),
        ({"type": "my_package>Adapter", "units": "same"}, "units"),
    ):
        assert _entry(layer)["config"][key] == 8
    assert _entry({"type": "Conv2D", "filters": 1, "kernel_size": 1, "padding": "same"})["config"]["padding"] == "same"


def test_layers_in_a_layer_are_written_in_full_too() -> None:
    layer = {"type": "Bidirectional", "layer": {"type": "LSTM", "units": "same", "return_sequences": True}}
    made = KerasOracle()(_entry(layer, {"dtype": "mixed_float16"}), (TensorType((None, 5, 4)),))
    assert made.outputs == (TensorType((None, 5, 16), "float16"),)
    assert [each.path for each in made.weights][:2] == [
        "step/forward_lstm/kernel",
        "step/forward_lstm/recurrent_kernel",
    ]
    stack = {"type": "RNN", "cell": [{"type": "LSTMCell", "units": 3}, {"type": "LSTMCell", "units": "same"}]}
    made = KerasOracle()(_entry(stack), (TensorType((None, 5, 4)),))
    assert made.outputs == (TensorType((None, 8)),)
    assert made.weights[0].path == "step/stacked_rnn_cells/lstm_cell/kernel"
    assert made.weights[3].path == "step/stacked_rnn_cells/lstm_cell_1/kernel"


def test_defaults_fill_in_what_the_class_has_and_the_layer_does_not_say() -> None:
    defaults = {"use_bias": False, "trainable": False, "pool_size": 3}
    config = _entry({"type": "Dense", "units": 2, "trainable": True}, defaults=defaults)["config"]
    assert config == {"name": "step", "use_bias": False, "trainable": True, "units": 2, "dtype": "float32"}


def test_other_names_of_a_class_are_understood() -> None:
    assert _entry({"type": "MaxPool2D"})["class_name"] == "MaxPooling2D"


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "mine>Adapter", "size": 3},
        {"class_name": "mine>Adapter", "config": {"size": 3}},
        {"class_name": "Adapter", "module": None, "registered_name": "mine>Adapter", "config": {"size": 3}},
        {"class_name": "Adapter", "module": "os.path", "registered_name": "mine>Adapter", "config": {"size": 3}},
    ],
)
def test_a_users_own_class_is_left_to_the_registry(layer: dict[str, Any]) -> None:
    entry = _entry(layer)
    assert entry["module"] is None
    assert (entry["class_name"], entry["registered_name"]) == ("Adapter", "mine>Adapter")
    assert entry["config"] == {"name": "step", "size": 3, "dtype": "float32"}


def test_no_module_that_a_plan_names_is_imported() -> None:
    own = {"class_name": "Ramp", "module": "antigravity", "registered_name": "mine>Ramp", "config": {}}
    entry = _entry({"type": "Dense", "units": 3, "kernel_initializer": own})
    assert entry["config"]["kernel_initializer"]["module"] is None
    keras_own = {
        "class_name": "HeNormal",
        "module": "keras.initializers",
        "config": {"seed": 1},
        "registered_name": None,
    }
    entry = _entry({"type": "Dense", "units": 3, "kernel_initializer": keras_own})
    assert entry["config"]["kernel_initializer"] == keras_own


def test_a_whole_model_can_be_a_layer() -> None:
    import keras

    block = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")], name="block")
    written = json.loads(json.dumps(keras.saving.serialize_keras_object(block)))
    made = KerasOracle()(_entry(written), (TensorType((None, 4)),))
    assert [each.path for each in made.weights] == ["block/dense/kernel", "block/dense/bias"]


def test_what_keras_writes_is_accepted_as_it_is() -> None:
    """Every layer of Keras in every model of the zoo, copied from its config."""
    import keras

    refused = {"InputLayer", "Lambda"}
    seen = set()
    for name in ZOO:
        model = shared(name)
        if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
            continue
        for written in json.loads(json.dumps(keras.saving.serialize_keras_object(model)))["config"]["layers"]:
            entry = {key: value for key, value in written.items() if key not in ("inbound_nodes", "build_config")}
            is_keras = str(entry["module"]).startswith("keras.layers")
            if not is_keras or entry["class_name"] in refused:
                continue
            made = _entry(entry)
            assert made["class_name"] == entry["class_name"]
            assert set(made["config"]) >= set(entry["config"])
            if "layer" not in entry["config"] and "cell" not in entry["config"]:
                assert {key: made["config"][key] for key in entry["config"]} == entry["config"]
            seen.add(entry["class_name"])
    assert {"BatchNormalization", "Bidirectional", "Conv2D", "Embedding", "LSTM", "MultiHeadAttention"} <= seen


# What is wrong with it

DENSE = {"type": "Dense", "units": 3}
MISTAKES: tuple[tuple[Any, tuple[Any, ...], str, tuple[str, ...]], ...] = (
    (5, (), "a layer must be a mapping such as {type: Dense, units: 8}, not 5", ()),
    ({}, (), "a layer needs the name of its class as `type`", ()),
    ({"type": 3}, (), "a layer needs the name of its class as `type`, not 3", ()),
    ({"typ": "Dense"}, ("typ",), "a layer has no key `typ`", ("type",)),
    ({"type": "Desne"}, ("type",), "Keras has no layer class `Desne`", ("Dense",)),
    ({"class_name": "Desne"}, ("class_name",), "Keras has no layer class `Desne`", ("Dense",)),
    ({"type": "Dense", "class_name": "Dense"}, ("class_name",), "a layer cannot have both `type` and `class_name`", ()),
    ({"type": "Dense", "config": {}}, ("config",), "a layer cannot have both `type` and `config`", ()),
    ({"class_name": "Dense", "units": 3}, ("units",), "a layer in Keras's form has no key `units`", ()),
    ({"class_name": "Dense", "confg": {}}, ("confg",), "a layer in Keras's form has no key `confg`", ("config",)),
    ({"class_name": "Dense", "config": 3}, ("config",), "`config` takes a mapping of arguments, not 3", ()),
    ({"type": "Dense"}, (), "a Dense needs `units`", ()),
    ({"class_name": "Dense"}, ("config",), "a Dense needs `units`", ()),
    ({"type": "Dense", "units": None}, (), "a Dense needs `units`", ()),
    ({"type": "Dense", "unit": 3}, ("unit",), "a Dense has no argument `unit`", ("units",)),
    ({**DENSE, "module": "os"}, ("module",), "a Dense has no argument `module`", ()),
    ({**DENSE, 1: 2}, (1,), "a Dense has no argument `1`", ()),
    ({**DENSE, "units": -3}, ("units",), "`units` of a Dense takes a whole number of at least 1, not -3", ()),
    ({**DENSE, "units": 2.0}, ("units",), "`units` of a Dense takes a whole number of at least 1, not 2.0", ()),
    ({**DENSE, "units": True}, ("units",), "`units` of a Dense takes a whole number of at least 1, not true", ()),
    ({**DENSE, "units": "sme"}, ("units",), 'takes a whole number of at least 1, not the text "sme"', ()),
    ({**DENSE, "activation": "rleu"}, ("activation",), "unknown activation `rleu`", ("relu", "relu6")),
    ({**DENSE, "activation": 3}, ("activation",), "`activation` of a Dense takes the name of an activation, not 3", ()),
    ({**DENSE, "activation": "glu"}, ("activation",), "`activation` cannot be `glu`", ()),
    ({**DENSE, "kernel_initializer": "he_norma"}, ("kernel_initializer",), "unknown initializer `he_norma`", ...),  # type: ignore[arg-type]
    (
        {**DENSE, "kernel_initializer": {"class_name": "HeNorml", "config": {}}},
        ("kernel_initializer",),
        "unknown initializer `HeNorml`",
        ...,  # type: ignore[arg-type]
    ),
    ({**DENSE, "kernel_regularizer": "l1_l2"}, ("kernel_regularizer",), "unknown regularizer `l1_l2`", ...),  # type: ignore[arg-type]
    ({**DENSE, "use_bias": 1}, ("use_bias",), "`use_bias` of a Dense takes true or false, not 1", ()),
    ({**DENSE, "use_bias": None}, ("use_bias",), "`use_bias` of a Dense takes true or false, not nothing", ()),
    ({**DENSE, "dtype": "flaot16"}, ("dtype",), "`dtype` of a Dense takes bfloat16, float16", ...),  # type: ignore[arg-type]
    ({**DENSE, "name": "a/b"}, ("name",), "the name `a/b` holds a `/`, which Keras does not take", ()),
    ({"type": "Dropout", "rate": 2}, ("rate",), "`rate` of a Dropout takes a number from 0 to 1, not 2", ()),
    (
        {"type": "Conv2D", "filters": 2, "kernel_size": [3, 3, 3]},
        ("kernel_size",),
        "`kernel_size` of a Conv2D takes a whole number of at least 1, or a list of 2, not [3, 3, 3]",
        (),
    ),
    (
        {"type": "Conv2D", "filters": 2, "kernel_size": 3, "padding": "causal"},
        ("padding",),
        '`padding` of a Conv2D takes valid or same, not the text "causal"',
        (),
    ),
    (
        {"type": "MaxPooling2D", "data_format": "channel_first"},
        ("data_format",),
        "takes channels_last or channels_first, not",
        ("channels_first", "channels_last"),
    ),
    ({"type": "SpatialDropout2D", "rate": 0.1, "trainable": False}, ("trainable",), "has no argument `trainable`", ()),
    ({"type": "InputLayer"}, ("type",), "a plan cannot add an InputLayer to a model: it is an input", ()),
    ({"type": "Lambda", "function": "x"}, ("type",), "a plan cannot add a Lambda to a model: it runs code", ()),
    ({"class_name": "TFSMLayer"}, ("class_name",), "a plan cannot add a TFSMLayer to a model", ()),
    ({"type": "Sequential"}, ("type",), "a plan cannot add a Sequential to a model: write it in Keras's", ()),
    ({"class_name": "Sequential"}, ("config",), "the config of a Sequential needs the list `layers`", ()),
    (
        {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "config": {}}]}},
        ("config", "layers", 0, "class_name"),
        "a plan cannot add a Lambda to a model: it runs code, but a plan holds only data",
        (),
    ),
    (
        {"type": "mine>Layer", "function": {"class_name": "__lambda__", "config": {"code": ""}}},
        ("function",),
        "a plan cannot add Python code to a model",
        (),
    ),
    (
        {"type": "TextVectorization", "vocabulary": "/etc/passwd"},
        ("vocabulary",),
        '`vocabulary` of a TextVectorization takes a list, not the text "/etc/passwd"',
        (),
    ),
    ({"type": "TimeDistributed", "layer": 3}, ("layer",), "a layer must be a mapping such as", ()),
    (
        {"type": "TimeDistributed", "layer": {"type": "Dense", "units": 0}},
        ("layer", "units"),
        "`units` of a Dense takes a whole number of at least 1, not 0",
        (),
    ),
    (
        {"type": "RNN", "cell": [{"type": "GRUCell", "units": 1}, {"type": "GRUCel", "units": 1}]},
        ("cell", 1, "type"),
        "Keras has no layer class `GRUCel`",
        ...,  # type: ignore[arg-type]
    ),
)


@pytest.mark.parametrize(("layer", "path", "message", "candidates"), MISTAKES)
def test_a_mistake_is_said_where_it_is(layer: Any, path: tuple[Any, ...], message: str, candidates: Any) -> None:
    with pytest.raises(PlanError) as error:
        _entry(layer)
    (problem,) = error.value.problems
    assert problem.path == path
    assert message in problem.message
    if candidates is not ...:
        assert problem.candidates == candidates
    else:
        assert problem.candidates


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(PlanError) as error:
        _entry({"type": "Conv2D", "filter": 3, "activation": "rleu", "padding": "sme", "use_bias": "yes"})
    said = [(problem.path, problem.candidates[:1]) for problem in error.value.problems]
    assert said == [
        (("filter",), ("filters",)),
        (("activation",), ("relu",)),
        (("padding",), ("same",)),
        (("use_bias",), ()),
        ((), ()),
    ]
    assert "a Conv2D needs `kernel_size`" in error.value.problems[-1].message


def test_same_needs_a_known_width() -> None:
    with pytest.raises(PlanError, match="`same` needs the width of the layer's input") as error:
        _entry({"type": "Dense", "units": "same"}, width=None)
    assert error.value.problems[0].path == ("units",)
    assert _entry({"type": "Dense", "units": 3}, width=None)["config"]["units"] == 3


@pytest.mark.parametrize(
    ("class_name", "config"),
    [
        ("Dense", {"units": -3}),
        ("Dense", {"units": 3, "activation": "rleu"}),
        ("Dense", {"units": 3, "kernel_initializer": "he_norma"}),
        ("Dropout", {"rate": 2}),
        ("Dropout", {"rate": None}),
        ("Conv2D", {"filters": 2, "kernel_size": [3, 3, 3]}),
        ("Conv2D", {"filters": 2, "kernel_size": 0}),
        ("Conv2D", {"filters": 2, "kernel_size": 3, "padding": "causal"}),
        ("ReLU", {"negative_slope": -1.0}),
        ("GaussianNoise", {"stddev": 3}),
        ("GroupNormalization", {"groups": 0}),
        ("Embedding", {"input_dim": 0, "output_dim": 2}),
        ("RepeatVector", {"n": 0}),
        ("Bidirectional", {"merge_mode": "add"}),
        ("ZeroPadding2D", {"padding": -1}),
        ("Cropping1D", {"cropping": [1, 2, 3]}),
        ("UpSampling1D", {"size": 1.5}),
        ("MultiHeadAttention", {"num_heads": 0, "key_dim": 2}),
    ],
)
def test_keras_refuses_these_values_too(class_name: str, config: dict[str, Any]) -> None:
    import keras

    inner = {"layer": keras.layers.LSTM(2)} if class_name == "Bidirectional" else {}
    with pytest.raises(Exception):  # noqa: B017, PT011 - of many kinds
        getattr(keras.layers, class_name)(**inner, **config)(keras.Input((5, 4)))
    written = {"layer": {"type": "LSTM", "units": 2}} if class_name == "Bidirectional" else {}
    with pytest.raises(PlanError):
        _entry({"type": class_name, **written, **config})


# Other arguments


def test_arguments_that_change_no_shape_can_be_set() -> None:
    entry = _entry({"type": "Dense", "units": 3})
    changed = configured(entry, {"activation": "tanh", "trainable": False, "kernel_regularizer": "l2"})
    assert changed["config"] == {
        **entry["config"],
        "activation": "tanh",
        "trainable": False,
        "kernel_regularizer": "l2",
    }
    assert {**changed, "config": None} == {**entry, "config": None}
    assert entry["config"] == {"name": "step", "units": 3, "dtype": "float32"}


def test_a_user_s_own_layer_can_be_frozen() -> None:
    entry = _entry({"type": "mine>Adapter", "size": 3})
    assert configured(entry, {"trainable": False})["config"]["trainable"] is False


@pytest.mark.parametrize(
    ("class_name", "changes", "message", "hint"),
    [
        ("TimeDistributed", {"layer": {}}, "`layer` of a TimeDistributed cannot be set", "name the layer in it"),
        ("Dense", {"name": "other"}, "`name` of a Dense cannot be set", "use `rename_layer`"),
        ("Dense", {"dtype": "float16"}, "`dtype` of a Dense cannot be set", "use `set_dtype_policy`"),
        ("Dense", {"units": 0}, "`units` of a Dense takes a whole number of at least 1, not 0", ""),
        ("Dense", {"activaton": "relu"}, "a Dense has no argument `activaton`", ""),
        ("Dense", {"activation": "rleu"}, "unknown activation `rleu`", ""),
        ("Dropout", {"rate": 2}, "`rate` of a Dropout takes a number from 0 to 1, not 2", ""),
        ("Dropout", {"rate": None}, "`rate` of a Dropout takes a number from 0 to 1, not nothing", ""),
    ],
)
def test_what_cannot_be_set_is_said(class_name: str, changes: dict[str, Any], message: str, hint: str) -> None:
    entry = {"class_name": class_name, "module": "keras.layers", "config": {"name": "it"}}
    with pytest.raises(PlanError) as error:
        configured(entry, changes)
    (problem,) = error.value.problems
    assert message in problem.message
    assert problem.path == tuple(changes)
    assert hint in problem.hint


def test_nothing_of_an_operation_can_be_set() -> None:
    entry = {"class_name": "Add", "module": "keras.src.ops.numpy", "config": {"name": "add"}}
    with pytest.raises(PlanError, match="`activation` of an Add cannot be set"):
        configured(entry, {"activation": "relu"})
