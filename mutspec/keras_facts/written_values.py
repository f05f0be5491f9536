"""The config of a layer as Keras writes it, from one that states less, or in a shorter form.

A plan says `{units: 8, kernel_initializer: he_normal, padding: 1}`. Keras writes all arguments, and each in one form.
A config that Keras has written stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from struct import pack, unpack
from typing import Any

from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.augmentation_values import AUGMENTATIONS, written_augmentation
from mutspec.keras_facts.classes import dimensions_of
from mutspec.keras_facts.layer_arguments import LAYER_ARGUMENTS, arguments_of
from mutspec.keras_facts.object_classes import object_class
from mutspec.keras_facts.object_defaults import FUNCTION_ALIASES, OBJECT_DEFAULTS, VARIANCE_SCALING
from mutspec.keras_facts.object_names import ACTIVATIONS, MODULE_BY_ENDING, OBJECT_MODULES
from mutspec.keras_facts.written_configs import (
    DRAWN_BY_KERAS,
    EVERY_CLASS,
    LEFT_OUT,
    NAMES_ITS_DTYPE,
    NEWER_THAN_3_6,
    STATES_NO_REGULARIZER,
    WRITTEN_BY_KERAS_ALONE,
)

Config = Mapping[str, Any]

INPUT_CONFIG: Config = {"dtype": "float32", "sparse": False, "optional": False}
"""What the config of an InputLayer states besides its shape and name."""


class NotInTablesError(Exception):
    """Raised where only Keras knows what it would write. The message says what is not in the tables."""


def written_config(class_name: str, config: Config, layer: Callable[[Config], Config]) -> dict[str, Any]:
    """Returns the config of a layer of one of Keras's classes as Keras writes it.

    Arguments:
        class_name: Keras's name of the class.
        config: the config as a file or a plan states it.
        layer: returns a layer that is an argument, such as the cell of an RNN, as Keras writes it.

    Raises:
        NotInTablesError: the tables do not have what is missing, or the form of a value.
    """
    if class_name == "InputLayer":
        return {**config, **{key: value for key, value in INPUT_CONFIG.items() if config.get(key) is None}}
    arguments = arguments_of(class_name)
    if arguments is None:
        return _as_it_is(class_name, config)
    defaults = {key: each.default for key, each in arguments.items() if is_written(class_name, key)}
    missing = [key for key in defaults if key not in config]
    if missing and class_name in WRITTEN_BY_KERAS_ALONE:
        raise NotInTablesError(f"the `{missing[0]}` that Keras gives to {a(class_name)}")
    whole = {**defaults, **config} if missing else config
    if missing and class_name in AUGMENTATIONS:
        whole = {key: _of_augmentation(class_name, key, value) for key, value in whole.items()}
    keys = [key for key in ("name", "trainable", "dtype") if key in whole]
    keys += [key for key in whole if key not in keys]
    written = {key: _value(class_name, key, whole, layer) for key in (keys if missing else config)}
    return _with_both_directions(written) if class_name == "Bidirectional" else written


def _of_augmentation(class_name: str, key: str, value: Any) -> Any:
    if value is None and key == DRAWN_BY_KERAS.get(class_name):
        raise NotInTablesError(f"the `{key}` that Keras gives to {a(class_name)}")
    try:
        return written_augmentation(class_name, key, value)
    except ValueError:
        raise NotInTablesError(f"what the `{key}` of {a(class_name)} is") from None


def _as_it_is(class_name: str, config: Config) -> dict[str, Any]:
    # Every layer that Keras has written states whether it is trainable. One of a plan rarely does.
    if "trainable" not in config:
        raise NotInTablesError(f"the arguments of the class {class_name}")
    return dict(config)


def _with_both_directions(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a Bidirectional's config as Keras writes it: it names the layers, and makes the second of the first."""
    forward, backward = config["layer"], config["backward_layer"]
    name = str(forward["config"]["name"])
    if backward is None:
        backward = _changed(forward, go_backwards=True, name=f"backward_{name.removeprefix('backward_')}")
    forward = _changed(forward, name=f"forward_{name.removeprefix('forward_')}")
    return {**config, "layer": _zeroed(forward), "backward_layer": _zeroed(backward)}


def _zeroed(layer: Config) -> Config:
    """Returns a layer of a Bidirectional, which outputs zeros where its input is masked, if it outputs a sequence."""
    config = layer["config"]
    return (
        _changed(layer, zero_output_for_mask=config.get("return_sequences", False))
        if config.get("zero_output_for_mask") is not None
        else layer
    )


def _changed(layer: Config, **changes: Any) -> Config:
    return {**layer, "config": {**layer["config"], **changes}}


@cache
def is_written(class_name: str, key: str) -> bool:
    """Returns whether a config states an argument that has its default."""
    if key == "activity_regularizer":
        return class_name in STATES_NO_REGULARIZER
    left_out = LEFT_OUT.get(key, frozenset())
    return not {class_name, EVERY_CLASS} & left_out and class_name not in NEWER_THAN_3_6.get(key, frozenset())


def _value(class_name: str, key: str, config: Config, layer: Callable[[Config], Config]) -> Any:
    value = config[key]
    if key in LAYER_ARGUMENTS:
        if isinstance(value, list):
            return [layer(each) for each in value]
        return value if value is None else layer(value)
    if key == "dtype":
        return value if class_name in NAMES_ITS_DTYPE else written_policy(value)
    if key.endswith("activation"):
        return _activation(value, layer)
    ending = key.rpartition("_")[2]
    if ending in MODULE_BY_ENDING and value is not None:
        return written_object(ending, value)
    if key == "data_format":
        return value or "channels_last"
    return _SPECIAL.get((class_name, key), _plain)(_sizes(class_name, key, value, config), config)


def written_policy(dtype: Any) -> Any:
    """Returns a dtype policy as Keras writes it. A layer whose config has none has float32."""
    if isinstance(dtype, str) and "_from_" in dtype:
        raise NotInTablesError(f"the form of the dtype policy {dtype}")
    name = "float32" if dtype is None else dtype
    return _object_of("keras", "DTypePolicy", {"name": name}) if isinstance(name, str) else dtype


def _object_of(module: str, class_name: str, config: Config) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def _activation(value: Any, layer: Callable[[Config], Config]) -> Any:
    if isinstance(value, Mapping):
        if value.get("class_name") == "function" or value.get("module") not in ("keras.layers", None):
            return value
        return layer(value)
    name = "linear" if value is None else FUNCTION_ALIASES.get(value, value)
    if name not in ACTIVATIONS:
        raise NotInTablesError(f"the form of the activation {name}")
    return name


def written_object(ending: str, value: Any) -> Any:
    """Returns an initializer, regularizer or constraint as Keras writes it.

    Arguments:
        ending: `initializer`, `regularizer` or `constraint`.
        value: its name, or a mapping with its class and arguments.

    Raises:
        NotInTablesError: it is of a class of the user's own that Keras has not written.
    """
    stated: Config = {"class_name": value} if isinstance(value, str) else value
    is_complete = "registered_name" in stated and "module" in stated
    if is_complete and stated["module"] != MODULE_BY_ENDING[ending]:
        return value
    name = object_class(str(stated["class_name"]), OBJECT_MODULES[MODULE_BY_ENDING[ending]])
    defaults = {"seed": None} if name in VARIANCE_SCALING else OBJECT_DEFAULTS.get(name)
    if defaults is None and name not in _WITHOUT_ARGUMENTS:
        if is_complete:
            return value
        raise NotInTablesError(f"the form of the {ending} {name}")
    written = {key: each for key, each in (defaults or {}).items() if name not in LEFT_OUT.get(key, ())}
    config = {**written, **(stated.get("config") or {})}
    if (factor := _IN_FLOAT32.get(name)) is not None:
        config[factor] = in_float32(config[factor])
    return _object_of(MODULE_BY_ENDING[ending], name, config)


_IN_FLOAT32 = {"L1": "l1", "OrthogonalRegularizer": "factor"}
"""Factors that Keras stores as tensors, and writes as the number that a tensor can hold."""

_WITHOUT_ARGUMENTS = frozenset({"Zeros", "Ones", "NonNeg"})


def in_float32(value: Any) -> Any:
    """Returns a number as Keras stores it in a tensor of float32."""
    with suppress(OverflowError):
        return unpack("f", pack("f", value))[0] if isinstance(value, float) else value
    return value


_PER_DIMENSION = frozenset({"kernel_size", "strides", "dilation_rate", "pool_size", "output_size", "output_padding"})


def _sizes(class_name: str, key: str, value: Any, config: Config) -> Any:
    """Returns a size with a number for each dimension, and a margin with a pair for each."""
    dimensions = dimensions_of(class_name)
    if not dimensions:
        return value
    if key in _PER_DIMENSION:
        if value is None and key == "strides":  # windows of pooling do not overlap by default
            value = config["pool_size"]
        return [value] * dimensions if isinstance(value, int) else value  # no `output_padding` stays None
    if key in ("padding", "cropping") and class_name.startswith(("ZeroPadding", "Cropping")):
        if dimensions == 1:
            return [value, value] if isinstance(value, int) else value
        pairs = [value] * dimensions if isinstance(value, int) else value
        return [[each, each] if isinstance(each, int) else each for each in pairs]
    if key == "size" and dimensions > 1:
        return [value] * dimensions if isinstance(value, int) else value
    return value


def _plain(value: Any, _: Config) -> Any:
    return value


def _listed(value: Any, _: Config) -> Any:
    return [value] if isinstance(value, int) else value


_SPECIAL: Mapping[tuple[str, str], Callable[[Any, Config], Any]] = {
    ("EinsumDense", "output_shape"): _listed,
    **dict.fromkeys((("LayerNormalization", "axis"), ("RMSNormalization", "axis")), _listed),  # once they are built
    ("MultiHeadAttention", "value_dim"): lambda value, config: value or config["key_dim"],
    ("MultiHeadAttention", "attention_axes"): _listed,
    ("MultiHeadAttention", "output_shape"): _listed,
    ("Normalization", "axis"): _listed,
    ("PReLU", "shared_axes"): _listed,
}
"""The form of values of single classes."""
