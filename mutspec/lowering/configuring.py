"""Arguments that are changed in place: of a layer, of a layer in it, or of all layers of a model.

What may be changed is not a list. The shapes of the outputs and of the weights are found with the old and with the new
arguments, by the shape rules or by Keras, and must be equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mutspec.errors import ModelError, PlanError, Problem
from mutspec.keras_facts.class_names import FORGETS_FROZEN
from mutspec.keras_facts.classes import is_keras_class, plain_class_name
from mutspec.keras_facts.harmless_arguments import changes_no_shape
from mutspec.keras_facts.layer_arguments import arguments_of
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.structure_context import StructureContext
from mutspec.lowering.widths import coupling
from mutspec.model.outline import is_operation, is_within, join, nodes_of
from mutspec.model.shapes import LayerShapes
from mutspec.model.spec import LayerSpec
from mutspec.structure.coupling.labels import MarkKind
from mutspec.structure.layer_config import configured
from mutspec.structure.network import Entry, Network
from mutspec.structure.network_config import called
from mutspec.structure.parts import changed_within, part_at, parts_of, with_part
from mutspec.text.words import flow, listed, shape

Changes = Mapping[str, Any]
Names = tuple[str, ...]

_REPLACE = "use `replace_layer`, with `inherit: true`"


@dataclass(frozen=True, slots=True)
class Place:
    """A layer of a network, with those in it that a step configures.

    Arguments:
        found: the layer.
        inner: the names that lead to each layer in it; none for the layer itself.
    """

    found: FoundLayer
    inner: tuple[Names, ...]


def _holder(ctx: StructureContext, path: str) -> tuple[str, Names]:
    """Returns the path of the layer of a network that has a layer, and the names that lead from it to the layer."""
    names = tuple(path.split("/"))
    network = ctx.network("")
    for count, name in enumerate(names, 1):
        entry = network.layers.get(name)
        if not isinstance(entry, Network) or count == len(names):
            return "/".join(names[:count]), names[count:]
        network = entry
    raise AssertionError(path)


def can_be_trained(ctx: StructureContext, layer: LayerSpec) -> bool:
    """Returns whether `trainable` of a layer can be set. A pattern may match inputs, operations and dropouts, too.

    It also matches layers that others make by themselves, such as the projections of attention, which follow them.
    """
    holder, names = _holder(ctx, layer.path)
    owner, _, name = holder.rpartition("/")
    network = ctx.network(owner)
    entry = network.layers.get(name)
    if entry is None or not network.calls[name]:
        return False
    if isinstance(entry, Network):
        return True
    inner = part_at(entry, names)
    return inner is not None and _takes_trainable(inner)


def _takes_trainable(entry: Entry) -> bool:
    if is_operation(entry) or entry["class_name"] == "InputLayer":
        return False
    arguments = arguments_of(plain_class_name(entry)) if is_keras_class(entry) else None
    return arguments is None or "trainable" in arguments


def frozen_in_memory_alone(ctx: StructureContext, paths: Collection[str]) -> tuple[str, ...]:
    """Returns notes on frozen layers, among those in some layers, that Keras trains again when it loads them."""
    layers = (each for each in ctx.context.models[""].layers if any(is_within(each.path, path) for path in paths))
    return tuple(
        f"`{each.path}` ({each.class_name}) is frozen in memory, but Keras trains it again when it loads it from a file"
        for each in layers
        if each.class_name in FORGETS_FROZEN and len(each.ancestry) > 1 and each.config.get("trainable") is False
    )


def configure(ctx: StructureContext, layers: Sequence[LayerSpec], changes: Changes, key: str) -> None:
    """Changes arguments of layers: of those of one network by one edit, and of those in one layer at once.

    Arguments:
        ctx: the step's view of the model.
        layers: the layers.
        changes: the new values, by argument.
        key: the key of the step that names the layers.

    Raises:
        PlanError: an argument cannot be changed in this way, shapes or weights would change, or nothing does.
    """
    by_owner: dict[str, dict[str, list[Names]]] = defaultdict(lambda: defaultdict(list))
    for layer in layers:
        holder, names = _holder(ctx, layer.path)
        owner, _, name = holder.rpartition("/")
        by_owner[owner][name].append(names)
    for owner, held in by_owner.items():
        network, changed, paths = ctx.network(owner), dict[str, Entry | Network](), set[str]()
        for name, ways in held.items():
            place = Place(FoundLayer(join(owner, name), owner, name, network, key), tuple(ways))
            changed[name] = new = _configured(ctx, place, changes)
            paths |= {join(place.found.path, *names) for names in ways}
            paths |= set(_differing(place.found.entry, new, place.found.path))
        ctx.edit(owner, partial(Network.changed, layers=changed), configured=paths)
    if layers and not ctx.context.edits and not ctx.context.step.allow_empty:
        _refuse_unchanged(layers, changes, key)


def _refuse_unchanged(layers: Sequence[LayerSpec], changes: Changes, key: str) -> None:
    """Refuses arguments that all layers of a step have already."""
    has = "has" if len(layers) == 1 else "have"
    stated = " and ".join(f"`{name}: {flow(value)}`" for name, value in changes.items())
    raise PlanError(
        f"{listed([layer.path for layer in layers])} {has} {stated} already",
        path=("set",),
        hint=f"leave the step out, choose another value or `{key}`, or say `allow_empty: true`",
    )


def _configured(ctx: StructureContext, place: Place, changes: Changes) -> Entry | Network:
    """Returns a layer of a network with the changes, in it and in layers in it."""
    found = place.found
    found.refuse_input("with nothing to set")
    if not isinstance(found.entry, Network):
        changed = _changed(place, found.entry, changes)
        _refuse_other_shapes(ctx, place, found.entry, changed, changes)
        return changed
    if changes.keys() != {"trainable"}:
        raise PlanError(f"`{found.path}` is a model", path=(found.key,), hint="name the layers in it to configure")
    return _trained_model(found.entry, changes["trainable"])


def _changed(place: Place, entry: Entry, changes: Changes) -> Entry:
    """Returns a layer with the changes in each of the places."""
    for names in place.inner:
        path = join(place.found.path, *names)
        changed = changed_within(entry, names, partial(_with_arguments, changes=changes, path=path))
        if changed is None:
            raise PlanError(
                f"`{path}` is made by `{place.found.path}` ({plain_class_name(entry)}) itself",
                path=(place.found.key,),
                hint=f"name `{place.found.path}`, or leave the layers in it out with `not:`",
            )
        entry = changed
    return entry


def _with_arguments(entry: Entry, changes: Changes, path: str) -> Entry:
    try:
        changed = configured(entry, changes)
    except PlanError as error:
        raise PlanError(_with_parts(problem, entry, path).below("set") for problem in error.problems) from None
    return _trained_layer(changed, changes["trainable"]) if "trainable" in changes else changed


def _with_parts(problem: Problem, entry: Entry, path: str) -> Problem:
    """Returns the problem of an unknown argument with the layers in the layer that have it."""
    key = str(problem.path[0])
    if len(problem.path) > 1 or key in (arguments_of(plain_class_name(entry)) or {}):
        return problem
    having = [each.name for each in parts_of(entry) if key in (arguments_of(plain_class_name(each.entry)) or {})]
    names = " or ".join(f"`{join(path, name)}`" for name in having)
    return replace(problem, hint=f"name {names}, which has it") if having else problem


def _trained_model(network: Network, value: Any) -> Network:
    """Returns a model of which all layers are trained or not, as Keras sets it."""
    layers = {name: _trained(each, value) if network.calls[name] else each for name, each in network.layers.items()}
    config = {**network.entry["config"], "trainable": value}
    return replace(network.with_layers(layers), entry={**network.entry, "config": config})


def _trained(layer: Entry | Network, value: Any) -> Entry | Network:
    if isinstance(layer, Network):
        return _trained_model(layer, value)
    return _trained_layer(layer, value) if _takes_trainable(layer) else layer


def _trained_layer(layer: Entry, value: Any) -> Entry:
    """Returns a layer that is trained or not, with all layers in it, as Keras sets it."""
    layer = {**layer, "config": {**layer["config"], "trainable": value}}
    for part in parts_of(layer):
        if not part.is_derived and _takes_trainable(part.entry):
            layer = with_part(layer, part, _trained_layer(part.entry, value))
    return layer


def _differing(before: Entry | Network, after: Entry | Network, path: str) -> Iterator[str]:
    """Yields the paths of the layers, in a layer too, whose configs differ."""
    if isinstance(before, Network) and isinstance(after, Network):
        yield path
        for name, entry in before.layers.items():
            if entry is not after.layers[name]:
                yield from _differing(entry, after.layers[name], join(path, name))
        return
    assert not isinstance(before, Network)
    assert not isinstance(after, Network)
    owner = path.rpartition("/")[0]
    configs = {node.path: node.config for node in nodes_of(before, owner)}
    yield from (node.path for node in nodes_of(after, owner) if configs.get(node.path) != node.config)


# What would change.


def _refuse_other_shapes(ctx: StructureContext, place: Place, before: Entry, after: Entry, changes: Changes) -> None:
    """Refuses changes of which outputs or weights would have other shapes, and names the argument.

    Raises:
        PlanError: there is one.
    """
    asked = {key: value for key, value in changes.items() if not _is_harmless(place, before, key)}
    if not asked or not (problem := _difference(ctx, place.found, before, after)):
        return
    for key, value in asked.items():
        alone = _difference(ctx, place.found, before, _changed(place, before, {key: value}))
        if alone:
            raise PlanError(
                f"`{key}: {flow(value)}` {alone}", path=("set", key), hint=_hint(ctx, place.found, key, value, alone)
            )
    raise PlanError(f"the arguments together: this {problem}", path=("set",), hint=_REPLACE)


def _hint(ctx: StructureContext, found: FoundLayer, key: str, value: Any, why: str) -> str:
    """Returns which other step does what an argument was to do."""
    if key == "stateful" and "batch size" in why:
        return "give the model a batch size first: `set_input` with `batch_size`"
    if "the same value for attribute" in why:  # of the layers of a Bidirectional
        return f"name both layers in it: `{found.path}/*`"
    return _hint_of_width(ctx, found, key, value) or _REPLACE


def _hint_of_width(ctx: StructureContext, found: FoundLayer, key: str, value: Any) -> str:
    """Returns which step changes an argument that counts units; empty if it does not."""
    try:
        channels = coupling(ctx.context)
    except PlanError:  # of another layer
        return ""
    layer = channels.layers.get(found.path)
    if layer is None or key not in layer.widths or not isinstance(value, int):
        return ""
    labels = layer.widths[key]
    argument = f"argument: {key}, " if key != next(iter(layer.widths)) else ""
    if key == "input_dim":
        return f"use `resize_embedding`, with `input_dim: {value}`"
    if any(mark.kind is MarkKind.OUTPUT for label in labels for mark in channels.marks.get(channels.groups[label], ())):
        return f"use `resize_output`, with `units: {value}`"
    if value > len(labels):
        return f"use `widen_layer`, with `{argument}to: {value}`, which takes along all that hangs together with it"
    count = len(labels) - value
    return f"use `remove_neurons`, with `{argument}count: {count}`, which takes along all that hangs together with it"


def _is_harmless(place: Place, entry: Entry, key: str) -> bool:
    """Returns whether shapes do not depend on an argument in any of the places, so that nobody needs to be asked."""
    inner = [part_at(entry, names) or entry for names in place.inner]
    return all(changes_no_shape(plain_class_name(each) if is_keras_class(each) else "", key) for each in inner)


def _difference(ctx: StructureContext, found: FoundLayer, before: Entry, after: Entry) -> str:
    """Returns what another config changes in a layer's outputs and weights, as the rest of a sentence about it."""
    oracle = ctx.context.shape_oracle
    for arguments, sources in zip(found.calls, found.network.uses[found.name], strict=True):
        types = {ref: ctx.type_of(found.owner, ref) for ref in sources}
        inputs = tuple(types[ref] for ref in sources)
        try:
            old = oracle(called(before, arguments, types), inputs)
        except ModelError as error:
            hint = "fix that first, in a step before this one"
            raise PlanError(
                replace(each, path=(found.key,), hint=each.hint or hint) for each in error.problems
            ) from None
        try:
            new = oracle(called(after, arguments, types), inputs)
        except ModelError as error:
            return f"does not work: {error.problems[0].message}"
        if difference := _between(old, new, found):
            return difference
    return ""


def _between(old: LayerShapes, new: LayerShapes, found: FoundLayer) -> str:
    before = {each.path.removeprefix(f"{found.name}/"): each for each in old.weights}
    after = {each.path.removeprefix(f"{found.name}/"): each for each in new.weights}
    for below, weight in before.items():
        now = after.get(below)
        if now is None:
            return f"removes the {below} of `{found.path}`"
        if now.shape != weight.shape:
            return f"changes the {below} of `{found.path}` from {shape(weight.shape)} to {shape(now.shape)}"
        if now.dtype != weight.dtype:
            return f"changes the {below} of `{found.path}` from {weight.dtype} to {now.dtype}"
    if added := next((below for below in after if below not in before), ""):
        return f"adds the weight `{added}` to `{found.path}`"
    if old.outputs != new.outputs:
        return f"changes the output of `{found.path}` from {_types(old.outputs)} to {_types(new.outputs)}"
    return ""


def _types(types: Sequence[TensorType]) -> str:
    return " and ".join(f"{each.shape} {each.dtype}" for each in types)
