"""Operations between layers in the form that Keras read and wrote before 3.11.

Operations with arguments, such as `Any` and `Split`, did not take a name then: Keras names them itself when it loads a
model. Those that compute masks had fewer arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.keras_facts.written_configs import NEW_IN_3_11
from mutspec.model.outline import is_operation

Config = Mapping[str, Any]


def readable_by(version: str, config: Config) -> Config:
    """Returns a serialised model whose operations a version of Keras 3 can read.

    Arguments:
        version: the version, such as `3.6.0`.
        config: the serialised model, at any depth of which there may be operations.
    """
    return config if _number_of(version) >= (3, 11) else _in_old_form(config)


def _number_of(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


def _in_old_form(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_old_form(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    if "inbound_nodes" in value and is_operation(value):
        return {**value, "config": _old_config(str(value.get("class_name")), value.get("config") or {})}
    return {key: _in_old_form(each) for key, each in value.items()}


def _old_config(class_name: str, config: Config) -> Config:
    left = {key: each for key, each in config.items() if key not in NEW_IN_3_11.get(class_name, ())}
    return {key: each for key, each in left.items() if key != "name"} if len(left) > 1 else left
