"""Structure: layers that are inserted, removed, replaced, renamed or configured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType, field

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.harmless_arguments import acts_in_training_only
from mutspec.language.types import Count, Patterns, Target, or_default
from mutspec.lowering.base import StructureOp
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.configuring import can_be_trained, configure, frozen_in_memory_alone
from mutspec.lowering.found_layer import LEAVE_OUT, FoundLayer
from mutspec.lowering.kept_weights import old_weights
from mutspec.lowering.new_fragment import (
    Graph,
    Heir,
    NewFragment,
    graph_of,
    heir_in,
    inserted,
    is_chain,
    is_graph,
    layer_problems,
    new_fragment,
    put_fragment,
)
from mutspec.lowering.new_layer import Initialize, LayerChain, LayerConfig
from mutspec.lowering.places import by_owner, output_in_use, own_name, refuse_loop, tensors_named
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.outline import join
from mutspec.model.spec import TensorRef
from mutspec.structure import edits
from mutspec.structure.inherited import inherited
from mutspec.structure.layer_config import SAME
from mutspec.structure.layer_edit import EditKind
from mutspec.structure.network import Network, refs
from mutspec.structure.passages import data_of


class InsertLayer(StructureOp, tag="insert_layer", frozen=True, kw_only=True):
    """Insert a layer after or before another, on the path to whatever uses it.

    With `after` alone, everything that used the layer's output, the model's outputs included, uses the new layer's.
    With `before` alone, the new layer stands on that layer's input. With both it stands on the edge between the two,
    and other users of the output are left alone. Where a layer is called several times, so is the new one. A target of
    several layers inserts one after (or before) each: `adapter`, `adapter_1`, ….

    `layers` puts a chain there, and `layer: {block: se}` a block of the plan, a small graph. `with` merges other
    tensors in: `{op: insert_layer, after: conv_3, with: conv_1, layer: {type: Add}}` is a skip connection. The first
    layer of a chain or block takes the place's tensor, and those of `with`. Of several layers, each is called by its
    own name, or `<id>_<class>`, with a number where that is taken. A Sequential model that gets a branch becomes
    Functional.

    With `initialize: identity` the model predicts what it did before: Dense, Conv1D to Conv3D, depthwise and separable
    convolutions, BatchNormalization, and layers that only act in training.

    Literature: LA, LAm, MLA (DeepMutation, DeepMutation++, LEMON); insert layer (keras-surgeon); Net2Deeper (Net2Net,
    Chen et al. 2016: `initialize: identity`); parametric activation, add skip (network morphism, Wei et al. 2016);
    skip, insert Conv-BN-ReLU (LEMONADE); add node, add connection (neat-python, TensorNEAT).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"after": "dense_1", "layer": {"type": "Dense", "units": "same"}}
    )

    after: Annotated[Target | UnsetType, Meta(description="The layers whose output it is put on.")] = UNSET
    before: Annotated[Target | UnsetType, Meta(description="The layers whose input it is put on.")] = UNSET
    output: Annotated[
        Count | UnsetType, Meta(description="Which output of `after`, counted from 0, if it has several.")
    ] = UNSET
    layer: LayerConfig | UnsetType = UNSET
    layers: Annotated[LayerChain | UnsetType, Meta(description="Several layers, in place of `layer`.")] = UNSET
    with_: Annotated[
        Patterns | UnsetType,
        Meta(
            description="Other tensors that the layer takes, after the one of its place: the layers that make them; "
            "`lstm:1` is output 1 of `lstm`.",
            examples=["conv_1"],
        ),
    ] = field(default=UNSET, name="with")
    initialize: Annotated[
        Initialize, Meta(description="`default`: as the layer's initializers say; `identity`: to pass its input on.")
    ] = Initialize.DEFAULT

    def problems(self) -> Iterable[Problem]:
        if self.after is UNSET and self.before is UNSET:
            yield Problem("`insert_layer` needs `after` or `before`", hint="name the layer to insert after or before")
        if self.after is UNSET and self.output is not UNSET:
            yield Problem(
                "`output` is one of `after`, which is not there", path=("output",), hint="add `after: <layer>`"
            )
        yield from layer_problems(self.layer, self.layers, "insert_layer", merges=self.with_ is not UNSET)
        if self.with_ is not UNSET and not all(self._merged):
            yield Problem("`with` names no layer", path=("with",), hint="leave it out, or name one")

    @property
    def _merged(self) -> tuple[str, ...]:
        with_ = or_default(self.with_, ())
        return (with_,) if isinstance(with_, str) else tuple(with_) or ("",)

    def claim(self) -> SamePredictions | None:
        return SamePredictions() if self.initialize is Initialize.IDENTITY else None

    def restructure(self, ctx: StructureContext) -> None:
        graph = graph_of(self.layer, self.layers)
        places = list(self._places(ctx))
        if self.with_ is not UNSET or not is_chain(graph):
            for owner in dict.fromkeys(owner for owner, _, _ in places):
                ctx.functional(owner)
            places = list(self._places(ctx))
        for owner, sources, only in places:
            for ref in sources:  # of a layer that is called several times, each call must be known to fit
                ctx.type_of(owner, ref)
            stands = list(zip(sources, *self._tensors(ctx, owner, len(sources)), strict=True))
            new = new_fragment(ctx, graph, owner, stands, initialize=self.initialize)
            edit = partial(_inserted, new=new, sources=sources, only=only)
            ctx.edit(owner, edit, added=new.added)
        if self.initialize is not Initialize.IDENTITY:
            ctx.note_training_only()

    def _tensors(self, ctx: StructureContext, owner: str, calls: int) -> Iterator[tuple[TensorRef, ...]]:
        """Yields the tensors that are merged in, for each call."""
        for index, text in enumerate(() if self.with_ is UNSET else self._merged):
            at = ("with",) if isinstance(self.with_, str) else ("with", index)
            yield tensors_named(ctx, owner, text, calls, at)

    def _places(self, ctx: StructureContext) -> Iterator[tuple[str, list[TensorRef], tuple[str, ...]]]:
        """Yields networks, the tensors in them to put a layer on, and the layers that are to use it (none: all)."""
        if self.after is UNSET:
            for found in ctx.find(self.before, "before") if self.before is not UNSET else ():
                yield found.owner, _only_inputs(found), (found.name,)
            return
        users = () if self.before is UNSET else ctx.select(self.before, "before")
        for found in ctx.find(self.after, "after"):
            output = output_in_use(found, or_default(self.output, None))
            sources = [found.output(call, output) for call in range(max(1, len(found.calls)))]
            only: tuple[str, ...] = ()
            if self.before is not UNSET:
                only = tuple(each.name for each in users if each.path.rpartition("/")[0] == found.owner)
                sources = _used_by(found, only, sources)
            yield found.owner, sources, only


def _inserted(network: Network, new: NewFragment, sources: Sequence[TensorRef], only: Sequence[str]) -> Network:
    after = inserted(network, new, sources, only)
    return refuse_loop(after, network, ("with",), "merge a tensor in that does not depend on this place")


def _only_inputs(found: FoundLayer) -> list[TensorRef]:
    """Returns the one tensor that each call of a layer takes."""
    sources: list[TensorRef] = []
    for call in found.calls:
        taken = list(dict.fromkeys(refs(call["args"])))
        if len(taken) != 1:
            listing = ", ".join(f"`{ref.layer}`" for ref in taken) or "none"
            raise PlanError(
                f"`{found.name}` has {len(taken)} inputs: {listing}",
                path=("before",),
                hint="say on which of them the layer goes: add `after: <layer>`",
            )
        sources += taken
    if not sources:
        message = f"`{found.name}` is an input of the model"
        raise PlanError(message, path=("before",), hint=f"insert `after: {found.name}`")
    return list(dict.fromkeys(sources))


def _used_by(found: FoundLayer, users: tuple[str, ...], outputs: list[TensorRef]) -> list[TensorRef]:
    """Returns the outputs of a layer that at least one of some layers takes."""
    taken = {ref for each in users for ref in refs(found.network.calls[each])}
    used = [ref for ref in outputs if ref in taken]
    if not used:
        consumers = (
            ", ".join(f"`{each}`" for each in found.network.consumers(found.name)) or "the model's outputs alone"
        )
        raise PlanError(
            f"no layer that `before` names is called on `{found.name}`",
            path=("before",),
            hint=f"its output is used by {consumers}",
        )
    return used


class RemoveLayer(StructureOp, tag="remove_layer", frozen=True, kw_only=True):
    """Remove layers: whatever used a layer's output uses its input instead.

    Several layers that are connected are removed as a whole: what used the tensor that leaves them uses the one that
    enters them. So a whole block goes, branches and all. Of a layer with several inputs, such as Add, and of layers
    that several tensors enter, `keep` names the one that goes on; branches that led nowhere else are removed with it.
    With a list of two or more in `keep`, a merge of three or more stays, and takes only these. What the output is used
    for must be able to take the input, or a later step must fix it.

    Literature: LD (DeepMutation); LR (DeepMutation++, LEMON); AFRm and ARem where the target is an activation layer;
    delete layer (keras-surgeon); drop layer (LEMONADE); delete node, delete connection (neat-python, TensorNEAT).
    """

    target: Annotated[Target, Meta(description="The layers to remove.", examples=["dropout_1"])]
    keep: Annotated[
        Patterns | UnsetType,
        Meta(
            description="Of a layer with several inputs, the layer whose output takes its place; a list: those that a "
            "merge still takes."
        ),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        if self.keep is not UNSET and not self.keep:
            yield Problem("`keep` names no layer", path=("keep",), hint="name an input, or leave it out")

    def restructure(self, ctx: StructureContext) -> None:
        keep = or_default(self.keep, ())
        keep = (keep,) if isinstance(keep, str) else tuple(dict.fromkeys(keep))
        groups = by_owner(ctx, self.target, "target")
        for owner, names in sorted(groups.items(), key=lambda item: -len(item[0].split("/")) if item[0] else 0):
            own = tuple(own_name(owner, each) for each in keep)
            if len(keep) > 1:
                self._keep_inputs(ctx, owner, names, own)
                continue
            network = ctx.network(owner)
            if all(name in names for name, calls in network.calls.items() if calls):
                path = join(owner, names[-1])
                raise PlanError(f"`{path}` is the last layer of its model", path=("target",), hint=LEAVE_OUT)
            ctx.edit(owner, partial(edits.remove_all, names=names, keep=own), key="target")

    def _keep_inputs(self, ctx: StructureContext, owner: str, names: Iterable[str], keep: tuple[str, ...]) -> None:
        """Lets merges take only some of their inputs."""
        for name in names:
            edit = partial(edits.keep_inputs, name=name, keep=keep)
            ctx.edit(owner, edit, key="target", marks={join(owner, name): EditKind.REWIRED})


class KeptParts(StrEnum):
    """What is kept of weights of another size."""

    SLICE = "slice"


class ReplaceLayer(StructureOp, tag="replace_layer", frozen=True, kw_only=True):
    """Put another layer in a layer's place, on the same inputs and for the same users. It keeps the layer's name.

    Its weights are new, unless `keep_weights` carries over those of the same role and shape; with `slice`, of weights
    of another size the entries that both have, in each gate of a recurrent layer. What is not kept stands in the
    report. With `inherit` the arguments that both classes know stay, such as filters, strides, regularizers and
    `trainable`; an argument in `layer` wins. `same` stands for the width of what the replaced layer made, so that those
    who use it still fit.

    `layers` puts a chain in its place, and `layer: {block: se}` a block of the plan: the first layer takes what the
    replaced one took, and what used its output uses that of the last one, which keeps its name. `inherit` and
    `keep_weights` are for the first layer of the replaced one's class; if there is none, for the last.

    Literature: replace layer (keras-surgeon); conv to separable (LEMONADE); change an op (regularised evolution); ARep
    (LEMON) where the target is an activation layer.
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"layer": {"type": "Dense", "units": "same"}})

    target: Annotated[Target, Meta(description="The layers to replace.")]
    layer: LayerConfig | UnsetType = UNSET
    layers: Annotated[LayerChain | UnsetType, Meta(description="Several layers, in place of `layer`.")] = UNSET
    inherit: Annotated[
        bool,
        Meta(description="Whether the layer takes over the arguments that both classes know and `layer` leaves out."),
    ] = False
    keep_weights: Annotated[
        bool | KeptParts,
        Meta(
            description="Whether weights of the same role and shape are kept; others are new. `slice`: of weights of "
            "another size, what both have."
        ),
    ] = False

    def problems(self) -> Iterable[Problem]:
        return layer_problems(self.layer, self.layers, "replace_layer")

    def restructure(self, ctx: StructureContext) -> None:
        graph = graph_of(self.layer, self.layers)
        is_single = len(graph) == 1 and self.layer is not UNSET and not is_graph(self.layer)
        lost = list(self._replace_by_layer(ctx, graph[0][1]) if is_single else self._replace_by_graph(ctx, graph))
        ctx.note_first([each for each in lost if each])
        ctx.note_training_only()

    def _replace_by_layer(self, ctx: StructureContext, given: Mapping[str, Any]) -> Iterator[str]:
        """Replaces each layer by one, and yields what is lost of its weights."""
        layer = {key: value for key, value in given.items() if (key, value) != ("name", SAME)}
        for found in ctx.find(self.target, "target"):
            found.refuse_input("which stays")
            entry = ctx.new_layer(
                layer,
                found.owner,
                found.output(),
                name=found.name,
                inputs=min(len(list(refs(call["args"]))) for call in found.calls),
                replaces=found.name,
                defaults=inherited(found.entry, layer) if self.inherit else None,
            )
            old = old_weights(ctx.context, found.path)
            has_parts = self.keep_weights is KeptParts.SLICE
            first_value = old.first_values() if has_parts else None
            ctx.replace(found, entry, keep_weights=bool(self.keep_weights), first_value=first_value)
            if self.keep_weights:
                yield old.lost(join(found.owner, str(entry["name"])), has_parts=has_parts)

    def _replace_by_graph(self, ctx: StructureContext, graph: Graph) -> Iterator[str]:
        """Replaces each layer by several, and yields what is lost of its weights."""
        for layer in ctx.select(self.target, "target"):
            if not is_chain(graph):
                ctx.functional(ctx.locate(layer, "target").owner)
            found = ctx.locate(layer, "target")
            found.refuse_input("which stays")
            old, has_parts = old_weights(ctx.context, found.path), self.keep_weights is KeptParts.SLICE
            at, written = heir_in(graph, found)
            heir = Heir(
                at,
                inherited(found.entry, written) if self.inherit else {},
                found.path if self.keep_weights else "",
                old.first_values() if has_parts else None,
            )
            stands = [data_of(call) for call in found.calls]
            new = new_fragment(ctx, graph, found.owner, stands, replaced=found.name, heir=heir)
            ctx.edit(found.owner, partial(put_fragment, name=found.name, new=new), added=new.added)
            if self.keep_weights:
                name = next(name for name, each in new.added.items() if each.at == at)
                yield old.lost(join(found.owner, name), has_parts=has_parts)


class ConfigureLayer(StructureOp, tag="configure_layer", frozen=True, kw_only=True):
    """Change arguments of layers that change neither shapes nor weights: activation, rate, trainable, stateful, ….

    Layers in wrappers and cells are named by their paths (`both/forward_lstm`). The backward layer of a Bidirectional
    follows the forward one where the model does not state it. What would change a shape or a weight is refused, with
    what it would change. `trainable` goes on to all layers in a layer or in a model, and a pattern may take in inputs.

    Literature: AFRm (DeepMutation) and ARem (LEMON): `activation: linear`; ARep (LEMON); change and remove activation
    (DeepCrime).
    """

    target: Annotated[Target, Meta(description="The layers to configure.")]
    set: Annotated[dict[str, Any], Meta(description="The new values, by argument.", examples=[{"activation": "elu"}])]

    def problems(self) -> Iterable[Problem]:
        if not self.set:
            yield Problem("`set` is empty, and changes nothing", path=("set",), hint="say what to set")

    def claim(self) -> SamePredictions | None:
        return SamePredictions() if all(map(acts_in_training_only, self.set)) else None

    def restructure(self, ctx: StructureContext) -> None:
        layers = ctx.select(self.target, "target")
        if self.set.keys() == {"trainable"}:
            layers = tuple(layer for layer in layers if can_be_trained(ctx, layer)) or layers
        configure(ctx, layers, self.set, "target")
        if self.set.get("trainable") is False:
            ctx.note_first(frozen_in_memory_alone(ctx, [layer.path for layer in layers]))
