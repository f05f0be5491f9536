"""Wiring: layers that are there are duplicated, exchanged, or called on other tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import PlanError
from mutspec.language.steps import name_in_recipe
from mutspec.language.types import Target, or_default
from mutspec.lowering.base import StructureOp
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.new_layer import AddedLayer, name_of_new
from mutspec.lowering.places import (
    by_owner,
    layer_and_output,
    model_named,
    one_layer,
    output_in_use,
    own_name,
    refuse_loop,
    tensors_named,
)
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.outline import join
from mutspec.model.spec import TensorRef
from mutspec.structure import edits
from mutspec.structure.fragments import Fragment
from mutspec.structure.layer_edit import EditKind
from mutspec.structure.network import Network, refs, unique_name
from mutspec.structure.passages import connected, data_of
from mutspec.structure.rewiring import Way, copied, rewired, swapped, ways


class DuplicateLayers(StructureOp, tag="duplicate_layers", frozen=True, kw_only=True):
    """Put a copy of layers after them, or after another layer, with weights of its own that begin with the same values.

    Layers of the target that are connected are copied together, such as a whole block; layers that are not are copied
    one by one. Each copy takes the tensor of its place, and what used that tensor uses the copy's output. Of several
    tensors that enter the layers, `input` names the one that the copy takes from its place; it takes the others as the
    layers do. A copy of one layer is called after the step; of several, `<id>_<name>`.

    Literature: LD (DeepMutation++; re-implementations of DeepMutation); LC (LEMON).
    """

    target: Annotated[Target, Meta(description="The layers to duplicate.", examples=["dense_1"])]
    after: Annotated[
        Target | UnsetType, Meta(description="The layer after which the copy stands. Default: the layers themselves.")
    ] = UNSET
    input: Annotated[
        str | UnsetType,
        Meta(
            description="Of several tensors that enter the layers, the layer that makes the one to take from the place."
        ),
    ] = UNSET

    def restructure(self, ctx: StructureContext) -> None:
        groups = [
            (owner, names)
            for owner, chosen in by_owner(ctx, self.target, "target").items()
            for names in connected(ctx.network(owner), chosen)
        ]
        if self.after is not UNSET and len(groups) > 1:
            raise PlanError(
                f"`after` is one place, but the target is {len(groups)} groups of layers that are not connected",
                path=("target",),
                hint="write a step for each of them, or leave `after` out",
            )
        for owner, names in groups:
            self._duplicate(ctx, owner, names)

    def _duplicate(self, ctx: StructureContext, owner: str, names: tuple[str, ...]) -> None:
        hint = "say which of them the copy takes from its place: `input: {name}`"
        found = _ways(ctx.network(owner), names, "target", own_name(owner, or_default(self.input, "")), hint)
        sources = [way.output for way in found]
        if self.after is not UNSET:
            sources = _place(ctx, owner, self.after)
            if not sources:
                return
            found = (found[0],) * len(sources)
        for ref in sources:
            ctx.type_of(owner, ref)
        new_names = self._names(ctx, owner, names)
        copy = copied(ctx.network(owner), list(zip(sources, found, strict=True)), new_names)
        old = {new: name for name, new in new_names.items()}
        added = {
            name: AddedLayer(layer, first_value=ctx.copies(join(owner, old[name]), key="target"), at=("target",))
            for name, layer in copy.layers.items()
        }
        ctx.edit(owner, partial(_with_copy, copy=copy, sources=sources), added=added)

    def _names(self, ctx: StructureContext, owner: str, names: tuple[str, ...]) -> dict[str, str]:
        """Returns the name of the copy of each layer."""
        network = ctx.network(owner)
        if len(names) == 1:
            number = ctx.layers_added
            name = name_of_new(self.id, number)
            ctx.refuse_name(owner, name, ("op",), "give the step another `id`, after which the copy is called")
            return {names[0]: name}
        found: dict[str, str] = {}
        for name in names:
            found[name] = unique_name(f"{name_in_recipe(self.id)}_{name}", {*network.layers, *found.values()})
        return found


def _place(ctx: StructureContext, owner: str, after: Target) -> list[TensorRef]:
    """Returns the tensors that the copy stands on."""
    place = one_layer(ctx, after, "after")
    if place is None:
        return []
    if place.owner != owner:
        raise PlanError(
            f"`{place.path}` is in another model than the layers to duplicate, which are in {model_named(owner)}",
            path=("after",),
            hint="choose a place in the same model",
        )
    output = output_in_use(place, None)
    return [place.output(call, output) for call in range(max(1, len(place.calls)))]


def _ways(network: Network, names: Collection[str], key: str, entering: str = "", hint: str = "") -> tuple[Way, ...]:
    """Returns the ways through some layers. Errors are at a key of the step, unless they say where they are."""
    try:
        return ways(network, names, entering, hint)
    except PlanError as error:
        raise PlanError(each if each.path else each.below(key) for each in error.problems) from None


def _with_copy(network: Network, copy: Fragment, sources: list[TensorRef]) -> Network:
    after = edits.redirected(network, dict(zip(sources, copy.outputs, strict=True)))
    after = edits.added(after, copy.layers, copy.calls)
    return refuse_loop(
        after, network, ("after",), "choose a place that the other tensors of the layers do not depend on"
    )


class SwapLayers(StructureOp, tag="swap_layers", frozen=True, kw_only=True):
    """Exchange the places of two layers, or of two groups of connected layers, which keep their weights.

    Each takes what the other took, and what used the output of one uses that of the other. Both must fit into their new
    places, or a later step must make them fit. To exchange only weights, see `swap_weights`.

    Literature: LS (LEMON).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"target": "dense_1", "other": "dense_2"})

    target: Annotated[Target, Meta(description="The layer, or the connected layers, of the first place.")]
    other: Annotated[Target, Meta(description="Those of the second place, in the same model.", examples=["dense_2"])]

    def restructure(self, ctx: StructureContext) -> None:
        groups = {key: by_owner(ctx, value, key) for key, value in (("target", self.target), ("other", self.other))}
        if not all(groups.values()):
            return
        for key, found in groups.items():
            if len(found) > 1:
                listing = ", ".join(map(model_named, found))
                raise PlanError(f"the layers are in several models: {listing}", path=(key,), hint="choose some of one")
        (owner, one), (other_owner, other) = (next(iter(found.items())) for found in groups.values())
        if owner != other_owner:
            message = f"`{join(owner, one[0])}` and `{join(other_owner, other[0])}` are in different models"
            raise PlanError(message, path=("other",), hint="only layers of one model can exchange their places")
        if both := [name for name in one if name in other]:
            message = f"`{both[0]}` is in both groups"
            raise PlanError(message, path=("other",), hint="name layers that do not overlap")
        network = ctx.network(owner)
        mine, theirs = _ways(network, one, "target"), _ways(network, other, "other")
        if len(mine) != len(theirs):
            raise PlanError(
                f"`{mine[0].output.layer}` is called {len(mine)} times, but `{theirs[0].output.layer}` {len(theirs)}",
                path=("other",),
                hint="only layers that are called as often can exchange their places",
            )
        marks = {join(owner, name): EditKind.REWIRED for name in _first_layers(network, (*mine, *theirs))}
        ctx.edit(owner, partial(_swapped, one=mine, other=theirs), marks=marks)


def _swapped(network: Network, one: tuple[Way, ...], other: tuple[Way, ...]) -> Network:
    after = swapped(network, one, other)
    return refuse_loop(after, network, ("other",), "choose layers of which neither stands inside the other's group")


def _first_layers(network: Network, found: Iterable[Way]) -> dict[str, None]:
    """Returns the layers of some ways that take what enters."""
    return {name: None for way in found for name, call in way.passage.calls if way.input in network.uses[name][call]}


class Rewire(StructureOp, tag="rewire", frozen=True, kw_only=True):
    """Let layers take another tensor: that of any layer of the same model on which it does not depend itself.

    Of a layer with several inputs, `input` names the one that is exchanged. What leads nowhere after that is removed,
    except for inputs of the model. What the layer makes must still fit, or a later step must fix it.

    Literature: rewire an input (regularised evolution); delete connection (neat-python, TensorNEAT).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"target": "dense_2", "to": "stem"})

    target: Annotated[Target, Meta(description="The layers that take another tensor.")]
    to: Annotated[
        str,
        Meta(
            description="The layer that makes the tensor; `lstm:1` is output 1 of `lstm`.",
            examples=["conv_1"],
            min_length=1,
        ),
    ]
    input: Annotated[
        str | UnsetType, Meta(description="Of several inputs, the layer that makes the one to exchange.")
    ] = UNSET

    def restructure(self, ctx: StructureContext) -> None:
        for layer in ctx.select(self.target, "target"):
            if not ctx.has(layer):
                raise PlanError(
                    f"`{layer.path}` led only to layers that this step has rewired before it, and is removed",
                    path=("target",),
                    hint="leave it out of the target",
                )
            found = ctx.locate(layer, "target")
            found.refuse_input("which takes no tensor")
            new = tensors_named(ctx, found.owner, self.to, len(found.calls), ("to",))
            others = [(self._old(found, call), tensor) for call, tensor in enumerate(new)]
            if all(old == tensor for old, tensor in others):
                raise PlanError(f"`{found.path}` takes `{self.to}` already", path=("to",), hint="name another layer")
            edit = partial(_rewired, name=found.name, others=others)
            ctx.edit(found.owner, edit, key="target", marks={found.path: EditKind.REWIRED})

    def _old(self, found: FoundLayer, number: int) -> TensorRef:
        """Returns the tensor that a call takes until now."""
        call = found.calls[number]
        given = data_of(call) if self.input is UNSET else tuple(dict.fromkeys(refs(call)))
        chosen = given
        if self.input is not UNSET:
            name, output = layer_and_output(found.network, found.owner, self.input)
            chosen = tuple(ref for ref in given if ref.layer == name and output in (None, ref.output))
        if len(chosen) == 1:
            return chosen[0]
        listing = (
            ", ".join(f"`{ref.layer}:{ref.output}`" if ref.output else f"`{ref.layer}`" for ref in given) or "none"
        )
        if self.input is UNSET:
            message = f"`{found.path}` has {len(given)} inputs: {listing}"
            raise PlanError(message, path=("target",), hint="say which of them is exchanged: `input: <layer>`")
        if not chosen:
            message = f"`{self.input}` is not an input of `{found.path}`"
            raise PlanError(message, path=("input",), hint=f"its inputs are: {listing}")
        numbers = " or ".join(f"`{ref.layer}:{ref.output}`" for ref in chosen)
        message = f"`{found.path}` takes {len(chosen)} outputs of `{self.input}`"
        raise PlanError(message, path=("input",), hint=f"choose {numbers}")


def _rewired(network: Network, name: str, others: list[tuple[TensorRef, TensorRef]]) -> Network:
    after = rewired(network, name, others)
    return refuse_loop(after, network, ("to",), f"name a layer that does not depend on `{name}`")
