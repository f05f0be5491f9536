"""Fragments: parts of networks as values, which can be taken out of one network and put into another.

To duplicate layers is to cut a fragment and to put it in again under other names. To graft is to cut it from another
model. To inline a model is to put the whole of it among the layers around it. To extract is to close a fragment with
inputs of its own. So these edits need no code of their own for each of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mutspec.keras_facts.class_names import MODEL_MODULES
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.spec import TensorRef
from mutspec.structure.edits import renamed_layer
from mutspec.structure.network import Calls, Entry, Layers, Network, mapped, refs


@dataclass(frozen=True)
class Fragment:
    """A part of a network.

    Arguments:
        layers: its layers by name, in model order.
        calls: their calls.
        inputs: the tensors that the calls are given from outside, each once, in the order of their first use.
        outputs: those of its tensors that are used outside.
        types: the types of tensors, its inputs included, as far as they are known.
    """

    layers: Layers
    calls: Calls
    inputs: tuple[TensorRef, ...]
    outputs: tuple[TensorRef, ...]
    types: Mapping[TensorRef, TensorType] = field(default_factory=dict)


def cut(network: Network, names: Collection[str]) -> Fragment:
    """Returns some layers of a network as a fragment.

    Arguments:
        network: the network, which stays as it is.
        names: the names of the layers.
    """
    layers = {name: layer for name, layer in network.layers.items() if name in names}
    calls = {name: network.calls[name] for name in layers}
    used = [ref for name, each in network.uses.items() if name not in layers for call in each for ref in call]
    outputs = dict.fromkeys(ref for ref in (*used, *refs(network.outputs)) if ref.layer in layers)
    return Fragment(layers, calls, _from_outside(network, layers), tuple(outputs), network.known_types)


def whole(network: Network) -> Fragment:
    """Returns all of a model but its inputs as a fragment. Its inputs and outputs are those of the model, in order."""
    ports = tuple(dict.fromkeys(refs(network.inputs)))
    names = {ref.layer for ref in ports}
    layers = {name: layer for name, layer in network.layers.items() if name not in names}
    calls = {name: network.calls[name] for name in layers}
    return Fragment(layers, calls, ports, tuple(refs(network.outputs)), network.known_types)


def _from_outside(network: Network, layers: Collection[str]) -> tuple[TensorRef, ...]:
    taken = (ref for name in layers for call in network.uses[name] for ref in call)
    return tuple(dict.fromkeys(ref for ref in taken if ref.layer not in layers))


def placed(fragment: Fragment, inputs: Mapping[TensorRef, TensorRef], names: Mapping[str, str]) -> Fragment:
    """Returns a fragment under other names, on other tensors. It fits into the network that has these tensors.

    Arguments:
        fragment: the fragment.
        inputs: for each of its inputs, the tensor that takes its place; one that is left out stays the same.
        names: the new names of its layers; one that is left out stays the same.
    """

    def moved(ref: TensorRef) -> TensorRef:
        if ref.layer in fragment.layers:
            return replace(ref, layer=names.get(ref.layer, ref.layer))
        return inputs.get(ref, ref)

    def called(name: str) -> str:
        return names.get(name, name)

    return Fragment(
        {called(name): renamed_layer(layer, called(name)) for name, layer in fragment.layers.items()},
        {called(name): tuple(mapped(call, moved) for call in calls) for name, calls in fragment.calls.items()},
        tuple(dict.fromkeys(map(moved, fragment.inputs))),
        tuple(map(moved, fragment.outputs)),
        {moved(ref): each for ref, each in fragment.types.items() if ref.layer in fragment.layers},
    )


def closed(fragment: Fragment, entry: Entry, inputs: Mapping[TensorRef, tuple[str, Entry]], outputs: Any) -> Network:
    """Returns a Functional model that consists of a fragment and an input for each tensor that it takes from outside.

    Arguments:
        fragment: the fragment.
        entry: the serialised model, its config without layers and wiring: see `functional_entry`.
        inputs: for each of the fragment's inputs the name and the entry of an InputLayer.
        outputs: the model's outputs, tensors of the fragment, nested as Keras is to return them.
    """
    ports = {ref: TensorRef(name) for ref, (name, _) in inputs.items()}
    body = placed(fragment, ports, {})
    layers = dict(inputs.values())
    types = {ports[ref]: fragment.types[ref] for ref in ports if ref in fragment.types}
    inside = mapped(outputs, lambda ref: ports.get(ref, ref))
    return Network(
        entry,
        {**layers, **body.layers},
        {**dict.fromkeys(layers, ()), **body.calls},
        _one_or_list(ports.values()),
        inside[0] if isinstance(inside, list) and len(inside) == 1 else inside,
        {**types, **body.types},
    )


def _one_or_list(ports: Iterable[TensorRef]) -> Any:
    """Returns ports as Keras writes them: one alone, or a list."""
    found = list(ports)
    return found[0] if len(found) == 1 else found


def functional_entry(name: str) -> dict[str, Any]:
    """Returns the entry of a Functional model, without layers and wiring."""
    config = {"name": name, "trainable": True}
    return {
        "module": MODEL_MODULES["Functional"],
        "class_name": "Functional",
        "config": config,
        "registered_name": "Functional",
    }


def between(network: Network, first: Iterable[str], last: Iterable[str]) -> tuple[str, ...]:
    """Returns the layers on all paths from some layers to others, both ends included, in model order."""
    after = _reachable(first, lambda name: network.consumers(name))
    before = _reachable(last, lambda name: (ref.layer for call in network.uses.get(name, ()) for ref in call))
    return tuple(name for name in network.layers if name in after and name in before)


def _reachable(starts: Iterable[str], following: Any) -> set[str]:
    found: set[str] = set()
    pending = list(starts)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += following(name)
    return found


def input_entry(name: str, of: TensorType) -> dict[str, Any]:
    """Returns the serialised InputLayer of a name and type."""
    config = {
        "batch_shape": list(of.shape),
        "dtype": of.dtype,
        "sparse": False,
        "ragged": False,
        "name": name,
        "optional": False,
    }
    return {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": config,
        "registered_name": None,
        "name": name,
    }
