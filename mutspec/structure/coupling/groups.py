"""What a substitution does to coupled layers, for reports: who is in a group, why, and what becomes of its weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from mutspec.keras_facts.classes import plain_class_name
from mutspec.keras_facts.tensor_types import Shape
from mutspec.structure.coupling.axis_call import Use
from mutspec.structure.coupling.coupling import CoupledLayer, WeightShapes
from mutspec.structure.coupling.labels import Labels, MarkKind
from mutspec.structure.coupling.substitution import NEW, Substitution
from mutspec.structure.network import Network


class Role(StrEnum):
    """What a layer has to do with the units that change."""

    TARGET = "target"
    UNITS = "units"
    CHANNELS = "channels"
    INPUTS = "inputs"
    SHAPE = "shape"


@dataclass(frozen=True, slots=True)
class ResizedWeight:
    """A weight of a coupled layer: its path below the layer, and its shape before and after."""

    weight: str
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CoupledMember:
    """A layer that changes with others.

    Arguments:
        layer: its path.
        type: its class.
        role: what it has to do with the units that change.
        weights: its weights that get another shape.
    """

    layer: str
    type: str
    role: Role
    weights: tuple[ResizedWeight, ...]


@dataclass(frozen=True, slots=True)
class UnitChange:
    """The units of a target.

    Arguments:
        layer: its path.
        argument: the argument that counts them.
        before: their number before.
        after: their number after.
        indices: those that are removed; or, where some are added, the unit that each new one is a copy of.
    """

    layer: str
    argument: str
    before: int
    after: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """A layer that ties the units of several layers together, such as an Add: its path and class."""

    layer: str
    type: str


@dataclass(frozen=True, slots=True)
class Mixture:
    """A layer that computes with all channels together: its path, and what it does, as the rest of a sentence."""

    layer: str
    why: str


@dataclass(frozen=True, slots=True)
class CoupledGroup:
    """Layers that change together.

    Arguments:
        units: the targets among them.
        members: all of them, in the order in which they are called.
        joins: the layers because of which they are coupled.
        mixtures: the layers that compute with all of their channels together, so that they make something else now.
        network: the outermost network before the change.
    """

    units: tuple[UnitChange, ...]
    members: tuple[CoupledMember, ...]
    joins: tuple[Join, ...]
    mixtures: tuple[Mixture, ...]
    network: Network = field(compare=False, repr=False)

    @property
    def paths(self) -> tuple[str, ...]:
        """Its layers, and those because of which they are coupled, each once."""
        return tuple(dict.fromkeys([*(each.layer for each in self.members), *(each.layer for each in self.joins)]))

    def links(self) -> list[tuple[str, str]]:
        """Returns which of its layers come after which others, with none of them in between.

        Layers inside of a model in the outermost network stand where that model does.
        """
        outer = defaultdict(list)
        for path in self.paths:
            outer[path.partition("/")[0]].append(path)
        found: dict[tuple[str, str], None] = {}
        for name, starts in outer.items():
            found.update((pair, None) for pair in pairwise(starts))
            pending, seen = list(self.network.consumers(name)), set[str]()
            while pending:
                user = pending.pop()
                if user in outer:
                    found[starts[-1], outer[user][0]] = None
                elif user not in seen:
                    pending += self.network.consumers(user)
                seen.add(user)
        return list(found)


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
            joins.append(Join(layer.path, plain_class_name(layer.entry)))
        if layer.path in targets:
            units += _units(substitution, layer, targets[layer.path], groups)
        role = _role(substitution, layer, groups, is_target=layer.path in targets)
        if role is not None:
            weights = tuple(_resized(substitution, layer, shapes(layer.path)))
            members.append(CoupledMember(layer.path, plain_class_name(layer.entry), role, weights))
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
