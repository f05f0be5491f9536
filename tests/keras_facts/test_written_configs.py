"""The configs that mutspec completes are compared with those that the installed Keras writes."""

from __future__ import annotations

import inspect
import json
from copy import deepcopy
from functools import cache
from typing import Any

import pytest

from mutspec.keras_facts.augmentation_values import RANGES
from mutspec.keras_facts.layer_arguments import arguments_of, known_classes
from mutspec.keras_facts.written_configs import (
    BUILD_ARGUMENTS,
    BUILT_WHEN_MADE,
    NEWER_THAN_3_6,
    TRAINING_BY_DEFAULT,
    WRITTEN_BY_KERAS_ALONE,
)
from mutspec.keras_facts.written_values import NotInTablesError, written_config
from mutspec.structure.build_configs import built
from mutspec.structure.layer_config import layer_entry
from tests.keras_facts.installed import layer_classes, skip_if_keras_lacks, without_newer
from tests.structure.layer_cases import CASES

DENSE, LSTM, CELL = ({"type": name, "units": 3} for name in ("Dense", "LSTM", "LSTMCell"))
NEEDED: dict[str, Any] = {
    "activation": "relu", "axes": 1, "cell": CELL, "cells": [CELL], "dims": [2, 1], "equation": "ab,bc->ac",
    "factor": 0.3, "filters": 3, "head_dim": 2, "height": 3, "height_factor": 0.2, "input_dim": 5, "kernel_size": 2,
    "key_dim": 2, "layer": DENSE, "max_number": 3, "n": 2, "num_bins": 4, "num_heads": 2, "num_key_value_heads": 2,
    "num_query_heads": 2, "output_dim": 3, "output_shape": 3, "output_size": 2, "pool_size": 2, "rate": 0.5,
    "scale": 0.1, "stddev": 0.5, "target_shape": [2, 2], "units": 3, "width": 3, "width_factor": 0.2,
}  # fmt: skip
OTHERWISE: dict[str, dict[str, Any]] = {
    "Bidirectional": {"layer": LSTM},
    "CategoryEncoding": {"num_tokens": 4},
    "Discretization": {"num_bins": 4},
    "RandomCrop": {"height": 3, "width": 3, "seed": 5},
    "RandomPosterization": {"factor": 3},
}
"""Arguments that make a layer of each class: by name, and where a class needs others."""

SET_WHEN_BUILT = {"LayerNormalization", "RMSNormalization"}

VALUES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Dense", {"kernel_regularizer": "l2", "activity_regularizer": "l1", "kernel_constraint": "max_norm"}),
    ("Dense", {"bias_constraint": {"type": "NonNeg"}, "bias_initializer": "uniform", "activation": "swish"}),
    ("Dense", {"kernel_initializer": {"type": "HeNormal", "seed": 3}, "dtype": "mixed_float16", "trainable": False}),
    ("Dense", {"kernel_regularizer": {"type": "L2", "l2": 0.3}, "bias_regularizer": {"type": "L1L2", "l1": 0.1}}),
    ("Dense", {"kernel_regularizer": "orthogonal_regularizer", "kernel_initializer": {"type": "VarianceScaling"}}),
    ("Dense", {"kernel_initializer": "orthogonal", "bias_initializer": {"type": "Constant", "value": 1}}),
    ("Dense", {"bias_initializer": {"type": "RandomNormal", "stddev": 2}, "kernel_constraint": "unit_norm"}),
    ("Dense", {"kernel_constraint": {"type": "MinMaxNorm", "axis": [0, 1]}, "kernel_initializer": "identity"}),
    ("ReLU", {"activity_regularizer": "l2", "max_value": 6}),
    ("Activation", {"activation": "hard_swish"}),
    ("MultiHeadAttention", {"attention_axes": 1, "output_shape": 4, "value_dim": 5}),
    ("MultiHeadAttention", {"attention_axes": [1, 2], "output_shape": [4, 2]}),
    ("RNN", {"cell": [CELL, {"type": "GRUCell", "units": 2}]}),
    ("Bidirectional", {"layer": {**LSTM, "return_sequences": True, "name": "two"}, "merge_mode": "sum"}),
    ("Bidirectional", {"layer": LSTM, "backward_layer": {"type": "GRU", "units": 3, "go_backwards": True}}),
    ("TimeDistributed", {"layer": {"type": "Conv2D", "filters": 2, "kernel_size": 2}}),
    ("PReLU", {"shared_axes": 1}),
    ("UpSampling2D", {"size": 3}),
    ("UpSampling3D", {"size": 3}),
    ("ZeroPadding2D", {"padding": [1, 2]}),
    ("ZeroPadding3D", {"padding": 2}),
    ("Cropping2D", {"cropping": [1, 2]}),
    ("Cropping3D", {"cropping": 2}),
    ("Conv1DTranspose", {"output_padding": 1, "strides": 2}),
    ("MaxPooling2D", {"pool_size": 3}),
    ("Dropout", {"rate": 1, "seed": 3, "noise_shape": [1, 2]}),
    ("Normalization", {"axis": [1, 2], "invert": True}),
    ("LSTM", {"seed": 1, "dropout": 0.1, "recurrent_initializer": "glorot_normal"}),
    ("SeparableConv2D", {"strides": 2, "depthwise_regularizer": "l1"}),
    *(
        (name, {key: value})
        for name, (_, keys) in RANGES.items()
        for key in keys.split()
        for value in ((3, [5, 2], 8) if name == "RandomPosterization" else (0, 0.25, 1, [0.5, 0.25], [0.0, 1]))
    ),
    *(("RandomRotation", {"factor": value}) for value in (-0.5, [-0.5, 0.25], [0.5, 3])),
    ("RandomBrightness", {"value_range": [1, 0]}),
    ("RandomContrast", {"value_range": [1, 0]}),
    ("RandomGaussianBlur", {"kernel_size": 5}),
    ("RandomGaussianBlur", {"kernel_size": [5, 3]}),
    ("RandomFlip", {"mode": "vertical", "seed": 4, "data_format": "channels_first"}),
    ("RandomTranslation", {"height_factor": [-0.1, 0.3], "width_factor": 0.5, "fill_mode": "wrap"}),
    ("RandomZoom", {"height_factor": 0.5, "interpolation": "nearest"}),
)
"""Values in the forms of plans."""


def entry_of(class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    needed = {key: NEEDED[key] for key, each in (arguments_of(class_name) or {}).items() if each.is_required}
    layer = {"type": class_name, **needed, **OTHERWISE.get(class_name, {}), **config}
    return layer_entry(layer, name="it", like={}, width=None)


def made(entry: dict[str, Any]) -> Any:
    import keras

    return keras.saving.deserialize_keras_object(deepcopy(entry))


def as_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def written_by_keras(layer: Any) -> dict[str, Any]:
    import keras

    entry: dict[str, Any] = without_newer(as_json(keras.saving.serialize_keras_object(layer)))
    return entry


def completed(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry as Keras writes it, but for what it was built for."""
    rest = {key: value for key, value in entry.items() if key not in ("name", "build_config")}
    return {**rest, "config": written_config(entry["class_name"], entry["config"], lambda each: completed(dict(each)))}


def assert_completed(entry: dict[str, Any], layer: Any) -> None:
    theirs = written_by_keras(layer)
    theirs.pop("build_config", None)
    assert without_newer(as_json(completed(entry))) == theirs
    assert without_newer(as_json(completed(theirs))) == theirs, "what Keras has written stays as it is"


@pytest.mark.parametrize("name", sorted({*known_classes()} - WRITTEN_BY_KERAS_ALONE - SET_WHEN_BUILT))
def test_a_layer_with_its_defaults_is_completed_as_keras_writes_it(name: str) -> None:
    skip_if_keras_lacks(name)
    entry = entry_of(name, {})
    assert_completed(entry, made(entry))


@pytest.mark.parametrize(("name", "config"), VALUES, ids=[f"{number}-{case[0]}" for number, case in enumerate(VALUES)])
def test_values_in_the_forms_of_plans_are_written_as_keras_writes_them(name: str, config: dict[str, Any]) -> None:
    entry = entry_of(name, config)
    assert_completed(entry, made(entry))


@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{index}-{case[0]}" for index, case in enumerate(CASES)])
def test_a_layer_that_is_built_is_completed_as_keras_writes_it(index: int) -> None:
    name, config, shapes = CASES[index]
    entry = layer_entry({"type": name, **config}, name="it", like={}, width=None)
    layer = made(entry)
    if len(shapes) == 1 and name != "Average":
        layer.build(shapes[0])
        entry = dict(built(entry, {"input": list(shapes[0])}))
    assert_completed(entry, layer)


REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    *(
        (name, {key: value})
        for name, (_, keys) in RANGES.items()
        for key in keys.split()
        for value in (9.5, "much", [1], [-3, -2], True)
    ),
    ("RandomShear", {"x_factor": [0, 1.5]}),
    ("Solarization", {"addition_factor": [-0.5, 1]}),
    ("RandomFlip", {"mode": "diagonal"}),
    ("RandomRotation", {"fill_mode": "mirror"}),
    ("RandomTranslation", {"height_factor": -2, "width_factor": 0}),
    ("RandomZoom", {"interpolation": "cubic"}),
    ("RandomGaussianBlur", {"kernel_size": 4}),
    ("RandomSharpness", {"value_range": 3}),
)


@pytest.mark.parametrize(("name", "config"), REFUSED, ids=[f"{n}-{case[0]}" for n, case in enumerate(REFUSED)])
def test_values_that_keras_may_refuse_are_left_to_it(name: str, config: dict[str, Any]) -> None:
    needed = {key: NEEDED[key] for key, each in (arguments_of(name) or {}).items() if each.is_required}
    with pytest.raises(NotInTablesError, match=f"the `{next(iter(config))}` of an? {name}"):
        written_config(name, {**needed, **OTHERWISE.get(name, {}), **config}, dict)


def test_a_seed_that_keras_draws_is_left_to_it() -> None:
    with pytest.raises(NotInTablesError, match="the `seed` that Keras gives to a RandomCrop"):
        written_config("RandomCrop", {"height": 3, "width": 3}, dict)


@pytest.mark.parametrize("name", sorted(WRITTEN_BY_KERAS_ALONE))
def test_what_the_tables_lack_is_told_and_what_keras_has_written_stays(name: str) -> None:
    skip_if_keras_lacks(name)
    entry = entry_of(name, {})
    theirs = written_by_keras(made(entry))
    assert without_newer(as_json(completed(theirs)))["config"] == theirs["config"]
    with pytest.raises(NotInTablesError, match=name):
        written_config(name, entry["config"], dict)


@cache
def parameters(name: str, method: str) -> dict[str, inspect.Parameter]:
    return dict(list(inspect.signature(getattr(layer_classes()[name], method)).parameters.items())[1:])


@pytest.mark.parametrize("name", known_classes())
def test_how_a_class_is_built_and_called_is_in_the_tables(name: str) -> None:
    skip_if_keras_lacks(name)
    assert made(entry_of(name, {})).built == (name in BUILT_WHEN_MADE)
    builds = list(parameters(name, "build"))
    assert [f"{each}_shape" for each in BUILD_ARGUMENTS.get(name, ())] == (builds if len(builds) > 1 else [])
    assert list(parameters(name, "call"))[: len(BUILD_ARGUMENTS.get(name, ()))] == [*BUILD_ARGUMENTS.get(name, ())]
    training = parameters(name, "call").get("training")
    assert TRAINING_BY_DEFAULT.get(name) == (None if training is None else training.default)


def test_the_current_keras_writes_what_is_called_newer() -> None:
    """If it does not, a row in the table is wrong, and not needed."""
    import keras

    for key, names in NEWER_THAN_3_6.items():
        for name in names & {*known_classes()}:
            assert key in (arguments_of(name) or {})
        for name in names - {*known_classes(), "InputLayer"}:
            assert key in inspect.signature(getattr(keras.initializers, name)).parameters
