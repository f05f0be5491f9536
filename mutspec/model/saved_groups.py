"""The groups in which Keras saves a model: what each is called, which weights it has, and the order of all of them.

This is the inverse of `build.py`. It follows Keras's `saving_lib._save_state`: a layer's own weights come first, then
the layers in it, by the name of the attribute that holds them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from mutspec.errors import ModelError
from mutspec.keras_facts.classes import snake_case
from mutspec.keras_facts.hidden_layers import HIDDEN_LAYERS
from mutspec.model.build import fitting_variables
from mutspec.model.opaque_layers import StoredLayer
from mutspec.model.outline import Outline, OutlineNode, in_order_of_attributes, is_within, join, unique
from mutspec.model.spec import TensorSpec


@dataclass(frozen=True, slots=True)
class SavedGroup:
    """The group of one layer, or of the model itself.

    Arguments:
        path: the stored path of the layer; empty for the model.
        name: the layer's own name, which Keras writes as an attribute; empty for none.
        tensors: the layer's own weights by their keys, in order.
        others: what the base holds of the layer that is not a weight: the path at which it is stored there, by its key.
        source: the stored path in the base of a layer that holds what it held there, whatever that is.
    """

    path: str
    name: str
    tensors: Mapping[str, TensorSpec]
    others: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


class UnknownGroups(Exception):
    """Only Keras knows where it would save a weight. The text says why."""


def saved_groups(
    outline: Outline,
    tensors: Iterable[TensorSpec],
    stored_in_base: Mapping[str, str],
    kept: Mapping[str, StoredLayer] = MappingProxyType({}),
) -> tuple[SavedGroup, ...]:
    """Returns the groups in which Keras saves a model, in Keras's order.

    Arguments:
        outline: the model. Its layers are in the order of Keras's `model.layers`.
        tensors: all weights of the model, those of a layer in the order of its variables.
        stored_in_base: the stored paths of weights that come from a file, by origin. Where versions of Keras use
            different paths inside a layer, it keeps those that it has in the file.
        kept: the layers of classes in no table of which the file holds what it held in the base, by path.

    Raises:
        UnknownGroups: the class of another layer is in no table.
    """
    walk = _Walk(tensors, stored_in_base, kept)
    groups = tuple(walk.below(outline.root, ""))
    placed = {tensor.path for group in groups for tensor in group.tensors.values()}
    left = next((tensor for tensor in walk.tensors if tensor.path not in placed), None)
    if left is not None:
        raise UnknownGroups(f"`{left.path}` is a weight of the model that belongs to none of its layers")
    return groups


class _Walk:
    """The state of a walk over a model."""

    def __init__(
        self, tensors: Iterable[TensorSpec], stored_in_base: Mapping[str, str], kept: Mapping[str, StoredLayer]
    ) -> None:
        self.tensors = tuple(tensors)
        self.by_layer: dict[str, list[TensorSpec]] = defaultdict(list)
        for tensor in self.tensors:
            self.by_layer[tensor.layer].append(tensor)
        self.stored_in_base = stored_in_base
        self.kept = kept
        self.hidden: dict[str, int] = {}

    def below(self, node: OutlineNode, path: str) -> Iterator[SavedGroup]:
        """Yields the group of a layer, and those of the layers in it."""
        if node.variables is None:
            yield from self._as_stored(node, path)
            return
        yield SavedGroup(path, node.name or snake_case(node.class_name), self._own(node))
        if node.is_model:
            for child in saved_layers(node):
                yield from self.below(child, join(path, child.stored[0]))
            return
        inside: list[tuple[str, OutlineNode | str]] = [(self._stored(child), child) for child in node.children]
        inside += HIDDEN_LAYERS.get(node.class_name, {}).items()
        for attribute, inner in sorted(inside, key=lambda item: in_order_of_attributes(item[0])[0]):
            if isinstance(inner, OutlineNode):
                yield from self.below(inner, join(path, attribute))
            else:
                yield SavedGroup(join(path, attribute), unique(inner, self.hidden), {})

    def _as_stored(self, node: OutlineNode, path: str) -> Iterator[SavedGroup]:
        """Yields the groups of a layer of a class in no table, which are those that the base has."""
        if node.path not in self.kept:
            raise UnknownGroups(f"`{node.path}` is a `{node.class_name}`, a class that mutspec does not know")
        within = (tensor for tensor in self.tensors if is_within(tensor.layer, node.path))
        by_dataset = {self.stored_in_base.get(tensor.origin, ""): tensor for tensor in within}
        layer = self.kept[node.path]
        for group in layer.groups:
            held = group.datasets.items()
            tensors = {key: by_dataset[at] for key, at in held if at in by_dataset}
            others = {key: at for key, at in held if key not in tensors}
            name = group.name if group.below else node.name or snake_case(node.class_name)
            yield SavedGroup(join(path, group.below), name, tensors, others, "" if group.below else layer.path)

    def _own(self, node: OutlineNode) -> dict[str, TensorSpec]:
        if not node.variables:
            return {}
        tensors = {tensor.role: tensor for tensor in self.by_layer.get(node.path, ())}
        copied = [variable for variable in node.variables if variable.copy_of]
        try:
            variables = fitting_variables(node, len(tensors) + len(copied))
        except ModelError as error:
            raise UnknownGroups(error.problems[0].message) from None
        own = {}
        for key, variable in enumerate(variables):
            if variable.copy_of:
                part = next(child for child in node.children if variable.copy_of in child.stored)
                own[str(key)] = self.by_layer[part.path][0]
            elif variable.role in tensors:
                own[str(key)] = tensors[variable.role]
            else:
                raise UnknownGroups(f"`{node.path}` has no `{variable.role}`, which a `{node.class_name}` stores")
        return own

    def _stored(self, node: OutlineNode) -> str:
        """Returns the stored path of a part below its owner, by the version of Keras that wrote the base."""
        ends = [self.stored_in_base.get(tensor.origin, "").rpartition("/vars/")[0] for tensor in self._of(node)]
        known = (path for path in node.stored for end in ends if end == path or end.endswith(f"/{path}"))
        return next(known, node.stored[0])

    def _of(self, node: OutlineNode) -> Sequence[TensorSpec]:
        return self.by_layer.get(node.path, ()) if len(node.stored) > 1 else ()


def saved_layers(model: OutlineNode) -> Iterator[OutlineNode]:
    """Yields the layers of a model that Keras saves: all but operations, and the InputLayer of a Sequential."""
    is_sequential = model.class_name == "Sequential"
    for child in model.children:
        is_input = is_sequential and child.class_name == "InputLayer"
        if "Operation" not in child.ancestry and not is_input:
            yield child
