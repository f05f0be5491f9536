"""Converts serialised models of Keras 2, and of Keras 3's `.h5` files, to the form of Keras 3's `.keras` files.

A configuration is converted where it is read, so that all later code sees one form. The conversion renames classes,
modules and arguments, drops arguments that could have only one value, and rewrites calls that are lists. What Keras 3
cannot do stays as it is, and `only_in_keras_2` names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mutspec.keras_facts.class_names import ALIASES, FORMER_CLASS, MODEL_MODULES, STORED_NAMES
from mutspec.keras_facts.classes import KNOWN_CLASSES, facts_of, is_keras_class, snake_case
from mutspec.keras_facts.keras_2 import (
    ANY_VALUE,
    DROPPED_ARGUMENTS,
    FORMER_DEFAULTS,
    OLD_MODULES,
    RECURRENT,
    REMOVED_CLASSES,
    RENAMED_ARGUMENTS,
    WITHOUT_GROUPS,
)
from mutspec.model.calls import is_graph, is_new_call, is_triple, name_of_entry

Entry = Mapping[str, Any]

PLACEHOLDER = "shape_is_unknown"
"""The key of a tensor in a call whose shape and dtype are placeholders, because Keras 2 did not write them."""


def in_keras_3_form(entry: Entry, version: str = "") -> Entry:
    """Returns a serialised model in the form of Keras 3. Nothing is lost from a model that Keras 3 wrote.

    Arguments:
        entry: the serialised model, in a form that `parse_config` has checked.
        version: the version of Keras that wrote it; empty if the file does not state it.
    """
    is_old = is_of_keras_2(version) if version else _has_marks_of_keras_2(entry)
    return _ConfigWriter(is_old).layer(entry, "sequential")


def is_of_keras_2(version: str) -> bool:
    """Returns whether a version is one of Keras before 3, or empty: files of Keras 3 always state the version."""
    return version.partition(".")[0] in ("", "0", "1", "2")


def _has_marks_of_keras_2(entry: Entry) -> bool:
    """Returns whether something in a serialised model has a form that only Keras 2 wrote."""
    pending: list[Any] = [entry]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            calls = value.get("inbound_nodes")
            if "batch_input_shape" in value or (
                isinstance(calls, list) and any(isinstance(each, list) for each in calls)
            ):
                return True
            if value.get("class_name") == "Sequential" and isinstance(value.get("config"), list):
                return True
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return False


class _ConfigWriter:
    """Converts serialised layers, and those in them, to Keras 3's form.

    Arguments:
        is_old: whether Keras 2 wrote them. In `.h5` files of Keras 3, only the modules are missing.
    """

    def __init__(self, is_old: bool) -> None:
        self.is_old = is_old

    def layer(self, entry: Entry, default_name: str) -> Entry:
        """Converts a serialised layer. A Sequential before Keras 2.2.3 had no name of its own."""
        config = entry.get("config")
        if isinstance(config, list):
            config = {"name": entry.get("name") or default_name, "layers": config}
        if not isinstance(config, Mapping) or _is_operation(entry):
            return entry
        written = {**entry, "config": config}
        if is_keras_class(entry):
            written, config = self.of_current_class(written, config)
        elif "module" not in entry:
            written = {"module": None, "registered_name": entry["class_name"], **written}
        if is_graph(config):
            return {**written, "config": self.functional(config)}
        if written["class_name"] == "Sequential" and isinstance(config.get("layers"), list):
            return {**written, "config": self.sequential(config)}
        return {**written, "config": self.with_inner_layers(written, config)}

    def of_current_class(self, entry: Entry, config: Entry) -> tuple[dict[str, Any], Entry]:
        """Converts an entry and its config to Keras 3's names of the class and its arguments."""
        old, module = entry["class_name"], entry.get("module")
        name = old if not self.is_old or (old == "Model" and not is_graph(config)) else ALIASES.get(old, old)
        is_known = name in KNOWN_CLASSES or name in REMOVED_CLASSES
        if is_known and (not isinstance(module, str) or (self.is_old and module.startswith(OLD_MODULES))):
            module = MODEL_MODULES.get(name, "keras.layers")
        written = {**entry, "class_name": name, "module": module}
        if self.is_old and old != name and old not in STORED_NAMES:
            written[FORMER_CLASS] = old
        written.setdefault("registered_name", None if is_known else name)
        if self.is_old and is_known:
            built = written.pop("build_config", None)
            if name == "Sequential" and isinstance(built, Mapping) and isinstance(built.get("input_shape"), list):
                config = {"build_input_shape": built["input_shape"], **config}
        if self.is_old and not is_graph(config):
            config = {**({"synchronized": True} if old == "SyncBatchNormalization" else {}), **_arguments(name, config)}
        return written, config

    def with_inner_layers(self, entry: Entry, config: Entry) -> Entry:
        """Converts the layers in the config of a layer."""
        facts = facts_of(entry)
        if self.is_old and entry["class_name"] == "Bidirectional" and not config.get("backward_layer"):
            config = _with_backward_layer(config)
        written = dict(config)
        for key in {key for part in facts.parts for key in (part.config, part.fallback) if key} if facts else ():
            inner = config.get(key)
            if isinstance(inner, list) and key == "cell":  # RNN([cell, cell]) is RNN(StackedRNNCells([cell, cell]))
                inner = {"class_name": "StackedRNNCells", "config": {"name": "stacked_rnn_cells", "cells": inner}}
            if isinstance(inner, list):
                written[key] = [self.layer(each, "") for each in inner]
            elif isinstance(inner, Mapping):
                written[key] = self.layer(inner, "sequential")
        return written

    def sequential(self, config: Entry) -> dict[str, Any]:
        """Converts the config of a Sequential model."""
        used: dict[str, int] = {}
        layers = []
        for each in config["layers"]:
            number = used[each["class_name"]] = used.get(each["class_name"], -1) + 1
            layers.append(self.layer(each, snake_case(each["class_name"]) + (f"_{number}" if number else "")))
        written = {**config, "layers": layers}
        if self.is_old and config["layers"] and config["layers"][0]["class_name"] == "InputLayer":
            written.pop("build_input_shape", None)
        elif self.is_old and (shape := _input_shape(config["layers"])):
            written.setdefault("build_input_shape", shape)
        return written

    def functional(self, config: Entry) -> dict[str, Any]:
        """Converts the config of a Functional model, with the arguments of calls by name."""
        entries = [self.layer(each, "") for each in config["layers"]]
        calls = [node for each in entries for node in each.get("inbound_nodes") or ()]
        if not self.is_old or any(map(is_new_call, calls)):
            return {**config, "layers": entries}
        names = {name_of_entry(each) for each in entries}
        ports = {key: _port(config[key]) for key in ("input_layers", "output_layers") if key in config}
        # Keras 2 counts the calls of a nested model from 1, because call 0 created it.
        # Keras 3 does so too, but only for Functional models, and only in the ports.
        lowest: dict[str, int] = {}
        for name, call in (*_histories(calls, names), *_histories(ports.get("output_layers"), names)):
            lowest[name] = min(call, lowest.get(name, call))
        functional = {name_of_entry(each) for each in entries if is_graph(each.get("config"))}

        def in_calls(name: str, call: int) -> int:
            return call - (1 if lowest.get(name, 0) > 0 else 0)

        def in_ports(name: str, call: int) -> int:
            return in_calls(name, call) + (1 if name in functional else 0)

        layers = [
            {**each, "inbound_nodes": [_call(each, node, names, in_calls) for node in each.get("inbound_nodes") or ()]}
            for each in entries
        ]
        return {**config, "layers": layers, **{key: _renumbered(each, names, in_ports) for key, each in ports.items()}}


def _is_operation(entry: Entry) -> bool:
    """Returns whether an entry of an `.h5` file is an operation such as `x + y`, which has no `trainable`."""
    config = entry.get("config")
    return (
        "module" not in entry
        and "inbound_nodes" in entry
        and isinstance(config, Mapping)
        and entry.get("class_name") != "InputLayer"
        and not set(config) & {"trainable", "layers", "dtype"}
    )


def _arguments(name: str, config: Entry) -> dict[str, Any]:
    if name == "Lambda":
        config = _with_functions(config)
    written: dict[str, Any] = {}
    for key, value in config.items():
        if (key_now := RENAMED_ARGUMENTS.get((name, key))) is not None:
            written.setdefault(key_now, value)
        elif not _is_dropped(name, key, value):
            written[key] = _value(key, value)
    for key, value in FORMER_DEFAULTS.get(name, {}).items():
        written.setdefault(key, value)
    return written


def _is_dropped(name: str, key: str, value: Any) -> bool:
    return any(
        key == each and (not owners or name in owners) and (without is ANY_VALUE or value == without or value is None)
        for each, without, owners in DROPPED_ARGUMENTS
    )


def _value(key: str, value: Any) -> Any:
    if key == "axis" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if not isinstance(value, Mapping):
        return value
    config = value.get("config")
    if key == "dtype" and value.get("class_name") in ("Policy", "PolicyV1") and isinstance(config, Mapping):
        name = {"name": config.get("name")}
        return {"module": "keras", "class_name": "DTypePolicy", "config": name, "registered_name": None}
    if key.endswith("_initializer") and isinstance(config, Mapping) and "dtype" in config and is_keras_class(value):
        return {**value, "config": {each: item for each, item in config.items() if each != "dtype"}}
    return value


def _with_functions(config: Entry) -> Entry:
    """Converts the code in the config of a Lambda. A function that is not code stays as it is."""
    written = dict(config)
    for key, module in (("function", "module"), ("output_shape", "output_shape_module"), ("mask", "mask_module")):
        kind, value = config.get(f"{key}_type"), config.get(key)
        if kind == "lambda" and isinstance(value, list) and len(value) == 3:
            code, defaults, closure = value
            function = {"code": code, "defaults": defaults, "closure": closure}
            written[key] = {"class_name": "__lambda__", "config": function}
        elif kind != "raw":
            continue
        for leftover in (f"{key}_type", module):
            written.pop(leftover, None)
    return written


def _with_backward_layer(config: Entry) -> Entry:
    """Adds the backward layer to the config of a Bidirectional, which Keras 3 always writes."""
    layer = config.get("layer")
    inner = layer.get("config") if isinstance(layer, Mapping) else None
    if not isinstance(layer, Mapping) or not isinstance(inner, Mapping):
        return config
    name = "backward_" + str(inner.get("name", "")).removeprefix("forward_")
    backward = {**inner, "name": name, "go_backwards": not inner.get("go_backwards", False)}
    return {**config, "backward_layer": {**layer, "config": backward}}


def _input_shape(layers: list[Entry]) -> Any:
    """Returns the input shape of a Sequential model from its first layer, if that is not an InputLayer."""
    while layers and (config := layers[0].get("config")):
        if isinstance(config, Mapping) and layers[0]["class_name"] == "InputLayer":
            return None
        if isinstance(config, Mapping) and "batch_input_shape" in config:
            return config["batch_input_shape"]
        layers = config.get("layers") or [] if isinstance(config, Mapping) else config
    return None


# Calls


def _port(value: Any) -> Any:
    """Returns a model's only input or output without the list around it, which Keras 2 wrote."""
    return value[0] if isinstance(value, list) and len(value) == 1 and is_triple(value[0]) else value


def _histories(value: Any, names: set[str]) -> Iterator[tuple[str, int]]:
    """Yields the layers in calls or ports, with the number of the call."""
    if isinstance(value, list) and value and is_triple(value[:3]) and value[0] in names:
        yield value[0], value[1]
        value = value[3:]
    if isinstance(value, Mapping | list):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _histories(item, names)


def _renumbered(value: Any, names: set[str], number: Callable[[str, int], int]) -> Any:
    if is_triple(value) and value[0] in names:
        return [value[0], number(value[0], value[1]), *value[2:]]
    if isinstance(value, Mapping):
        return {key: _renumbered(item, names, number) for key, item in value.items()}
    return [_renumbered(item, names, number) for item in value] if isinstance(value, list) else value


def _call(entry: Entry, node: Any, names: set[str], number: Callable[[str, int], int]) -> dict[str, Any]:
    """Converts a call, `[[layer, call, output, arguments], …]`, to a mapping of its arguments."""

    def tensor(value: Any) -> Any:
        if isinstance(value, list) and is_triple(value[:3]) and value[0] in names:
            history = [value[0], number(value[0], value[1]), value[2]]
            config = {"shape": [None], "dtype": "float32", "keras_history": history, PLACEHOLDER: True}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(value, list) and len(value) >= 3 and value[0] == "_CONSTANT_VALUE":
            return value[2]
        if isinstance(value, Mapping):
            return {key: tensor(item) for key, item in value.items()}
        return [tensor(item) for item in value] if isinstance(value, list) else value

    named = {key: tensor(value) for key, value in _arguments_of_call(node).items() if value is not None}
    first = tensor(node)
    first = first[0] if isinstance(first, list) and len(first) == 1 else first
    if entry["class_name"] in RECURRENT and isinstance(first, list):
        return {"args": first[:1], "kwargs": {"initial_state": first[1:], **named}}
    return {"args": [first], "kwargs": named}


def _arguments_of_call(node: Any) -> Entry:
    """Returns the keyword arguments of a call, which are in the list of its first tensor."""
    while isinstance(node, list) and node and not isinstance(node[0], str):
        node = node[0]
    if isinstance(node, Mapping):
        return _arguments_of_call(next(iter(node.values()), []))
    return node[3] if isinstance(node, list) and len(node) > 3 and isinstance(node[3], Mapping) else {}


# What cannot be converted


def only_in_keras_2(entry: Entry) -> str:
    """Names the first part of a serialised model that Keras 3 cannot build; empty if there is none.

    Arguments:
        entry: a serialised model in Keras 3's form.

    Returns:
        A description such as "`lstm` (LSTM) takes time as its first axis".
    """
    return _first(entry, _reason)


def operation_in_h5(entry: Entry) -> str:
    """Names the first operation of a model as `.h5` files have it, which no Keras can load; empty if there is none."""
    return _first(entry, lambda each: _label(each) if _is_operation(each) else "")


def _first(entry: Entry, said: Callable[[Entry], str]) -> str:
    """Returns what is said of the first part of a serialised model of which something is said."""
    pending: list[Any] = [entry]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            is_part = isinstance(value.get("class_name"), str) and isinstance(value.get("config"), Mapping)
            if is_part and is_keras_class(value) and (found := said(value)):
                return found
            value = [item for key, item in value.items() if key != "inbound_nodes"]
        pending += [item for item in reversed(value) if isinstance(item, dict | list)]
    return ""


def _label(entry: Entry) -> str:
    return f"`{name_of_entry(entry) or entry['class_name']}` ({entry['class_name']})"


def _reason(entry: Entry) -> str:
    name, config, label = entry["class_name"], entry["config"], _label(entry)
    if name in REMOVED_CLASSES:
        return f"{label} {REMOVED_CLASSES[name]}"
    if name in RECURRENT and config.get("time_major"):
        return f"{label} takes time as its first axis"
    if name == "InputLayer" and config.get("ragged") and "batch_shape" in config and "optional" not in config:
        return f"{label} takes ragged tensors"
    if name in WITHOUT_GROUPS and config.get("groups") not in (None, 1):
        return f"{label} has {config['groups']} groups"
    return ""


def other_functions(entry: Entry) -> tuple[str, ...]:
    """Names the layers with `hard_sigmoid`, which was steeper in Keras 2 than it is in Keras 3.

    Arguments:
        entry: a serialised model in Keras 3's form.
    """
    found = []
    pending: list[Any] = [entry]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            config = value.get("config")
            if isinstance(config, Mapping) and "hard_sigmoid" in (
                config.get("activation"),
                config.get("recurrent_activation"),
            ):
                found.append(name_of_entry(value))
            pending += reversed(list(value.values()))
        elif isinstance(value, list):
            pending += reversed(value)
    return tuple(found)
