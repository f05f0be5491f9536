"""Finds parts of a serialised model that would run code, or read a file, if Keras built the model.

Keras's safe mode refuses most of them. This check comes first, because safe mode covered less before Keras 3.15: since
3.6 there were versions in which `TFSMLayer` loaded a SavedModel, lookup layers read a vocabulary from any path
(CVE-2025-12058), and a configuration could name functions of Keras that do more than compute (CVE-2025-9906).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.classes import is_keras_class
from mutspec.keras_facts.unsafe_objects import (
    CLASS_MODULES,
    CLASSES_OF_APPLICATIONS,
    COMPUTING_MODULES,
    LOAD_CODE,
    READ_FILES,
)


def code_in(config: Any) -> str:
    """Names the first part of a serialised model that runs code or reads a file when Keras builds it.

    Arguments:
        config: a JSON value: a serialised model, a layer, or any part of one.

    Returns:
        A description such as "the layer `scale` (Lambda) holds Python code"; empty if there is no such part.
    """
    return next((found for each in _objects(config) if (found := _code_of(each))), "")


def own_name(class_name: str) -> str:
    """Returns the name of a class or function without its module: `TFSMLayer` for `layers.TFSMLayer`."""
    return class_name.rpartition(".")[2]


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yields the mappings in a value that are serialised objects for Keras, outer ones first."""
    pending = [value]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if isinstance(value.get("class_name"), str):
                yield value
            pending += reversed(tuple(value.values()))
        elif isinstance(value, list | tuple):
            pending += reversed(value)


def _code_of(entry: Mapping[str, Any]) -> str:
    name, config = own_name(entry["class_name"]), entry.get("config")
    if name == "__lambda__":
        return "Python code"
    if name == "function":
        return _function(entry.get("module"), entry.get("config"))
    if not is_keras_class(entry):
        return ""
    if function := _function(entry.get("module"), entry["class_name"]):
        return function
    label = f"the layer `{config['name']}` ({name})" if isinstance(config, Mapping) and "name" in config else a(name)
    if name in LOAD_CODE:
        return f"{label} loads code of its own"
    if not isinstance(config, Mapping):
        return ""
    if name == "Lambda" and _has_code(config):
        return f"{label} holds Python code"
    if isinstance(path := config.get(READ_FILES.get(name, "vocabulary")), str):
        return f"{label} reads the file {path}"
    return ""


def _has_code(config: Mapping[str, Any]) -> bool:
    """Returns whether a Lambda's functions are code and not names, in the form of Keras 3 or Keras 2."""
    keys = ("function", "output_shape", "mask")
    return isinstance(config.get("function"), list) or any(
        config.get(f"{key}_type") == "lambda"
        or (isinstance(value := config.get(key), Mapping) and value.get("class_name") == "__lambda__")
        for key in keys
    )


def _function(module: Any, name: Any) -> str:
    """Names the function that Keras would find in one of its modules, unless that is a class or only computes.

    Keras accepts functions in place of classes: it resolves a `class_name` to any object of that name, and a Lambda
    calls it.
    """
    if not isinstance(module, str) or module.partition(".")[0] != "keras":
        return ""
    full = f"{module}.{name}"
    *rooms, own = full.removeprefix("keras.").removeprefix("src.").split(".")
    room = rooms[0] if rooms else ""
    is_class = own[:1].isupper() and (not rooms or room in CLASS_MODULES)
    is_class = is_class or (room == "applications" and ".".join([*rooms[1:], own]) in CLASSES_OF_APPLICATIONS)
    return "" if room in COMPUTING_MODULES or is_class else f"the function {full}"
