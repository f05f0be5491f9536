"""The two forms of a model: a chain of layers (Sequential), and a graph of them (Functional)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from mutspec.errors import PlanError
from mutspec.keras_facts.class_names import MODEL_MODULES
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.keras_facts.written_values import written_policy
from mutspec.model.outline import is_operation
from mutspec.model.spec import TensorRef
from mutspec.structure.edits import added, redirected
from mutspec.structure.fragments import Fragment, closed, functional_entry, input_entry
from mutspec.structure.network import SEQUENTIAL_INPUT, Arguments, Network, refs

HINT = "leave it Functional, or change that first"


def as_sequential(network: Network) -> Network:
    """Returns a Functional model that is a chain of layers as a Sequential one.

    Raises:
        PlanError: it is not a chain.
    """
    inputs, outputs = list(refs(network.inputs)), list(refs(network.outputs))
    for what, ports, whole in (("inputs", inputs, network.inputs), ("outputs", outputs, network.outputs)):
        if len(ports) != 1:
            raise PlanError(f"it has {len(ports)} {what}", hint=HINT)
        if isinstance(whole, Mapping):
            raise PlanError(f"its {what} are a dictionary", hint=HINT)
    at, names = inputs[0], [inputs[0].layer]
    while users := network.consumers(at.layer):
        if len(users) > 1:
            listing = " and ".join(f"`{name}`" for name in users)
            raise PlanError(f"the output of `{at.layer}` is used by {listing}", hint=HINT)
        name = users[0]
        _refuse_unlike_a_chain(network, name, at)
        names.append(name)
        at = TensorRef(name)
    if at != outputs[0]:
        raise PlanError(f"its output is not that of its last layer, `{at.layer}`", hint=HINT)
    config = {"name": network.name, "trainable": network.entry["config"].get("trainable", True)}
    entry = {
        "module": MODEL_MODULES["Sequential"],
        "class_name": "Sequential",
        "config": {**config, "dtype": written_policy("float32")},
        "registered_name": None,
    }
    calls: dict[str, tuple[Arguments, ...]] = {names[0]: ()}
    for before, name in pairwise(names):
        calls[name] = ({"args": [TensorRef(before)], "kwargs": {}},)
    layers = {name: network.layers[name] for name in names}
    return Network(entry, layers, calls, inputs[0], outputs[0], network.types, is_sequential=True)


def as_functional(network: Network) -> Network:
    """Returns a Sequential model, which has an InputLayer, as a Functional one of the same layers.

    Its ports are tensors and not lists of one: Keras would return a list, and a Sequential model returns the tensor.
    """
    (start,) = refs(network.inputs)
    body = Fragment(network.layers, network.calls, (start,), (), network.types)
    return replace(closed(body, functional_entry(network.name), {}, network.outputs), inputs=start)


def _refuse_unlike_a_chain(network: Network, name: str, before: TensorRef) -> None:
    """Refuses a layer that is not called once, on one tensor alone."""
    layer, calls = network.layers[name], network.calls[name]
    if not isinstance(layer, Network) and is_operation(layer):
        raise PlanError(f"`{name}` is an operation, and not a layer", hint=HINT)
    if len(calls) > 1:
        raise PlanError(f"`{name}` is called {len(calls)} times", hint="split it first: `unshare_weights`")
    taken = list(refs(calls[0]))
    if len(taken) != 1:
        raise PlanError(f"`{name}` takes {len(taken)} tensors", hint=HINT)
    stated = {key: value for key, value in calls[0].get("kwargs", {}).items() if value not in (None, False)}
    if stated or calls[0]["args"] != [before]:
        what = f"`{next(iter(stated))}`" if stated else "other arguments"
        raise PlanError(f"`{name}` is called with {what}, which a chain has no place for", hint=HINT)


def with_input_layer(network: Network, name: str, of: TensorType) -> Network:
    """Returns a Sequential model that was built for a shape with an InputLayer instead; any other as it is."""
    if SEQUENTIAL_INPUT not in refs(network.inputs):
        return network
    start = TensorRef(name)
    whole = added(redirected(network, {SEQUENTIAL_INPUT: start}), {name: input_entry(name, of)}, {name: ()})
    return whole.changed(inputs=start)
