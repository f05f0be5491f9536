"""The order of layers in a Functional model, as Keras finds it from the model's graph.

Stored paths (`layers/dense_1/vars/0`) count layers in this order. Keras finds it again whenever it builds a model,
whatever the order of the list in a config.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mutspec.model.spec import TensorRef
from mutspec.structure.network import Network

Node = tuple[str, int]
"""A call of a layer: the layer's name, and the number of the call. An InputLayer has call 0 only."""


@dataclass(frozen=True)
class KerasOrder:
    """What Keras keeps of a network, and in which order.

    Arguments:
        layers: the layers, in Keras's order. Those that neither lead to an output nor are inputs are left out.
        calls: the numbers of the calls of each layer that lead to an output, in their order.
    """

    layers: tuple[str, ...]
    calls: Mapping[str, tuple[int, ...]]


def keras_order(network: Network) -> KerasOrder:
    """Returns the layers of a network in Keras's order: that of `map_graph` in `keras/src/ops/function.py`.

    A layer comes before another if it is further from the outputs. At the same distance, the one comes first that a
    depth-first walk from the outputs meets first. This is so since Keras 3.0.
    """
    uses = {
        (name, number): tuple((ref.layer, ref.call) for ref in flattened(call))
        for name, calls in network.calls.items()
        for number, call in enumerate(calls)
    }
    nodes, met = _walk([(ref.layer, ref.call) for ref in flattened(network.outputs)], uses)
    node_depths: dict[Node, int] = {}
    depths: dict[str, int] = {}
    for node in reversed(nodes):
        # A layer that is called several times is as deep as its deepest call that was met until now.
        depth = max(node_depths.get(node, 0), depths.get(node[0], 0))
        depths[node[0]] = node_depths[node] = depth
        for before in uses.get(node, ()):
            node_depths[before] = max(depth + 1, node_depths.get(before, 0))
    for ref in flattened(network.inputs):
        if ref.layer not in depths and ref.layer in network.layers:
            depths[ref.layer], met[ref.layer] = 0, -1  # an input that leads to no output stays
    calls: dict[str, list[int]] = defaultdict(list)
    for name, number in nodes:
        if network.calls[name]:
            calls[name].append(number)
    layers = sorted(depths, key=lambda name: (-depths[name], met[name]))
    return KerasOrder(tuple(layers), {name: tuple(sorted(calls[name])) for name in layers})


def flattened(value: Any) -> Iterator[TensorRef]:
    """Yields the tensors in arguments or ports in the order of Keras's trees, where dictionaries are sorted."""
    if isinstance(value, TensorRef):
        yield value
    elif isinstance(value, Mapping):
        for key in sorted(value):
            yield from flattened(value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            yield from flattened(item)


def _walk(outputs: list[Node], uses: Mapping[Node, tuple[Node, ...]]) -> tuple[list[Node], dict[str, int]]:
    """Walks depth first from the outputs.

    Returns:
        The nodes, each after those that it uses; and the number of layers that were met before each layer.
    """
    # A stack instead of Keras's recursion, because a chain of layers is as long as the model is deep.
    nodes: list[Node] = []
    met: dict[str, int] = {}
    seen: set[Node] = set()
    for output in outputs:
        under_way: list[tuple[Node, Iterator[Node]]] = []
        following: Node | None = output
        while following is not None or under_way:
            if following is not None and following not in seen:
                seen.add(following)
                met.setdefault(following[0], len(met))
                under_way.append((following, iter(uses.get(following, ()))))
            following = next(under_way[-1][1], None) if under_way else None
            if following is None and under_way:
                nodes.append(under_way.pop()[0])
    return nodes, met
