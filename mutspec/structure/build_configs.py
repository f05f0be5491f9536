"""The `build_config` of a layer: the shapes that Keras says it was built for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mutspec.keras_facts.classes import is_keras_class, plain_class_name
from mutspec.keras_facts.written_configs import BUILD_ARGUMENTS, BUILT_WHEN_MADE
from mutspec.model.outline import is_operation
from mutspec.model.spec import TensorRef
from mutspec.structure.network import Arguments, Entry, refs

Shapes = Mapping[str, Any]
"""Shapes in the nesting of the arguments, by the names of the arguments. They are in the order of the call."""

_FIRST = "input"
"""The name for the first argument, where the class's own name for it does not matter."""

_VOCABULARIES = frozenset({"IntegerLookup", "StringLookup"})
"""Classes that say that they were built, but for no shapes."""


def shapes_given(class_name: str, call: Arguments, shape_of: Callable[[TensorRef], list[int | None]]) -> Shapes:
    """Returns the shapes for which a call builds a layer.

    Arguments:
        class_name: the layer's class, which is Keras's.
        call: the arguments of its first call.
        shape_of: returns the shape of a tensor.
    """
    if class_name in BUILT_WHEN_MADE:
        return {}
    named, positional = call.get("kwargs") or {}, call.get("args") or []
    names = BUILD_ARGUMENTS.get(class_name)
    if names is None:
        given = {_FIRST: next(iter([*positional, *(each for key, each in named.items() if key != "mask")]), None)}
    else:
        given = dict(zip(names, positional, strict=False)) | {key: named[key] for key in names if key in named}
    return {key: _shapes(value, shape_of) for key, value in given.items() if next(refs(value), None) is not None}


def _shapes(value: Arguments, shape_of: Callable[[TensorRef], list[int | None]]) -> Any:
    if isinstance(value, TensorRef):
        return shape_of(value)
    if isinstance(value, Mapping):
        return {key: _shapes(item, shape_of) for key, item in value.items()}
    return [_shapes(item, shape_of) for item in value] if isinstance(value, list | tuple) else value


def built(entry: Entry, given: Shapes) -> Entry:
    """Returns a serialised layer, and the layers that are its arguments, with their build configs.

    A class of the user's own gets none. Only its code knows what it is to be built for, and Keras builds it without one
    when it calls it.
    """
    class_name = plain_class_name(entry)
    if not is_keras_class(entry) or is_operation(entry) or not given or class_name in BUILT_WHEN_MADE:
        return entry
    first = next(iter(given.values()))
    whole = {**entry, "config": {**entry["config"], **_set(class_name, entry["config"], first)}}
    build_config: dict[str, Any] = {"input_shape": first}
    if class_name in _VOCABULARIES:
        build_config = {}
    elif len(given) > 1:
        build_config = {"shapes_dict": {f"{key}_shape": shape for key, shape in given.items()}}
    return {**whole, "build_config": build_config}


def _set(class_name: str, config: Mapping[str, Any], shape: Any) -> dict[str, Any]:
    """Returns the arguments of a layer that building sets: layers, which are built for what it calls them on."""
    if class_name == "GroupNormalization" and config.get("groups") == -1:
        return {"groups": shape[config.get("axis", -1)]}  # a group for each channel
    if class_name == "StackedRNNCells":
        return {"cells": _stacked(config["cells"], shape)}
    if class_name in ("TimeDistributed", "RNN"):
        shape = [*shape[:1], *shape[2:]]  # one step of the sequence
    keys = {"Bidirectional": ("layer", "backward_layer"), "RNN": ("cell",)}.get(class_name, ("layer",))
    return {key: built(config[key], {_FIRST: shape}) for key in keys if isinstance(config.get(key), Mapping)}


def _stacked(cells: list[Entry], shape: Any) -> list[Entry]:
    """Returns the cells of a stack, each built for the output of the one before."""
    done = []
    for cell in cells:
        done.append(built(cell, {_FIRST: shape}) if shape is not None else cell)
        units = cell["config"].get("units") if is_keras_class(cell) else None
        shape = None if shape is None or units is None else [shape[0], units]
    return done
