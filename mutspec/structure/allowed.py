"""The allow-list of plans: the objects that a plan may have Keras deserialise.

Keras makes an object of every mapping with a `class_name`, at any depth. Each of them is looked up in the tables of
Keras's own objects and written again with the name and the module of the table. So it does not matter how the plan
spells it: as a registered name, with another module, with dots. An object that is in no table is one of the user's own.
It is written without a module, so that Keras finds it only if the call has imported and registered it. Classes that
hold or load code are refused by name, and so is everything else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from mutspec.errors import DocumentPath, Problem
from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.class_names import HOLD_CODE, MODELS
from mutspec.keras_facts.classes import is_keras_class
from mutspec.keras_facts.layer_arguments import CLASS_ALIASES, NOT_IN_PLANS, known_classes
from mutspec.keras_facts.object_names import ACTIVATIONS, MODULE_BY_ENDING, OBJECT_MODULES, OPERATIONS, VALUE_MARKS
from mutspec.model.code import own_name
from mutspec.text.words import got

WriteLayer = Callable[[Mapping[str, Any], DocumentPath], dict[str, Any]]
"""Converts a layer inside a value into a full entry."""

_LAYERS = frozenset({*known_classes(), *CLASS_ALIASES, *MODELS, "InputLayer"})

_REGISTERED = re.compile(r"[^.>]+(>[^.>]+)?|.+>.+")
"""The pattern of names under which a user's own object is registered."""


class AllowList:
    """Converts values of a plan so that Keras can deserialise only the objects that a plan may have.

    Arguments:
        layer: converts a layer inside a value.
        problems: the list that problems are added to.
    """

    def __init__(self, layer: WriteLayer, problems: list[Problem]) -> None:
        self._layer = layer
        self._problems = problems

    def value(self, value: Any, path: DocumentPath, argument: str = "") -> Any:
        """Returns the value for Keras. It has no meaning if there are problems.

        Arguments:
            value: the value in the plan.
            path: its path in the plan.
            argument: the argument that it is for; empty if it is for none.
        """
        if isinstance(value, Mapping):
            if "class_name" in value:
                return self._object(value, path, argument)
            return {key: self.value(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, str) and ">" in value and argument.endswith("activation"):
            return self._function(value, path)
        if value is not None and not isinstance(value, bool | int | float | str):
            self._refuse(f"a {type(value).__name__}", path)
        return value

    def _object(self, value: Mapping[str, Any], path: DocumentPath, argument: str) -> Any:
        name, config = value["class_name"], value.get("config")
        if not isinstance(name, str):
            self._problems.append(
                Problem(f"`class_name` takes the name of a class, not {got(name)}", path=(*path, "class_name"))
            )
            return value
        if name in VALUE_MARKS:
            return {"class_name": name, "config": self.value(config, (*path, "config"))}
        if name.startswith("__") or own_name(name) in HOLD_CODE:
            what = a(own_name(name)) if own_name(name) in HOLD_CODE else f"`{name}`"
            self._refuse("Python code" if name == "__lambda__" else what, path)
            return value
        registered_name = value.get("registered_name")
        is_registered = isinstance(registered_name, str) and ">" in registered_name
        if name == "function":
            return self._function(config if isinstance(config, str) else registered_name, path)
        if is_registered or ">" in name or not is_keras_class(value):
            return self._users_own(value, path)
        if module := _module_of(name, value.get("module"), argument):
            if module == "keras.initializers" and not _is_finite(config):
                self._problems.append(Problem(f"the values of {a(name)} must be finite", path=(*path, "config")))
            return {
                "module": module,
                "class_name": name,
                "config": self.value(config or {}, (*path, "config")),
                "registered_name": None,
            }
        if name in _LAYERS:
            return self._layer(value, path)
        if value.get("module") is None and name not in NOT_IN_PLANS:
            return self._users_own(value, path)
        self._refuse(f"`{name}`", path, "it is not one of Keras's layers, initializers, regularizers or constraints")
        return value

    def _users_own(self, value: Mapping[str, Any], path: DocumentPath) -> Any:
        """Converts an object that Keras knows only if the call imports the module that registers it."""
        name = str(value["class_name"])
        registered = str(value.get("registered_name") or name)
        if not _REGISTERED.fullmatch(registered):
            self._refuse(f"`{registered}`", path, "it is not a name that Keras registers, such as my_package>MyLayer")
        return {
            "module": None,
            "class_name": name.rpartition(">")[2],
            "config": self.value(value.get("config") or {}, (*path, "config")),
            "registered_name": registered,
        }

    def _function(self, name: Any, path: DocumentPath) -> Any:
        """Converts the name of a function: one of Keras's activations, or one that the call registers."""
        if not isinstance(name, str) or (name not in ACTIVATIONS and ">" not in name):
            shown = f"the function `{name}`" if isinstance(name, str) else "a function without a name"
            self._refuse(shown, path, "a plan may name activations of Keras, or registered functions")
            return name
        if name in ACTIVATIONS:
            return name
        # Keras looks up a text only among its own activations, so another function needs the long form.
        return {"module": "builtins", "class_name": "function", "config": name, "registered_name": "function"}

    def _refuse(self, what: str, path: DocumentPath, hint: str = "") -> None:
        message = f"a plan cannot add {what} to a model"
        self._problems.append(Problem(message, path=path, hint=hint))


def _is_finite(value: Any) -> bool:
    """Returns whether a value holds neither infinity nor NaN."""
    if isinstance(value, Mapping):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or isfinite(value)


def operation_module(entry: Mapping[str, Any]) -> str:
    """Returns the module of an operation that a plan may have, such as the `Add` of `x + y`; else an empty text."""
    room = str(entry.get("module")).removeprefix("keras.src.ops.")
    is_known = entry.get("class_name") in OPERATIONS.get(room, ())
    return f"keras.src.ops.{room}" if is_known and entry.get("registered_name") in (None, entry["class_name"]) else ""


def _module_of(name: str, stated: Any, argument: str) -> str:
    """Returns the module of an object of this name, or an empty text. `Identity` is a layer and an initializer."""
    ending = argument.rpartition("_")[2]
    wanted = MODULE_BY_ENDING.get(ending) or (stated if isinstance(stated, str) else "")
    modules = [module for module, names in OBJECT_MODULES.items() if name in names]
    if not modules or (name in _LAYERS and wanted not in modules):
        return ""
    return wanted if wanted in modules else modules[0]
