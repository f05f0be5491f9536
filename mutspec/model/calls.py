"""A model's graph of calls, from its config in the form of Keras 3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mutspec.model.spec import Call, TensorRef

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallGraph:
    """The calls of each layer of one model, by the layer's name, and the model's ports."""

    calls: Mapping[str, tuple[Call, ...]]
    inputs: tuple[TensorRef, ...]
    outputs: tuple[TensorRef, ...]


EMPTY = CallGraph({}, (), ())


def is_graph(config: object) -> bool:
    """Returns whether a config is that of a model of layers and their calls."""
    return isinstance(config, Mapping) and isinstance(config.get("layers"), list) and "output_layers" in config


def graph_of(config: Config, nested: frozenset[str]) -> CallGraph:
    """Returns the graph of a Functional model.

    Arguments:
        config: the model's config.
        nested: the names of its layers that are Functional models themselves. In the outputs, Keras counts the calls
            of such a layer from 1, because call 0 created it.
    """
    entries = [entry for entry in config["layers"] if isinstance(entry, Mapping)]
    calls = {name_of_entry(entry): tuple(Call(tuple(_refs(node))) for node in _nodes(entry)) for entry in entries}
    inputs, outputs = tuple(_port_refs(config.get("input_layers"))), tuple(_port_refs(config["output_layers"]))
    return CallGraph(calls, inputs, _shift(outputs, nested))


def name_of_entry(entry: Config) -> str:
    """Returns the name of a serialised layer: that of its place in the graph, else that in its config."""
    config = entry.get("config")
    return str(entry.get("name") or (config.get("name") if isinstance(config, Mapping) else "") or "")


def _nodes(entry: Config) -> Sequence[Any]:
    nodes = entry.get("inbound_nodes")
    return nodes if isinstance(nodes, list) else ()


def is_new_call(node: Any) -> bool:
    """Returns whether a serialised call has Keras 3's form, a mapping of its arguments."""
    return isinstance(node, Mapping) and ("args" in node or "kwargs" in node)


def _shift(refs: tuple[TensorRef, ...], names: frozenset[str]) -> tuple[TensorRef, ...]:
    return tuple(replace(ref, call=ref.call - 1) if ref.layer in names and ref.call > 0 else ref for ref in refs)


def _refs(value: Any) -> Iterator[TensorRef]:
    """Yields the tensors in a call's arguments, depth first: Keras 3's `__keras_tensor__` objects."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            history = value["config"]["keras_history"]
            yield TensorRef(str(history[0]), int(history[1]), int(history[2]))
            return
        for item in value.values():
            yield from _refs(item)
    elif isinstance(value, list):
        for item in value:
            yield from _refs(item)


def is_triple(value: Any) -> bool:
    """Returns whether a value is a tensor as `[layer, call, output]`, perhaps with arguments as a fourth item."""
    return (
        isinstance(value, list)
        and 3 <= len(value) <= 4
        and isinstance(value[0], str)
        and all(isinstance(index, int) and not isinstance(index, bool) for index in value[1:3])
    )


def _port_refs(value: Any) -> Iterator[TensorRef]:
    """Yields the ports in the order of Keras, which sorts dictionaries by key."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _port_refs(value[key])
    elif is_triple(value):
        yield TensorRef(value[0], value[1], value[2])
    elif isinstance(value, list):
        for item in value:
            yield from _port_refs(item)
