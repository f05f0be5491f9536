"""Layers inside classes of the user's own, which are not in a config.

Their paths are their stored paths, and depend only on the model. Their classes and roles come from objects, where there
is a live model or Keras can build one; else from names in the file, as far as these are unambiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

from mutspec.keras_facts.class_names import MODELS, STORED_NAMES
from mutspec.keras_facts.class_table import CLASSES, LayerPart, Variable
from mutspec.keras_facts.classes import ancestry_of, holds, snake_case
from mutspec.model.outline import Outline, OutlineNode, join
from mutspec.model.stored import Stored, StoredTree


@dataclass(frozen=True, slots=True)
class Inner:
    """The known facts about a layer inside a class of the user's own.

    Arguments:
        class_name, ancestry, config: as in LayerSpec.
        variables: the roles of its stored weights by their keys (`0`, `1`, …), without those of unknown role.
        shapes: the shapes of the object's weights, by key. Those in a file may differ.
    """

    class_name: str
    ancestry: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Variable] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


DescribesInner = Callable[[str], Inner | None]
"""Returns the known facts about the layer with a stored path; None if there is no such layer, or no fact is known."""


def describe_nothing(stored: str) -> Inner | None:
    """Describes no layer."""
    return None


def has_inner_layers(outline: Outline) -> bool:
    """Returns whether a model may hold layers that are not in its config."""
    return holds_code(outline.root)


def holds_code(node: OutlineNode) -> bool:
    """Returns whether a layer may hold layers that are not in its config."""
    pending = [node]
    while pending:
        node = pending.pop()
        if _is_of_code(node):
            return True
        pending += node.children
    return False


def _is_of_code(node: OutlineNode) -> bool:
    # Subclasses of Functional may hold layers outside of their graph.
    return node.variables is None or (node.is_model and node.class_name not in MODELS)


@dataclass(frozen=True, slots=True)
class Placed:
    """A weight of an object: the path under which Keras would store it, its name, and its shape."""

    stored: str
    name: str
    shape: tuple[int, ...]


class InKeras(Protocol):
    """A model that Keras may know more about.

    Arguments:
        knows_classes: whether the call has imported all classes in the model's config.
    """

    @property
    def knows_classes(self) -> bool: ...

    def describe(self, stored: str) -> Inner | None:
        """Returns the known facts about the layer with a stored path."""
        ...

    def order(self, stored: str) -> tuple[Placed, ...]:
        """Returns the weights of a layer in the order of legacy files; nothing if it is not known."""
        ...

    def why_not(self) -> str:
        """Returns why Keras has not built the model, although it knows the classes; empty if it has."""
        ...


_BY_SNAKE = {snake_case(STORED_NAMES.get(name, name)): name for table in (CLASSES, MODELS) for name in table}


def class_of(name: str) -> str:
    """Returns the class for a stored name or an automatic one such as `conv2d_3`; empty if it is in no table."""
    head, _, number = name.rpartition("_")
    return _BY_SNAKE.get(name, "") or (_BY_SNAKE.get(head, "") if number.isdecimal() else "")


class DescriptionByNames:
    """Describes inner layers by names in a file, where these are unambiguous.

    Keras stores the layers in lists and dictionaries under their class, and names layers after their class by default.
    An attribute may have any name.

    Arguments:
        tree: the stored variables.
        names: the layers' names by stored path. Every layer has one, also without weights; lists have none.
    """

    def __init__(self, tree: StoredTree, names: Mapping[str, str]) -> None:
        self._tree = tree
        self._names = names
        self._described: dict[str, Inner | None] = {}

    def __call__(self, stored: str) -> Inner | None:
        """Returns the known facts about the layer with a stored path."""
        if stored not in self._described:
            self._described[stored] = self._describe(stored)
        return self._described[stored]

    def _describe(self, stored: str) -> Inner | None:
        if not stored or not self._names or stored not in self._tree:
            return None
        class_name = self._class_of(stored)
        if class_name not in CLASSES:
            return None
        group = self._tree.group(stored)
        variables = only_variables(class_name, group) if group else ()
        if variables is None:
            return None
        keyed = {str(number): variable for number, variable in enumerate(variables) if not variable.copy_of}
        return Inner(class_name, ancestry_of({"class_name": class_name}), {}, keyed)

    def _class_of(self, stored: str) -> str:
        holder, _, segment = stored.rpartition("/")
        owner = self(holder)
        parts = CLASSES[owner.class_name].parts if owner is not None else self._projections(holder)
        part = next((part for part in parts if segment in part.stored), None)
        if part is not None and part.class_name:
            return part.class_name
        if holder and holder not in self._names:
            return class_of(segment)
        return class_of(self._names.get(stored, ""))

    def _projections(self, stored: str) -> tuple[LayerPart, ...]:
        """Returns the projections of attention, if a layer has all of them under Keras's names."""
        parts = CLASSES["MultiHeadAttention"].parts
        found = {part for part in parts for at in part.stored if self._names.get(join(stored, at)) == part.name}
        return parts if found >= {part for part in parts if not part.when} else ()


def only_variables(
    class_name: str, group: Mapping[str, Stored], config: Mapping[str, Any] | None = None
) -> tuple[Variable, ...] | None:
    """Returns the variables of a class that match a stored group; None if no or several lists of variables match.

    Arguments:
        class_name: a class of the table.
        group: the stored weights of a layer.
        config: its config, if it is known. The stored weights may be quantised in another way.
    """
    facts = CLASSES[class_name]
    first_dtype = group["0"][1] if "0" in group else ""
    is_quantized = first_dtype.startswith(("int", "uint"))
    modes = ("int8", "int4") if is_quantized else ("float8",)
    rows = [variables for mode, variables in facts.quantized.items() if mode in modes]
    rows += [] if is_quantized else [facts.variables]
    found: dict[tuple[str, ...], tuple[Variable, ...]] = {}
    for row in rows:
        required = tuple(variable for variable in row if not variable.is_optional)
        for variables in dict.fromkeys((required, row)):
            for there in _existing(variables, config):
                if len(there) == len(group) and all(_fits(each, group, at) for at, each in enumerate(there)):
                    found.setdefault(tuple(each.role for each in there), there)
    return next(iter(found.values())) if len(found) == 1 else None


def _existing(variables: tuple[Variable, ...], config: Mapping[str, Any] | None) -> Iterator[tuple[Variable, ...]]:
    """Yields the variables that a layer may have: for its config, or for each possible config."""
    if config:
        yield tuple(variable for variable in variables if all(holds(when, config) for when in variable.when))
        return
    keys = list(dict.fromkeys((when.key, when.values) for variable in variables for when in variable.when))
    for settings in product((True, False), repeat=len(keys)):
        chosen = dict(zip(keys, settings, strict=True))
        yield tuple(each for each in variables if all(chosen[when.key, when.values] for when in each.when))


def _fits(variable: Variable, group: Mapping[str, Stored], index: int) -> bool:
    shape = group[str(index)][0] if str(index) in group else None
    return shape is not None and (variable.rank is None or len(shape) == variable.rank)
