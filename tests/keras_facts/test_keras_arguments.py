"""The tables of arguments are compared with the installed Keras."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mutspec.keras_facts.harmless_arguments import changes_no_shape
from mutspec.keras_facts.layer_arguments import (
    BASE_ARGUMENTS,
    CLASS_ALIASES,
    NOT_IN_PLANS,
    arguments_of,
    known_classes,
)
from mutspec.keras_facts.object_arguments import OBJECT_ARGUMENTS, class_of_object
from mutspec.keras_facts.object_names import ACTIVATION_LAYERS, ACTIVATIONS, CONSTRAINTS, INITIALIZERS, REGULARIZERS
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.live.oracle import KerasOracle
from mutspec.structure.layer_config import configured, layer_entry
from tests.keras_facts.installed import (
    IS_TABLES_VERSION,
    layer_classes,
    own_name,
    signature,
    skip_if_keras_lacks,
    source,
)
from tests.structure.layer_cases import CASES, IMAGE, SOUND


def _agrees(ours: object, installed: object) -> bool:
    return ours == installed if IS_TABLES_VERSION else bool(installed)


def test_every_class_of_keras_can_be_named_or_is_refused_with_a_reason() -> None:
    names = {own_name(each) for each in layer_classes().values()}
    ours = {*known_classes(), *NOT_IN_PLANS} - {"Functional", "Model", "Sequential"}
    assert names <= ours if not IS_TABLES_VERSION else names == ours


@pytest.mark.parametrize("name", known_classes())
def test_arguments_are_those_of_the_constructor(name: str) -> None:
    skip_if_keras_lacks(name)
    layer_class = layer_classes()[name]
    ours = {key: (each.is_required, each.default) for key, each in (arguments_of(name) or {}).items()}
    theirs = signature(layer_class)
    passed_on = {key for key in ours if key not in theirs}
    if IS_TABLES_VERSION:
        if name in ("ActivityRegularization", "IntegerLookup", "StringLookup"):  # they pass their own
            del theirs["activity_regularizer"]
        assert {key: value for key, value in ours.items() if key not in passed_on} == theirs
    else:
        assert set(theirs) <= set(ours)
    # What a class takes without saying so, it writes into its config.
    code = "".join(source(each) for each in layer_class.__mro__ if hasattr(each, "get_config"))
    assert all(f'"{key}"' in code or f"'{key}'" in code for key in passed_on)


def test_names_of_objects_are_those_that_keras_knows() -> None:
    from keras.src import activations, constraints, initializers, regularizers

    for ours, theirs in (
        (ACTIVATIONS, activations.ALL_OBJECTS_DICT),
        (INITIALIZERS, initializers.ALL_OBJECTS_DICT),
        (REGULARIZERS, regularizers.ALL_OBJECTS_DICT),
        (CONSTRAINTS, constraints.ALL_OBJECTS_DICT),
    ):
        abstract = {"Initializer", "initializer", "Regularizer", "regularizer", "Constraint", "constraint"}
        assert _agrees(ours, set(theirs) - abstract)


def test_arguments_of_objects_are_those_of_their_constructors() -> None:
    from keras import constraints, initializers, regularizers

    for name, ours in OBJECT_ARGUMENTS.items():
        module = next(each for each in (initializers, regularizers, constraints) if hasattr(each, name))
        theirs = signature(getattr(module, name)).keys() - BASE_ARGUMENTS.keys() - {"args"}
        assert _agrees(set(ours), theirs), name
    assert {class_of_object(name) for name in INITIALIZERS | REGULARIZERS | CONSTRAINTS} == set(OBJECT_ARGUMENTS)


def test_layers_that_are_activations_have_no_weights_and_are_taken_by_keras() -> None:
    import keras

    for name in ACTIVATION_LAYERS:
        dense = keras.layers.Dense(2, activation=getattr(keras.layers, name)())
        dense.build((None, 3))
        again = keras.layers.Dense.from_config(dense.get_config())
        assert type(again.activation).__name__ == name
        assert len(dense.weights) == 2


def test_other_names_of_classes_are_keras_s() -> None:
    others = {name: own_name(each) for name, each in layer_classes().items() if own_name(each) != name}
    assert _agrees({key: name for key, name in CLASS_ALIASES.items() if key != "GroupedQueryAttention"}, others)


NEW_VALUES: dict[str, Any] = {
    "activation": "tanh",
    "recurrent_activation": "relu",
    "activity_regularizer": "l2",
    "trainable": False,
    "seed": 3,
    **dict.fromkeys(("rate", "dropout", "recurrent_dropout", "stddev", "l1", "l2"), 0.4),
    **dict.fromkeys(("momentum", "renorm_momentum", "epsilon", "negative_slope", "threshold", "alpha", "offset"), 0.4),
    "renorm_clipping": {"rmax": 2.0},
    "max_value": 3.0,
    "synchronized": True,
    "unit_forget_bias": False,
    "zero_output_for_mask": True,
    "use_cudnn": False,
    "flash_attention": False,
    "normalize": True,
    "interpolation": "bilinear",
    "scale": 0.3,
    "power_iterations": 2,
}


def _new_value(key: str) -> Any:
    endings = {"_initializer": "ones", "_regularizer": "l1", "_constraint": "non_neg"}
    return next((value for end, value in endings.items() if key.endswith(end)), NEW_VALUES.get(key))


@pytest.mark.parametrize("index", range(len(CASES)), ids=[f"{index}-{case[0]}" for index, case in enumerate(CASES)])
def test_harmless_arguments_change_neither_shapes_nor_weights(index: int) -> None:
    class_name, config, shapes = CASES[index]
    oracle, inputs = KerasOracle(), tuple(TensorType(shape) for shape in shapes)
    entry = layer_entry({"type": class_name, **config}, name="it", like={}, width=None)
    harmless = [key for key in arguments_of(class_name) or () if changes_no_shape(class_name, key)]
    assert "trainable" in harmless or class_name.startswith("SpatialDropout")
    for key in harmless:
        value = _new_value(key)
        assert value is not None, key
        assert oracle(configured(entry, {key: value}), inputs) == oracle(entry, inputs), key


@pytest.mark.parametrize(
    ("class_name", "key"),
    [
        *(("Dense", key) for key in ("units", "use_bias", "name", "dtype", "lora_rank")),
        *(("Conv2D", key) for key in ("filters", "kernel_size", "strides", "padding", "data_format", "groups")),
        *(("BatchNormalization", key) for key in ("axis", "scale", "center", "renorm")),
        *(("LSTM", key) for key in ("return_sequences", "stateful", "unroll", "units")),
        ("Embedding", "mask_zero"),
        ("Masking", "mask_value"),
        ("Attention", "score_mode"),
        ("Attention", "use_scale"),
        ("Dropout", "no_such_argument"),
        ("NoSuchClass", "rate"),
    ],
)
def test_all_else_is_refused(class_name: str, key: str) -> None:
    assert not changes_no_shape(class_name, key)


def test_refused_arguments_do_change_something() -> None:
    """A sample of what is refused, to see that the line is drawn where shapes or weights change."""
    oracle = KerasOracle()
    for class_name, config, shape, key, value in (
        ("Dense", {"units": 3}, IMAGE, "use_bias", False),
        ("BatchNormalization", {}, IMAGE, "scale", False),
        ("BatchNormalization", {}, IMAGE, "axis", 1),
        ("LSTM", {"units": 3}, SOUND, "return_sequences", True),
        ("Conv1D", {"filters": 3, "kernel_size": 2}, SOUND, "padding", "same"),
        ("Dense", {"units": 3}, IMAGE, "dtype", "float16"),
    ):
        entry: dict[str, Any] = {"class_name": class_name, "module": "keras.layers", "config": {"name": "it", **config}}
        changed = json.loads(json.dumps(entry))
        changed["config"][key] = value
        assert oracle(changed, (TensorType(shape),)) != oracle(entry, (TensorType(shape),))
        assert not changes_no_shape(class_name, key)
