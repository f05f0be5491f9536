"""The layer classes of the installed Keras, and their arguments."""

from __future__ import annotations

import importlib.metadata
import inspect
from functools import cache
from typing import Any

import pytest

from mutspec.keras_facts.layer_arguments import BASE_ARGUMENTS, CLASS_ALIASES, arguments_of
from mutspec.keras_facts.written_configs import NEWER_THAN_3_6

IS_TABLES_VERSION = importlib.metadata.version("keras").startswith("3.15.")
"""Whether the installed Keras is the one that the tables describe."""


@cache
def layer_classes() -> dict[str, type]:
    import keras

    return {
        name: value
        for name, value in vars(keras.layers).items()
        if inspect.isclass(value) and issubclass(value, keras.layers.Layer)
    }


def skip_if_keras_lacks(name: str) -> None:
    """Skips a test of a class that another version of Keras does not have. That of the tables has all of them."""
    if name not in layer_classes():
        assert not IS_TABLES_VERSION, name
        pytest.skip("this version of Keras has no such class")


def without_newer(value: Any, owner: str = "") -> Any:
    """A config without what Keras 3.6 refuses, and what says how the objects of this process lie in memory."""
    if isinstance(value, list):
        return [without_newer(each, owner) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_newer(each, value.get("class_name", "") if key == "config" else owner)
        for key, each in value.items()
        if key != "shared_object_id" and owner not in NEWER_THAN_3_6.get(key, ())
    }


def comparable(value: Any, owner: str = "") -> Any:
    """A config without the differences from Keras's that `keras_form` documents. What Keras 3.6 refuses has to be there
    unless it has its default."""
    if isinstance(value, list):
        return [comparable(each, owner) for each in value]
    if not isinstance(value, dict):
        return value
    is_users_own = ">" in str(value.get("registered_name"))
    dropped = {"shared_object_id", *(("build_config",) if is_users_own else ())}
    return {
        key: comparable(each, value.get("class_name", "") if key == "config" else owner)
        for key, each in value.items()
        if key not in dropped and not (owner in NEWER_THAN_3_6.get(key, ()) and each == _default(owner, key))
    }


def _default(class_name: str, key: str) -> Any:
    arguments = arguments_of(class_name) or {}
    return arguments[key].default if key in arguments else False if class_name == "InputLayer" else None


def own_name(layer_class: type) -> str:
    """The name that Keras writes into configs."""
    import keras

    name: str = keras.saving.get_registered_name(layer_class).rpartition(">")[2]
    return CLASS_ALIASES.get(name, name)


def signature(layer_class: type) -> dict[str, tuple[bool, Any]]:
    """The arguments of a class: whether each is required, and its default."""
    parameters = list(inspect.signature(layer_class.__init__).parameters.values())[1:]  # type: ignore[misc]
    found = {
        each.name: (each.default is each.empty, None if each.default is each.empty else each.default)
        for each in parameters
        if each.kind is not each.VAR_KEYWORD
    }
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        found |= {key: (False, each.default) for key, each in BASE_ARGUMENTS.items()}
    return found


@cache
def source(layer_class: type) -> str:
    """Returns the code of a class."""
    return inspect.getsource(layer_class)
