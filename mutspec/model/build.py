"""Builds a ModelSpec from a config and the stored tensors, both for files and for live models."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from mutspec.errors import ModelError
from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.class_table import CLASSES, LORA, Variable
from mutspec.keras_facts.classes import other_variables_of, variables_of
from mutspec.keras_facts.roles import Group
from mutspec.model.inner_layers import DescribesInner, DescriptionByNames, Inner, describe_nothing, only_variables
from mutspec.model.outline import LAYERS_UNTIL_2_14, Outline, OutlineNode, is_within, join, outline_of
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec
from mutspec.model.stored import NOT_THE_MODELS, Stored, StoredTree

RESAVE = "load the model in Keras and save it again"
OWN = "self"
"""The path of a model's own weights, which do not belong to one of its layers."""


@dataclass(frozen=True)
class Build:
    """A spec, and the stored paths of its tensors.

    Arguments:
        spec: the model.
        stored: the stored path of each tensor, by canonical path.
        copies: other stored paths of the same storage, by canonical path.
    """

    spec: ModelSpec
    stored: Mapping[str, str]
    copies: Mapping[str, tuple[str, ...]]


@dataclass
class _Found:
    """The state of the walk over a model."""

    tree: StoredTree
    describe: DescribesInner
    layers: list[LayerSpec] = field(default_factory=list)
    tensors: list[TensorSpec] = field(default_factory=list)
    stored: dict[str, str] = field(default_factory=dict)
    copies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    absent: list[OutlineNode] = field(default_factory=list)


def build_spec(
    config: Mapping[str, Any], stored: Mapping[str, Stored], describe_inner: DescribesInner = describe_nothing
) -> Build:
    """Builds the spec of a model.

    Arguments:
        config: the serialised model, as in config.json.
        stored: the shape and dtype of everything stored, by stored path (`layers/dense/vars/0`). Variables of the
            optimizer and of metrics are ignored.
        describe_inner: describes layers inside classes of the user's own, which are not in the config.

    Raises:
        ModelError: the stored tensors are not those of the config.
    """
    return build_from_outline(
        outline_of(config), stored, describe_inner, knows_classes=describe_inner is not describe_nothing
    )


def build_from_outline(
    outline: Outline,
    stored: Mapping[str, Stored],
    describe_inner: DescribesInner = describe_nothing,
    names: Mapping[str, str] = MappingProxyType({}),
    *,
    knows_classes: bool = False,
) -> Build:
    """Builds the spec of a model from its outline.

    Arguments:
        outline: the model.
        stored: as for `build_spec`.
        describe_inner: as for `build_spec`.
        names: the layers' own names by stored path, as far as a file has them. They describe layers that
            `describe_inner` does not know.
        knows_classes: whether Keras knows all classes of the model.
    """
    tree = StoredTree(stored)
    by_names = DescriptionByNames(tree, names)

    def describe(path: str) -> Inner | None:
        inner = describe_inner(path)
        return by_names(path) if inner is None else _as_stored(inner, tree.group(path), by_names(path))

    found = _Found(tree, describe)
    root = outline.root
    if root.is_model:
        _own_variables(root, "", OWN, found)
        for child in placed(root, "", found.tree):
            _visit(child, "", found)
        _leftovers(root, "", found)
    else:
        _unknown(replace(root, path=OWN, name=OWN), "", found, is_outermost=True)
    _alias_shared(found)
    _check_unique(found)
    spec = ModelSpec(
        root.name,
        root.class_name,
        tuple(found.layers),
        tuple(found.tensors),
        outline.inputs,
        outline.outputs,
        knows_classes=knows_classes,
    )
    return Build(spec, found.stored, found.copies)


def _visit(node: OutlineNode, owner: str, found: _Found) -> None:
    """Adds a layer, its tensors, and the layers in it. `owner` is the stored path of the layer around it."""
    stored = next(
        (path for path in (join(owner, at) for at in node.stored) if path in found.tree), join(owner, node.stored[0])
    )
    if node.variables is None:
        _unknown(node, stored, found)
        return
    if not node.is_elided:
        found.layers.append(_layer(node))
    if node.is_model:
        _own_variables(node, stored, node.path, found)
    elif node.variables:
        _known(node, stored, found)
    for child in placed(node, stored, found.tree):
        _visit(child, stored, found)
    if node.is_model:
        _leftovers(node, stored, found)
    elif node.stored[0]:
        _check_explained(node, stored, found)


def placed(node: OutlineNode, owner: str, tree: StoredTree) -> tuple[OutlineNode, ...]:
    """Returns the layers in a layer with their stored paths.

    The stored paths of a model's layers depend on the version of Keras. The version that wrote the file is the one by
    whose rules most of the layers are found.
    """
    if not node.is_model:
        return node.children
    versions = range(max((len(child.stored) for child in node.children), default=1))

    def in_version(child: OutlineNode, version: int) -> str:
        return child.stored[version] if version < len(child.stored) else child.stored[0]

    found = [sum(join(owner, in_version(child, version)) in tree for child in node.children) for version in versions]
    version = found.index(max(found))
    return tuple(replace(child, stored=(in_version(child, version),)) for child in node.children)


def _layer(node: OutlineNode) -> LayerSpec:
    return LayerSpec(node.path, node.name, node.class_name, node.ancestry, node.config, node.calls)


def _known(node: OutlineNode, stored: str, found: _Found) -> None:
    """Adds the variables of a layer whose class is in the table."""
    whole = found.tree.group(stored)
    group = {key: value for key, value in whole.items() if key not in LORA}
    if not group:
        if any(not variable.is_optional for variable in node.variables or ()):
            found.absent.append(node)
        return
    # Legacy files do not have copies.
    copies = sum(
        variable.copy_of != "" and str(index) not in group for index, variable in enumerate(node.variables or ())
    )
    for index, variable in enumerate(fitting_variables(node, len(group) + copies)):
        if variable.copy_of and str(index) not in group:
            continue
        shape, dtype = group.get(str(index), (None, ""))
        if shape is None:
            raise ModelError(
                f"the weights of `{node.path}` ({node.class_name}) are numbered {', '.join(group)}, not from 0 on",
                hint=RESAVE,
            )
        if variable.copy_of:
            part = next(child for child in node.children if variable.copy_of in child.stored)
            target = join(part.path, part.variables[0].role if part.variables else "var0")
            found.copies[target] = (*found.copies.get(target, ()), join(stored, "vars", str(index)))
            continue
        check_shape(node, variable, shape)
        _add_known(node.path, str(index), variable, (shape, dtype), stored, found)
    for key in (key for key in whole if key in LORA):
        _add_known(node.path, key, LORA[key], whole[key], stored, found)


def _add_known(
    layer: str, key: str, variable: Variable, value: Stored, stored: str, found: _Found, path: str = ""
) -> None:
    """Adds a tensor with a known role. By default its path ends with the role."""
    shape, dtype = value
    axis = variable.channel_axis
    axis = axis + len(shape) if axis is not None and axis < 0 else axis
    axis = axis if axis is not None and 0 <= axis < len(shape) else None
    path = path or join(layer, variable.role)
    tensor = TensorSpec(path, layer, variable.role, variable.group, shape, dtype, axis)
    _add(tensor, join(stored, "vars", key), found)


def fitting_variables(node: OutlineNode, count: int) -> tuple[Variable, ...]:
    """Returns the variables of a layer according to the table, with as many optional ones as `count` needs.

    Raises:
        ModelError: the class cannot have this number of variables.
    """
    for variables in (node.variables or (), *node.quantized):
        optional = [variable for variable in variables if variable.is_optional]
        surplus = len(variables) - count
        if 0 <= surplus <= len(optional):
            dropped = optional[len(optional) - surplus :]
            return tuple(variable for variable in variables if variable not in dropped)
    expected = ", ".join(variable.role for variable in node.variables or ()) or "none"
    raise ModelError(
        f"`{node.path}` ({node.class_name}) has {count} weights in the file, but by its config it has {expected}",
        hint=RESAVE,
    )


def check_shape(node: OutlineNode, variable: Variable, shape: tuple[int, ...]) -> None:
    """Compares a stored shape with the table and the config.

    Raises:
        ModelError: the variable cannot have this shape.
    """
    if variable.rank is not None and len(shape) != variable.rank:
        raise ModelError(
            f"`{node.path}/{variable.role}` is stored with shape {shape}, but in {a(node.class_name)} it has "
            f"{variable.rank} dimensions",
            hint=RESAVE,
        )
    extent = node.config.get(variable.extent) if variable.extent else None
    if extent is not None and variable.channel_axis is not None and shape[variable.channel_axis] != extent:
        raise ModelError(
            f"`{node.path}/{variable.role}` is stored with shape {shape}, but the config has "
            f"{variable.extent} = {extent}",
            hint="the weights are of another architecture",
        )


def _own_variables(node: OutlineNode, stored: str, path: str, found: _Found) -> None:
    """Adds the weights that a model, or a layer of the user's own, holds itself and not in its layers."""
    group = found.tree.group(stored)
    if group and path == OWN:
        found.layers.append(LayerSpec(OWN, OWN, node.class_name, node.ancestry))
    _numbered(path, group, stored, found.describe(stored), found)


def _unknown(node: OutlineNode, stored: str, found: _Found, is_outermost: bool = False) -> None:
    """Adds a layer of a class that is in no table, and everything that is stored below it."""
    if not is_outermost:
        inner = found.describe(stored)
        layer = replace(_layer(node), origin=node.path)
        found.layers.append(layer if inner is None else replace(layer, ancestry=inner.ancestry))
        _own_variables(node, stored, node.path, found)
    else:
        _own_variables(node, stored, OWN, found)
    _inner_layers("" if is_outermost else node.path, stored, found)


def _leftovers(node: OutlineNode, stored: str, found: _Found) -> None:
    """Adds what a model holds outside of its list of layers: attributes of a subclass."""
    _inner_layers(node.path, stored, found, skip=(join(stored, "layers"), join(stored, LAYERS_UNTIL_2_14)))


def _inner_layers(path: str, stored: str, found: _Found, skip: tuple[str, ...] = ()) -> None:
    """Adds layers that are not in a config. Their stored path is their path."""
    seen: set[str] = set()
    for below in found.tree.groups_below(stored):
        relative = below[len(stored) :].lstrip("/")
        if not relative or any(is_within(below, each) for each in skip):
            continue
        if not stored and relative.partition("/")[0] in NOT_THE_MODELS:
            continue
        for holder in _holders(relative, seen):
            at = join(stored, holder)
            if not found.tree.group(at) and found.describe(at) is not None:
                found.layers.append(_inner_layer(join(path, holder), found.describe(at)))
        layer, inner = join(path, relative), found.describe(below)
        found.layers.append(_inner_layer(layer, inner))
        _numbered(layer, found.tree.group(below), below, inner, found)


def _holders(path: str, seen: set[str]) -> list[str]:
    """Returns the paths around a path that are not in `seen` yet, outermost first, and adds them to it."""
    holders = []
    holder = path.rpartition("/")[0]
    while holder and holder not in seen:
        seen.add(holder)
        holders.append(holder)
        holder = holder.rpartition("/")[0]
    return holders[::-1]


def _as_stored(inner: Inner, group: Mapping[str, Stored], named: Inner | None) -> Inner:
    """Returns the description of a stored layer, if Keras's object of it may have other weights.

    The config of a class of the user's own does not say that the layers in it are quantised, so Keras builds plain
    ones. Layers that Keras builds as quantised ones lack weights that they may have in the file.

    Arguments:
        inner: the description by the object.
        group: the stored weights of the layer.
        named: the description by the names in the file.
    """
    weights = {key: value for key, value in group.items() if key not in LORA}
    if all(inner.shapes.get(key) == shape for key, (shape, _) in weights.items()):
        return inner
    base = next((name for name in inner.ancestry if name in CLASSES), "")
    variables = _variables_as_stored(base, inner.config, weights) if base else None
    if variables is not None:
        return replace(inner, variables={str(number): variable for number, variable in enumerate(variables)})
    if named is None or named.class_name in inner.ancestry:
        return replace(inner, variables={} if named is None else named.variables)
    return named


def _variables_as_stored(
    base: str, config: Mapping[str, Any], weights: Mapping[str, Stored]
) -> tuple[Variable, ...] | None:
    """Returns the variables of a Keras class that match a stored group, or None."""
    facts = CLASSES[base]
    rows = (variables_of(facts, config), *other_variables_of(facts, config))
    node = OutlineNode("", "", base, (), variables=rows[0], quantized=rows[1:])
    try:
        variables = fitting_variables(node, len(weights))
    except ModelError:
        return only_variables(base, weights, config)
    ranks = {str(number): variable.rank for number, variable in enumerate(variables)}
    return variables if all(ranks.get(key) in (None, len(shape)) for key, (shape, _) in weights.items()) else None


def _inner_layer(path: str, inner: Inner | None) -> LayerSpec:
    inner = inner or Inner("", ())
    name = path.rpartition("/")[2]
    return LayerSpec(path, name, inner.class_name, inner.ancestry, inner.config, is_inner=True)


def _numbered(layer: str, group: Mapping[str, Stored], stored: str, inner: Inner | None, found: _Found) -> None:
    """Adds the weights of a layer that is not in a config. Their paths do not depend on whether the role is known."""
    for key, (shape, dtype) in group.items():
        variable = LORA.get(key) or (inner.variables.get(key) if inner is not None else None)
        path = join(layer, key if key in LORA else f"var{key}")
        if variable is not None:
            _add_known(layer, key, variable, (shape, dtype), stored, found, path)
            continue
        is_number = dtype.startswith(("float", "bfloat", "complex"))
        group_of_it = Group.OTHER if is_number else Group.STATE
        _add(TensorSpec(path, layer, f"var{key}", group_of_it, shape, dtype), join(stored, "vars", key), found)


def _add(tensor: TensorSpec, stored: str, found: _Found) -> None:
    found.tensors.append(replace(tensor, origin=tensor.path))
    found.stored[tensor.path] = stored


def _check_explained(node: OutlineNode, stored: str, found: _Found) -> None:
    """Refuses weights below a layer of the table that are neither its own nor those of its parts."""
    parts = tuple(join(stored, at) for child in node.children for at in child.stored)
    for below in found.tree.groups_below(stored):
        if below != stored and not any(below == part or below.startswith(part + "/") for part in parts):
            raise ModelError(
                f"`{node.path}` ({node.class_name}) has weights in the file that are not in its config: {below}/vars",
                hint=RESAVE,
            )
    if not node.variables and found.tree.group(stored):
        raise ModelError(
            f"`{node.path}` ({node.class_name}) has weights in the file, but its class has none", hint=RESAVE
        )


def _alias_shared(found: _Found) -> None:
    """Finds layers that are stored under another path, because two models share them, and makes their paths aliases."""
    if not found.absent:
        return
    absent = {node.path for node in found.absent}
    ends = _Ends()
    owners: dict[str, LayerSpec] = {}
    for layer in found.layers:
        owners.setdefault(layer.path, layer)
        if layer.path not in absent:
            ends.add(layer)
    renamed: dict[str, str] = {}
    for node in found.absent:
        twins = ends.nearest(owners[node.path])
        if len(twins) != 1:
            raise ModelError(
                f"the weights of `{node.path}` ({node.class_name}) are not in the file",
                hint="the file is incomplete, or of another architecture",
            )
        renamed[node.path] = twins[0].path
    aliases: dict[str, list[str]] = defaultdict(list)
    for alias, target in renamed.items():
        aliases[target].append(alias)
    found.layers[:] = [
        replace(layer, aliases=tuple(aliases.get(layer.path, ())))
        for layer in found.layers
        if layer.path not in renamed
    ]
    found.tensors[:] = [
        replace(
            tensor,
            aliases=tuple(join(alias, tensor.role) for alias in aliases.get(tensor.layer, ())),
        )
        for tensor in found.tensors
    ]


class _Ends:
    """The layers by the ends of their paths, class and config. Nested models may have thousands of equal layers."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}
        self._layers: dict[tuple[int, str, str], list[LayerSpec]] = defaultdict(list)

    def add(self, layer: LayerSpec) -> None:
        """Adds a layer under each end of its path."""
        for key in self._keys(layer):
            self._layers[key].append(layer)

    def nearest(self, layer: LayerSpec) -> list[LayerSpec]:
        """Returns the equal layers whose paths have the longest end in common with this layer's."""
        return next((self._layers[key] for key in reversed(self._keys(layer)) if key in self._layers), [])

    def _keys(self, layer: LayerSpec) -> list[tuple[int, str, str]]:
        """Returns keys for the ends of a path, the shortest first.

        An end is the number of the next shorter end and a name, so that the keys of a path of n names take O(n) memory.
        """
        config, keys, at = json.dumps(layer.config, sort_keys=True), [], 0
        for name in reversed(layer.path.split("/")):
            at = self._numbers.setdefault((at, name), len(self._numbers) + 1)
            keys.append((at, layer.class_name, config))
        return keys


def _check_unique(found: _Found) -> None:
    for kind, paths in (("layers", _paths(found.layers)), ("weights", _paths(found.tensors))):
        seen: set[str] = set()
        for path in paths:
            if path in seen:
                raise ModelError(
                    f"two {kind} have the path `{path}`", hint="give the layers different names in Keras and save again"
                )
            seen.add(path)


def _paths(items: list[LayerSpec] | list[TensorSpec]) -> Iterator[str]:
    return (item.path for item in items)
