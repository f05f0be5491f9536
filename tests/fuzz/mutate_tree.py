"""Mutations of what JSON and YAML hold: one node at a time, a few in a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from random import Random
from typing import Any

from tests.fuzz import hostile

Tree = Any
_Place = tuple[Any, Any]
"""A dict or list, and a key or index in it."""


def mutated(tree: Tree, random: Random, most: int = 3) -> Tree:
    """A tree with one to a few nodes changed."""
    root = {"": deepcopy(tree)}
    for _ in range(random.choice((1, 1, 1, most))):
        places = list(_places(root))
        if not places:  # the root has been removed
            break
        random.choice(_MUTATIONS)(random, *random.choice(places), root)
    return root.get("")


def rewired(tree: Tree, random: Random) -> Tree:
    """A configuration in which one layer is called on another's output, before or after it: graphs with loops too."""
    root = {"": deepcopy(tree)}
    histories = [place[key] for place, key in _places(root) if key == "keras_history" and isinstance(place[key], list)]
    names = [each[0] for each in histories if each]
    if not names:
        return mutated(tree, random)
    layers = [place[key] for place, key in _places(root) if key == "name" and isinstance(place[key], str)]
    random.choice([each for each in histories if each])[0] = random.choice((*names, *layers))
    return root[""]


def renamed(tree: Tree, name: str, random: Random) -> Tree:
    """A tree in which one string, wherever it stands, is another: a name stays one that fits its references."""
    texts = sorted({container[key] for container, key in _places({"": tree}) if isinstance(container[key], str)})
    if not texts:
        return tree
    return replaced(tree, random.choice(texts), name)


def replaced(tree: Tree, old: str, new: str) -> Tree:
    if isinstance(tree, dict):
        return {key: replaced(item, old, new) for key, item in tree.items()}
    if isinstance(tree, list):
        return [replaced(item, old, new) for item in tree]
    return new if tree == old and isinstance(tree, str) else tree


def _places(tree: Tree) -> Iterator[_Place]:
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, item in list(entries):
        yield tree, key
        yield from _places(item)


def _replace(random: Random, container: Any, key: Any, root: Any) -> None:
    container[key] = hostile.value(random)


def _nudge(random: Random, container: Any, key: Any, root: Any) -> None:
    """Change a value a little, so that it gets further than a hostile one."""
    value = container[key]
    if isinstance(value, bool) or value is None:
        container[key] = random.choice((None, True, False))
    elif isinstance(value, int):
        container[key] = value + random.choice((-1, 1, 2, 100))
    elif isinstance(value, float):
        container[key] = value * random.choice((-1, 0, 1e10, 1e-10))
    elif isinstance(value, str):
        container[key] = random.choice((value + "_", value[1:], value.upper(), value * 2, f" {value}"))
    else:
        _replace(random, container, key, root)


def _remove(random: Random, container: Any, key: Any, root: Any) -> None:
    del container[key]


def _name(random: Random, container: Any, key: Any, root: Any) -> None:
    """Rename a key, or put a name where a list has an item."""
    name = random.choice(hostile.NAMES)
    if isinstance(container, dict):
        container[name] = container.pop(key)
    else:
        container[key] = name


def _repeat(random: Random, container: Any, key: Any, root: Any) -> None:
    if isinstance(container, list):
        container[key:key] = [deepcopy(container[key])] * random.choice((1, 1, 2, 40))
    else:
        container[f"{key}_"] = deepcopy(container[key])


def _move(random: Random, container: Any, key: Any, root: Any) -> None:
    """Put a copy of another node here: references that cross, loops in a graph, layers within layers."""
    other, place = random.choice(list(_places(root)))
    container[key] = deepcopy(other[place])


def _deepen(random: Random, container: Any, key: Any, root: Any) -> None:
    value = container[key]
    for _ in range(random.choice((1, 2, 30, 90))):
        value = {"config": value} if random.random() < 0.3 else [value]
    container[key] = value


_MUTATIONS: tuple[Callable[[Random, Any, Any, Any], None], ...] = (
    *(_replace, _replace, _nudge, _nudge, _nudge, _nudge, _remove, _name, _repeat, _move, _move, _deepen),
)
