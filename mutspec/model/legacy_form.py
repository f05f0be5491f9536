"""Models as whole-model `.h5` files state them: the configuration, and how the model was compiled.

Keras writes them with `legacy/saving/serialization.py`, which names a class and gives its config, and nothing else.
What is inside a layer's config has the form of Keras 3, except the layers of models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.keras_facts.class_names import STORED_NAMES
from mutspec.keras_facts.compile_objects import LOSS_NAMES, LOSSES, METRIC_NAMES, METRICS
from mutspec.model.calls import is_graph

_OPTIMIZER = "optimizer_config"


def legacy_model_config(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a serialised model as the attribute `model_config` has it."""
    name = entry["class_name"]
    return {"class_name": STORED_NAMES.get(name, name), "config": _config_of(entry)}


def legacy_training_config(compiled: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a `compile_config` as the attribute `training_config` has it."""
    arguments = {key: _argument(each) for key, each in compiled.items() if key != "optimizer"}
    return {**arguments, _OPTIMIZER: _legacy(compiled["optimizer"])}


def compile_config_of(training: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns a `training_config` of Keras 3 as a `compile_config`; None if it names what is not Keras's own.

    A name does not tell whether a user's object is a class or a function, and in which package it is.
    """
    optimizer = training.get("optimizer_config")
    if not isinstance(optimizer, Mapping) or ">" in str(optimizer.get("class_name")):
        return None
    compiled = {"optimizer": _current("keras.optimizers", optimizer)}
    for key, value in training.items():
        if key in _OBJECTS and not _is_known(value, *_OBJECTS[key][1:]):
            return None
        if key != _OPTIMIZER:
            compiled[key] = _with_modules(value, _OBJECTS[key][0]) if key in _OBJECTS else value
    return compiled


_METRICS = ("keras.metrics", METRICS, METRIC_NAMES)
_OBJECTS: Mapping[str, tuple[str, frozenset[str], frozenset[str]]] = {
    "loss": ("keras.losses", LOSSES, LOSS_NAMES),
    "metrics": _METRICS,
    "weighted_metrics": _METRICS,
}
"""The arguments of `compile` that hold objects: their module, their classes, and the texts that Keras takes."""


def _is_known(value: Any, classes: frozenset[str], names: frozenset[str]) -> bool:
    if value is None or isinstance(value, str):
        return value is None or value in names
    if isinstance(value, Mapping) and "class_name" in value:
        return value["class_name"] in classes and isinstance(value.get("config"), Mapping)
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else (0,)
    return all(not isinstance(each, int) and _is_known(each, classes, names) for each in items)


def _with_modules(value: Any, module: str) -> Any:
    if isinstance(value, list):
        return [_with_modules(each, module) for each in value]
    if not isinstance(value, Mapping):
        return value
    if "class_name" in value:
        return _current(module, value)
    return {key: _with_modules(each, module) for key, each in value.items()}


def _current(module: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns one of Keras's objects in the form of Keras 3."""
    return {
        "module": module,
        "class_name": entry["class_name"],
        "config": entry.get("config"),
        "registered_name": None,
    }


def _legacy(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a serialised object by its registered name, which begins with a package if it is a user's."""
    name = entry["class_name"]
    return {"class_name": entry.get("registered_name") or STORED_NAMES.get(name, name), "config": _config_of(entry)}


def _config_of(entry: Mapping[str, Any]) -> Any:
    config = entry["config"]
    if not isinstance(config, Mapping):
        return config
    if not is_graph(config) and entry["class_name"] != "Sequential":
        return {key: _plain(item) for key, item in config.items() if key != "shared_object_id"}
    return {key: [_layer(each) for each in item] if key == "layers" else _plain(item) for key, item in config.items()}


def _layer(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a layer of a model. Only those of Functional models have calls."""
    return {**_legacy(entry), **{key: _plain(entry[key]) for key in ("name", "inbound_nodes") if key in entry}}


def _plain(value: Any) -> Any:
    """Returns a value with the models in it in this form, and without the numbers of objects in a process."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    is_object = isinstance(value.get("class_name"), str)
    return {
        key: _config_of(value) if key == "config" and is_object else _plain(item)
        for key, item in value.items()
        if key != "shared_object_id"
    }


def _argument(value: Any) -> Any:
    """Returns an argument of `compile`: objects and functions in lists and mappings."""
    if isinstance(value, list):
        return [_argument(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if not {"class_name", "config"} <= value.keys():
        return {key: _argument(item) for key, item in value.items()}
    return value["config"] if value["class_name"] == "function" else _legacy(value)
