"""The origin of each weight of a mutant: kept, or made by the plan, and of which weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from mutspec.graph.graph import Graph, Node
from mutspec.lowering.compile import Program
from mutspec.model.lost_state import NEW, REMADE, RETYPED
from mutspec.model.spec import TensorSpec


class OriginKind(StrEnum):
    """Where the values of a weight come from."""

    KEPT = "kept"
    COPIED = "copied"
    SLICED = "sliced"
    COMPUTED = "computed"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class WeightOrigin:
    """Where the values of a weight of the mutant come from.

    Arguments:
        tensor: the weight.
        kind: `kept`, as the model has it; `copied` from another weight, as a whole; `sliced`, put together from entries
            of weights, perhaps with new ones; `computed`, from weights or from numbers and draws alone; `new`, a weight
            that the model does not have, made of no other.
        sources: the weights that it is made of, as paths in the models before the plan; those of other models after
            their name.
        steps: the ids of the steps that made or changed it.
    """

    tensor: TensorSpec
    kind: OriginKind
    sources: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()


def origins(program: Program) -> tuple[WeightOrigin, ...]:
    """Returns the origin of each weight of a program's mutant, in the order of the model."""
    graph, kept = program.graph, {tensor.origin for tensor in program.before.tensors}
    values, steps = _values(graph), _steps(program)
    nodes = {**graph.created, **{origin: version.node for origin, version in graph.outputs.items()}}

    def origin_of(tensor: TensorSpec) -> WeightOrigin:
        made_by = tuple(dict.fromkeys(steps[tensor.origin]))
        if tensor.origin in nodes:
            value = values[nodes[tensor.origin]]
            is_new = tensor.origin not in kept and not value.sources
            kind = OriginKind.NEW if is_new else value.kind(tensor.origin)
            return WeightOrigin(tensor, kind, value.sources, made_by)
        if tensor.origin in kept:
            return WeightOrigin(tensor, OriginKind.KEPT, (tensor.origin,), made_by)
        return WeightOrigin(tensor, OriginKind.NEW, (), made_by)  # by Keras, when it builds the mutant

    return tuple(origin_of(tensor) for tensor in program.after.tensors)


def why_not_kept(program: Program) -> Mapping[str, str]:
    """Returns for each weight of a mutant that is not one of its base what a warning says it is instead, by path."""
    before = {tensor.path: tensor for tensor in program.before.tensors}

    def why(made: WeightOrigin) -> str:
        if not made.sources:
            return NEW
        source = before.get(made.sources[0]) if made.kind is OriginKind.COPIED else None
        is_retyped = source is not None and source.shape == made.tensor.shape and source.dtype != made.tensor.dtype
        return RETYPED if is_retyped else REMADE

    return {made.tensor.path: why(made) for made in origins(program) if made.tensor.origin not in before}


def _steps(program: Program) -> Mapping[str, Sequence[str]]:
    """Returns the steps that make or change each weight, by its origin."""
    steps: dict[str, list[str]] = defaultdict(list)
    for record in program.steps:
        for tensor in (*record.created, *(write.tensor for write in record.writes)):
            steps[tensor.origin].append(record.id)
    return steps


@dataclass(frozen=True, slots=True)
class _Value:
    """What a node of the graph is made of.

    Arguments:
        sources: the weights of input models, in the order of their first use.
        is_whole: whether it is one of them, as a whole.
        is_moved: whether each of its entries is one of them, or depends on none.
    """

    sources: tuple[str, ...]
    is_whole: bool = False
    is_moved: bool = False

    def kind(self, origin: str) -> OriginKind:
        """Returns the kind of a weight with this value.

        Arguments:
            origin: the weight's origin, which is its path if the model has it.
        """
        if self.is_whole:
            return OriginKind.KEPT if self.sources == (origin,) else OriginKind.COPIED
        if self.is_moved and self.sources not in ((), (origin,)):
            return OriginKind.SLICED
        return OriginKind.COMPUTED


_MOVED = frozenset({"base", "gather", "reshape", "cast", "choose", "spread", "constant"})
"""The primitives that move entries, and compute nothing."""
_WHOLE = frozenset({"base", "reshape", "cast"})


def _values(graph: Graph) -> list[_Value]:
    values: list[_Value] = []
    for node in graph.nodes:
        values.append(_value(node, [values[number] for number in node.inputs]))
    return values


def _value(node: Node, inputs: Sequence[_Value]) -> _Value:
    if node.primitive == "base":
        model, path = node.attribute("model"), node.attribute("path")
        return _Value((f"{model}:{path}" if model else path,), is_whole=True, is_moved=True)
    return _Value(
        tuple(dict.fromkeys(source for each in inputs for source in each.sources)),
        node.primitive in _WHOLE and all(each.is_whole for each in inputs),
        node.primitive in _MOVED and all(each.is_moved or not each.sources for each in inputs),
    )
