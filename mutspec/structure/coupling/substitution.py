"""Substitutions: what comes in the place of each group of channels, and the index maps that follow for each axis."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from mutspec.structure.coupling.axis_call import Argument, Extents, WeightAxis
from mutspec.structure.coupling.coupling import CoupledLayer, Coupling
from mutspec.structure.coupling.labels import Labels

NEW = -1
"""Stands for a channel that is not there yet."""


class UnlikeError(Exception):
    """Raised where channels do not lie in an axis as those do that come in their place."""


@dataclass(frozen=True)
class Substitution:
    """What comes in the place of channels.

    Arguments:
        coupling: the channels of the network.
        others: for each group that changes, the groups in its place, in order: none to remove it, itself and another
            one to put a copy of that after it; `NEW` is a channel without values.
    """

    coupling: Coupling
    others: Mapping[int, tuple[int, ...]]
    _maps: dict[Labels, tuple[int, ...] | None] = field(default_factory=dict, compare=False, repr=False)

    @staticmethod
    def removal(coupling: Coupling, groups: Collection[int]) -> Substitution:
        """Returns the substitution that removes groups."""
        return Substitution(coupling, dict.fromkeys(groups, ()))

    @cached_property
    def layers(self) -> tuple[CoupledLayer, ...]:
        """The layers that it changes, in the order of the walk."""
        members = self.coupling.members
        paths = {path for group in self.others for path in members.get(group, ())}
        return tuple(layer for path, layer in self.coupling.layers.items() if path in paths)

    @cached_property
    def copies(self) -> Mapping[int, int]:
        """How often each group is there afterwards, for those that are there more than once."""
        counts = Counter(source for sources in self.others.values() for source in sources)
        return {group: counts[group] + (group not in self.others) for group in counts}

    def index_map(self, labels: Labels) -> tuple[int, ...] | None:
        """Returns the index that each index of an axis is taken from afterwards, or `NEW`; None if nothing changes.

        Raises:
            UnlikeError: the channels of the axis do not lie as those do that come in their place.
        """
        if labels not in self._maps:
            self._maps[labels] = self._index_map(labels)
        return self._maps[labels]

    def _index_map(self, labels: Labels) -> tuple[int, ...] | None:
        groups = [self.coupling.groups[label] for label in labels]
        if self.others.keys().isdisjoint(groups):
            return None
        if not any(self.others.values()):
            return tuple(at for at, group in enumerate(groups) if group not in self.others)
        blocks = _blocks(labels, groups)
        places: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for group, start, stop in blocks:
            places[group].append((start, stop))
        seen = Counter[int]()
        found: list[int] = []
        for group, start, stop in blocks:
            number = seen[group]
            seen[group] += 1
            for source in self.others.get(group, (group,)):
                if source == NEW:
                    found += [NEW] * (stop - start)
                    continue
                if len(places[source]) != len(places[group]):
                    raise UnlikeError
                first, last = places[source][number]
                if last - first != stop - start:
                    raise UnlikeError
                found += range(first, last)
        return tuple(found)

    def extent(self, labels: Labels) -> int:
        """Returns the extent of an axis afterwards."""
        found = self.index_map(labels)
        return len(labels) if found is None else len(found)

    def argument(self, argument: Argument) -> int | list[int | None]:
        """Returns the value of an argument afterwards."""
        if isinstance(argument, Extents):
            return [self.extent(part) if isinstance(part, tuple) else part for part in argument.parts]
        return self.extent(argument)

    def is_changed(self, argument: Argument) -> bool:
        """Returns whether an argument has another value afterwards."""
        axes = argument.axes if isinstance(argument, Extents) else (argument,)
        return any(self.extent(labels) != len(labels) for labels in axes)

    def after_removal(self) -> Coupling:
        """Returns the channels of the network afterwards, for a substitution that only removes."""
        coupling, removed = self.coupling, self.others
        kept = {layer.path: self._without(layer) for layer in self.layers}
        layers = {path: kept.get(path, layer) for path, layer in coupling.layers.items()}
        after = replace(
            coupling,
            layers=layers,
            inputs={name: tuple(map(self._left, axes)) for name, axes in coupling.inputs.items()},
            outputs=tuple(tuple(map(self._left, axes)) for axes in coupling.outputs),
        )
        after.__dict__["members"] = {group: paths for group, paths in coupling.members.items() if group not in removed}
        return after

    def _without(self, layer: CoupledLayer) -> CoupledLayer:
        return replace(
            layer,
            weights={
                below: tuple(WeightAxis(self._left(axis.labels), axis.use) for axis in axes)
                for below, axes in layer.weights.items()
            },
            arguments={keys: self._argument(argument) for keys, argument in layer.arguments.items()},
            widths={name: self._kept(labels) for name, labels in layer.widths.items()},
            joins=self._kept(layer.joins),
        )

    def _argument(self, argument: Argument) -> Argument:
        if isinstance(argument, Extents):
            parts = (self._kept(part) if isinstance(part, tuple) else part for part in argument.parts)
            return Extents(tuple(parts))
        return self._kept(argument)

    def _left(self, labels: Labels | None) -> Labels | None:
        return None if labels is None else self._kept(labels)

    def _kept(self, labels: Labels) -> Labels:
        found = self.index_map(labels)
        return labels if found is None else tuple(labels[at] for at in found)


def _blocks(labels: Labels, groups: Sequence[int]) -> list[tuple[int, int, int]]:
    """Returns the blocks of an axis: each a group, the first index, and the index after the last.

    The labels of a block are different ones of one group: the entries of a channel that lie together.
    """
    blocks: list[tuple[int, int, int]] = []
    seen: set[int] = set()
    for at, (label, group) in enumerate(zip(labels, groups, strict=True)):
        if blocks and blocks[-1][0] == group and label not in seen:
            blocks[-1] = (group, blocks[-1][1], at + 1)
            seen.add(label)
        else:
            blocks.append((group, at, at + 1))
            seen = {label}
    return blocks
