"""Facts about ops that follow from their types: their fields, and where targets and the user's own keys may be."""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from msgspec import Struct
from msgspec.structs import replace

from mutspec.language.head import PlanHead, UseStep
from mutspec.language.nodes import Node, Scalar, Sequence, Table, child
from mutspec.language.schema import SEPARATOR, Catalogue, is_extension
from mutspec.language.types import OF_LAYER, Selector, field_types


def is_use(step: Node) -> bool:
    """Returns whether a step stands for the steps of another recipe."""
    return isinstance(step, Table) and "use" in step.entries and "op" not in step.entries


def name_in_recipe(identity: str) -> str:
    """Returns a step's id without that of the step that uses its recipe.

    New layers are called so, because later steps of a recipe name the layers that earlier ones make.
    """
    return identity.rpartition(SEPARATOR)[2]


def op_name(op: type[Struct]) -> str:
    """Returns the op's name in plans."""
    return str(op.__struct_config__.tag)


def package(op: type[Struct]) -> str:
    """Returns the package that an op comes from, as one imports it: `mutspec`, `dead_zone`."""
    return op.__module__.partition(".")[0]


@cache
def holds_target(annotation: Any) -> bool:
    """Returns whether text of this type is a target, so that `re:` begins a regular expression."""
    return Selector in members(annotation)


@cache
def holds_layer(annotation: Any) -> bool:
    """Returns whether a value of this type is a layer or a list of layers, for which a block of the plan may stand."""
    if get_origin(annotation) is Annotated and OF_LAYER in get_args(annotation)[1:]:
        return True
    return any(holds_layer(part) for part in get_args(annotation) if get_origin(part) or isinstance(part, type))


def members(annotation: Any) -> tuple[Any, ...]:
    """Returns the alternatives of a union, without annotations."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return members(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return tuple(member for part in get_args(annotation) for member in members(part))
    return (annotation,)


def without_extensions(node: Node, annotation: Any) -> Node:
    """Returns a value without the user's own `x-…` keys, which are allowed in every mapping that a struct describes."""
    if isinstance(node, Scalar) or not _has_extension(node):
        return node
    kinds = members(annotation)
    if isinstance(node, Sequence):
        elements = next((get_args(kind)[0] for kind in kinds if get_origin(kind) in (tuple, list)), Any)
        return replace(node, items=tuple(without_extensions(item, elements) for item in node.items))
    struct = next((kind for kind in kinds if _is_struct(kind)), None)
    if struct is None:  # a free mapping, whose keys are all the user's
        return node
    fields = field_types(struct)
    entries = {
        key: without_extensions(value, fields[key][1] if key in fields else Any)
        for key, value in node.entries.items()
        if not is_extension(key) or key in fields
    }
    return replace(node, entries=entries, keys={key: node.keys[key] for key in entries})


def _is_struct(kind: Any) -> bool:
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and issubclass(origin, Struct)


def _has_extension(node: Node) -> bool:
    if isinstance(node, Table):
        return any(is_extension(key) or _has_extension(value) for key, value in node.entries.items())
    return isinstance(node, Sequence) and any(_has_extension(item) for item in node.items)


def without_own_keys(root: Node, catalogue: Catalogue) -> Node:
    """Returns the tree without `x-…` keys, in the plan itself and in its steps."""
    root = without_extensions(root, PlanHead)
    steps = child(root, "steps")
    if not isinstance(root, Table) or not isinstance(steps, Sequence):
        return root
    items = []
    for step in steps.items:
        op = child(step, "op")
        kind: Any = catalogue.get(op.value) if isinstance(op, Scalar) and isinstance(op.value, str) else None
        kind = UseStep if is_use(step) else kind
        items.append(without_extensions(step, kind) if kind is not None else step)
    return replace(root, entries={**root.entries, "steps": replace(steps, items=tuple(items))})
