"""The execution graph: primitive ops in SSA form, and the versions of each tensor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mutspec.graph.choice import Choice, Computed
from mutspec.graph.primitives import PRIMITIVES, Access

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One application of a primitive.

    Arguments:
        primitive: its name in `PRIMITIVES`.
        inputs: the numbers of the nodes that it reads; all smaller than its own.
        shape: the shape of its result; `()` for a number.
        dtype: the dtype of its result, by NumPy's name.
        attributes: other parameters of the kernel, as hashable values by name.
    """

    primitive: str
    inputs: tuple[int, ...]
    shape: Shape
    dtype: str
    attributes: tuple[tuple[str, Any], ...] = ()

    def attribute(self, name: str) -> Any:
        """Returns the attribute of a name."""
        return dict(self.attributes)[name]

    @property
    def access(self) -> Access:
        """The way in which it reads its inputs."""
        return PRIMITIVES[self.primitive].access


@dataclass(frozen=True, slots=True)
class Version:
    """One SSA version of a tensor, such as `dense/kernel@1`: its value after a step.

    Arguments:
        origin: the tensor, by the name that renames do not change.
        number: 1 for the first step that changes it, and so on.
        before: the node of the version before.
        node: the node of this version.
        step: the index of the step.
        choice: the entries that the step changes; None for all.
    """

    origin: str
    number: int
    before: int
    node: int
    step: int
    choice: Choice | None

    @property
    def name(self) -> str:
        """Its SSA name."""
        return f"{self.origin}@{self.number}"


@dataclass(frozen=True)
class Graph:
    """The computation of all changed tensors.

    Arguments:
        nodes: the nodes, each after its inputs.
        versions: the versions, in the order of the steps.
        created: the nodes of new tensors, which are in no input model, by origin.
        is_small: for each node, whether it consists of numbers and reductions, so that it is computed as a whole and
            once.
    """

    nodes: tuple[Node, ...]
    versions: tuple[Version, ...]
    is_small: tuple[bool, ...]
    created: Mapping[str, int] = field(default_factory=dict)

    @property
    def outputs(self) -> Mapping[str, Version]:
        """The last version of each changed tensor, in the order in which they were first changed."""
        return {version.origin: version for version in self.versions}

    @cached_property
    def needed(self) -> frozenset[int]:
        """The nodes that tensors of the result are made of. The others were computed while compiling, or by no one."""
        chosen = [version.choice.node for version in self.versions if isinstance(version.choice, Computed)]
        made = [number for version in self.versions for number in (version.before, version.node)]
        return reached(self.nodes, [*made, *chosen, *self.created.values()])


@dataclass
class GraphBuilder:
    """Builds a graph step by step, and keeps the current version of each tensor. Equal nodes are added once."""

    nodes: list[Node] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    is_small: list[bool] = field(default_factory=list)
    created: dict[str, int] = field(default_factory=dict)
    _numbers: dict[Node, int] = field(default_factory=dict)
    _current: dict[str, Version] = field(default_factory=dict)

    def node(self, primitive: str, inputs: tuple[int, ...], shape: Shape, dtype: str, **attributes: Any) -> int:
        """Returns the number of a node. It is added unless an equal one exists."""
        node = Node(primitive, inputs, shape, dtype, tuple(attributes.items()))
        number = self._numbers.get(node)
        if number is None:
            number = self._numbers[node] = len(self.nodes)
            self.nodes.append(node)
            self.is_small.append(_is_small(node, self.is_small))
        return number

    def current(self, origin: str, shape: Shape, dtype: str) -> int:
        """The node of a tensor of the model as the steps so far have left it."""
        if origin in self._current:
            return self._current[origin].node
        if origin in self.created:
            return self.created[origin]
        return self.base("", origin, shape, dtype)

    def base(self, model: str, path: str, shape: Shape, dtype: str) -> int:
        """Returns the node of a tensor of an input model. The name of the model that is mutated is ""."""
        return self.node("base", (), shape, dtype, model=model, path=path)

    def create(self, origin: str, node: int) -> None:
        """Adds a tensor that the model does not have, with the value of a node."""
        self.created[origin] = node

    def bind(self, origin: str, before: int, node: int, step: int, choice: Choice | None) -> Version:
        """Makes `node` the tensor's new version."""
        number = self._current[origin].number + 1 if origin in self._current else 1
        version = self._current[origin] = Version(origin, number, before, node, step, choice)
        self.versions.append(version)
        return version

    def part(self, roots: Sequence[int]) -> Graph:
        """Returns a graph that makes new tensors, called "0", "1" and so on, of some nodes, and computes nothing else.

        Arguments:
            roots: the nodes.
        """
        kept = sorted(reached(self.nodes, roots))
        place = {number: position for position, number in enumerate(kept)}
        nodes = tuple(
            replace(self.nodes[number], inputs=tuple(place[each] for each in self.nodes[number].inputs))
            for number in kept
        )
        created = {str(position): place[number] for position, number in enumerate(roots)}
        return Graph(nodes, (), tuple(self.is_small[number] for number in kept), created)

    def build(self) -> Graph:
        """Returns the graph, frozen."""
        return Graph(tuple(self.nodes), tuple(self.versions), tuple(self.is_small), dict(self.created))


def _is_small(node: Node, is_small: list[bool]) -> bool:
    if node.access is Access.REDUCE or node.primitive == "constant" or (node.access is Access.WHOLE and not node.shape):
        return True
    widens = node.primitive in ("spread", "along")
    return bool(node.inputs) and not widens and all(is_small[number] for number in node.inputs)


def reached(nodes: Sequence[Node], roots: Iterable[int]) -> frozenset[int]:
    """Returns some nodes, and all that they are computed from."""
    seen, waiting = set[int](), list(roots)
    while waiting:
        number = waiting.pop()
        if number not in seen:
            seen.add(number)
            waiting += nodes[number].inputs
    return frozenset(seen)
