"""The schedule: passes over tensors in an order in which each needs only results of earlier ones.

A pass computes a reduction, stores the value of a version for other passes, or emits the last version of a tensor. A
version is stored if something other than its own tensor's chain of steps reads it. Everything else is computed on the
fly, chunk by chunk. So each version is computed exactly once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from mutspec.graph.graph import Graph, Node, Version
from mutspec.graph.primitives import NEEDS_ALL, Access

_NOTHING_TO_COMPUTE = ("base", "spread")
"""Primitives whose results are not stored, because computing them is as fast as reading them back."""


class PassKind(StrEnum):
    """The purpose of a pass."""

    REDUCE = "reduce"
    STORE = "store"
    EMIT = "emit"


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over all chunks of one tensor.

    Arguments:
        kind: its purpose.
        node: the node that it computes.
        path: the tensor whose version it emits or stores; empty for a reduction or an inner value.
        versions: the versions that it computes, in order.
        stored: the stored nodes that it reads.
        frees: the stored nodes that nothing reads after it.
    """

    kind: PassKind
    node: int
    path: str = ""
    versions: tuple[Version, ...] = ()
    stored: frozenset[int] = frozenset()
    frees: frozenset[int] = frozenset()


def schedule(graph: Graph) -> tuple[Pass, ...]:
    """Returns the passes that compute all versions of a graph, in order."""
    chains: dict[str, list[Version]] = defaultdict(list)
    for version in graph.versions:
        chains[version.origin].append(version)
    stored = _stored_nodes(graph, chains)
    for path in graph.created:
        chains.setdefault(path, [])
    passes = [_finish(graph, one, stored) for one in _passes(graph, chains, stored)]
    last_reader = {node: position for position, one in enumerate(passes) for node in one.stored}
    return tuple(
        replace(one, frees=frozenset(node for node in one.stored if last_reader[node] == position))
        for position, one in enumerate(passes)
    )


def _passes(graph: Graph, chains: dict[str, list[Version]], stored: set[int]) -> list[Pass]:
    """Returns all passes in order.

    A node's number is higher than those of its inputs, so the passes are sorted by number. The number of a pass over
    versions is the highest of their nodes, without tensors of the input models, which are always available.
    """
    keyed: list[tuple[int, int, Pass]] = [
        (number, -1, Pass(PassKind.REDUCE, number))
        for number, node in _needed(graph)
        if node.access is Access.REDUCE or _is_whole_number(graph, number)
    ]
    owners = _owners(graph)
    keyed += [(number, -1, Pass(PassKind.STORE, number)) for number in stored - owners.keys()]
    for path, chain in chains.items():
        if not chain:
            keyed.append((graph.created[path], 1, Pass(PassKind.EMIT, graph.created[path], path)))
        part: list[Version] = []
        highest = 0
        for version in chain:
            part.append(version)
            needs = (version.node, version.before)
            highest = max([highest, *(each for each in needs if graph.nodes[each].primitive != "base")])
            if version.node in stored and owners.get(version.node) is version:
                keyed.append((highest, 0, Pass(PassKind.STORE, version.node, path, tuple(part))))
                part = []
            if version is chain[-1]:
                keyed.append((highest, 1, Pass(PassKind.EMIT, version.node, path, tuple(part))))
    return [one for _, _, one in sorted(keyed, key=lambda entry: entry[:2])]


def _needed(graph: Graph) -> Iterator[tuple[int, Node]]:
    """Yields the nodes that versions and new tensors are made of, with their numbers."""
    return ((number, node) for number, node in enumerate(graph.nodes) if number in graph.needed)


def _owners(graph: Graph) -> dict[int, Version]:
    """Returns the version that stores each node. If several versions have the same node, it is the first one.

    A node that needs all entries at once is stored by a pass of its own.
    """
    owners: dict[int, Version] = {}
    for version in graph.versions:
        if graph.nodes[version.node].access is not Access.WHOLE:
            owners.setdefault(version.node, version)
    return owners


def _stored_nodes(graph: Graph, chains: dict[str, list[Version]]) -> set[int]:
    """Returns the nodes of versions that are read from outside their own tensor's chain, or by a gather."""
    owners = _owners(graph)
    is_version = {number for number in owners if graph.nodes[number].primitive not in _NOTHING_TO_COMPUTE}
    stored = {number for number, _ in _needed(graph) if _is_stored_whole(graph, number)}
    for _, node in _needed(graph):
        if node.access in NEEDS_ALL:
            stored |= _reached(graph, node.inputs, stop_at=is_version)
    for path, chain in chains.items():
        own = {version.node for version in chain if version.node in owners and owners[version.node].origin == path}
        roots = [number for version in chain for number in (version.before, version.node)]
        stored |= _reached(graph, roots, stop_at=is_version, but=own)
    for _, node in _needed(graph):
        if node.access is Access.GATHER:
            stored |= {number for number in node.inputs if graph.nodes[number].primitive != "base"}
    return stored


def _reached(graph: Graph, roots: Iterable[int], stop_at: set[int], but: Collection[int] = ()) -> set[int]:
    """Returns the nodes of `stop_at`, without `but`, that a chunk program with these roots reads.

    The search ends at nodes that a pass of their own computes.
    """
    reached, seen, pending = set(), set(), list(roots)
    while pending:
        number = pending.pop()
        if number in seen:
            continue
        seen.add(number)
        if number in stop_at and number not in but:
            reached.add(number)
        elif graph.nodes[number].access not in NEEDS_ALL:
            pending.extend(graph.nodes[number].inputs)
    return reached


def _is_whole_number(graph: Graph, number: int) -> bool:
    """Returns whether a node is a number that needs all entries of a tensor at once."""
    node = graph.nodes[number]
    of_tensors = not all(graph.is_small[each] for each in node.inputs)
    return node.access is Access.WHOLE and graph.is_small[number] and of_tensors


def _is_stored_whole(graph: Graph, number: int) -> bool:
    """Returns whether a node is a tensor that needs all entries of others at once."""
    return graph.nodes[number].access is Access.WHOLE and not graph.is_small[number]


def _finish(graph: Graph, one: Pass, stored: set[int]) -> Pass:
    own = (one.node,) if one.kind is PassKind.STORE else ()
    roots = [one.node, *(number for version in one.versions for number in (version.before, version.node))]
    if one.kind is PassKind.REDUCE or (graph.nodes[one.node].access is Access.WHOLE and one.kind is PassKind.STORE):
        roots = list(graph.nodes[one.node].inputs)
    return replace(one, stored=frozenset(_reached(graph, roots, stop_at=stored, but=own)))
