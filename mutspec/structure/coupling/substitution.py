"""Substitutions: what comes in the place of each group of channels, and the index maps that follow for each axis."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mutspec.structure.coupling.axis_call import Argument, Entries, Extents, Followed, Position, WeightAxis
from mutspec.structure.coupling.coupling import CoupledLayer, Coupling
from mutspec.structure.coupling.labels import Labels, MarkKind

NEW = -1
"""Stands for a channel that is not there yet."""


class UnlikeError(Exception):
    """Raised where channels do not lie in an axis as those do that come in their place. Its text is another reason."""


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

    def __post_init__(self) -> None:
        """Forgets groups that stay as they are."""
        changed = {group: each for group, each in self.others.items() if each != (group,)}
        object.__setattr__(self, "others", changed)

    @staticmethod
    def removal(coupling: Coupling, groups: Collection[int]) -> Substitution:
        """Returns the substitution that removes groups."""
        return Substitution(coupling, dict.fromkeys(groups, ()))

    @staticmethod
    def rearrangement(coupling: Coupling, groups: Sequence[int], sources: Sequence[int]) -> Substitution:
        """Returns the substitution that puts other channels in the place of a run of them.

        Arguments:
            coupling: the channels of the network.
            groups: the groups of the run, in order.
            sources: the groups in their place, in order: some of them, or `NEW`.
        """
        if tuple(sources[: len(groups)]) == tuple(groups):
            return Substitution(coupling, {groups[-1]: (groups[-1], *sources[len(groups) :])})
        first, *rest = groups
        return Substitution(coupling, {first: tuple(sources), **dict.fromkeys(rest, ())})

    @cached_property
    def layers(self) -> tuple[CoupledLayer, ...]:
        """The layers that it changes, in the order of the walk."""
        members = self.coupling.members
        paths = {path for group in self.others for path in members.get(group, ())}
        return tuple(layer for path, layer in self.coupling.layers.items() if path in paths)

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

    def new_channels(self, labels: Labels, groups: Sequence[int]) -> tuple[list[int], list[tuple[int, ...]]]:
        """Returns where other groups lie in an axis whose entries are to be mixed for its new channels.

        Arguments:
            labels: the axis.
            groups: the groups.

        Returns:
            For each index of the axis afterwards the number of a row, -1 where it is not new; and the rows: for each
            group, the index of its entry that stands in this place.
        """
        places: dict[int, list[int]] = defaultdict(list)
        for at, label in enumerate(labels):
            places[self.coupling.groups[label]].append(at)
        if any(len(places[group]) != len(places[groups[0]]) for group in groups):
            raise UnlikeError
        rows = list(zip(*(places[group] for group in groups), strict=True))
        numbers: list[int] = []
        seen = Counter[int]()
        for group, start, stop in _blocks(labels, [self.coupling.groups[label] for label in labels]):
            first = seen[group]
            seen[group] += stop - start
            for source in self.others.get(group, (group,)):
                numbers += range(first, first + stop - start) if source == NEW else [-1] * (stop - start)
        return numbers, rows

    def extent(self, labels: Labels) -> int:
        """Returns the extent of an axis afterwards."""
        found = self.index_map(labels)
        return len(labels) if found is None else len(found)

    def argument(self, argument: Argument) -> int | list[Any]:
        """Returns the value of an argument afterwards."""
        if isinstance(argument, Followed):
            return self.extent(argument.labels)
        if isinstance(argument, Entries):
            return self._entries(argument)
        if isinstance(argument, Position):
            return self.extent(argument.before)
        if isinstance(argument, Extents):
            return [self.extent(part) if isinstance(part, tuple) else part for part in argument.parts]
        return self.extent(argument)

    def _entries(self, argument: Entries) -> list[Any]:
        """Returns the values of an argument for the channels that there are afterwards.

        Raises:
            UnlikeError: there is a channel without a value.
        """
        found = self.index_map(argument.labels)
        if found is not None and NEW in found:
            raise UnlikeError("states a value for each channel as an argument, and has none for a new one")
        values: list[Any] = [argument.values[at] for at in found or range(len(argument.values))]
        for _ in range(argument.depth):
            values = [values]
        return values

    def is_changed(self, argument: Argument) -> bool:
        """Returns whether an argument has another value afterwards, or must be stated."""
        if isinstance(argument, Followed):
            return self.extent(argument.labels) != self.extent(argument.leader)
        if isinstance(argument, Entries):
            return self.index_map(argument.labels) is not None
        if isinstance(argument, Position):
            return self.extent(argument.axis) != len(argument.axis)
        axes = argument.axes if isinstance(argument, Extents) else (argument,)
        return any(self.extent(labels) != len(labels) for labels in axes)

    def after_removal(self) -> Coupling | None:
        """Returns the channels of the network afterwards, for a substitution that only removes.

        Returns:
            Those that a walk through the network would find. None if it has to be walked through, because the rule of
            a layer depends on the number of channels: it says so, or an axis has those of a single group left.
        """
        coupling = self.coupling
        marks = (mark for group in self.others for mark in coupling.marks.get(group, ()))
        is_counted = any(mark.kind is MarkKind.COUNTED for mark in marks)
        if is_counted or any(self._leaves_one(labels) for layer in self.layers for labels in layer.axes):
            return None
        kept = {layer.path: self._without(layer) for layer in self.layers}
        layers = {path: kept.get(path, layer) for path, layer in coupling.layers.items()}
        after = replace(
            coupling,
            layers=layers,
            inputs={name: tuple(map(self._left, axes)) for name, axes in coupling.inputs.items()},
            outputs=tuple(tuple(map(self._left, axes)) for axes in coupling.outputs),
        )
        # Nothing has a label of a removed group any more, so that what was found of the others holds for all.
        after.__dict__["members"] = coupling.members
        return after

    def _leaves_one(self, labels: Labels) -> bool:
        """Returns whether an axis has channels of a single group left."""
        if (left := self.index_map(labels)) is None:
            return False
        groups = self.coupling.groups
        return all(groups[labels[at]] == groups[labels[left[0]]] for at in left)

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
            roots={below: self._kept(labels) for below, labels in layer.roots.items()},
            output=tuple(map(self._left, layer.output)),
        )

    def _argument(self, argument: Argument) -> Argument:
        if isinstance(argument, Followed):
            kept = self._kept(argument.labels)
            return kept if self.is_changed(argument) else Followed(kept, self._kept(argument.leader))
        if isinstance(argument, Entries):
            found = self.index_map(argument.labels)
            places = range(len(argument.labels)) if found is None else found
            values = tuple(argument.values[at] for at in places)
            return Entries(self._kept(argument.labels), values, argument.depth)
        if isinstance(argument, Position):
            kept = self._kept(argument.before)
            return kept if self.is_changed(argument) else Position(kept, argument.axis)
        if isinstance(argument, Extents):
            parts = (self._kept(part) if isinstance(part, tuple) else part for part in argument.parts)
            return Extents(tuple(parts))
        return self._kept(argument)

    def _left(self, labels: Labels | None) -> Labels | None:
        return None if labels is None else self._kept(labels)

    def _kept(self, labels: Labels) -> Labels:
        found = self.index_map(labels)
        return labels if found is None else tuple(labels[at] for at in found)


def alike(coupling: Coupling, group: int, candidates: Sequence[int]) -> tuple[int, ...]:
    """Returns those of some groups that lie in the same axes as another one does, as often, in runs of the same length.

    Only these can be copied next to it: each layer that reads the copy then reads what it was copied from.
    """
    members = coupling.members
    wanted = {group, *candidates}
    runs: dict[int, list[tuple[str, int, int]]] = defaultdict(list)
    for path in dict.fromkeys(path for each in wanted for path in members.get(each, ())):
        for number, labels in enumerate(coupling.layers[path].axes):
            for each, start, stop in _blocks(labels, [coupling.groups[label] for label in labels]):
                if each in wanted:
                    runs[each].append((path, number, stop - start))
    counts = {each: Counter(runs[each]) for each in wanted}
    return tuple(each for each in candidates if counts[each] == counts[group])


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
