"""The places of layers in a model's graphs: which layers come before and after which.

A place is a node of a graph: a layer of a Functional or Sequential model. What is inside a wrapper, such as the LSTM of
a Bidirectional, has the place of the wrapper. A nested model is one node of the graph around it, and its layers have
places in its own graph. What comes after a nested model also comes after each of its layers, and likewise before.

Searches go along calls and not layers: if a layer is called twice, what comes after one call does not come after
whatever is before the other. They take time in proportion to the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from mutspec.model._bits import members, union
from mutspec.model.spec import LayerSpec, ModelSpec

_NOWHERE = -1
"""The place of a layer that code calls; and as a holder, the outermost model."""


@dataclass(frozen=True, slots=True)
class Located:
    """Layers that were found by their place, as bits.

    Arguments:
        layers: the nodes of graphs.
        within: these, and the layers inside them for which the same holds.
    """

    layers: int
    within: int

    def __and__(self, other: Located) -> Located:
        return Located(self.layers & other.within | self.within & other.layers, self.within & other.within)


class Places:
    """The graphs of one model. It is built once for a spec.

    Arguments:
        spec: the model.
        number_at: the numbers of its layers, by path and alias.
    """

    def __init__(self, spec: ModelSpec, number_at: Mapping[str, int]) -> None:
        self._layers, self._number_at = spec.layers, number_at
        self._numbers = range(len(spec.layers))
        self._holder = [_holder(layer.path, number, number_at) for number, layer in enumerate(spec.layers)]
        self._inside = [1 << number for number in self._numbers]
        for number in reversed(self._numbers):
            if self._holder[number] != _NOWHERE:
                self._inside[self._holder[number]] |= self._inside[number]
        graphs, chains = self._models(spec)
        self._place = list[int]()
        for number, holder in enumerate(self._holder):
            is_node = (holder in graphs or holder in chains) and not spec.layers[number].is_inner
            self._place.append(number if is_node else _NOWHERE if holder == _NOWHERE else self._place[holder])
        self._placed = [0] * len(spec.layers)
        for number, place in enumerate(self._place):
            if place != _NOWHERE:
                self._placed[place] |= 1 << number
        self._layer_of, self._calls = list[int](), dict[int, range]()
        for number in self._numbers:
            if self._place[number] == number:
                count = max(1, len(spec.layers[number].calls))
                self._calls[number] = range(len(self._layer_of), len(self._layer_of) + count)
                self._layer_of += [number] * count
        self._before: list[list[int]] = [[] for _ in self._layer_of]
        self._after: list[list[int]] = [[] for _ in self._layer_of]
        for inside in graphs.values():
            self._connect_calls(inside)
        for inside in chains.values():
            for producer, consumer in pairwise(inside):
                self._connect(self._calls[producer][0], self._calls[consumer][0])
        self._reached: dict[tuple[int, bool], frozenset[int]] = {}

    def _models(self, spec: ModelSpec) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
        """Returns the layers of each Functional and of each Sequential model, by the number of the model."""
        held: dict[int, list[int]] = {}
        for number, holder in enumerate(self._holder):
            if not spec.layers[number].is_inner:
                held.setdefault(holder, []).append(number)
        graphs, chains = {}, {}
        for holder, inside in held.items():
            model: LayerSpec | ModelSpec = spec if holder == _NOWHERE else spec.layers[holder]
            has_ports = bool(spec.outputs) if holder == _NOWHERE else "output_layers" in spec.layers[holder].config
            if has_ports or any(spec.layers[number].calls for number in inside):
                graphs[holder] = inside
            elif model.class_name == "Sequential":
                chains[holder] = inside
        return graphs, chains

    def _connect_calls(self, model: list[int]) -> None:
        by_name = {self._layers[number].name: number for number in model}
        for consumer in model:
            prefix = self._layers[consumer].path.rpartition("/")[0]
            for node, call in zip(self._calls[consumer], self._layers[consumer].calls, strict=False):
                for ref in call.inputs:
                    # A layer that is shared with another model is listed only there.
                    path = f"{prefix}/{ref.layer}" if prefix else ref.layer
                    producer = by_name.get(ref.layer, self._number_at.get(path, _NOWHERE))
                    if producer in self._calls:
                        calls = self._calls[producer]
                        self._connect(calls[min(ref.call, len(calls) - 1)], node)

    def _connect(self, producer: int, consumer: int) -> None:
        self._after[producer].append(consumer)
        self._before[consumer].append(producer)

    def has_any(self, layers: int) -> bool:
        """Returns whether at least one of these layers has a place in a graph."""
        return any(place != _NOWHERE for place in members(self._place, layers))

    def neighbours(self, layers: int, *, before: bool) -> Located:
        """Returns what comes directly before, or directly after, at least one of these layers."""
        edges = self._before if before else self._after
        found = {self._layer_of[call] for node in self._nodes(layers) for call in edges[node]}
        return Located(_mask(found), union(self._placed[number] for number in found))

    def reachable(self, layers: int, *, before: bool) -> Located:
        """Returns what comes before, or after, at least one of these layers, without these layers themselves."""
        named = union(self._inside[place] for place in members(self._place, layers) if place != _NOWHERE)
        found = self._owners(self._reach(layers, before=before))
        return Located(found & ~named, self._within(found) & ~named)

    def between(self, first: int, last: int) -> Located:
        """Returns what is on a path from one of the first layers to one of the last, both included."""
        after = self._reach(first, before=False) | self._nodes(first)
        before = self._reach(last, before=True) | self._nodes(last)
        one, other = self._owners(after), self._owners(before)
        # A path into a nested model, or out of it, is found in the graph around the model by only one of the searches.
        inside = one & self._within(other) & ~other | other & self._within(one) & ~one
        layers = self._owners(after & before) | inside
        return Located(layers, self._within(layers))

    def _nodes(self, layers: int) -> frozenset[int]:
        """Returns the calls at the places of these layers."""
        places = set(members(self._place, layers)) - {_NOWHERE}
        return frozenset(call for place in places for call in self._calls[place])

    def _reach(self, layers: int, *, before: bool) -> frozenset[int]:
        """Returns the calls that are reached from the places of these layers, and of the models around them."""
        key = (layers, before)
        if key not in self._reached:
            edges = self._before if before else self._after
            around, pending = 0, layers
            while pending:
                around |= pending
                holders = {self._holder[place] for place in members(self._place, pending) if place != _NOWHERE}
                pending = _mask(holders - {_NOWHERE}) & ~around
            found, to_visit = set[int](), list(self._nodes(around))
            while to_visit:
                for call in edges[to_visit.pop()]:
                    if call not in found:
                        found.add(call)
                        to_visit.append(call)
            self._reached[key] = frozenset(found)
        return self._reached[key]

    def _owners(self, calls: Iterable[int]) -> int:
        return _mask({self._layer_of[call] for call in calls})

    def _within(self, layers: int) -> int:
        """Returns these layers and all layers inside them."""
        return union(members(self._inside, layers))


def _holder(path: str, number: int, number_at: Mapping[str, int]) -> int:
    """Returns the number of the layer around a layer. It is lower, because models list their layers depth first."""
    while path := path.rpartition("/")[0]:
        if number_at.get(path, number) < number:
            return number_at[path]
    return _NOWHERE


def _mask(numbers: Iterable[int]) -> int:
    return union(1 << number for number in numbers)
