"""Layers of classes that are in no table, and what a file holds of them below their stored paths.

Only the code of such a class knows what it saves. But a layer that stays as it is saves the same again, so a mutant's
file gets what the base's file holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mutspec.model.build import placed
from mutspec.model.outline import OutlineNode, around, in_order_of_attributes, join
from mutspec.model.stored import Stored, StoredTree


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A group that a file holds of a layer.

    Arguments:
        below: its path below the layer's own; empty for that one.
        name: the name of the layer in the layer that it belongs to; empty if the file does not state it.
        datasets: the stored path of each value in it, by key.
    """

    below: str
    name: str
    datasets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """What a file holds of a layer.

    Arguments:
        path: its stored path.
        groups: the groups, in the order in which Keras saves them.
    """

    path: str
    groups: tuple[StoredGroup, ...]

    @property
    def values(self) -> tuple[str, ...]:
        """The stored paths of all values of it."""
        return tuple(path for group in self.groups for path in group.datasets.values())


def opaque_layers(
    root: OutlineNode, stored: Mapping[str, Stored], names: Mapping[str, str]
) -> Mapping[str, StoredLayer]:
    """Returns what a file holds of the layers whose classes are in no table, by canonical path.

    Arguments:
        root: the model's outermost node.
        stored: the shape and dtype of everything that the file holds, by stored path.
        names: the layers' names by stored path, as far as the file states them.
    """
    if not root.is_model:
        return {}
    tree = StoredTree(stored)
    at = {path: node.path for child in placed(root, "", tree) for node, path in _opaque(child, "", tree)}
    groups: dict[str, dict[str, dict[str, str]]] = {path: {"": {}} for path in at}
    for path in stored:
        holder, _, key = path.rpartition("/vars/")
        if owner := around(holder, at):
            groups[owner].setdefault(holder[len(owner) + 1 :], {})[key] = path
    for path in names:
        if owner := around(path, at):
            groups[owner].setdefault(path[len(owner) + 1 :], {})
    return {at[path]: StoredLayer(path, tuple(_ordered(path, each, names))) for path, each in groups.items()}


def _opaque(node: OutlineNode, owner: str, tree: StoredTree) -> Iterator[tuple[OutlineNode, str]]:
    paths = [join(owner, path) for path in node.stored]
    stored = next((path for path in paths if path in tree), paths[0])
    if node.variables is None:
        yield node, stored
        return
    for child in placed(node, stored, tree):
        yield from _opaque(child, stored, tree)


def _ordered(path: str, groups: Mapping[str, Mapping[str, str]], names: Mapping[str, str]) -> Iterator[StoredGroup]:
    for below in sorted(groups, key=in_order_of_attributes):
        yield StoredGroup(below, names.get(join(path, below), ""), groups[below])
