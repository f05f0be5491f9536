"""Structure: layers that are inserted, removed, replaced, renamed or configured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import ModelError, PlanError, Problem
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.language.types import Count, Target, or_default
from mutspec.lowering.base import StructureOp
from mutspec.lowering.context import LoweringContext, TensorWrite
from mutspec.lowering.new_layer import (
    Initialize,
    LayerConfig,
    add_layer,
    entry_of_new,
    name_of_new,
    refuse_merge,
    refuse_name,
    refuse_name_of_new,
    refuse_no_identity,
    tell_training_only,
)
from mutspec.model.outline import is_operation, join
from mutspec.model.spec import LayerSpec, TensorRef
from mutspec.structure import edits
from mutspec.structure.architecture import Change
from mutspec.structure.layer_config import configured
from mutspec.structure.network import Entry, Network, refs

_LEAVE_OUT = "leave it out of the target, with `not:` if a pattern matches it"


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
        """A place that is not told."""
        if self.after is UNSET and self.before is UNSET:
            yield Problem("`insert_layer` needs `after` or `before`", hint="name the layer to insert after or before")
        if self.after is UNSET and self.output is not UNSET:
            yield Problem(
                "`output` is one of `after`, which is not there", path=("output",), hint="add `after: <layer>`"
            )

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Insert a layer at each place."""
        for number, (owner, sources, only) in enumerate(list(self._places(context))):
            network = _level(context, owner)
            flows = [_type_of(context, network, ref, owner) for ref in sources]
            beside = network.layers.get(sources[0].layer)
            entry = entry_of_new(self.layer, name_of_new(self.id, number), beside, flows[0])
            name = str(entry["name"])
            refuse_name_of_new(network, name, number)
            refuse_merge(entry, 1)
            if self.initialize is Initialize.IDENTITY:
                refuse_no_identity(entry, flows[0], beside)
            outputs = {ref: TensorRef(name, call) for call, ref in enumerate(sources)}
            edit = partial(edits.insert, name=name, entry=entry, sources=outputs, only=only)
            change = _edited(context, owner, edit)
            add_layer(context, change, join(owner, name), entry, f"{self.id}/{number}", self.initialize)
        if self.initialize is not Initialize.IDENTITY:
            tell_training_only(context)
        return ()

    def _places(self, context: LoweringContext) -> Iterator[tuple[str, list[TensorRef], tuple[str, ...]]]:
        """The model, the tensors in it to put a layer on, and the layers that are to use it (none: all)."""
        befores = () if self.before is UNSET else _chosen(context, self.before, "before")
        if self.after is UNSET:
            for layer in befores:
                owner, name, network = _found(context, layer, "before")
                yield owner, self._only_input(network, name), (name,)
            return
        for layer in _chosen(context, self.after, "after"):
            owner, name, network = _found(context, layer, "after")
            output = self._output(network, name)
            calls = max(1, len(network.calls[name]))
            sources = [TensorRef(name, call, output) for call in range(calls)]
            only: tuple[str, ...] = ()
            if self.before is not UNSET:
                only = tuple(each.name for each in befores if each.path.rpartition("/")[0] == owner)
                used = {ref for each in only for ref in refs(network.calls[each])}
                sources = [ref for ref in sources if ref in used]
                if not sources:
                    users = ", ".join(f"`{each}`" for each in network.consumers(name)) or "the model's outputs alone"
                    raise PlanError(
                        f"no layer that `before` names is called on `{name}`",
                        path=("before",),
                        hint=f"its output is used by {users}",
                    )
            yield owner, sources, only

    def _only_input(self, network: Network, name: str) -> list[TensorRef]:
        sources: list[TensorRef] = []
        for call in network.calls[name]:
            found = list(dict.fromkeys(refs(call["args"])))
            if len(found) != 1:
                listing = ", ".join(f"`{ref.layer}`" for ref in found) or "none"
                raise PlanError(
                    f"`{name}` has {len(found)} inputs: {listing}",
                    path=("before",),
                    hint="say on which of them the layer goes: add `after: <layer>`",
                )
            sources += found
        if not sources:
            raise PlanError(f"`{name}` is an input of the model", path=("before",), hint=f"insert `after: {name}`")
        return list(dict.fromkeys(sources))

    def _output(self, network: Network, name: str) -> int:
        used = sorted({ref.output for ref in (*refs(network.calls), *refs(network.outputs)) if ref.layer == name})
        if self.output is not UNSET:
            if self.output not in used:
                raise PlanError(
                    f"nothing uses output {self.output} of `{name}`",
                    path=("output",),
                    hint=f"used are: {', '.join(map(str, used)) or 'none'}",
                )
            return self.output
        if len(used) > 1:
            raise PlanError(
                f"`{name}` has {len(used)} outputs that are used", path=("after",), hint="choose: `output: 0`"
            )
        return used[0] if used else 0


class RemoveLayer(StructureOp, tag="remove_layer", frozen=True, kw_only=True):
    """Remove layers: whatever used a layer's output uses its input instead.

    Of a layer with several inputs, such as Add, `keep` names the one that goes on; branches that led nowhere else are
    removed with it. What the layer's output is used for must be able to take its input, or a later step must mend it.

    Literature: LD (DeepMutation); LR (DeepMutation++, LEMON); AFRm and ARem where the target is an activation layer;
    delete layer (keras-surgeon); drop layer (LEMONADE).
    """

    target: Annotated[Target, Meta(description="The layers to remove.", examples=["dropout_1"])]
    keep: Annotated[
        str | UnsetType, Meta(description="Of a layer with several inputs, the layer whose output takes its place.")
    ] = UNSET

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Remove the layers one by one; some may go with others."""
        keep = or_default(self.keep, "")
        for layer in _chosen(context, self.target, "target"):
            if layer.path not in context.models[""].layer_by_path:
                continue
            owner, name, network = _found(context, layer, "target")
            _refuse_input(network, layer, "which stays")
            if sum(bool(calls) for calls in network.calls.values()) == 1:
                raise PlanError(f"`{layer.path}` is the last layer of its model", path=("target",), hint=_LEAVE_OUT)
            try:
                context.restructure(_edited(context, owner, partial(edits.remove, name=name, keep=keep)), self.id)
            except PlanError as error:
                problems = (each if each.path else each.below("target") for each in error.problems)
                raise PlanError(problems) from None
        return ()


class ReplaceLayer(StructureOp, tag="replace_layer", frozen=True, kw_only=True):
    """Put another layer in a layer's place, on the same inputs and for the same users.

    Its weights are new, unless `keep_weights` carries over those of the same role and shape. `same` stands for the
    width of what the replaced layer made, so that those who use it still fit; `name: same` keeps its name.

    Literature: replace layer (keras-surgeon); conv to separable (LEMONADE); change an op (regularised evolution); ARep
    (LEMON) where the target is an activation layer.
    """

    target: Annotated[Target, Meta(description="The layers to replace.")]
    layer: LayerConfig
    keep_weights: Annotated[
        bool, Meta(description="Whether weights of the same role and shape are kept; others are new in any case.")
    ] = False

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Replace the layers one by one."""
        for number, layer in enumerate(_chosen(context, self.target, "target")):
            owner, name, network = _found(context, layer, "target")
            _refuse_input(network, layer, "which stays")
            made = _type_of(context, network, TensorRef(name), owner)
            keeps_name = self.layer.get("name") == "same"
            written = {key: value for key, value in self.layer.items() if not (keeps_name and key == "name")}
            wanted = name if keeps_name else name_of_new(self.id, number)
            entry = entry_of_new(written, wanted, network.layers[name], made)
            wanted = str(entry["name"])
            if wanted != name:
                refuse_name_of_new(network, wanted, number)
            refuse_merge(entry, min(len(list(refs(call["args"]))) for call in network.calls[name]))
            change = _edited(context, owner, partial(edits.put, name=name, entry=entry, new_name=wanted))
            like = layer.path if self.keep_weights else ""
            add_layer(context, change, join(owner, wanted), entry, f"{self.id}/{number}", like=like)
        tell_training_only(context)
        return ()


class RenameLayer(StructureOp, tag="rename_layer", frozen=True, kw_only=True):
    """Give a layer another name. Its weights, and their random streams in later steps, stay the same."""

    target: Annotated[Target, Meta(description="The layer to rename.")]
    to: Annotated[str, Meta(description="Its new name.", examples=["backbone_out"])]

    def problems(self) -> Iterable[Problem]:
        """Names that Keras does not take."""
        if not self.to or "/" in self.to:
            what = "is empty" if not self.to else f"`{self.to}` holds a `/`"
            yield Problem(f"the name {what}, and Keras takes no such name", path=("to",), hint="give the bare name")

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Rename it."""
        found = _chosen(context, self.target, "target")
        if len(found) > 1:
            paths = ", ".join(f"`{layer.path}`" for layer in found[:4])
            raise PlanError(
                f"one name is for one layer, and the target matches {len(found)}: {paths}",
                path=("target",),
                hint="write a step for each of them",
            )
        for layer in found:
            owner, name, network = _found(context, layer, "target")
            if self.to == name:
                raise PlanError(f"`{layer.path}` is called that already", path=("to",), hint="give another name")
            refuse_name(network, self.to, ("to",), "give another name")
            change = _edited(context, owner, partial(edits.rename, name=name, new_name=self.to))
            renamed = {join(owner, self.to): layer.path}
            context.restructure(Change(change.network, renamed=renamed), self.id)
        return ()


class ConfigureLayer(StructureOp, tag="configure_layer", frozen=True, kw_only=True):
    """Change arguments of layers that change neither shapes nor weights: activation, rate, trainable, momentum, ….

    A model in the model takes `trainable` alone, and passes it on to its layers; a pattern may take in inputs then.

    Literature: AFRm (DeepMutation) and ARem (LEMON): `activation: linear`; ARep (LEMON); change and remove activation
    (DeepCrime).
    """

    target: Annotated[Target, Meta(description="The layers to configure.")]
    set: Annotated[dict[str, Any], Meta(description="The new values, by argument.", examples=[{"activation": "elu"}])]

    def problems(self) -> Iterable[Problem]:
        """Nothing to set."""
        if not self.set:
            yield Problem("`set` is empty, and changes nothing", path=("set",), hint="say what to set")

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Configure the layers."""
        chosen = _chosen(context, self.target, "target")
        if self._sets_trainable_alone:
            chosen = _trainable(context, chosen) or chosen
        for layer in chosen:
            owner, name, network = _found(context, layer, "target")
            entry = network.layers[name]
            _refuse_input(network, layer, "with nothing to set")
            if isinstance(entry, Network) and not self._sets_trainable_alone:
                raise PlanError(
                    f"`{layer.path}` is a model", path=("target",), hint="name the layers in it to configure"
                )
            try:
                changed = self._configured(entry)
            except PlanError as error:
                raise PlanError(problem.below("set") for problem in error.problems) from None
            change = _edited(context, owner, partial(edits.put, name=name, entry=changed, new_name=name))
            paths = frozenset({layer.path, *_paths_in(changed, layer.path)})
            context.restructure(Change(change.network, configured=paths), self.id)
        return ()

    @property
    def _sets_trainable_alone(self) -> bool:
        """Whether models are set too, which pass it on to their layers, as in Keras."""
        return self.set.keys() == {"trainable"}

    def _configured(self, entry: Entry | Network) -> Entry | Network:
        if not isinstance(entry, Network):
            return configured(entry, self.set)
        layers = {
            name: self._configured(each) if _can_be_trained(entry, name) else each
            for name, each in entry.layers.items()
        }
        config = {**entry.entry["config"], "trainable": self.set["trainable"]}
        return replace(entry.with_layers(layers), entry={**entry.entry, "config": config})


def _trainable(context: LoweringContext, layers: tuple[LayerSpec, ...]) -> tuple[LayerSpec, ...]:
    """The layers without inputs and operations, which a pattern may take in and which have nothing to train."""

    def is_one(layer: LayerSpec) -> bool:
        _, name, network = _found(context, layer, "target")
        return _can_be_trained(network, name)

    return tuple(filter(is_one, layers))


def _can_be_trained(network: Network, name: str) -> bool:
    entry = network.layers[name]
    return bool(network.calls[name]) and (isinstance(entry, Network) or not is_operation(entry))


def _paths_in(entry: Entry | Network, path: str) -> Iterator[str]:
    """The paths of what is set in a model."""
    for name, each in entry.layers.items() if isinstance(entry, Network) else ():
        if isinstance(entry, Network) and _can_be_trained(entry, name):
            yield join(path, name)
            yield from _paths_in(each, join(path, name))


def _chosen(context: LoweringContext, target: Target, at: str) -> tuple[LayerSpec, ...]:
    """The layers that a target stands for, in a model that can be edited: a name is no mistake where none can be."""
    _ = context.architecture
    return context.select_layers(target, at)


def _edited(context: LoweringContext, owner: str, edit: Callable[[Network], Network]) -> Change:
    return Change(edits.edited(context.architecture.network, owner, edit))


def _type_of(context: LoweringContext, network: Network, ref: TensorRef, owner: str) -> TensorType:
    try:
        return context.flow().type_of(network, ref, owner)
    except ModelError as error:
        raise PlanError(
            Problem(problem.message, path=("op",), hint=problem.hint or "fix that first, in a step before this one")
            for problem in error.problems
        ) from None


def _level(context: LoweringContext, owner: str) -> Network:
    found = edits.level(context.architecture.network, owner)
    assert found is not None
    return found


def _found(context: LoweringContext, layer: LayerSpec, at: str) -> tuple[str, str, Network]:
    """The model that holds a layer: its path, the layer's name in it, and the network."""
    owner, _, name = layer.path.rpartition("/")
    network = edits.level(context.architecture.network, owner)
    if network is None or name not in network.layers:
        holder = context.models[""].layer_by_path.get(owner)
        kind = f" ({holder.class_name})" if holder is not None else ""
        raise PlanError(
            f"`{layer.path}` is inside `{owner}`{kind}, which calls it itself",
            path=(at,),
            hint=f"name `{owner}`, or leave the layers in it out with `not:`",
        )
    return owner, name, network


def _refuse_input(network: Network, layer: LayerSpec, so: str) -> None:
    if not network.calls[layer.name]:
        message = f"`{layer.path}` is an input of the model, {so}"
        raise PlanError(message, path=("target",), hint=_LEAVE_OUT)
