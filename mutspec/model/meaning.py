"""One spelling for layer configurations, so that two with the same meaning are equal.

Versions of Keras write defaults or leave them out, give classes as text, as a mapping or by another name, and state
modules that do not matter. Only comparisons and selectors use this spelling. Keras gets a configuration as it was
written.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from mutspec.keras_facts.class_names import ALIASES, FORMER_CLASS
from mutspec.keras_facts.classes import is_keras_class
from mutspec.keras_facts.layer_arguments import CLASS_ALIASES, arguments_of
from mutspec.keras_facts.object_defaults import (
    FUNCTION_ALIASES,
    INPUT_DEFAULTS,
    LAYER_DEFAULTS,
    OBJECT_DEFAULTS,
    VARIANCE_SCALING,
)
from mutspec.keras_facts.object_names import CONSTRAINTS, INITIALIZERS, REGULARIZERS
from mutspec.keras_facts.written_values import in_float32, object_class
from mutspec.model.calls import is_graph, is_triple

Config = Mapping[str, Any]

_MEANINGLESS = frozenset({"module", "registered_name", "build_config", "shared_object_id", FORMER_CLASS})

SET_BY_OWNERS = frozenset({"build_input_shape", "zero_output_for_mask"})
"""Arguments that are set by the model or layer around a layer. They are compared only if both state them."""

_CHANNELS_LAST = "channels_last"

_BY_ENDING: Mapping[str, frozenset[str]] = {
    "initializer": INITIALIZERS,
    "regularizer": REGULARIZERS,
    "constraint": CONSTRAINTS,
}


def class_meant(name: str) -> str:
    """Returns the name of a layer class in Keras 3."""
    return ALIASES.get(name, CLASS_ALIASES.get(name, name))


@cache
def own_defaults(class_name: str) -> Config:
    """Returns the defaults of the arguments of a class of Keras, by its name in Keras 3; none for other classes."""
    arguments = arguments_of(class_name) or {}
    return {key: each.default for key, each in arguments.items() if not each.is_required and key != "name"}


def config_meant(class_name: str, config: Config) -> dict[str, Any]:
    """Returns a layer's configuration with all defaults, and each value in one spelling.

    Arguments:
        class_name: the layer's class; one that is in no table has no defaults.
        config: the configuration of Keras 2 or 3.
    """
    name = class_meant(class_name)
    if name == "InputLayer":
        defaults: Config = INPUT_DEFAULTS
    elif is_graph(config) or name in ("Functional", "Sequential"):
        defaults = LAYER_DEFAULTS
    else:
        defaults = {**LAYER_DEFAULTS, **own_defaults(name)}
    whole = {**{key: value for key, value in defaults.items() if key not in config}, **config}
    written = {key: value_meant(key, value) for key, value in whole.items()}
    return {key: value for key, value in written.items() if value is not None and key != "name"}  # the path has it


def value_meant(key: str, value: Any) -> Any:
    """Returns the value of an argument in one spelling; None for a value without meaning."""
    if key == "dtype":
        return _dtype(value)
    if key == "data_format":
        return value or _CHANNELS_LAST
    if key in ("input_layers", "output_layers"):
        return _ports(value)
    ending = key.rpartition("_")[2]
    if ending in _BY_ENDING and value is not None:
        return _object(ending, value)
    if ending == "activation":
        return _activation(value)
    if key in ("sparse", "ragged", "optional"):
        return bool(value)
    if key == "axis" and isinstance(value, list | tuple) and len(value) == 1:  # as Keras 2 writes it
        return plain(value[0])
    return plain(value)


def plain(value: Any) -> Any:
    """Returns a value without the keys of Keras's objects other than their class and config."""
    if isinstance(value, Mapping):
        ignored = _MEANINGLESS if "class_name" in value else frozenset()
        if "class_name" in value and not is_keras_class(value):
            ignored = ignored - {"registered_name"}
        return {key: plain(each) for key, each in value.items() if key not in ignored}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def _dtype(value: Any) -> Any:
    if value is None:
        return "float32"
    if isinstance(value, Mapping) and value.get("class_name") in ("DTypePolicy", "FloatDTypePolicy", "Policy"):
        config = value.get("config")
        return config.get("name") if isinstance(config, Mapping) else value
    return plain(value)


def _activation(value: Any) -> Any:
    if isinstance(value, Mapping) and value.get("class_name") == "function" and isinstance(value.get("config"), str):
        value = value["config"]
    if isinstance(value, str):
        return FUNCTION_ALIASES.get(value, value)
    return "linear" if value is None else plain(value)


def _object(ending: str, value: Any) -> Any:
    """Returns an initializer, regularizer or constraint in one spelling."""
    if isinstance(value, str):
        value = {"class_name": value, "config": {}}
    if not isinstance(value, Mapping) or not is_keras_class(value) or not isinstance(value.get("class_name"), str):
        return plain(value)
    stated = value.get("config") or {}
    if not isinstance(stated, Mapping):
        return plain(value)
    name = object_class(value["class_name"], _BY_ENDING[ending])
    config = {key: plain(each) for key, each in stated.items() if key != "dtype"}
    if name in VARIANCE_SCALING:
        scale, mode, distribution = VARIANCE_SCALING[name]
        name, config = "VarianceScaling", {"scale": scale, "mode": mode, "distribution": distribution, **config}
    if name == "VarianceScaling" and config.get("distribution") == "normal":
        config["distribution"] = "truncated_normal"
    if name in ("L1", "L2"):
        name, config = "L1L2", {"l1": 0.0, "l2": 0.0, **OBJECT_DEFAULTS[name], **config}
    whole = {**OBJECT_DEFAULTS.get(name, {}), **config}
    if ending == "regularizer":
        whole = {key: in_float32(each) for key, each in whole.items()}
    return {"class_name": name, "config": {key: each for key, each in whole.items() if each is not None}}


def _ports(value: Any) -> list[Any]:
    """Returns a model's inputs or outputs in order. A list of one is the same as the one."""
    if is_triple(value):
        return [value]
    if isinstance(value, Mapping):
        value = [value[key] for key in sorted(value)]
    return [port for each in value for port in _ports(each)] if isinstance(value, list) else []
