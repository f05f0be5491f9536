"""Layers inside classes of the user's own: what is known of them, as no config describes them.

Their paths are where Keras stores them, and depend on the model alone. What they are is told by whoever knows: by the
objects, where there is a live model or Keras can build one; and by names in the file, as far as these leave no doubt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

from mutspec.keras_facts.class_names import MODELS, STORED_NAMES
from mutspec.keras_facts.class_table import CLASSES, LayerPart, Variable
from mutspec.keras_facts.classes import ancestry_of, holds, snake_case
from mutspec.keras_facts.roles import Group
from mutspec.model.outline import Outline, OutlineNode, join
from mutspec.model.stored import Stored, StoredTree

LORA: Mapping[str, Variable] = {
    role: Variable(role, Group.OTHER, channel_axis=axis, is_optional=True)
    for base in ("kernel", "embeddings")
    for role, axis in ((f"lora_{base}_a", None), (f"lora_{base}_b", -1))
}
"""The adapters of LoRA, which live layers have beside their table's variables; `.keras` files have them merged."""


@dataclass(frozen=True, slots=True)
class Inner:
    """What is known of a layer inside a class of the user's own.

    Arguments:
        class_name, ancestry, config: as in LayerSpec.
        variables: what its stored weights are, by their keys (`0`, `1`, …); those of which nobody says it are missing.
        shapes: the shapes of the object's weights, by key, which need not be those that a file stores.
    """

    class_name: str
    ancestry: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Variable] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


Teller = Callable[[str], Inner | None]
"""Says what is known of the layer that is stored at a path; None if there is none, or nothing is known of it."""


def tell_nothing(stored: str) -> Inner | None:
    """Knows of no layer."""
    return None


def has_inner_layers(outline: Outline) -> bool:
    """Whether a model may hold layers that its config does not describe."""
    return holds_code(outline.root)


def holds_code(node: OutlineNode) -> bool:
    """Whether a layer may hold layers that its config does not describe."""
    pending = [node]
    while pending:
        node = pending.pop()
        if _is_of_code(node):
            return True
        pending += node.children
    return False


def _is_of_code(node: OutlineNode) -> bool:
    # Subclasses of Functional may hold layers beside their graph.
    return node.variables is None or (node.is_model and node.class_name not in MODELS)


@dataclass(frozen=True, slots=True)
class Placed:
    """A weight as an object has it: where Keras would store it, its name, and its shape."""

    stored: str
    name: str
    shape: tuple[int, ...]


class InKeras(Protocol):
    """A model that Keras can be asked about.

    Arguments:
        knows_classes: whether Keras knows all classes in the model's config, as the call has imported them.
    """

    @property
    def knows_classes(self) -> bool: ...

    def tell(self, stored: str) -> Inner | None:
        """What is known of the layer that is stored at a path."""
        ...

    def order(self, stored: str) -> tuple[Placed, ...]:
        """The weights of a layer in the order of legacy files; empty if it is not known."""
        ...

    def why_not(self) -> str:
        """Returns why Keras, which knows the classes, has not built the model; empty if it has."""
        ...


_BY_SNAKE = {snake_case(STORED_NAMES.get(name, name)): name for table in (CLASSES, MODELS) for name in table}


def class_of(name: str) -> str:
    """The class that a stored segment or an automatic name such as `conv2d_3` comes from; empty if in no table."""
    head, _, number = name.rpartition("_")
    return _BY_SNAKE.get(name, "") or (_BY_SNAKE.get(head, "") if number.isdecimal() else "")


class ToldByNames:
    """Tells of inner layers what the names in a file leave no doubt of.

    Keras calls what lies in lists and dictionaries after its class, and gives layers without a name one after their
    class. An attribute may be called anything.

    Arguments:
        tree: what is stored.
        names: the layers' names by stored path. Every layer has one, also those without weights; lists have none.
    """

    def __init__(self, tree: StoredTree, names: Mapping[str, str]) -> None:
        self._tree = tree
        self._names = names
        self._told: dict[str, Inner | None] = {}

    def __call__(self, stored: str) -> Inner | None:
        """What is known of the layer that is stored at a path."""
        if stored not in self._told:
            self._told[stored] = self._tell(stored)
        return self._told[stored]

    def _tell(self, stored: str) -> Inner | None:
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
        """The projections of attention, if a layer has them all under Keras's names: other attentions have the same."""
        parts = CLASSES["MultiHeadAttention"].parts
        found = {part for part in parts for at in part.stored if self._names.get(join(stored, at)) == part.name}
        return parts if found >= {part for part in parts if not part.when} else ()


def only_variables(
    class_name: str, group: Mapping[str, Stored], config: Mapping[str, Any] | None = None
) -> tuple[Variable, ...] | None:
    """Returns the only variables of a class that a stored group can be; None if there are none, or several.

    Arguments:
        class_name: the class, of the table.
        group: what is stored of a layer.
        config: its config, if it is known; its quantisation need not be that of what is stored.
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
    """Yields the variables that a layer may have: those of its config, or of each possible one."""
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
