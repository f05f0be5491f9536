"""Properties of nodes that follow from their graph."""

from __future__ import annotations

from collections import Counter

from mutspec.graph.choice import Computed
from mutspec.graph.graph import Graph
from mutspec.graph.numpy_kernels.entrywise import GIVES_ROOM
from mutspec.graph.primitives import PRIMITIVES


def are_by_entry(graph: Graph) -> tuple[bool, ...]:
    """Returns for each node whether some of its entries can be computed without the others."""
    answers: list[bool] = []
    for node, is_small in zip(graph.nodes, graph.is_small, strict=True):
        by_entry = PRIMITIVES[node.primitive].is_by_entry
        answers.append(is_small or (by_entry and all(answers[number] for number in node.inputs)))
    return tuple(answers)


def passing(graph: Graph) -> frozenset[int]:
    """Returns the tensors that only one node reads, and that share their memory with no other value."""
    read = Counter(number for node in graph.nodes for number in set(node.inputs))
    kept = {number for version in graph.versions for number in (version.before, version.node)}
    kept |= {version.choice.node for version in graph.versions if isinstance(version.choice, Computed)}
    kept |= set(graph.created.values())
    return frozenset(
        number
        for number, count in read.items()
        if count == 1
        and number not in kept
        and not graph.is_small[number]
        and graph.nodes[number].primitive in GIVES_ROOM
    )
