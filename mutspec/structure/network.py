"""The network: a serialised model in a form that can be edited, and its conversion from and to Keras's config.

Sequential and Functional models have the same form here: layers by name, their calls, and the types of tensors. So
edits are the same for both. Calls need not be renumbered, because an edit adds or removes all calls of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mutspec.errors import ModelError
from mutspec.keras_facts.tensor_types import Shape, TensorType
from mutspec.model.calls import is_graph
from mutspec.model.old_configs import PLACEHOLDER
from mutspec.model.spec import TensorRef

Entry = Mapping[str, Any]
Arguments = Any
"""The arguments of a call, as JSON values with a TensorRef for each tensor."""

SEQUENTIAL_INPUT = TensorRef("", 0, 0)
"""The tensor that the first layer of a Sequential model without an InputLayer is called on."""

_RESAVE = "the file is damaged; load the model in Keras and save it again"

_STALE = ("build_config", "shared_object_id")
"""Keys that are wrong after an edit: the shape that a layer was built for; ids of objects in another process."""


@dataclass(frozen=True)
class Network:
    """A Functional or Sequential model that can be edited.

    Arguments:
        entry: the serialised model, its config without layers and wiring.
        layers: the serialised layers, or the networks in it, by name, in model order.
        calls: the arguments of each call of each layer.
        inputs, outputs: the model's ports, in Keras's nesting of lists and dictionaries.
        types: the types of tensors, as far as they are known.
        is_sequential: whether it is written as a Sequential model.
    """

    entry: Entry
    layers: Mapping[str, Entry | Network]
    calls: Mapping[str, tuple[Arguments, ...]]
    inputs: Any
    outputs: Any
    types: Mapping[TensorRef, TensorType] = field(default_factory=dict)
    is_sequential: bool = False

    @property
    def name(self) -> str:
        """The name of the model itself."""
        return str(self.entry["config"].get("name", ""))

    @cached_property
    def uses(self) -> Mapping[str, tuple[tuple[TensorRef, ...], ...]]:
        """The tensors that each call of each layer is given."""
        return {name: tuple(tuple(refs(call)) for call in calls) for name, calls in self.calls.items()}

    def with_layers(self, layers: Mapping[str, Entry | Network]) -> Network:
        """Returns a network with the same calls and other layers."""
        return replace(self, layers=layers)

    def consumers(self, layer: str) -> tuple[str, ...]:
        """Returns the layers that are called on an output of a layer."""
        return tuple(
            name for name, calls in self.uses.items() if any(ref.layer == layer for call in calls for ref in call)
        )


def is_network(entry: object) -> bool:
    """Returns whether a serialised layer is a model whose config has its layers and their calls."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("config"), Mapping):
        return False
    config = entry["config"]
    return is_graph(config) or (entry.get("class_name") == "Sequential" and isinstance(config.get("layers"), list))


def refs(value: Arguments) -> Iterator[TensorRef]:
    """Returns the tensors in arguments or ports, in Keras's order."""
    if isinstance(value, TensorRef):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from refs(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from refs(item)


def mapped(value: Arguments, change: Callable[[TensorRef], TensorRef]) -> Arguments:
    """Returns the same arguments with other tensors."""
    if isinstance(value, TensorRef):
        return change(value)
    if isinstance(value, Mapping):
        return {key: mapped(item, change) for key, item in value.items()}
    return [mapped(item, change) for item in value] if isinstance(value, list | tuple) else value


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
            f"the layers of a {name} are called by code, so mutspec cannot rewire them",
            hint="structural steps need a Functional or Sequential model; steps on weights work on any",
        )
    config = entry["config"]
    whole = {key: value for key, value in entry.items() if key not in (*_STALE, "inbound_nodes")}
    _check_names(config["layers"])
    return _checked(_sequential(whole, config) if "output_layers" not in config else _functional(whole, config))


def _check_names(layers: Sequence[Entry]) -> None:
    seen: set[str] = set()
    for entry in layers:
        name = _name_of(entry)
        if not name or name in seen:
            what = f"two layers of a model are called `{name}`" if name else f"a {entry['class_name']} has no name"
            raise ModelError(f"{what}, so its calls are ambiguous", hint=_RESAVE)
        seen.add(name)


def _checked(network: Network) -> Network:
    """Returns the network, if its calls can be made one after the other.

    Raises:
        ModelError: a call uses a tensor that does not exist, or that depends on the call itself.
    """
    for name, calls in network.uses.items():
        for ref in (ref for call in calls for ref in call):
            _check_ref(network, ref, f"`{name}` is called on")
    for ref in refs([network.inputs, network.outputs]):
        _check_ref(network, ref, f"`{network.name}` begins or ends with")
    if cycle := _cycle(network):
        names = " → ".join(f"`{name}`" for name in (*cycle, cycle[0]))
        raise ModelError(
            f"the model's graph has a cycle, so no layer in it can be called first: {names}",
            hint="Keras cannot build such a model; save it again from its source",
        )
    return network


def unsound(network: Network) -> str:
    """Returns why the calls of a network cannot be made one after the other; empty if they can."""
    try:
        _checked(network)
    except ModelError as error:
        return error.problems[0].message
    return "" if network.is_sequential or next(refs([network.outputs]), None) else "the model has no output"


def _check_ref(network: Network, ref: TensorRef, subject: str) -> None:
    if ref == SEQUENTIAL_INPUT and network.is_sequential:
        return
    calls = network.calls.get(ref.layer)
    if calls is None:
        raise ModelError(f"{subject} an output of `{ref.layer}`, but the model has no such layer", hint=_RESAVE)
    is_input = not calls and not isinstance(network.layers[ref.layer], Network)
    if not 0 <= ref.call < max(len(calls), int(is_input)):
        what = f"call {ref.call} of `{ref.layer}`, which is called {len(calls)} times"
        raise ModelError(f"{subject} an output of {what}", hint=_RESAVE)


def _cycle(network: Network) -> tuple[str, ...]:
    """Returns the layers of a cycle, in the order of their calls; nothing if there is no cycle."""
    # Depth-first search with a stack instead of recursion, because a chain of layers is as long as the model is deep.
    # `under_way` is the stack: each call on the current path, with the inputs that are still to be visited.
    done: set[tuple[str, int]] = set()
    under_way: dict[tuple[str, int], Iterator[TensorRef]] = {}
    for name, calls in network.uses.items():
        for start in ((name, number) for number in range(len(calls))):
            if start in done:
                continue
            under_way[start] = iter(calls[start[1]])
            while under_way:
                at = next(reversed(under_way))
                before = next(((ref.layer, ref.call) for ref in under_way[at] if network.calls.get(ref.layer)), None)
                if before is None:
                    del under_way[at]
                    done.add(at)
                elif before in under_way:
                    path = list(under_way)
                    return tuple(each for each, _ in reversed(path[path.index(before) :]))
                elif before not in done:
                    under_way[before] = iter(network.uses[before[0]][before[1]])
    return ()


def _layer(entry: Entry) -> Entry | Network:
    return network_of(entry) if is_network(entry) else _without_stale(_without(entry, "inbound_nodes"))


def _without_stale(value: Any) -> Any:
    """Returns a serialised value without the keys that are wrong after an edit, at any depth."""
    if isinstance(value, Mapping):
        stale = _STALE if "class_name" in value else ()
        return {key: _without_stale(item) for key, item in value.items() if key not in stale}
    return [_without_stale(item) for item in value] if isinstance(value, list) else value


def _name_of(entry: Entry) -> str:
    return str(entry.get("name") or (entry.get("config") or {}).get("name") or "")


def _without(config: Entry, *keys: str) -> Entry:
    return {key: value for key, value in config.items() if key not in keys}


def _functional(entry: Entry, config: Entry) -> Network:
    types: dict[TensorRef, TensorType] = {}
    layers = {_name_of(each): _layer(each) for each in config["layers"]}
    calls = {
        _name_of(each): tuple(_with_refs(node, types) for node in each.get("inbound_nodes") or ())
        for each in config["layers"]
    }
    # In the ports, Keras counts the calls of a nested Functional model from 1, because call 0 created it.
    shifted = {name for name, each in layers.items() if isinstance(each, Network) and not each.is_sequential}
    outputs = mapped(_ports(config["output_layers"]), lambda ref: _shift(ref, shifted, -1))
    entry = {**entry, "config": _without(config, "layers", "input_layers", "output_layers")}
    return Network(entry, layers, calls, _ports(config.get("input_layers")), outputs, types)


def _sequential(entry: Entry, config: Entry) -> Network:
    layers, calls, types = {}, {}, {}
    at: TensorRef = SEQUENTIAL_INPUT
    if shape := config.get("build_input_shape"):
        types[at] = TensorType(_shape(shape))
    for each in config["layers"]:
        name = _name_of(each)
        layers[name] = _layer(each)
        is_input = each.get("class_name") == "InputLayer"
        calls[name] = () if is_input else ({"args": [at], "kwargs": {}},)
        built_for = (each.get("build_config") or {}).get("input_shape")
        if built_for and at not in types and _is_flat(built_for):
            types[at] = TensorType(_shape(built_for))
        at = TensorRef(name)
        if is_input:
            types[at] = input_type(each)
    first = next((ref for ref in types if ref.layer in layers and not calls[ref.layer]), SEQUENTIAL_INPUT)
    entry = {**entry, "config": _without(config, "layers", "build_input_shape")}
    return Network(entry, layers, calls, first, at, types, is_sequential=True)


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
    shifted = {name for name, each in network.layers.items() if _is_functional(each)}
    config["input_layers"] = _port_lists(network.inputs)
    config["output_layers"] = _port_lists(mapped(network.outputs, lambda ref: _shift(ref, shifted, 1)))
    return config


def chain(network: Network) -> tuple[str, ...]:
    """Returns the layers of a Sequential network from its input to its output."""
    after = {ref: name for name, calls in network.uses.items() for call in calls for ref in call}
    (at,) = refs(network.inputs)
    names = [at.layer] if at.layer in network.layers else []
    while at in after:
        names.append(after[at])
        at = TensorRef(after[at])
    return tuple(names)


def _is_functional(layer: Entry | Network) -> bool:
    return isinstance(layer, Network) and not layer.is_sequential


def _serialised(layer: Entry | Network) -> Entry:
    return entry_of(layer) if isinstance(layer, Network) else layer


def _with_tensors(value: Arguments, types: Mapping[TensorRef, TensorType]) -> Any:
    """Replaces TensorRefs in arguments by Keras's `__keras_tensor__` objects."""
    if isinstance(value, TensorRef):
        tensor = types.get(value, TensorType((None,)))  # Keras computes the shapes again, but needs a list here
        return {
            "class_name": "__keras_tensor__",
            "config": {
                "shape": list(tensor.shape),
                "dtype": tensor.dtype,
                "keras_history": [value.layer, value.call, value.output],
            },
        }
    if isinstance(value, Mapping):
        return {key: _with_tensors(item, types) for key, item in value.items()}
    return [_with_tensors(item, types) for item in value] if isinstance(value, list) else value


def called(entry: Entry, arguments: Arguments, types: Mapping[TensorRef, TensorType]) -> Entry:
    """Returns a serialised layer with one of its calls, whose arguments may matter for shapes, as in `x[:, 0]`."""
    return {**entry, "inbound_nodes": [_with_tensors(arguments, types)]}


def _port_lists(value: Any) -> Any:
    if isinstance(value, TensorRef):
        return [value.layer, value.call, value.output]
    if isinstance(value, Mapping):
        return {key: _port_lists(item) for key, item in value.items()}
    return [_port_lists(item) for item in value] if isinstance(value, list | tuple) else value
