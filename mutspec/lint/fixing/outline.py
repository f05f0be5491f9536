"""Where the values of a YAML text are: a tree of offsets, of what parses already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from mutspec.language.traps import LOADER


@dataclass(slots=True)
class Value:
    """A value in a text.

    Arguments:
        start, stop: where it begins, and the offset after its last character; what stands before a scalar, such as
            its anchor, belongs to it.
        text: the text of a scalar, or the name of an alias.
        is_plain: whether it is a scalar without quotes, on one line.
        is_alias: whether it is an alias.
        is_flow: whether it is a list or mapping in brackets.
        anchor: the name of its anchor, or nothing.
        keys: the keys of a mapping.
        below: the values of a mapping, or the items of a list.
    """

    start: int
    stop: int
    text: str = ""
    is_plain: bool = False
    is_alias: bool = False
    is_flow: bool = False
    anchor: str = ""
    keys: list[Value] = field(default_factory=list)
    below: list[Value] = field(default_factory=list)

    def find(self, key: str) -> Value | None:
        """Returns the value under a key of a mapping; None without it."""
        for each, value in zip(self.keys, self.below, strict=False):
            if each.text == key:
                return value
        return None

    def all(self) -> Iterator[Value]:
        """Yields it and all values below it, without keys, in the order of the text."""
        yield self
        for value in self.below:
            yield from value.all()


def outline(text: str) -> Value:
    """Returns the places of all values of a text that holds one document, and that the language has read already."""
    open_values: list[tuple[Value, bool]] = []
    root: Value | None = None
    events: Iterator[Any] = iter(yaml.parse(text, Loader=LOADER))
    for event in events:
        value, stop = _value(event, text), event.end_mark.index
        if value is None:
            if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                closed, _ = open_values.pop()
                closed.stop = stop if closed.is_flow else max(closed.stop, *_stops(closed))
            continue
        if not open_values:
            root = value
        else:
            holder, is_table = open_values[-1]
            is_key = is_table and len(holder.keys) == len(holder.below)
            (holder.keys if is_key else holder.below).append(value)
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            open_values.append((value, isinstance(event, yaml.MappingStartEvent)))
    assert root is not None
    return root


def _stops(value: Value) -> list[int]:
    return [value.start, *(each.stop for each in (*value.keys, *value.below))]


def _value(event: Any, text: str) -> Value | None:
    """Returns the value that an event begins; None if it begins none."""
    if not hasattr(event, "anchor"):
        return None
    start, stop = event.start_mark.index, event.end_mark.index
    if isinstance(event, yaml.AliasEvent):
        return Value(start, stop, str(event.anchor), is_alias=True)
    anchor = str(event.anchor or "")
    if isinstance(event, yaml.ScalarEvent):
        written = text[max(start, stop - len(event.value)) : stop]
        is_plain = not event.style and event.implicit[0] and written == event.value
        return Value(start, stop, event.value, is_plain and "\n" not in text[start:stop], anchor=anchor)
    return Value(start, start, is_flow=bool(event.flow_style), anchor=anchor)
