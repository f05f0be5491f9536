"""Regions: parts of a model that move into a model in it, or out of one, or that come from another model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import DocumentPath, PlanError, Problem
from mutspec.keras_facts.class_names import TAKES_TRAINING
from mutspec.language.steps import name_in_recipe
from mutspec.language.types import Target
from mutspec.lowering.base import StructureOp
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.merge_op import model_and_name
from mutspec.lowering.name_patterns import NamePattern, name_problems, names_by, pattern_problems
from mutspec.lowering.new_layer import AddedLayer
from mutspec.lowering.places import one_layer
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.outline import join
from mutspec.model.spec import TensorRef
from mutspec.structure import edits
from mutspec.structure.fragments import (
    Fragment,
    between,
    closed,
    cut,
    functional_entry,
    input_entry,
    placed,
    whole,
)
from mutspec.structure.network import Network, refs
from mutspec.text.words import listed


class NestLayers(StructureOp, tag="nest_layers", frozen=True, kw_only=True):
    """Put layers into a model of their own, which takes their place. It predicts the same.

    The layers keep their weights; their paths get the model's name before them (`encoder/dense_1`).
    """

    target: Annotated[
        Target,
        Meta(
            description="The layers. A path that leaves them must not come back.",
            examples=[["dense_1", "dropout_1"], {"between": ["conv_1", "pool"]}],
        ),
    ]
    name: Annotated[str, Meta(description="The name of the new model. Default: the step's id.")] = ""

    def problems(self) -> Iterable[Problem]:
        if self.name:
            yield from name_problems(self.name, "name")

    def claim(self) -> SamePredictions:
        return SamePredictions()

    def restructure(self, ctx: StructureContext) -> None:
        owner, names = _one_region(ctx, self.target)
        if not names:
            return
        name = self.name or name_in_recipe(self.id)
        ctx.refuse_name(owner, name, ("name",), "give the model another `name`")
        network, fragment = ctx.network(owner), cut(ctx.network(owner), names)
        _refuse_gaps(network, names)
        inputs = _new_inputs(ctx, owner, fragment.inputs, name)
        entry = functional_entry(name)
        inner = closed(fragment, entry, inputs, list(fragment.outputs))
        outputs = {ref: TensorRef(name, 0, number) for number, ref in enumerate(fragment.outputs)}

        def edit(_: Network) -> Network:
            outside = edits.redirected(network, outputs)
            call = edits.call_of(inner, fragment.inputs)
            return edits.added(outside.changed(removed=names), {name: inner}, {name: (call,)})

        new = {join(name, each): AddedLayer(entry) for each, entry in inputs.values()}
        renamed = {join(owner, name, each): join(owner, each) for each in names}
        ctx.edit(owner, edit, key="target", added=new, renamed=renamed)


def _one_region(ctx: StructureContext, target: Target) -> tuple[str, tuple[str, ...]]:
    """Returns the path of a network, and the names of the layers in it that a target stands for.

    Raises:
        PlanError: they are in several networks, or there is an input among them.
    """
    layers = [ctx.locate(layer, "target") for layer in ctx.select(target, "target")]
    owners = tuple(dict.fromkeys(each.owner for each in layers))
    if len(owners) > 1:
        where = " and ".join(f"`{owner}`" if owner else "the outermost model" for owner in owners[:3])
        raise PlanError(
            f"the layers are in several models: {where}",
            path=("target",),
            hint="name layers of one model by their paths",
        )
    for each in layers:
        each.refuse_input("and stays outside")
    return (owners[0] if owners else ""), tuple(each.name for each in layers)


def _refuse_gaps(network: Network, names: tuple[str, ...]) -> None:
    """Refuses a region to which a path comes back that has left it: calls of it could not be made at once."""
    gap = next((name for name in between(network, names, names) if name not in names), None)
    if gap is not None:
        raise PlanError(
            f"`{gap}` stands between the layers: it is given what they make, and they what it makes",
            path=("target",),
            hint=f"take `{gap}` in too, or choose with `between: [<first>, <last>]`",
        )


def _new_inputs(
    ctx: StructureContext, owner: str, tensors: Iterable[TensorRef], name: str
) -> dict[TensorRef, tuple[str, dict[str, Any]]]:
    """Returns an InputLayer for each tensor that enters a part of a network: its name and its entry."""
    inputs: dict[TensorRef, tuple[str, dict[str, Any]]] = {}
    for number, ref in enumerate(tensors):
        called = f"{name}_input" if number == 0 else f"{name}_input_{number}"
        inputs[ref] = called, input_entry(called, ctx.type_of(owner, ref))
    return inputs


class InlineModel(StructureOp, tag="inline_model", frozen=True, kw_only=True):
    """Put the layers of a model that is a layer in its place. It predicts the same.

    The layers keep their weights; the model's name goes from their paths. If the model is called with `training`, so
    are its layers from then on. Of models in models the inner ones come first, so that `type: [Functional, Sequential]`
    takes in all of them.
    """

    target: Annotated[Target, Meta(description="The models.", examples=["backbone", {"type": "Functional"}])]
    names: NamePattern = "{name}"

    def problems(self) -> Iterable[Problem]:
        yield from pattern_problems(self.names, "names")

    def claim(self) -> SamePredictions:
        return SamePredictions()

    def restructure(self, ctx: StructureContext) -> None:
        layers = sorted(ctx.select(self.target, "target"), key=lambda layer: -layer.path.count("/"))
        for layer in layers:
            self._inline(ctx, ctx.locate(layer, "target"))

    def _inline(self, ctx: StructureContext, found: FoundLayer) -> None:
        inner = found.entry
        if not isinstance(inner, Network):
            raise PlanError(
                f"`{found.path}` ({inner['class_name']}) is not a model of layers and calls",
                path=("target",),
                hint="name a Functional or Sequential model, or choose with `type: [Functional, Sequential]`",
            )
        if len(found.calls) != 1:
            raise PlanError(
                f"`{found.path}` is called {len(found.calls)} times, and its layers would be shared by all calls",
                path=("target",),
                hint="first make a model of each call, with `unshare_weights`",
            )
        is_chain = found.network.is_sequential and inner.is_sequential
        network = found.network if is_chain else ctx.functional(found.owner)
        fragment = _trained_as(whole(inner), found.calls[0])
        others = [name for name in network.layers if name != found.name]
        names = names_by(self.names, fragment.layers, found.name, others, "names")
        ports = dict(zip(fragment.inputs, refs(found.calls[0]["args"]), strict=True))
        body = placed(fragment, ports, names)
        outputs = {TensorRef(found.name, 0, number): ref for number, ref in enumerate(body.outputs)}

        def edit(_: Network) -> Network:
            outside = edits.redirected(network, outputs).changed(removed=(found.name,))
            return edits.added(outside, body.layers, body.calls)

        renamed = {join(found.owner, new): join(found.path, old) for old, new in names.items()}
        ctx.edit(found.owner, edit, key="target", renamed=renamed)


def _trained_as(fragment: Fragment, call: Mapping[str, Any]) -> Fragment:
    """Returns a model's layers, called as Keras calls them within a call of the model that says `training`."""
    training = call.get("kwargs", {}).get("training")
    if training is None:
        return fragment

    def said(name: str, each: Mapping[str, Any]) -> Mapping[str, Any]:
        layer = fragment.layers[name]
        takes_it = isinstance(layer, Network) or layer["class_name"] in TAKES_TRAINING
        is_said = each.get("kwargs", {}).get("training") is not None
        return (
            {**each, "kwargs": {**each.get("kwargs", {}), "training": training}} if takes_it and not is_said else each
        )

    calls = {name: tuple(said(name, each) for each in every) for name, every in fragment.calls.items()}
    return replace(fragment, calls=calls)


class Graft(StructureOp, tag="graft", frozen=True, kw_only=True):
    """Put layers of another model at a place in this one, weights and all.

    The layers must be given one tensor from outside, and others one of theirs. What used the output of `after` uses
    theirs. Their weights are new weights of this model, with the values of the other's.

    Literature: grafting of trained layers; crossover of networks (neuro-evolution).
    """

    source: Annotated[
        str,
        Meta(
            description="The layer of another model, `<input>:` before it; or `<input>:` alone, with `region`.",
            examples=["teacher:dense_1"],
        ),
    ]
    region: Annotated[
        Target | UnsetType,
        Meta(description="The layers of that model, if they are several.", examples=[{"between": ["conv_2", "bn_2"]}]),
    ] = UNSET
    after: Annotated[
        Target, Meta(description="The layer of this model after which they are put.", examples=["dense_1"])
    ]
    names: NamePattern = "{model}_{name}"

    def problems(self) -> Iterable[Problem]:
        yield from pattern_problems(self.names, "names")
        model, name = model_and_name(self.source)
        if not model:
            hint = "put the input before it, such as `teacher:conv_1`; for layers of this model take `duplicate_layers`"
            yield Problem(f"`source: {self.source}` names no input", path=("source",), hint=hint)
        elif not name and self.region is UNSET:
            yield Problem(f"`source: {self.source}` names no layer", path=("source",), hint="add one, or a `region`")
        elif name and self.region is not UNSET:
            message = "`source` names a layer, and `region` others"
            yield Problem(message, path=("region",), hint=f'write `source: "{model}:"`, or leave `region` out')

    def inputs_used(self) -> Iterable[tuple[DocumentPath, str]]:
        yield ("source",), self._model

    @property
    def _model(self) -> str:
        return model_and_name(self.source)[0]

    @property
    def _chosen(self) -> tuple[Target, str]:
        """What chooses the layers, and the key of the step that says it."""
        if self.region is not UNSET:
            return self.region, "region"
        return model_and_name(self.source)[1], "source"

    def restructure(self, ctx: StructureContext) -> None:
        place = self._place(ctx)
        if place is None:
            return
        region, owner, taken = self._region(ctx)
        fragment = cut(region, taken)
        _refuse_ports(fragment, self._chosen[1])
        network = ctx.functional(place.owner) if _branches(fragment) else place.network
        source = place.output()
        names = names_by(self.names, fragment.layers, self._model, network.layers, "names")
        body = placed(fragment, {fragment.inputs[0]: source}, names)

        def edit(_: Network) -> Network:
            return edits.added(edits.redirected(network, {source: body.outputs[0]}), body.layers, body.calls)

        added = {
            new: AddedLayer(
                body.layers[new], first_value=ctx.copies(join(owner, old), self._model, key=self._chosen[1])
            )
            for old, new in names.items()
        }
        ctx.edit(place.owner, edit, key=self._chosen[1], added=added)

    def _place(self, ctx: StructureContext) -> FoundLayer | None:
        place = one_layer(ctx, self.after, "after")
        if place is not None and len(place.calls) > 1:
            message = f"`{place.path}` is called {len(place.calls)} times"
            raise PlanError(message, path=("after",), hint="name a layer that is called once")
        return place

    def _region(self, ctx: StructureContext) -> tuple[Network, str, list[str]]:
        """Returns the network of the input that has the layers, its path, and their names in it."""
        target, key = self._chosen
        outermost = ctx.context.network_of_input(self._model)
        layers = ctx.context.select_layers(target, key, model=self._model)
        owners = list(dict.fromkeys(layer.path.rpartition("/")[0] for layer in layers))
        network = edits.level(outermost, owners[0]) if len(owners) == 1 else None
        if network is None:
            raise PlanError(
                f"in the input `{self._model}`, {listed([layer.path for layer in layers])} are not layers of one model "
                "that calls them by its graph",
                path=(key,),
                hint="name layers of one model by their paths",
            )
        for layer in layers:
            if not network.calls[layer.name]:
                message = f"in the input `{self._model}`, `{layer.path}` is an input of the model"
                raise PlanError(message, path=(key,), hint="leave it out: the layer of `after` takes its place")
        return network, owners[0], [layer.name for layer in layers]


def _branches(fragment: Fragment) -> bool:
    """Returns whether a fragment is more than a chain of layers, so that no Sequential model can have it."""
    taken = [ref for calls in fragment.calls.values() for call in calls for ref in refs(call)]
    return len(taken) != len(fragment.layers) or len(set(taken)) != len(taken)


def _refuse_ports(fragment: Fragment, key: str) -> None:
    """Refuses a fragment that takes or makes more than one tensor."""
    for what, found in (("take", fragment.inputs), ("make", fragment.outputs)):
        if len(found) != 1:
            tensors = listed([each.layer for each in found]) if found else "none"
            side = "from outside" if what == "take" else "for others"
            raise PlanError(
                f"the layers {what} {len(found)} tensors {side}, of {tensors}, where one is needed",
                path=(key,),
                hint="choose a part with one way in and one way out, such as `between: [<first>, <last>]`",
            )
