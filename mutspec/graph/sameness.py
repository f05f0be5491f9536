"""Facts about values that follow from the graph: nodes with one number in every entry, and nodes of equal value.

They show, without reading values, that a step cannot change a tensor: noise of size 0, the standard deviation of a
single entry, a factor of 1.

The facts hold for finite values, and ignore the sign of zero: 0 · a is 0, a + 0 is a.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, sqrt

from mutspec.graph.choice import Choice, chosen_count, size_of
from mutspec.graph.graph import Graph, Node, Version


@dataclass(frozen=True, slots=True)
class Fact:
    """The known fact about a node's value.

    Arguments:
        root: the first node with the same value. If the root is a number or has one entry, all entries are equal to it.
        dtype: the dtype of the root, which holds its value exactly.
        number: the number in every entry, if it is known.
        size: the number of entries of the root.
    """

    root: int
    dtype: str
    number: float | None = None
    size: int = 0

    @property
    def is_uniform(self) -> bool:
        """Whether all entries are equal."""
        return self.number is not None or self.size == 1

    def is_same(self, other: Fact) -> bool:
        """Returns whether two nodes certainly have the same value."""
        return self.root == other.root or (self.number is not None and self.number == other.number)


def unchangeable(graph: Graph) -> frozenset[Version]:
    """Returns the versions that certainly have the value of the version before."""
    facts: list[Fact] = []
    for number, node in enumerate(graph.nodes):
        own = Fact(number, node.dtype, size=size_of(node.shape))
        rule = _RULES.get(node.primitive)
        facts.append(own if rule is None else _fact(rule, _At(graph.nodes, facts, node, own)))
    return frozenset(version for version in graph.versions if facts[version.before].is_same(facts[version.node]))


@dataclass(frozen=True, slots=True)
class _At:
    """A node that a rule is applied to.

    Arguments:
        nodes: the nodes of the graph.
        facts: the facts about the nodes before it.
        node: the node.
        own: its fact if nothing is known.
    """

    nodes: Sequence[Node]
    facts: Sequence[Fact]
    node: Node
    own: Fact

    @property
    def inputs(self) -> list[Fact]:
        """The facts about the inputs."""
        return [self.facts[number] for number in self.node.inputs]

    def number(self, value: float) -> Fact:
        """Returns the fact that every entry is a number; nothing is known if the dtype may round the number."""
        is_exact = self.node.dtype == "float64" or value in (-1, 0, 1)
        return replace(self.own, number=float(value)) if is_exact else self.own

    def source(self, position: int) -> _At:
        """Returns the root of an input."""
        number = self.facts[self.node.inputs[position]].root
        return _At(self.nodes, self.facts, self.nodes[number], self.facts[number])


_Rule = Callable[[_At], Fact | None]


def _fact(rule: _Rule, at: _At) -> Fact:
    """Applies a rule. Its fact holds only if the node's dtype does not round the value."""
    fact = rule(at)
    if fact is None:
        return at.own
    if fact.number is not None:
        return at.number(fact.number)
    return fact if _holds(at.node.dtype, fact.dtype) else at.own


def _add(at: _At) -> Fact | None:
    left, right = at.inputs
    if left.number is not None and right.number is not None:
        return at.number(left.number + right.number)
    return left if right.number == 0 else right if left.number == 0 else None


def _subtract(at: _At) -> Fact | None:
    left, right = at.inputs
    if left.is_same(right):
        return at.number(0.0)
    if left.number is not None and right.number is not None:
        return at.number(left.number - right.number)
    return left if right.number == 0 else None


def _multiply(at: _At) -> Fact | None:
    left, right = at.inputs
    if 0 in (left.number, right.number):
        return at.number(0.0)
    if left.number is not None and right.number is not None:
        return at.number(left.number * right.number)
    return left if right.number == 1 else right if left.number == 1 else _signed(at)


def _signed(at: _At) -> Fact | None:
    """Finds that sign(a) · |a| is a."""
    made = {source.node.primitive: source for source in map(at.source, (0, 1))}
    if set(made) != {"sign", "absolute"}:
        return None
    sign, size = (made[name].inputs[0] for name in ("sign", "absolute"))
    return sign if sign.is_same(size) else None


def _divide(at: _At) -> Fact | None:
    left, right = at.inputs
    if right.number == 1:
        return left
    return at.number(left.number / right.number) if left.number is not None and right.number else None


def _either(at: _At) -> Fact | None:
    """Finds that the smaller, the larger or a chosen one of two equal values is that value."""
    left, right = at.inputs[-2:]
    return left if left.is_same(right) else None


def _of_number(function: Callable[[float], float]) -> _Rule:
    def rule(at: _At) -> Fact | None:
        (value,) = at.inputs
        return None if value.number is None or not isfinite(value.number) else at.number(function(value.number))

    return rule


def _square_root(at: _At) -> Fact | None:
    (value,) = at.inputs
    return None if value.number is None or value.number < 0 else at.number(sqrt(value.number))


_WIDER: Mapping[str, frozenset[str]] = {
    "float32": frozenset({"float64"}),
    "float16": frozenset({"float32", "float64"}),
    "bfloat16": frozenset({"float32", "float64"}),
}
"""The other dtypes that hold all numbers of a dtype, by that dtype."""
_NARROW = ("float8_", "float6_", "float4_")


def _holds(dtype: str, values_of: str) -> bool:
    wider = _WIDER["float16"] if values_of.startswith(_NARROW) else _WIDER.get(values_of, frozenset())
    return dtype == values_of or dtype in wider


def _bits(at: _At) -> Fact | None:
    """Finds that the bits of a value, read as its dtype again, are the value."""
    source = at.source(0)
    is_back = source.node.primitive == "bits" and at.nodes[source.node.inputs[0]].dtype == at.node.dtype
    return source.inputs[0] if is_back else None


def _with_bits(at: _At) -> Fact | None:
    value, bits = at.inputs
    return value if bits.number == 0 else None


def _alike(at: _At) -> Fact | None:
    """Finds that moving, repeating or choosing equal entries gives the same entry."""
    (value,) = at.inputs
    return value if value.is_uniform else None


def _moved(at: _At) -> Fact | None:
    """Finds that a shuffle changes nothing if all entries are equal, or less than two of them move."""
    (value,), shape = at.inputs, at.node.shape
    given = dict(at.node.attributes)
    choice: Choice | None = given.get("choice")
    moved = given["count"] if "count" in given else size_of(shape) if choice is None else chosen_count(choice, shape)
    return value if value.is_uniform or moved in (0, 1) else None


def _moved_in_slices(at: _At) -> Fact | None:
    (value,), length = at.inputs, at.node.attribute("length")
    return value if value.is_uniform or size_of(at.node.shape) <= length else None


def _sum(at: _At) -> Fact | None:
    (value,) = at.inputs
    size = size_of(at.nodes[at.node.inputs[0]].shape)
    if size == 1:
        return value
    return None if value.number is None else at.number(value.number * size)


def _sum_over(at: _At) -> Fact | None:
    (value,), count = at.inputs, at.node.attribute("count")
    return None if value.number is None else at.number(value.number * count)


_RULES: Mapping[str, _Rule] = {
    "constant": lambda at: at.number(float.fromhex(at.node.attribute("value"))),
    "word": lambda at: at.number(float(at.node.attribute("value"))),
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "minimum": _either,
    "maximum": _either,
    "choose": _either,
    "select": _either,
    "negative": _of_number(lambda value: -value),
    "absolute": _of_number(abs),
    "round": _of_number(round),
    "square_root": _square_root,
    "cast": lambda at: at.inputs[0],
    "reshape": lambda at: at.inputs[0],
    "bits": _bits,
    "flip": _with_bits,
    "set": _with_bits,
    "clear": _with_bits,
    "spread": _alike,
    "along": _alike,
    "max": _alike,
    "max_along": _alike,
    "max_of_run": _alike,
    "quantile": _alike,
    "gather": _alike,
    "sum": _sum,
    "sum_over": _sum_over,
    "shuffle": _moved,
    "shuffle_slices": _moved_in_slices,
    "swap": _moved,
}
"""The rule of each primitive: the fact about its value that follows from facts about its inputs. Nothing is known about
the value of a primitive without a rule."""
