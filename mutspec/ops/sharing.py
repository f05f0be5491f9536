"""Sharing: one layer at several places, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from mutspec.errors import PlanError
from mutspec.keras_facts.argument_values import a
from mutspec.language.types import Target
from mutspec.lowering.base import StructureOp
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.new_layer import AddedLayer
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.outline import is_operation
from mutspec.model.spec import TensorRef
from mutspec.structure.edits import renamed_layer
from mutspec.structure.layer_edit import EditKind
from mutspec.structure.network import Network, mapped, unique_name


class ShareWeights(StructureOp, tag="share_weights", frozen=True, kw_only=True):
    """Put one layer at the places of several: they share its weights, in training too.

    The first of the layers, in the order of the model, is called at all places, and keeps its weights. The others go.
    They must be of one class, with the same arguments and weights of the same shapes. Models in the model cannot share.
    To copy weights once, and not share them, use `transfer_weights`.

    Literature: weight sharing across layers (Universal Transformer, Dehghani et al. 2019; ALBERT, Lan et al. 2020);
    siamese networks (Bromley et al. 1993).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"target": ["dense_1", "dense_2"]})

    target: Annotated[
        Target, Meta(description="The layers, two or more of one model.", examples=[["dense_1", "dense_2"]])
    ]

    def restructure(self, ctx: StructureContext) -> None:
        chosen = [ctx.locate(layer, "target") for layer in ctx.select(self.target, "target")]
        if not chosen:
            return
        first, *others = chosen
        if not others:
            raise PlanError(
                f"`{first.path}` is one layer, and two or more can share", path=("target",), hint="name another"
            )
        for each in chosen:
            _refuse_unlike(ctx, first, each)
        ctx.functional(first.owner)
        names = [each.name for each in others]
        ctx.edit(
            first.owner,
            partial(_shared, first=first.name, others=names),
            marks={first.path: EditKind.REWIRED},
        )


def _refuse_unlike(ctx: StructureContext, first: FoundLayer, other: FoundLayer) -> None:
    """Refuses a layer that cannot be replaced by another.

    Raises:
        PlanError: it is in another model, of another class, or has other arguments or weights.
    """
    other.refuse_input("which has no weights")
    entry = other.entry
    if isinstance(entry, Network) or is_operation(entry):
        what = "a model" if isinstance(entry, Network) else "an operation"
        raise PlanError(
            f"`{other.path}` is {what}, and not a layer", path=("target",), hint="name layers with weights of their own"
        )
    if other.owner != first.owner:
        raise PlanError(
            f"`{first.path}` and `{other.path}` are in different models",
            path=("target",),
            hint="name layers of one model",
        )
    if other.class_name != first.class_name:
        raise PlanError(
            f"`{first.path}` is {a(first.class_name)}, and `{other.path}` is {a(other.class_name)}",
            path=("target",),
            hint="name layers of one class",
        )
    ours, theirs = _function_of(first.config), _function_of(other.config)
    if ours != theirs:
        key = next(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
        raise PlanError(
            f"`{key}` of `{first.path}` and `{other.path}` differs",
            path=("target",),
            hint="make them alike first: `configure_layer`",
        )
    weights, their_weights = _weights(ctx, first), _weights(ctx, other)
    if weights != their_weights:
        below = next(each for each in {**weights, **their_weights} if weights.get(each) != their_weights.get(each))
        raise PlanError(
            f"`{below}` of `{first.path}` and `{other.path}` has different shapes",
            path=("target",),
            hint="name layers that take and make tensors of one width",
        )


def _function_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of a layer that matter once it has weights: without names, seeds and initializers."""
    return {
        key: _function_of(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in ("name", "seed") and not key.endswith("_initializer")
    }


def _weights(ctx: StructureContext, found: FoundLayer) -> dict[str, tuple[tuple[int, ...], str]]:
    weights = ctx.context.models[""].weights_of(found.path)
    return {below: (tensor.shape, tensor.dtype) for below, tensor in weights.items()}


def _shared(network: Network, first: str, others: Sequence[str]) -> Network:
    """Returns the network in which one layer is called where others were."""
    starts, count = {}, len(network.calls[first])
    for other in others:
        starts[other] = count
        count += len(network.calls[other])

    def moved(ref: TensorRef) -> TensorRef:
        return TensorRef(first, starts[ref.layer] + ref.call, ref.output) if ref.layer in starts else ref

    users = {user for other in others for user in network.consumers(other)} - {*others}
    calls = {user: tuple(mapped(call, moved) for call in network.calls[user]) for user in users}
    own = [call for name in (first, *others) for call in network.calls[name]]
    calls[first] = tuple(mapped(call, moved) for call in own)
    return network.changed(calls=calls, removed=others, outputs=mapped(network.outputs, moved))


class UnshareWeights(StructureOp, tag="unshare_weights", frozen=True, kw_only=True):
    """Split a layer that is called several times: each call gets a layer of its own.

    The layer stays at its first call, and keeps its weights. At the others are new layers with copies of the weights,
    called `name_1`, `name_2`, …. The model predicts the same, until it is trained. A model that is called several
    times is split like a layer.
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"target": "encoder"})

    target: Annotated[Target, Meta(description="The layers.", examples=["encoder"])]

    def claim(self) -> SamePredictions:
        return SamePredictions()

    def restructure(self, ctx: StructureContext) -> None:
        for found in ctx.find(self.target, "target"):
            found.refuse_input("which is not called")
            if len(found.calls) == 1:
                raise PlanError(f"`{found.path}` is called once", path=("target",), hint=_once(ctx, found.owner))
            taken = set(found.network.layers)
            names = [found.name]
            for number in range(1, len(found.calls)):
                names.append(unique_name(f"{found.name}_{number}", taken))
                taken.add(names[-1])
            layers = {name: renamed_layer(found.entry, name) for name in names[1:]}
            copies = ctx.copies(found.path)
            added = {name: AddedLayer(layer, "", copies) for name, layer in layers.items()}
            ctx.edit(found.owner, partial(_split, name=found.name, names=names, layers=layers), added=added)


def _once(ctx: StructureContext, owner: str) -> str:
    """Returns what to do about a layer that is called once in its model."""
    above, _, name = owner.rpartition("/")
    if owner and len(ctx.network(above).calls[name]) > 1:
        return f"`{owner}`, which it is in, is called several times: name that model"
    return "name layers that are called several times"


def _split(network: Network, name: str, names: Sequence[str], layers: Mapping[str, Any]) -> Network:
    """Returns the network in which each call of a layer is one of a layer of its own."""

    def moved(ref: TensorRef) -> TensorRef:
        return replace(ref, layer=names[ref.call], call=0) if ref.layer == name else ref

    users = {*network.consumers(name)} - {name}
    calls = {user: tuple(mapped(call, moved) for call in network.calls[user]) for user in users}
    calls |= {each: (mapped(call, moved),) for each, call in zip(names, network.calls[name], strict=True)}
    return network.changed(layers=layers, calls=calls, after=name, outputs=mapped(network.outputs, moved))
