"""Reads configurations as JSON within limits, and checks their form once, so that later code can rely on it.

The check covers what readers use: layers, names, calls and ports. It does not cover the arguments of layers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from mutspec.errors import ModelError
from mutspec.keras_facts.class_names import MODELS
from mutspec.keras_facts.classes import facts_of, is_keras_class
from mutspec.model.calls import is_graph
from mutspec.model.limits import current_limits
from mutspec.model.old_configs import in_keras_3_form

_LONGEST_INTEGER = 2**64
"""The bound of integers. Seeds have up to 64 bits, and nothing in a configuration has more."""

_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_SEPARATORS = (b",", b"[", b"{", b":")
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def parse_config(data: bytes | str, shown: str, version: str = "") -> Mapping[str, Any]:
    """Parses a serialised model of Keras 2 or 3, and returns it in the form of Keras 3.

    Arguments:
        data: JSON.
        shown: its name in errors.
        version: the version of Keras that wrote it, if the file states it.

    Raises:
        ModelError: it is not JSON, above a limit, or malformed; the message says where.
    """
    value = parse_json(data, shown)
    _Form(shown).layer(value, "")
    stated = value.get("keras_version")  # in the result of `model.to_json()`
    return in_keras_3_form(value, version or (stated if isinstance(stated, str) else ""))


def check_config(value: Mapping[str, Any], shown: str) -> None:
    """Checks that a configuration would be read, if it were in a file.

    Raises:
        ModelError: it is above a limit, or malformed.
    """
    limits, data = current_limits(), json.dumps(value).encode()
    limits.check("config_bytes", len(data), shown)
    limits.check("config_values", _count_values(data, limits.config_values), shown)
    _check_depth(value, limits.config_depth, shown)
    _Form(shown).layer(value, "")


def parse_json(data: bytes | str, shown: str, *, hint: str = "save the model again in Keras") -> Mapping[str, Any]:
    """Parses a JSON object.

    Arguments:
        data: its text.
        shown: what to call it in errors.
        hint: what to do if it is not one.

    Raises:
        ModelError: it is not a JSON object, or above a limit.
    """
    limits = current_limits()
    data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    limits.check("config_bytes", len(data), shown)
    limits.check("config_values", _count_values(data, limits.config_values), shown)
    parse_int = _integer if b"0" * 20 in data.translate(_DIGITS) else None
    try:
        value = json.loads(data, parse_int=parse_int)
    except RecursionError:
        raise ModelError(limits.problem("config_depth", 0, shown, is_counted=False)) from None
    except ValueError as error:
        raise ModelError(f"{shown} is not JSON ({error})", hint=f"the file is damaged; {hint}") from None
    if not isinstance(value, dict):
        raise ModelError(f"{shown} is not a JSON object", hint=hint)
    _check_depth(value, limits.config_depth, shown)
    return value


def _count_values(data: bytes, most: int) -> int:
    """Returns an upper bound of the number of values in JSON, without parsing it. It is exact if that is needed."""
    count = sum(map(data.count, _SEPARATORS))
    return count if count <= most else sum(map(_TEXTS.sub(b"", data).count, _SEPARATORS))


def _integer(text: str) -> int:
    if len(text) > 21 or abs(int(text)) >= _LONGEST_INTEGER:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _check_depth(value: Any, most: int, shown: str) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > most:
            current_limits().check("config_depth", depth, shown, is_counted=False)
        level = [
            item
            for each in level
            for item in (each.values() if type(each) is dict else each)
            if type(item) is dict or type(item) is list
        ]


class _Form:
    """Checks that a value has the form of a serialised layer.

    Arguments:
        shown: the name of the whole in errors.
    """

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.most_characters = current_limits().name_characters
        self.most_layers = current_limits().layers
        self.count = -1  # the outermost model is not among its layers

    def layer(self, entry: Any, at: str) -> None:
        """Checks a layer or model, and the layers in it. `at` is its place, as in Python."""
        self.count += 1
        if self.count > self.most_layers:
            current_limits().check("layers", self.count, self.shown, is_counted=False)
        if not isinstance(entry, Mapping):
            self.refuse(at, entry, "a layer")
        if not isinstance(entry.get("class_name"), str):
            self.refuse(f"{at}.class_name", entry.get("class_name"), "the name of a class")
        for key in ("class_name", "name", "module", "registered_name"):
            self.name(entry.get(key), f"{at}.{key}")
        config = entry.get("config")
        if isinstance(config, list) and entry["class_name"] == "Sequential":  # Keras before 2.2.3
            self.layers(config, f"{at}.config")
            return
        if not isinstance(config, Mapping | None):
            self.refuse(f"{at}.config", config, "a mapping")
        self.nodes(entry.get("inbound_nodes"), f"{at}.inbound_nodes")
        if config:
            self.config(entry, config, f"{at}.config")

    def config(self, entry: Mapping[str, Any], config: Mapping[str, Any], at: str) -> None:
        self.name(config.get("name"), f"{at}.name")
        is_model = entry["class_name"] in MODELS and is_keras_class(entry)
        if "layers" in config and (is_model or "output_layers" in config):
            self.layers(config["layers"], f"{at}.layers")
        if is_model:
            self.shape(config.get("build_input_shape"), f"{at}.build_input_shape")
        if is_graph(config):
            for key in ("input_layers", "output_layers"):
                self.ports(config.get(key), f"{at}.{key}")
            return
        if entry["class_name"] == "InputLayer":
            for key in ("batch_shape", "batch_input_shape"):
                self.shape(config.get(key), f"{at}.{key}")
        facts = facts_of(entry)
        for key in {key for part in facts.parts for key in (part.config, part.fallback) if key} if facts else ():
            value = config.get(key)
            if isinstance(value, list):
                self.layers(value, f"{at}.{key}")
            elif value is not None:
                self.layer(value, f"{at}.{key}")

    def layers(self, value: Any, at: str) -> None:
        if not isinstance(value, list):
            self.refuse(at, value, "a list of layers")
        for number, entry in enumerate(value):
            self.layer(entry, f"{at}[{number}]")

    def nodes(self, value: Any, at: str) -> None:
        """Checks the calls of a layer: mappings of Keras 3, lists of Keras 2."""
        if value is None:
            return
        if not isinstance(value, list):
            self.refuse(at, value, "a list of calls")
        for number, node in enumerate(value):
            if not isinstance(node, Mapping | list):
                self.refuse(f"{at}[{number}]", node, "the arguments of a call")
            self.arguments(node, f"{at}[{number}]")

    def arguments(self, value: Any, at: str) -> None:
        """Checks the tensors in the arguments of a call."""
        if isinstance(value, list):
            for number, item in enumerate(value):
                if isinstance(item, Mapping | list):
                    self.arguments(item, f"{at}[{number}]")
        elif value.get("class_name") == "__keras_tensor__":
            config = value.get("config")
            if not isinstance(config, Mapping):
                self.refuse(f"{at}.config", config, "a mapping")
            if not _is_port(config.get("keras_history")):
                self.refuse(f"{at}.config.keras_history", config.get("keras_history"), "[layer, call, output]")
            if not isinstance(config.get("shape"), list):
                self.refuse(f"{at}.config.shape", config.get("shape"), "a shape")
            self.shape(config["shape"], f"{at}.config.shape")
            if not isinstance(config.get("dtype"), str):
                self.refuse(f"{at}.config.dtype", config.get("dtype"), "the name of a dtype")
        else:
            for key, item in value.items():
                if isinstance(item, Mapping | list):
                    self.arguments(item, f"{at}.{key}")

    def ports(self, value: Any, at: str) -> None:
        """Checks a model's inputs or outputs: `[layer, call, output]` in lists and mappings."""
        if value is None or _is_port(value):
            return
        if not isinstance(value, Mapping | list):
            self.refuse(at, value, "[layer, call, output]")
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in items:
            self.ports(item, f"{at}[{key!r}]")

    def shape(self, value: Any, at: str) -> None:
        is_shape = isinstance(value, list) and all(extent is None or _is_index(extent) for extent in value)
        if value is not None and not is_shape:
            self.refuse(at, value, "a list of extents")

    def name(self, value: Any, at: str) -> None:
        if value is None:
            return
        if not isinstance(value, str):
            self.refuse(at, value, "a text")
        if len(value) > self.most_characters:
            current_limits().check("name_characters", len(value), f"`{at.lstrip('.')}` in {self.shown}")

    def refuse(self, at: str, value: Any, wanted: str) -> NoReturn:
        """Raises the ModelError that a place has another value than it should have."""
        where = f"`{at.lstrip('.')[:200]}`" if at else "it"
        raise ModelError(
            f"{self.shown} is malformed: {where} is {_kind(value)}, but should be {wanted}",
            hint="the file is damaged; load the model in Keras and save it again",
        )


def _is_port(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and all(map(_is_index, value[1:]))


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _kind(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return f"a list of {len(value)}" if isinstance(value, list) else "a mapping"
