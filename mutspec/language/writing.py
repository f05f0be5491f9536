"""Writes the document of a plan as YAML that the loader reads as the same document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from mutspec.language.scalars import UnreadableNumberError, scalar_value
from mutspec.text import words
from mutspec.text.visible import in_lines

_WIDTH = 110
_SPECIAL = frozenset(":*&{}[]#!|>@`'\"")
_LONG = 60
"""The length above which a text is quoted only where it has to be: YAML breaks it into lines."""


def document_yaml(document: Mapping[str, Any], *, is_unicode: bool = True) -> str:
    """Returns the document of a plan as the text of a plan file.

    Arguments:
        document: the document, of JSON values.
        is_unicode: whether the text may have all characters; else those that are not ASCII are escaped, as are
            all of a plan with invisible ones.
    """
    text = _dumped(document, is_unicode=is_unicode)
    return text if in_lines(text) == text else _dumped(document, is_unicode=False)


class _Dumper(yaml.SafeDumper):
    """Writes lists below their key, and never an alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _dumped(document: Mapping[str, Any], *, is_unicode: bool) -> str:
    node = _node(document, 0)
    text: str = yaml.serialize(node, Dumper=_Dumper, allow_unicode=is_unicode, width=_WIDTH)
    return text


def _node(value: Any, level: int, room: int = _WIDTH) -> yaml.Node:
    """Returns a value as a node: the plan, its steps and each step on several lines, the rest on one if it is short.

    Arguments:
        value: the value.
        level: how deep it stands: the plan, the list of steps, a step, its values.
        room: the width that is left for it.
    """
    if isinstance(value, Mapping):
        is_flow = level > 2 and len(words.flow(value)) <= room
        pairs = [
            (_node(str(key), level), _node(each, _level_below(key, level), room - len(str(key)) - 4))
            for key, each in value.items()
        ]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=is_flow)
    if isinstance(value, list):
        is_flow = level > 1 and len(words.flow(value)) <= room and len(value) <= 12
        items = [_node(each, level + 1, room - 4) for each in value]
        return yaml.SequenceNode("tag:yaml.org,2002:seq", items, flow_style=is_flow)
    node: yaml.ScalarNode = _REPRESENTER.represent_data(value)
    if isinstance(value, str):
        node.style = _style(value)
    return node


def _level_below(key: str, level: int) -> int:
    """Returns the level of a value of the plan, or of a part of it: steps are a level of their own."""
    return 1 if level == 0 and key == "steps" else max(3, level + 1)


_REPRESENTER: Any = yaml.representer.SafeRepresenter()


def _style(text: str) -> str | None:
    """Returns how YAML quotes a text: a bare one must not be read as a number or another value."""
    try:
        is_bare = isinstance(scalar_value(text), str)
    except UnreadableNumberError:
        is_bare = False
    if "\n" in text:
        return "|"
    is_plain = is_bare and not _SPECIAL & {*text}
    return None if is_plain or (is_bare and len(text) > _LONG) else '"'
