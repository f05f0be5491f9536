"""Layers inside layers: those that a wrapper, an RNN or a model in a wrapper states in its config."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mutspec.keras_facts.class_table import LayerPart
from mutspec.keras_facts.classes import facts_of, holds
from mutspec.model.outline import is_operation, prefix_of, prefixed
from mutspec.structure.network import Entry
from mutspec.structure.network_config import is_network


@dataclass(frozen=True, slots=True)
class Part:
    """A layer that another states in its config.

    Arguments:
        name: its name in paths.
        entry: the serialised layer.
        keys: where it stands in the config of the other.
        is_derived: whether it is not stated, but made of another part: the backward layer of a Bidirectional.
    """

    name: str
    entry: Entry
    keys: tuple[str | int, ...]
    is_derived: bool = False


def parts_of(entry: Entry) -> Iterator[Part]:
    """Yields the layers that a layer states in its config, in the order of their weights."""
    config = entry.get("config")
    if not isinstance(config, Mapping) or is_operation(entry):
        return
    if is_network(entry):
        yield from _listed("layers", config)
        return
    facts = facts_of(entry)
    for part in facts.parts if facts is not None else ():
        if part.is_list:
            yield from _listed(part.config, config)
        elif part.config and all(holds(when, config) for when in part.when):
            yield from _single(part, config)


def _listed(key: str, config: Mapping[str, Any]) -> Iterator[Part]:
    for index, each in enumerate(config.get(key) or ()):
        yield Part(_name(each), each, (key, index))


def _single(part: LayerPart, config: Mapping[str, Any]) -> Iterator[Part]:
    is_derived = not config.get(part.config)
    stated = config.get(part.fallback) if is_derived else config[part.config]
    if not isinstance(stated, Mapping):
        return
    name = prefixed(_name(stated), prefix_of(part, config))
    if is_derived:  # as Bidirectional makes it of its forward layer
        backwards = {**stated["config"], "name": name, "go_backwards": True}
        stated = {**stated, "config": backwards, **({"name": name} if "name" in stated else {})}
    yield Part(name, stated, (part.config,), is_derived)


def _name(entry: Entry) -> str:
    return str((entry.get("config") or {}).get("name") or entry.get("name") or "")


def with_part(entry: Entry, part: Part, changed: Entry) -> Entry:
    """Returns a layer with another layer in the place of one of its parts."""
    return {**entry, "config": put(entry["config"], part.keys, changed)}


def put(value: Any, keys: Sequence[str | int], new: Any) -> Any:
    """Returns a tree of JSON values with another value at a place.

    Arguments:
        value: the tree.
        keys: the keys and numbers that lead to the place.
        new: the value.
    """
    if not keys:
        return new
    key, *rest = keys
    if isinstance(value, Mapping):
        return {**value, key: put(value.get(str(key)), rest, new)}
    return [put(each, rest, new) if index == key else each for index, each in enumerate(value)]


def changed_within(entry: Entry, names: tuple[str, ...], change: Callable[[Entry], Entry]) -> Entry | None:
    """Returns a layer with a change of one in it; None if it states none of that name.

    Arguments:
        entry: the layer.
        names: the names that lead to the other; none for the layer itself.
        change: returns the changed layer.
    """
    if not names:
        return change(entry)
    part = next((each for each in parts_of(entry) if each.name == names[0]), None)
    changed = changed_within(part.entry, names[1:], change) if part is not None else None
    return with_part(entry, part, changed) if part is not None and changed is not None else None


def part_at(entry: Entry, names: tuple[str, ...]) -> Entry | None:
    """Returns a layer in a layer; None if it states none of that name.

    Arguments:
        entry: the layer.
        names: the names that lead to the other; none for the layer itself.
    """
    found: Entry | None = entry
    for name in names:
        found = next((each.entry for each in parts_of(found) if each.name == name), None) if found else None
    return found
