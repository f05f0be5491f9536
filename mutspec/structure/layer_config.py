"""Converts a layer of a plan into a full entry of a model's config; and changes arguments of an entry.

Entries are explicit: name, dtype and data format come from the plan or from the model, never from global settings of a
process. An entry does not make Keras import a module: classes come from Keras or from its registry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mutspec.errors import DocumentPath, PlanError, Problem, nearest
from mutspec.keras_facts.argument_values import a, is_activation_layer, long_form, value_problem
from mutspec.keras_facts.class_names import MODEL_MODULES, MODELS
from mutspec.keras_facts.classes import is_keras_class, plain_class_name, snake_case
from mutspec.keras_facts.dtypes import FLOATS, policy_of
from mutspec.keras_facts.harmless_arguments import NOT_SET
from mutspec.keras_facts.layer_arguments import (
    BASE_ARGUMENTS,
    CHOOSES_DTYPE,
    CLASS_ALIASES,
    INPUT_ARGUMENTS,
    LAYER_ARGUMENTS,
    NEEDED_TO_LOAD,
    NOT_IN_PLANS,
    arguments_of,
    known_classes,
)
from mutspec.model.outline import is_operation, unique
from mutspec.structure.allowed import AllowList, operation_module
from mutspec.text.words import got

__all__ = ["SAME", "Entry", "configured", "layer_entry"]

Entry = dict[str, Any]

SAME = "same"
"""The word for the width of the tensor that a layer is called on."""

WIDTHS = frozenset({"units", "filters", "output_dim", "output_shape", "key_dim", "value_dim"})
"""The arguments that `same` can stand for."""

_KERAS_KEYS = frozenset({"class_name", "config", "module", "registered_name", "name", "build_config", "compile_config"})


def layer_entry(
    layer: Mapping[str, Any],
    *,
    name: str,
    like: Mapping[str, Any],
    width: int | None,
    defaults: Mapping[str, Any] | None = None,
) -> Entry:
    """Returns the serialised layer for a plan's `layer:`.

    Arguments:
        layer: `{type: Dense, units: same, activation: relu}`, or Keras's `{class_name, config, module,
            registered_name}`. A class of the user's own is given by its registered name, `my_package>MyLayer`.
        name: the layer's name, if it does not state one itself.
        like: the config of a neighbouring layer, whose dtype and data format the new layer gets.
        width: the channels of the tensor that the layer is called on, for `same`; None if unknown.
        defaults: values of arguments that the layer does not state. Those that its class does not have are left out.

    Returns:
        `module`, `class_name`, `config`, `registered_name`, `name`; without `inbound_nodes`.

    Raises:
        PlanError: with all problems of the layer; paths are relative to `layer`.
    """
    writer = _EntryWriter(like, width)
    entry = writer.layer(layer, name, (), defaults or {})
    if writer.problems:
        raise PlanError(writer.problems)
    return entry


def configured(entry: Mapping[str, Any], changes: Mapping[str, Any]) -> Entry:
    """Returns the entry with other values of arguments. Whether shapes or weights depend on them is not looked at.

    Arguments:
        entry: the serialised layer.
        changes: new values by argument.

    Raises:
        PlanError: an argument cannot be changed in this way, or not to this value; paths are relative to `changes`.
    """
    class_name, config = plain_class_name(entry), entry.get("config", {})
    arguments = arguments_of(class_name) if is_keras_class(entry) and not is_operation(entry) else None
    is_own = not is_keras_class(entry)
    writer = _EntryWriter(config, None)
    written = {}
    for key, value in changes.items():
        if hint := NOT_SET.get(key):
            writer.problems.append(Problem(f"`{key}` of {a(class_name)} cannot be set", path=(key,), hint=hint))
        elif arguments is not None and key not in arguments:
            writer.problems.append(_unknown_argument(class_name, key, arguments, (key,)))
        elif is_own and key not in {*config, *BASE_ARGUMENTS}:
            writer.problems.append(_unknown_argument(class_name, key, {**BASE_ARGUMENTS, **config}, (key,)))
        elif arguments is None and not is_own and key != "trainable":
            hint = "use `replace_layer`"
            writer.problems.append(Problem(f"`{key}` of {a(class_name)} cannot be set", path=(key,), hint=hint))
        elif is_own and key not in BASE_ARGUMENTS:
            written[key] = writer.own_argument(key, value, (key,))
        else:
            written[key] = writer.argument(class_name, key, value, (key,))
    if writer.problems:
        raise PlanError(writer.problems)
    return {**entry, "config": {**config, **written}}


class _EntryWriter:
    """Converts one layer and those inside it, and collects their problems."""

    def __init__(self, like: Mapping[str, Any], width: int | None) -> None:
        self.dtype = _dtype_like(like.get("dtype"))
        self.data_format = like.get("data_format") or "channels_last"
        self.width = width
        self.problems: list[Problem] = []
        self.allowed = AllowList(self._layer_in_value, self.problems)

    def layer(self, layer: Any, name: str, path: DocumentPath, defaults: Mapping[str, Any]) -> Entry:
        """Returns the entry. It has no meaning if there are problems."""
        if not isinstance(layer, Mapping):
            self._wrong(f"a layer must be a mapping such as {{type: Dense, units: 8}}, not {got(layer)}", path)
            return {}
        is_keras_form = bool({"class_name", "config"} & set(layer))
        if is_keras_form and "type" in layer:
            key = "class_name" if "class_name" in layer else "config"
            hint = "write {type: Dense, units: 8} or Keras's {class_name: Dense, config: {units: 8}}"
            self._wrong(f"a layer cannot have both `type` and `{key}`", (*path, key), hint)
            return {}
        key, at = ("class_name", (*path, "config")) if is_keras_form else ("type", path)
        class_name, values = layer.get(key), layer.get("config") if is_keras_form else layer
        if not isinstance(class_name, str) or not class_name:
            other = (each for each in layer if each != key and nearest(str(each), ("type", "class_name")))
            if key not in layer and (misspelt := next(other, None)) is not None:
                near = nearest(str(misspelt), ("type", "class_name"), 1)
                self.problems.append(
                    Problem(f"a layer has no key `{misspelt}`", path=(*path, misspelt), candidates=near)
                )
                return {}
            had = f", not {got(class_name)}" if key in layer else ""
            hint = "write it as {type: Dense, units: 8}"
            self._wrong(f"a layer needs the name of its class as `{key}`{had}", path, hint)
            return {}
        if not isinstance(values, Mapping):
            if values is not None:
                self._wrong(f"`config` takes a mapping of arguments, not {got(values)}", at)
                return {}
            values = {}
        if is_keras_form and not self._has_known_keys(layer, path):
            return {}
        values = {key: value for key, value in values.items() if is_keras_form or key != "type"}
        name = str(layer.get("name") or name) if is_keras_form else name
        if ">" in class_name or (is_keras_form and _is_users_own(layer)):
            registered_name = layer.get("registered_name") if is_keras_form else None
            return self._users_own(class_name, str(registered_name or class_name), values, name, at)
        if is_keras_form and class_name in MODELS:
            return self._model(class_name, values, name, at)
        return self._keras(class_name, values, name, at, (*path, key), defaults)

    def _keras(
        self,
        class_name: str,
        values: Mapping[str, Any],
        name: str,
        path: DocumentPath,
        class_path: DocumentPath,
        defaults: Mapping[str, Any],
    ) -> Entry:
        """Converts a layer of one of Keras's classes."""
        class_name = CLASS_ALIASES.get(class_name, class_name)
        arguments = arguments_of(class_name)
        if arguments is None:
            if why := NOT_IN_PLANS.get(class_name):
                self._wrong(f"a plan cannot add {a(class_name)} to a model: {why}", class_path)
            else:
                near = nearest(class_name, known_classes())
                hint = (
                    ""
                    if near
                    else f"your own class is written under its registered name, such as `my_package>{class_name}`"
                )
                self.problems.append(
                    Problem(f"Keras has no layer class `{class_name}`", path=class_path, hint=hint, candidates=near)
                )
            return {}
        config = {key: value for key, value in defaults.items() if key in arguments}
        for key, value in values.items():
            if key not in arguments:
                self.problems.append(_unknown_argument(class_name, key, arguments, (*path, key)))
                continue
            if value is not None or not arguments[key].is_required:
                config[key] = self.argument(class_name, key, value, (*path, key))
        missing = [
            key
            for key, argument in arguments.items()
            if argument.is_required
            and config.get(key) is None
            and not nearest(key, {str(each) for each in values if each not in arguments})
        ]
        for key in missing:
            hint = f"`{key}: same` keeps the width of the input" if key in WIDTHS else ""
            self._wrong(f"{a(class_name)} needs `{key}`", path, hint)
        if "dtype" in arguments and config.get("dtype") is None and class_name not in CHOOSES_DTYPE:
            config["dtype"] = self.dtype
        if "data_format" in arguments and config.get("data_format") is None:
            config["data_format"] = self.data_format
        for key in NEEDED_TO_LOAD.get(class_name, ()):
            config.setdefault(key, arguments[key].default)
        return _entry("keras.layers", class_name, None, config, name)

    def _users_own(
        self, class_name: str, registered_name: str, values: Mapping[str, Any], name: str, path: DocumentPath
    ) -> Entry:
        """Converts a layer of a class in Keras's registry. Its module is neither checked nor imported."""
        config = {key: self.own_argument(key, value, (*path, key)) for key, value in values.items()}
        for key in ("name", "dtype", "trainable"):
            if config.get(key) is not None and (problem := value_problem("layer", key, config[key])):
                self.problems.append(problem.below(*path, key))
        if config.get("dtype") is None:
            config["dtype"] = self.dtype
        return _entry(None, class_name.rpartition(">")[2], registered_name, config, name)

    def _model(self, class_name: str, values: Mapping[str, Any], name: str, path: DocumentPath) -> Entry:
        """Converts a whole model in Keras's form."""
        layers = values.get("layers")
        if not isinstance(layers, list):
            self._wrong(f"the config of {a(class_name)} needs the list `layers`", path)
            return {}
        config = {key: self.allowed.value(value, (*path, key), key) for key, value in values.items() if key != "layers"}
        used: dict[str, int] = {}
        config["layers"] = [
            self._layer_of_model(each, (*path, "layers", index), used) for index, each in enumerate(layers)
        ]
        return _entry(MODEL_MODULES[class_name], class_name, None, config, name)

    def _layer_of_model(self, layer: Any, path: DocumentPath, used: dict[str, int]) -> Entry:
        """Converts a layer of a model in Keras's form, an input, or an operation such as `x + y`, with its calls."""
        if not isinstance(layer, Mapping):
            return self.layer(layer, "", path, {})
        calls = {key: self.allowed.value(layer[key], (*path, key)) for key in ("name", "inbound_nodes") if key in layer}
        is_input = layer.get("class_name") == "InputLayer" and is_keras_class(layer)
        module = "keras.layers" if is_input else operation_module(layer)
        if not module:
            rest = {key: value for key, value in layer.items() if key != "inbound_nodes"}
            return {**self._within(rest, path, used), **calls}
        config = layer.get("config") or {}
        if not isinstance(config, Mapping):
            self._wrong(f"`config` takes a mapping of arguments, not {got(config)}", (*path, "config"))
            return {}
        unknown = [key for key in config if is_input and key not in INPUT_ARGUMENTS]
        self.problems += [
            _unknown_argument("InputLayer", key, INPUT_ARGUMENTS, (*path, "config", key)) for key in unknown
        ]
        name = str(layer.get("name") or unique(snake_case(layer["class_name"]), used))
        written = self.allowed.value(config, (*path, "config"))
        return {**_entry(module, layer["class_name"], None, written, name), **calls}

    def _layer_in_value(self, layer: Mapping[str, Any], path: DocumentPath) -> Entry:
        """Converts a layer in an argument of a user's own class."""
        return self._within(layer, path, {})

    def argument(self, class_name: str, key: str, value: Any, path: DocumentPath) -> Any:
        """Converts the value of an argument."""
        if key in LAYER_ARGUMENTS and value is not None:
            if key not in ("cell", "cells") or not isinstance(value, list):
                return self._within(value, path, {})
            used: dict[str, int] = {}
            cells = [self._within(cell, (*path, index), used) for index, cell in enumerate(value)]
            if key == "cells":
                return cells
            stack = {"cells": cells, "dtype": self.dtype}
            return _entry("keras.layers", "StackedRNNCells", None, stack, "stacked_rnn_cells")
        if is_activation_layer(key, value):
            return self._within(value, path, {})
        written = long_form(key, value)
        if (written != SAME or key not in WIDTHS) and (problem := value_problem(class_name, key, plain_json(written))):
            is_short = written is not value and problem.path[:1] == ("config",)
            self.problems.append(replace(problem, path=problem.path[1:] if is_short else problem.path).below(*path))
            return written
        return self._plain(key, written, path)

    def own_argument(self, key: str, value: Any, path: DocumentPath) -> Any:
        """Converts the value of an argument of a class of the user's own."""
        return self._plain(key, long_form(key, value), path)

    def _within(self, layer: Any, path: DocumentPath, used: dict[str, int]) -> Entry:
        """Converts a layer inside a layer. Without a name it is named after its class, as in a new process of Keras."""
        named = layer.get("type") or layer.get("class_name") if isinstance(layer, Mapping) else ""
        return self.layer(layer, unique(snake_case(str(named).rpartition(">")[2]), used), path, {})

    def _plain(self, key: str, value: Any, path: DocumentPath) -> Any:
        """Converts a value that is not a layer, and resolves `same`."""
        if value == SAME and key in WIDTHS:
            if self.width is not None:
                return self.width
            self._wrong(
                "`same` needs the width of the layer's input, which is not known",
                path,
                "write the number",
            )
            return value
        return self.allowed.value(value, path, key)

    def _has_known_keys(self, layer: Mapping[str, Any], path: DocumentPath) -> bool:
        """Returns whether a layer in Keras's form has only the keys of that form."""
        unknown = [key for key in layer if key not in _KERAS_KEYS]
        for key in unknown:
            near = nearest(str(key), _KERAS_KEYS)
            hint = "" if near else "its arguments go under `config`"
            message = f"a layer in Keras's form has no key `{key}`"
            self.problems.append(Problem(message, path=(*path, key), hint=hint, candidates=near))
        return not unknown

    def _wrong(self, message: str, path: DocumentPath, hint: str = "") -> None:
        self.problems.append(Problem(message, path=path, hint=hint))


def _is_users_own(layer: Mapping[str, Any]) -> bool:
    """Returns whether a layer in Keras's form is of a class that is not Keras's."""
    if layer.get("registered_name") not in (None, layer["class_name"]) or not is_keras_class(layer):
        return True
    has_no_module = layer.get("registered_name") is not None or ("module" in layer and layer["module"] is None)
    return has_no_module and layer["class_name"] not in {*known_classes(), *NOT_IN_PLANS}


def _entry(
    module: str | None, class_name: str, registered_name: str | None, config: Mapping[str, Any], name: str
) -> Entry:
    own = config.get("name") or name
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": own, **{key: value for key, value in config.items() if key != "name"}},
        "registered_name": registered_name,
        "name": own,
    }


def _dtype_like(dtype: Any) -> Any:
    """Returns the dtype policy for a neighbour of a layer with this policy. For a quantised one it is the original."""
    if isinstance(dtype, Mapping) and isinstance(dtype.get("config"), Mapping):
        inner = dtype["config"]
        if inner.get("default_policy") is not None:
            return _dtype_like(inner["default_policy"])
        dtype = inner.get("source_name") or inner.get("name")
    if isinstance(dtype, str):
        dtype = dtype.rpartition("_from_")[2]
    policy = policy_of(dtype)
    # An InputLayer has the dtype of its tensor, which may be whole numbers. Layers with weights need a float dtype.
    return dtype if dtype is not None and policy is not None and policy.compute in FLOATS else "float32"


def _unknown_argument(class_name: str, key: str, arguments: Mapping[str, Any], path: DocumentPath) -> Problem:
    near = nearest(str(key), arguments)
    own = [each for each in arguments if each not in BASE_ARGUMENTS]
    hint = "" if near else f"its arguments are {', '.join(own[:12])}{', …' if len(own) > 12 else ''}" if own else ""
    return Problem(f"{a(class_name)} has no argument `{key}`", path=path, hint=hint, candidates=near)


def plain_json(value: Any) -> Any:
    """Returns a value with lists for tuples and dictionaries for mappings."""
    if isinstance(value, Mapping):
        return {key: plain_json(item) for key, item in value.items()}
    return list(map(plain_json, value)) if isinstance(value, list | tuple) else value
