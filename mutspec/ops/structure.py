"""Structure: layers that are inserted, removed, replaced, renamed or configured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.harmless_arguments import acts_in_training_only
from mutspec.language.types import Count, Target, or_default
from mutspec.lowering.base import StructureOp
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.kept_weights import old_weights
from mutspec.lowering.new_layer import Initialize, LayerConfig
from mutspec.lowering.structure_context import LEAVE_OUT, FoundLayer, StructureContext
from mutspec.model.outline import is_operation, join
from mutspec.model.spec import TensorRef
from mutspec.structure import edits
from mutspec.structure.inherited import inherited
from mutspec.structure.layer_config import SAME, configured
from mutspec.structure.network import Entry, Network, refs


class InsertLayer(StructureOp, tag="insert_layer", frozen=True, kw_only=True):
    """Insert a layer after or before another, on the path to whatever uses it.

    With `after` alone, everything that used the layer's output, the model's outputs included, uses the new layer's.
    With `before` alone, the new layer stands on that layer's input. With both it stands on the edge between the two,
    and other users of the output are left alone. Where a layer is called several times, so is the new one. A target of
    several layers inserts one after (or before) each: `adapter`, `adapter_1`, ….

    With `initialize: identity` the model predicts what it did before: Dense, Conv1D to Conv3D, depthwise and separable
    convolutions, BatchNormalization, and layers that only act in training.

    Literature: LA, LAm (DeepMutation, DeepMutation++, LEMON); insert layer (keras-surgeon); Net2Deeper (Net2Net, Chen
    et al. 2016: `initialize: identity`); parametric activation (network morphism, Wei et al. 2016: a PReLU).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"after": "dense_1"})

    after: Annotated[Target | UnsetType, Meta(description="The layers whose output it is put on.")] = UNSET
    before: Annotated[Target | UnsetType, Meta(description="The layers whose input it is put on.")] = UNSET
    output: Annotated[
        Count | UnsetType, Meta(description="Which output of `after`, counted from 0, if it has several.")
    ] = UNSET
    layer: LayerConfig
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

    def claim(self) -> SamePredictions | None:
        return SamePredictions() if self.initialize is Initialize.IDENTITY else None

    def restructure(self, ctx: StructureContext) -> None:
        for owner, sources, only in list(self._places(ctx)):
            for ref in sources:  # of a layer that is called several times, each call must be known to fit
                ctx.type_of(owner, ref)
            entry = ctx.new_layer(self.layer, owner, sources[0])
            first_value = None
            if self.initialize is Initialize.IDENTITY:
                first_value = ctx.identity(entry, owner, sources[0])
            ctx.insert(entry, owner, sources, only=only, first_value=first_value)
        if self.initialize is not Initialize.IDENTITY:
            ctx.note_training_only()

    def _places(self, ctx: StructureContext) -> Iterator[tuple[str, list[TensorRef], tuple[str, ...]]]:
        """Yields networks, the tensors in them to put a layer on, and the layers that are to use it (none: all)."""
        if self.after is UNSET:
            for found in ctx.find(self.before, "before") if self.before is not UNSET else ():
                yield found.owner, _only_inputs(found), (found.name,)
            return
        users = () if self.before is UNSET else ctx.select(self.before, "before")
        for found in ctx.find(self.after, "after"):
            output = self._output(found)
            sources = [found.output(call, output) for call in range(max(1, len(found.calls)))]
            only: tuple[str, ...] = ()
            if self.before is not UNSET:
                only = tuple(each.name for each in users if each.path.rpartition("/")[0] == found.owner)
                sources = _used_by(found, only, sources)
            yield found.owner, sources, only

    def _output(self, found: FoundLayer) -> int:
        """Returns the number of the output that the layer goes on."""
        network = found.network
        used = sorted({ref.output for ref in (*refs(network.calls), *refs(network.outputs)) if ref.layer == found.name})
        if self.output is not UNSET:
            if self.output not in used:
                raise PlanError(
                    f"nothing uses output {self.output} of `{found.name}`",
                    path=("output",),
                    hint=f"used are: {', '.join(map(str, used)) or 'none'}",
                )
            return self.output
        if len(used) > 1:
            raise PlanError(
                f"`{found.name}` has {len(used)} outputs that are used", path=("after",), hint="choose: `output: 0`"
            )
        return used[0] if used else 0


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

    Of a layer with several inputs, such as Add, `keep` names the one that goes on; branches that led nowhere else are
    removed with it. What the layer's output is used for must be able to take its input, or a later step must fix it.

    Literature: LD (DeepMutation); LR (DeepMutation++, LEMON); AFRm and ARem where the target is an activation layer;
    delete layer (keras-surgeon); drop layer (LEMONADE).
    """

    target: Annotated[Target, Meta(description="The layers to remove.", examples=["dropout_1"])]
    keep: Annotated[
        str | UnsetType, Meta(description="Of a layer with several inputs, the layer whose output takes its place.")
    ] = UNSET

    def restructure(self, ctx: StructureContext) -> None:
        """Removes the layers one by one; an edit may take others out with one."""
        keep = or_default(self.keep, "")
        for layer in ctx.select(self.target, "target"):
            if not ctx.has(layer):
                continue
            found = ctx.locate(layer, "target")
            found.refuse_input("which stays")
            if sum(bool(calls) for calls in found.network.calls.values()) == 1:
                raise PlanError(f"`{found.path}` is the last layer of its model", path=("target",), hint=LEAVE_OUT)
            ctx.edit(found.owner, partial(edits.remove, name=found.name, keep=keep), key="target")


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

    Literature: replace layer (keras-surgeon); conv to separable (LEMONADE); change an op (regularised evolution); ARep
    (LEMON) where the target is an activation layer.
    """

    target: Annotated[Target, Meta(description="The layers to replace.")]
    layer: LayerConfig
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

    def restructure(self, ctx: StructureContext) -> None:
        layer = {key: value for key, value in self.layer.items() if (key, value) != ("name", SAME)}
        lost = []
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
                lost.append(old.lost(join(found.owner, str(entry["name"])), has_parts=has_parts))
        ctx.note_first([each for each in lost if each])
        ctx.note_training_only()


class RenameLayer(StructureOp, tag="rename_layer", frozen=True, kw_only=True):
    """Give a layer another name. Its weights, and their random streams in later steps, stay the same."""

    target: Annotated[Target, Meta(description="The layer to rename.")]
    to: Annotated[str, Meta(description="Its new name.", examples=["backbone_out"])]

    def problems(self) -> Iterable[Problem]:
        if not self.to or "/" in self.to:
            what = "is empty" if not self.to else f"`{self.to}` holds a `/`"
            yield Problem(f"the name {what}, which Keras does not take", path=("to",), hint="give the bare name")

    def restructure(self, ctx: StructureContext) -> None:
        layers = ctx.select(self.target, "target")
        if len(layers) > 1:
            paths = ", ".join(f"`{layer.path}`" for layer in layers[:4])
            raise PlanError(
                f"`to` renames one layer, but the target matches {len(layers)} layers: {paths}",
                path=("target",),
                hint="write a step for each of them",
            )
        for layer in layers:
            found = ctx.locate(layer, "target")
            if self.to == found.name:
                raise PlanError(f"`{found.path}` is called that already", path=("to",), hint="give another name")
            ctx.refuse_name(found.owner, self.to, ("to",), "give another name")
            edit = partial(edits.rename, name=found.name, new_name=self.to)
            ctx.edit(found.owner, edit, renamed={join(found.owner, self.to): found.path})


class ConfigureLayer(StructureOp, tag="configure_layer", frozen=True, kw_only=True):
    """Change arguments of layers that change neither shapes nor weights: activation, rate, trainable, momentum, ….

    A model in the model takes `trainable` alone, and passes it on to its layers; a pattern may take in inputs then.

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
        if self._sets_trainable_alone:
            layers = tuple(each for each in layers if _can_be_trained(ctx.locate(each, "target"))) or layers
        for layer in layers:
            found = ctx.locate(layer, "target")
            found.refuse_input("with nothing to set")
            if isinstance(found.entry, Network) and not self._sets_trainable_alone:
                raise PlanError(
                    f"`{found.path}` is a model", path=("target",), hint="name the layers in it to configure"
                )
            try:
                changed = self._configured(found.entry)
            except PlanError as error:
                raise PlanError(problem.below("set") for problem in error.problems) from None
            edit = partial(edits.put, name=found.name, entry=changed, new_name=found.name)
            ctx.edit(found.owner, edit, configured={found.path, *_trainable_paths(changed, found.path)})

    @property
    def _sets_trainable_alone(self) -> bool:
        """Whether models are set too, which pass it on to their layers, as in Keras."""
        return self.set.keys() == {"trainable"}

    def _configured(self, entry: Entry | Network) -> Entry | Network:
        if not isinstance(entry, Network):
            return configured(entry, self.set)
        layers = {
            name: self._configured(each) if _is_trainable_in(entry, name) else each
            for name, each in entry.layers.items()
        }
        config = {**entry.entry["config"], "trainable": self.set["trainable"]}
        return replace(entry.with_layers(layers), entry={**entry.entry, "config": config})


def _can_be_trained(found: FoundLayer) -> bool:
    return _is_trainable_in(found.network, found.name)


def _is_trainable_in(network: Network, name: str) -> bool:
    """Returns whether a layer may have weights to train. A pattern may match inputs and operations, which do not."""
    entry = network.layers[name]
    return bool(network.calls[name]) and (isinstance(entry, Network) or not is_operation(entry))


def _trainable_paths(entry: Entry | Network, path: str) -> Iterator[str]:
    """Yields the paths of what may be trained in a model, at any depth."""
    for name, each in entry.layers.items() if isinstance(entry, Network) else ():
        if isinstance(entry, Network) and _is_trainable_in(entry, name):
            yield join(path, name)
            yield from _trainable_paths(each, join(path, name))
