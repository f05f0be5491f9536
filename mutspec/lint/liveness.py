"""What a mutant is made of, told from its program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from mutspec.graph.graph import reached
from mutspec.lowering.context import FIRST_VALUE

if TYPE_CHECKING:
    from mutspec.lowering.compile import Program


def live_nodes(program: Program) -> frozenset[int]:
    """Returns the nodes that the mutant's weights are made of, and those by whose values its layers were chosen.

    Entries that are chosen by their values are nodes, too, and inputs of what is made of them.
    """
    graph = program.graph
    ends = {**graph.created, **{origin: version.node for origin, version in graph.outputs.items()}}
    kept = {tensor.origin for tensor in program.after.tensors}
    roots = [node for origin, node in ends.items() if origin in kept]
    roots += [node for step in program.steps for node in step.asked]
    return reached(graph.nodes, roots)


def random_steps(program: Program) -> frozenset[int]:
    """Returns the steps, by number, on whose random numbers the mutant depends."""
    live = live_nodes(program)
    used = {key for number in live for key in _keys(program.graph.nodes[number].attributes)}
    return frozenset(
        number
        for number, record in enumerate(program.steps)
        if any(name != FIRST_VALUE or key in used for name, key in record.draws)
    )


def _keys(value: Any) -> Iterator[bytes]:
    """Yields the keys of streams in the attributes of a node."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _keys(each)
    elif is_dataclass(value):
        for info in fields(value):
            yield from _keys(getattr(value, info.name))
