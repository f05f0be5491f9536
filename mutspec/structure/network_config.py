"""Conversion of a network from and to Keras's config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mutspec.errors import ModelError
from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.classes import facts_of
from mutspec.keras_facts.dtypes import policy_of
from mutspec.keras_facts.tensor_types import Shape, TensorType
from mutspec.model.calls import is_graph, name_of_entry
from mutspec.model.old_configs import PLACEHOLDER
from mutspec.model.outline import is_operation
from mutspec.model.spec import TensorRef
from mutspec.structure.network import (
    RESAVE,
    SEQUENTIAL_INPUT,
    Arguments,
    Entry,
    Network,
    chain,
    is_functional,
    mapped,
    refs,
)
from mutspec.structure.soundness import sound

_STALE = ("build_config", "shared_object_id")
"""Keys that are wrong after an edit: the shape that a layer was built for; ids of objects in another process."""


def is_network(entry: object) -> bool:
    """Returns whether a serialised layer is a model whose config has its layers and their calls."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("config"), Mapping):
        return False
    config = entry["config"]
    return is_graph(config) or (entry.get("class_name") == "Sequential" and isinstance(config.get("layers"), list))


# From Keras's config to a network.


def network_of(entry: Entry) -> Network:
    """Converts a serialised model, and the models inside it, into a network.

    Raises:
        ModelError: its config does not have the calls of its layers.
    """
    if not is_network(entry):
        name = entry.get("class_name", "")
        if not name:
            raise ModelError(
                "a file of only weights does not have the calls of its layers, so mutspec cannot rewire them",
                hint="structural steps need the whole model, so save it as .keras",
            )
        raise ModelError(
            f"the layers of {a(name)} are called by code, so mutspec cannot rewire them",
            hint="structural steps need a Functional or Sequential model; steps on weights work on any",
        )
    config = entry["config"]
    whole = {key: value for key, value in entry.items() if key not in (*_STALE, "inbound_nodes")}
    _check_names(config["layers"])
    return sound(_sequential(whole, config) if "output_layers" not in config else _functional(whole, config))


def _check_names(layers: Sequence[Entry]) -> None:
    seen: set[str] = set()
    for entry in layers:
        name = name_of_entry(entry)
        if not name or name in seen:
            what = f"two layers of a model are called `{name}`" if name else f"{a(entry['class_name'])} has no name"
            raise ModelError(f"{what}, so its calls are ambiguous", hint=RESAVE)
        seen.add(name)


def _layer(entry: Entry) -> Entry | Network:
    return network_of(entry) if is_network(entry) else _without_stale(_without(entry, "inbound_nodes"))


def _without_stale(value: Any) -> Any:
    """Returns a serialised value without the keys that are wrong after an edit, at any depth."""
    if isinstance(value, Mapping):
        stale = _STALE if "class_name" in value else ()
        return {key: _without_stale(item) for key, item in value.items() if key not in stale}
    return [_without_stale(item) for item in value] if isinstance(value, list) else value


def _without(config: Entry, *keys: str) -> Entry:
    return {key: value for key, value in config.items() if key not in keys}


def _functional(entry: Entry, config: Entry) -> Network:
    types: dict[TensorRef, TensorType] = {}
    layers = {name_of_entry(each): _layer(each) for each in config["layers"]}
    calls = {
        name_of_entry(each): tuple(_in_order(_with_refs(node, types)) for node in each.get("inbound_nodes") or ())
        for each in config["layers"]
    }
    # In the ports, Keras counts the calls of a nested Functional model from 1, because call 0 created it.
    shifted = {name for name, each in layers.items() if is_functional(each)}
    outputs = mapped(_ports(config["output_layers"]), lambda ref: _shift(ref, shifted, -1))
    entry = {**entry, "config": _without(config, "layers", "input_layers", "output_layers")}
    found = {name: _with_seen_outputs(name, layer, calls[name], types) for name, layer in layers.items()}
    return Network(entry, found, calls, _ports(config.get("input_layers")), outputs, types)


def _with_seen_outputs(
    name: str, layer: Entry | Network, calls: tuple[Arguments, ...], types: Mapping[TensorRef, TensorType]
) -> Entry | Network:
    """Returns a layer; if it is a model, with the types of its outputs that only the model around it states.

    No config of the model itself has the output of its last layer. If that is of a class in no table, no rule has it.
    """
    if not isinstance(layer, Network):
        return layer
    wanted = [layer.types.get(ref) for ref in refs(layer.inputs)]
    same = (number for number, call in enumerate(calls) if [types.get(ref) for ref in refs(call)] == wanted)
    number = next(same, None) if None not in wanted else None
    seen = {
        ref: types[TensorRef(name, number, output)]
        for output, ref in enumerate(refs(layer.outputs))
        if number is not None and TensorRef(name, number, output) in types and _is_opaque(layer.layers.get(ref.layer))
    }
    return layer.with_layers(layer.layers, {**seen, **layer.types}) if seen else layer


def _is_opaque(layer: Entry | Network | None) -> bool:
    return isinstance(layer, Mapping) and facts_of(layer) is None and not is_operation(layer)


def _sequential(entry: Entry, config: Entry) -> Network:
    layers, calls, types = {}, {}, {}
    at, dtype = SEQUENTIAL_INPUT, "float32"
    if shape := config.get("build_input_shape"):
        types[at] = TensorType(_shape(shape))
    for each in config["layers"]:
        name = name_of_entry(each)
        layers[name] = _layer(each)
        is_input = each.get("class_name") == "InputLayer"
        calls[name] = () if is_input else ({"args": [at], "kwargs": {}},)
        built_for = (each.get("build_config") or {}).get("input_shape")
        if built_for and at not in types and _is_flat(built_for):
            types[at] = TensorType(_shape(built_for), dtype)
        at, dtype = TensorRef(name), _computed_in(layers[name])
        if is_input:
            types[at] = input_type(each)
    first = next((ref for ref in types if ref.layer in layers and not calls[ref.layer]), SEQUENTIAL_INPUT)
    entry = {**entry, "config": _without(config, "layers", "build_input_shape")}
    return Network(entry, layers, calls, first, at, types, is_sequential=True)


def _computed_in(layer: Entry | Network) -> str:
    """Returns the dtype of what a layer makes, as its policy says it."""
    if isinstance(layer, Network):
        last = next((layer.layers.get(ref.layer) for ref in refs(layer.outputs)), None)
        return "float32" if last is None else _computed_in(last)
    policy = policy_of((layer.get("config") or {}).get("dtype"))
    return "float32" if policy is None else policy.compute


def input_type(entry: Entry) -> TensorType:
    """Returns the type of an InputLayer's tensor."""
    config = entry["config"]
    shape = config.get("batch_shape") or config.get("batch_input_shape") or (None,)
    return TensorType(_shape(shape), str(config.get("dtype") or "float32"))


def _shape(shape: Any) -> Shape:
    return tuple(shape)


def _is_flat(shape: Any) -> bool:
    return isinstance(shape, list | tuple) and all(extent is None or isinstance(extent, int) for extent in shape)


def _with_refs(value: Any, types: dict[TensorRef, TensorType]) -> Arguments:
    """Replaces Keras's `__keras_tensor__` objects in arguments by TensorRefs, and records their types."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            config = value["config"]
            layer, call, output = config["keras_history"]
            ref = TensorRef(str(layer), int(call), int(output))
            if PLACEHOLDER not in config:
                types[ref] = TensorType(_shape(config["shape"]), str(config["dtype"]))
            return ref
        return {key: _with_refs(item, types) for key, item in value.items()}
    return [_with_refs(item, types) for item in value] if isinstance(value, list) else value


def _in_order(call: Arguments) -> Arguments:
    """Returns a call whose dictionaries of tensors are in the order of their keys, as a model's inputs are."""

    def ordered(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: ordered(value[key]) for key in sorted(value)}
        return [ordered(item) for item in value] if isinstance(value, list) else value

    return {**call, "args": ordered(call["args"])} if "args" in call else call


def _ports(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _ports(value[key]) for key in sorted(value)}
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
        return TensorRef(value[0], value[1], value[2])
    return [_ports(item) for item in value] if isinstance(value, list) else value


def _shift(ref: TensorRef, names: set[str], by: int) -> TensorRef:
    return replace(ref, call=ref.call + by) if ref.layer in names else ref


# From a network to Keras's config.


def entry_of(network: Network) -> dict[str, Any]:
    """Returns the serialised model, which Keras can build."""
    if network.is_sequential:
        layers = [_serialised(network.layers[name]) for name in chain(network)]
    else:
        calls = {name: [_with_tensors(call, network.types) for call in each] for name, each in network.calls.items()}
        layers = [
            {**_serialised(each), "name": name, "inbound_nodes": calls[name]} for name, each in network.layers.items()
        ]
    config = own_config(network)
    return {**network.entry, "config": {**config, "layers": layers}}


def own_config(network: Network) -> dict[str, Any]:
    """Returns a model's config without its layers."""
    config = dict(network.entry["config"])
    if network.is_sequential:
        start = network.types.get(next(refs(network.inputs)))
        return config if start is None else {**config, "build_input_shape": list(start.shape)}
    shifted = {name for name, each in network.layers.items() if is_functional(each)}
    config["input_layers"] = mapped(network.inputs, _port)
    config["output_layers"] = mapped(network.outputs, lambda ref: _port(_shift(ref, shifted, 1)))
    return config


def _serialised(layer: Entry | Network) -> Entry:
    return entry_of(layer) if isinstance(layer, Network) else layer


def _with_tensors(value: Arguments, types: Mapping[TensorRef, TensorType]) -> Any:
    """Replaces TensorRefs in arguments by Keras's `__keras_tensor__` objects."""
    return mapped(value, lambda ref: serialised_tensor(ref, types.get(ref)))


def serialised_tensor(ref: TensorRef, found: TensorType | None) -> dict[str, Any]:
    """Returns Keras's form of a tensor in arguments, of a type or of an unknown one."""
    known = found or TensorType((None,))  # Keras computes the shapes again, but needs a list here
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": list(known.shape), "dtype": known.dtype, "keras_history": _port(ref)},
    }


def called(entry: Entry, arguments: Arguments, types: Mapping[TensorRef, TensorType]) -> Entry:
    """Returns a serialised layer with one of its calls, whose arguments may matter for shapes, as in `x[:, 0]`."""
    return {**entry, "inbound_nodes": [_with_tensors(arguments, types)]}


def _port(ref: TensorRef) -> list[Any]:
    return [ref.layer, ref.call, ref.output]
