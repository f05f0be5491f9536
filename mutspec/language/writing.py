"""Writes the document of a plan as YAML that the loader reads as the same document."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_TEXT = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"})
_NOT_FINITE = {"Infinity": ".inf", "-Infinity": "-.inf", "NaN": ".nan"}


def plan_yaml(document: Mapping[str, Any]) -> str:
    """Returns a plan as YAML: a line for each key, and for each key of each step; their values on one line.

    Arguments:
        document: a plan's document. It may be any JSON values.
    """
    lines = []
    for key, value in document.items():
        if key == "steps" and isinstance(value, list) and value:
            lines.append("steps:")
            lines += [line for step in value for line in _item(step)]
        else:
            lines.append(f"{_flow(key)}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _item(step: Any) -> list[str]:
    if not isinstance(step, Mapping) or not step:
        return [f"  - {_flow(step)}"]
    keys = [f"{_flow(key)}: {_flow(value)}" for key, value in step.items()]
    return [f"  - {keys[0]}", *(f"    {line}" for line in keys[1:])]


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    if isinstance(value, str) and _WORD.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):  # of characters that are not printable, plans have only the escapes
        return "".join(each if each.isprintable() else _escape(each) for each in text)
    return _NOT_FINITE.get(text, text)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
