"""Edits of one network: insert, remove, replace, rename. Each returns a new network. Shapes are not looked at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.class_names import TAKES_LIST
from mutspec.keras_facts.masks import is_mask_parameter, mask_parameters_of
from mutspec.model.outline import is_operation
from mutspec.model.spec import TensorRef
from mutspec.structure.network import Arguments, Calls, Entry, Layers, Network, mapped, refs
from mutspec.structure.passages import Passage, passages


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


# The two edits that others are made of: other tensors for those who use some, and added layers.


def redirected(
    network: Network, others: Mapping[TensorRef, TensorRef], *, only: Collection[str] = (), ports: bool = True
) -> Network:
    """Returns the network in which what used some tensors uses others instead.

    Arguments:
        network: the network.
        others: for each tensor the one that takes its place.
        only: the layers whose calls change; by default all.
        ports: whether the model's outputs change too.
    """
    users = {user for ref in others for user in network.consumers(ref.layer) if not only or user in only}
    calls = {
        user: tuple(mapped(call, lambda ref: others.get(ref, ref)) for call in network.calls[user])
        for user in users
        if any(ref in others for call in network.uses[user] for ref in call)
    }
    outputs = mapped(network.outputs, lambda ref: others.get(ref, ref)) if ports else None
    return network.changed(calls=calls, outputs=outputs)


def added(network: Network, layers: Layers, calls: Calls) -> Network:
    """Returns the network with more layers, which stand after all that they use.

    Arguments:
        network: the network.
        layers: the layers to add, by names that the network does not have, each after those that it uses.
        calls: their calls.
    """
    used = {ref.layer for ref in refs(list(calls.values()))}
    anchor = next((name for name in reversed(list(network.layers)) if name in used), None)
    return network.changed(layers=layers, calls=calls, after=anchor)


def call_of(entry: Entry | Network, sources: Sequence[TensorRef]) -> Arguments:
    """Returns the arguments with which a layer is called on some tensors: a list of them, or one after the other."""
    is_list = isinstance(entry, Network) or entry["class_name"] in TAKES_LIST
    return {"args": [list(sources)] if is_list and len(sources) > 1 else list(sources), "kwargs": {}}


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
    calls = tuple({"args": [source], "kwargs": {}} for source in sources)
    after = redirected(network, sources, only=only, ports=not only)
    return added(after, {name: entry}, {name: calls})


def remove(network: Network, name: str, keep: str = "") -> Network:
    """Removes a layer. Users of its output use its input instead. Layers that only fed it are removed, too.

    Arguments:
        network: the network.
        name: the layer.
        keep: if it has several inputs, the layer whose output replaces its own.

    Raises:
        PlanError: it has several inputs, and `keep` does not name one; or several of its outputs are used.
    """
    return remove_all(network, (name,), (keep,) if keep else ())


def remove_all(network: Network, names: Collection[str], keep: Collection[str] = ()) -> Network:
    """Removes layers. What used a tensor that leaves them uses the one that enters them and that it is made of.

    Layers that only fed them are removed, too.

    Arguments:
        network: the network.
        names: the layers.
        keep: where several tensors enter, the layers of those that replace what leaves.

    Raises:
        PlanError: several tensors enter, and `keep` does not name one; or several outputs of a layer are used.
    """
    through = {each.leaves: each for each in passages(network, names)}
    for ref in through:
        _refuse_other_outputs(ref, through)
    order = TopologicalSorter({ref: [on for on in each.enters if on in through] for ref, each in through.items()})
    past: dict[TensorRef, TensorRef] = {}
    is_kept = False
    for ref in order.static_order():
        found = list(dict.fromkeys(past.get(each, each) for each in through[ref].enters))
        kept = [each for each in found if each.layer in keep] if keep and (len(found) > 1 or len(names) == 1) else found
        if len(kept) != 1:
            raise PlanError(_which_input(through[ref], found, kept, keep))
        past[ref] = kept[0]
        is_kept = is_kept or kept[0].layer in keep
    if keep and not is_kept:
        named = ", ".join(f"`{each}`" for each in keep)
        raise PlanError(f"{named} enters none of the layers to remove", path=("keep",), hint="leave `keep` out")
    before = [ref.layer for name in names for call in network.uses[name] for ref in call]
    shorter = redirected(network, past).changed(removed=names)
    return without_unused(shorter, [name for name in before if name not in names])


def _refuse_other_outputs(ref: TensorRef, leaving: Collection[TensorRef]) -> None:
    """Refuses a layer of which another output than the first is used: its input could replace only one."""
    numbers = sorted({each.output for each in leaving if each.layer == ref.layer})
    hint = "first remove the layers that use its other outputs"
    if len(numbers) > 1:
        raise PlanError(f"several outputs of `{ref.layer}` are used, but its input can replace only one", hint=hint)
    if numbers != [0]:
        message = f"output {numbers[0]} of `{ref.layer}` is used, and its input can replace only output 0"
        raise PlanError(message, hint=hint)


def _which_input(
    passage: Passage, found: Sequence[TensorRef], kept: Sequence[TensorRef], keep: Collection[str]
) -> Problem:
    """Returns the problem that it is not clear which tensor replaces the one that leaves some layers."""
    name = passage.leaves.layer
    layers = list(dict.fromkeys(ref.layer for ref in found))
    listing = ", ".join(f"`{layer}`" for layer in layers)
    inner = {layer for layer, _ in passage.calls}
    if not found:
        return Problem(f"`{name}` is not called on a tensor, so nothing can replace it")
    if keep and not kept:
        what = f"an input of `{name}`" if len(inner) == 1 else f"one of the layers whose outputs `{name}` is made of"
        named = ", ".join(f"`{each}`" for each in keep)
        return Problem(f"{named} is not {what}", path=("keep",), hint=f"its inputs are {listing}")
    hint = f"name the input that replaces it, for instance `keep: {layers[0]}`"
    if len(inner) == 1:
        return Problem(f"`{name}` has {len(found)} inputs, {listing}", hint=hint)
    return Problem(
        f"what leaves the layers to remove, `{name}`, is made of {len(found)} tensors that enter them: {listing}",
        hint=f"{hint}, or choose layers that one tensor enters",
    )


def keep_inputs(network: Network, name: str, keep: Collection[str]) -> Network:
    """Returns the network in which a layer that merges several tensors takes only some of them.

    Arguments:
        network: the network.
        name: the layer.
        keep: the layers whose outputs it still takes.

    Raises:
        PlanError: it is not called on a list of tensors, or does not take what `keep` names.
    """
    calls = []
    for call in network.calls[name]:
        merged = call["args"][0] if len(call["args"]) == 1 else call["args"]
        if not isinstance(merged, list | tuple) or not all(isinstance(each, TensorRef) for each in merged):
            raise PlanError(
                f"`{name}` does not merge a list of tensors, so it cannot keep some of them",
                path=("keep",),
                hint="to remove the layer itself, name one layer in `keep`, or leave it out",
            )
        listing = ", ".join(f"`{layer}`" for layer in dict.fromkeys(ref.layer for ref in merged))
        wrong = next((each for each in keep if all(ref.layer != each for ref in merged)), None)
        if wrong is not None:
            raise PlanError(f"`{wrong}` is not an input of `{name}`", path=("keep",), hint=f"its inputs are {listing}")
        kept = [ref for ref in merged if ref.layer in keep]
        if len(kept) == len(merged):
            message = f"`keep` names all inputs of `{name}`, so that nothing would be removed"
            raise PlanError(message, path=("keep",), hint="leave out what it is not to take any more")
        calls.append({**call, "args": [kept] if len(call["args"]) == 1 else kept})
    before = [ref.layer for call in network.uses[name] for ref in call]
    return without_unused(network.changed(calls={name: tuple(calls)}), before)


def unused(network: Network, names: Iterable[str]) -> tuple[str, ...]:
    """Returns those of some layers that no layer and no port of the network uses."""
    ports = {ref.layer for ref in refs([network.inputs, network.outputs])}
    candidates = dict.fromkeys(names)
    return tuple(
        name for name in candidates if name in network.layers and name not in ports and not network.consumers(name)
    )


def without_unused(network: Network, names: Iterable[str]) -> Network:
    """Returns the network without those of some layers that lead to no output, and without what only led to them.

    Arguments:
        network: the network.
        names: the layers that an edit may have left unused.
    """
    gone: dict[str, None] = {}
    pending = list(unused(network, names))
    if not pending:
        return network
    ports = {ref.layer for ref in refs([network.inputs, network.outputs])}
    while pending:
        name = pending.pop()
        if name in gone or name in ports or any(user not in gone for user in network.consumers(name)):
            continue
        gone[name] = None
        pending += [ref.layer for call in network.uses[name] for ref in call if ref.layer in network.layers]
    return network.changed(removed=gone)


def put(network: Network, name: str, entry: Entry | Network, new_name: str) -> Network:
    """Replaces a layer by another one, which may have another name."""
    renamed = rename(network, name, new_name) if new_name != name else network
    replaced = renamed.with_layers({**renamed.layers, new_name: entry})
    old = network.layers[name]
    if isinstance(entry, Network) or (not isinstance(old, Network) and old["class_name"] == entry["class_name"]):
        return replaced
    calls = tuple(_with_masks_for(call, entry) for call in replaced.calls[new_name])
    before = [ref.layer for call in replaced.uses[new_name] for ref in call]
    return without_unused(replaced.changed(calls={new_name: calls}), before)


def _with_masks_for(call: Arguments, entry: Entry) -> Arguments:
    """Returns a call with those masks that a layer takes."""
    known = mask_parameters_of(entry)
    kwargs = call.get("kwargs") or {}
    return {**call, "kwargs": {key: each for key, each in kwargs.items() if not is_mask_parameter(key) or key in known}}


def rename(network: Network, name: str, new_name: str) -> Network:
    """Renames a layer, also where its outputs are used."""
    return rename_all(network, {name: new_name})


def rename_all(network: Network, names: Mapping[str, str]) -> Network:
    """Renames layers, also where their outputs are used.

    Arguments:
        network: the network.
        names: the new name of each layer to rename.
    """

    def called(ref: TensorRef) -> TensorRef:
        return replace(ref, layer=names[ref.layer]) if ref.layer in names else ref

    users = {user for name in names for user in network.consumers(name)}
    return replace(
        network,
        layers={
            names.get(name, name): renamed_layer(layer, names[name]) if name in names else layer
            for name, layer in network.layers.items()
        },
        calls={
            names.get(name, name): tuple(mapped(call, called) for call in calls) if name in users else calls
            for name, calls in network.calls.items()
        },
        inputs=mapped(network.inputs, called),
        outputs=mapped(network.outputs, called),
        types={called(ref): type_ for ref, type_ in network.types.items()},
        found_types={},
    )


def renamed_layer(layer: Entry | Network, new_name: str) -> Entry | Network:
    """Returns a layer, or a model that is one, with another name."""
    if layer_name(layer) == new_name:
        return layer
    return renamed_network(layer, new_name) if isinstance(layer, Network) else named(layer, new_name)


def renamed_network(network: Network, name: str) -> Network:
    """Returns a model with another name."""
    return replace(network, entry=named(network.entry, name))


def layer_name(layer: Entry | Network) -> str:
    """Returns the name of a layer by its config."""
    return layer.name if isinstance(layer, Network) else str(layer["config"].get("name") or layer.get("name", ""))


def named(entry: Entry, name: str) -> Entry:
    """Returns a serialised layer with another name."""
    config = entry["config"]
    if "name" in config or not is_operation(entry):  # before Keras 3.11, operations with arguments had none in there
        config = {**config, "name": name}
    return {**entry, "config": config, **({"name": name} if "name" in entry else {})}
