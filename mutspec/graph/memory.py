"""The memory that a graph needs for primitives with access to all entries at once, in addition to the chunks."""

from __future__ import annotations

from mutspec.graph.choice import size_of
from mutspec.graph.graph import Graph, Node
from mutspec.graph.primitives import Access

_WORKING_BYTES = {
    "ranked": 9,
    "ranked_in_groups": 9,
    "shuffle": 56,
    "shuffle_slices": 0,
    "quantile": 8,
    "low_rank": 32,
    "orthogonal": 32,
    "factors": 40,
    "energies": 16,
}
"""The bytes for each entry that a kernel needs in addition to its inputs and result: indices, float64 copies."""


def whole_bytes(graph: Graph) -> dict[int, int]:
    """Estimates the bytes in memory for each node that needs all entries of its inputs at once, by its number."""
    return {
        number: _bytes(graph, node)
        for number, node in enumerate(graph.nodes)
        if node.access is Access.WHOLE and not all(graph.is_small[each] for each in node.inputs)
    }


def _bytes(graph: Graph, node: Node) -> int:
    inputs = [graph.nodes[number] for number in node.inputs]
    entries = sum(size_of(each.shape) for each in inputs)
    held = sum(size_of(each.shape) * width(each.dtype) for each in (*inputs, node))
    return held + entries * _WORKING_BYTES.get(node.primitive, 0)


def width(dtype: str) -> int:
    """Returns the bytes of one stored number. A number of less than a byte takes a whole byte."""
    bits = "".join(each for each in dtype.split("_")[0] if each.isdigit())
    return max(1, int(bits) // 8) if bits else 1
