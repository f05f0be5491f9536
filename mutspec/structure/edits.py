"""Edits of one network: insert, remove, replace, rename. Each returns a new network. Shapes are not looked at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.class_names import TAKES_MASK
from mutspec.model.spec import TensorRef
from mutspec.structure.network import SEQUENTIAL_INPUT, Arguments, Entry, Network, mapped, refs


def edited(network: Network, owner: str, edit: Callable[[Network], Network]) -> Network:
    """Returns the network with an edit in the network at a path.

    Arguments:
        network: the outermost network.
        owner: the path of a nested network; empty for the outermost one.
        edit: returns the new network for the old one.
    """
    if not owner:
        return edit(network)
    name, _, rest = owner.partition("/")
    inner = network.layers[name]
    assert isinstance(inner, Network)
    return network.with_layers({**network.layers, name: edited(inner, rest, edit)})


def level(network: Network, owner: str) -> Network | None:
    """Returns the network at a path; None if a layer on the way is not a network, or does not exist."""
    for name in owner.split("/") if owner else ():
        inner = network.layers.get(name)
        if not isinstance(inner, Network):
            return None
        network = inner
    return network


def insert(
    network: Network, name: str, entry: Entry, sources: Mapping[TensorRef, TensorRef], only: Collection[str] = ()
) -> Network:
    """Inserts a layer between tensors and the calls that use them.

    Arguments:
        network: the network.
        name: the new layer's name.
        entry: the new layer.
        sources: for each tensor that the layer is called on, the output that replaces it: that of call k of the new
            layer for the k-th tensor.
        only: the layers whose calls use the new layer; by default all layers, and the model's outputs.
    """

    def through(ref: TensorRef) -> TensorRef:
        return sources.get(ref, ref)

    calls: dict[str, tuple[Arguments, ...]] = {
        user: tuple(mapped(call, through) for call in each) if not only or user in only else each
        for user, each in network.calls.items()
    }
    calls[name] = tuple(
        {"args": [source], "kwargs": _mask_of(network, source, only) if entry["class_name"] in TAKES_MASK else {}}
        for source in sources
    )
    anchor = max((list(network.layers).index(ref.layer) for ref in sources if ref.layer in network.layers), default=-1)
    names = list(network.layers)
    names.insert(anchor + 1, name)
    layers = {each: entry if each == name else network.layers[each] for each in names}
    outputs = network.outputs if only else mapped(network.outputs, through)
    return replace(network, layers=layers, calls={each: calls[each] for each in names}, outputs=outputs)


def _mask_of(network: Network, source: TensorRef, only: Collection[str]) -> Arguments:
    """Returns the mask that the users of a tensor get with it, so that the inserted layer gets it too."""
    for user, calls in network.calls.items():
        for call in calls:
            mask = call.get("kwargs", {}).get("mask")
            if isinstance(mask, TensorRef) and source in refs(call["args"]) and (not only or user in only):
                return {"mask": mask}
    return {}


def remove(network: Network, name: str, keep: str = "") -> Network:
    """Removes a layer. Users of its output use its input instead. Layers that only fed it are removed, too.

    Arguments:
        network: the network.
        name: the layer.
        keep: if it has several inputs, the layer whose output replaces its own.

    Raises:
        PlanError: it has several inputs, and `keep` does not name one; or several of its outputs are used.
    """
    inputs = {}
    for call, arguments in enumerate(network.calls[name]):
        found = list(dict.fromkeys(refs(arguments["args"])))
        found = [ref for ref in found if not keep or ref.layer == keep]
        if len(found) != 1:
            raise PlanError(_which_input(network, name, call, keep))
        inputs[call] = found[0]

    def past(ref: TensorRef) -> TensorRef:
        while ref.layer == name:
            if ref.output:
                raise PlanError(
                    f"several outputs of `{name}` are used, but its input can replace only one",
                    hint="first remove the layers that use its other outputs",
                )
            ref = inputs[ref.call]
        return ref

    layers = {each: layer for each, layer in network.layers.items() if each != name}
    calls = {each: tuple(mapped(call, past) for call in network.calls[each]) for each in layers}
    shorter = replace(
        network,
        layers=layers,
        calls=calls,
        outputs=mapped(network.outputs, past),
        types={ref: type_ for ref, type_ in network.types.items() if ref.layer != name},
    )
    return pruned(shorter)


def _which_input(network: Network, name: str, call: int, keep: str) -> Problem:
    found = list(dict.fromkeys(ref.layer for ref in refs(network.calls[name][call])))
    listing = ", ".join(f"`{layer}`" for layer in found)
    if not found:
        return Problem(f"`{name}` is not called on a tensor, so nothing can replace it")
    if keep:
        return Problem(f"`{keep}` is not an input of `{name}`", path=("keep",), hint=f"its inputs are {listing}")
    return Problem(
        f"`{name}` has {len(found)} inputs, {listing}",
        hint=f"name the input that replaces it, for instance `keep: {found[0]}`",
    )


def pruned(network: Network) -> Network:
    """Returns the network without layers that do not lead to an output. Its inputs stay."""
    pending = [ref.layer for ref in (*refs(network.outputs), *refs(network.inputs))]
    used: set[str] = set()
    while pending:
        name = pending.pop()
        if name in used or name not in network.layers:
            continue
        used.add(name)
        pending += [ref.layer for call in network.uses[name] for ref in call]
    if len(used) == len(network.layers):
        return network
    return replace(
        network,
        layers={name: layer for name, layer in network.layers.items() if name in used},
        calls={name: calls for name, calls in network.calls.items() if name in used},
        types={ref: type_ for ref, type_ in network.types.items() if ref.layer in used or ref == SEQUENTIAL_INPUT},
    )


def put(network: Network, name: str, entry: Entry | Network, new_name: str) -> Network:
    """Replaces a layer by another one, which may have another name."""
    renamed = rename(network, name, new_name) if new_name != name else network
    replaced = renamed.with_layers({**renamed.layers, new_name: entry})
    old = network.layers[name]
    if isinstance(entry, Network) or (not isinstance(old, Network) and old["class_name"] == entry["class_name"]):
        return replaced
    calls = tuple(_without_mask(call, entry) for call in replaced.calls[new_name])
    return replace(replaced, calls={**replaced.calls, new_name: calls})


def _without_mask(call: Arguments, entry: Entry) -> Arguments:
    """Returns a call without the mask that the replaced layer took, unless the new one takes a mask too."""
    takes_mask = entry["class_name"] in TAKES_MASK
    kwargs = {key: value for key, value in call.get("kwargs", {}).items() if key != "mask" or takes_mask}
    return {**call, "kwargs": kwargs}


def rename(network: Network, name: str, new_name: str) -> Network:
    """Renames a layer, also where its outputs are used."""

    def called(ref: TensorRef) -> TensorRef:
        return replace(ref, layer=new_name) if ref.layer == name else ref

    return replace(
        network,
        layers={
            new_name if each == name else each: _named(layer, new_name) if each == name else layer
            for each, layer in network.layers.items()
        },
        calls={
            new_name if each == name else each: tuple(mapped(call, called) for call in calls)
            for each, calls in network.calls.items()
        },
        inputs=mapped(network.inputs, called),
        outputs=mapped(network.outputs, called),
        types={called(ref): type_ for ref, type_ in network.types.items()},
    )


def _named(layer: Entry | Network, new_name: str) -> Entry | Network:
    if isinstance(layer, Network):
        return replace(layer, entry=named(layer.entry, new_name))
    return named(layer, new_name)


def named(entry: Entry, name: str) -> Entry:
    """Returns a serialised layer with another name."""
    config = {**entry["config"], "name": name}
    return {**entry, "config": config, **({"name": name} if "name" in entry else {})}
