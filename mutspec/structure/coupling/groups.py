"""What a substitution does to coupled layers, for reports: who is in a group, why, and what becomes of its weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from mutspec.keras_facts.tensor_types import Shape
from mutspec.structure.coupling.axis_call import Use
from mutspec.structure.coupling.coupled_group import (
    CoupledGroup,
    CoupledMember,
    Join,
    Mixture,
    ResizedWeight,
    Role,
    UnitChange,
)
from mutspec.structure.coupling.coupling import CoupledLayer, WeightShapes
from mutspec.structure.coupling.labels import Labels, MarkKind
from mutspec.structure.coupling.substitution import NEW, Substitution
from mutspec.structure.network import Network


def coupled_groups(
    substitution: Substitution, targets: Mapping[str, str], shapes: WeightShapes, network: Network
) -> tuple[CoupledGroup, ...]:
    """Returns the groups of layers that a substitution changes.

    Arguments:
        substitution: the substitution.
        targets: the paths of the layers whose units a step names, each with the argument that counts these.
        shapes: returns the shapes of a layer's weights.
        network: the outermost network.
    """
    return tuple(
        _group(substitution, frozenset(groups), targets, shapes, network) for groups in _components(substitution)
    )


def _components(substitution: Substitution) -> list[list[int]]:
    """Returns the changed groups of channels, together with those that are units of the same layers."""
    coupling, others = substitution.coupling, substitution.others
    found: dict[int, list[int]] = {}  # by group
    for layer in substitution.layers:
        for labels in layer.widths.values():
            parts = [found.get(group, [group]) for group in coupling.groups_of(labels) if group in others]
            together = list(dict.fromkeys(group for part in parts for group in part))
            found |= dict.fromkeys(together, together)
    components = {id(component): component for component in found.values()}
    rest = [group for group in others if group not in found]
    return [*components.values(), *([rest] if rest else [])]


def _group(
    substitution: Substitution,
    groups: Collection[int],
    targets: Mapping[str, str],
    shapes: WeightShapes,
    network: Network,
) -> CoupledGroup:
    coupling = substitution.coupling
    members: list[CoupledMember] = []
    units: list[UnitChange] = []
    joins: list[Join] = []
    paths = {path for group in groups for path in coupling.members.get(group, ())}
    for layer in (layer for path, layer in coupling.layers.items() if path in paths):
        if any(coupling.groups[label] in groups for label in layer.joins):
            joins.append(Join(layer.path, layer.class_name))
        if layer.path in targets:
            units += _units(substitution, layer, targets[layer.path], groups)
        role = _role(substitution, layer, groups, is_target=layer.path in targets)
        if role is not None:
            weights = tuple(_resized(substitution, layer, shapes(layer.path)))
            members.append(CoupledMember(layer.path, layer.class_name, role, weights))
    marks = {mark for group in groups for mark in coupling.marks.get(group, ()) if mark.kind is MarkKind.MIXED}
    mixtures = tuple(Mixture(mark.layer, mark.why) for mark in sorted(marks, key=lambda mark: mark.layer))
    return CoupledGroup(tuple(units), tuple(members), tuple(joins), mixtures, network)


def _units(
    substitution: Substitution, layer: CoupledLayer, argument: str, groups: Collection[int]
) -> Iterator[UnitChange]:
    name = argument or next(iter(layer.widths), "")
    labels = layer.widths.get(name, ())
    own = substitution.coupling.groups
    if groups_of := [at for at, label in enumerate(labels) if own[label] in groups]:
        after = substitution.extent(labels)
        index_map = substitution.index_map(labels) or ()
        gone = tuple(sorted(set(groups_of) - set(index_map)))
        added = tuple(at for at in index_map[len(labels) :] if at != NEW) if after > len(labels) else ()
        yield UnitChange(layer.path, name, len(labels), after, added if after > len(labels) else gone)


def _role(substitution: Substitution, layer: CoupledLayer, groups: Collection[int], *, is_target: bool) -> Role | None:
    def has(labels: Labels | None) -> bool:
        return labels is not None and any(substitution.coupling.groups[label] in groups for label in labels)

    if is_target and any(has(labels) for labels in layer.widths.values()):
        return Role.TARGET
    uses = {axis.use for axes in layer.weights.values() for axis in axes if has(axis.labels)}
    for use, role in ((Use.PRODUCES, Role.UNITS), (Use.SCALES, Role.CHANNELS), (Use.SUMS, Role.INPUTS)):
        if use in uses:
            return role
    return Role.SHAPE if any(has(labels) for labels in layer.axes) else None


def _resized(substitution: Substitution, layer: CoupledLayer, shapes: Mapping[str, Shape]) -> Iterator[ResizedWeight]:
    """Yields the weights of a layer that get another shape."""
    for below, axes in layer.weights.items():
        shape = tuple(extent or 0 for extent in shapes[below])
        after = tuple(
            extent if axis.labels is None else substitution.extent(axis.labels)
            for axis, extent in zip(axes, shape, strict=True)
        )
        if after != shape:
            yield ResizedWeight(below, shape, after)
