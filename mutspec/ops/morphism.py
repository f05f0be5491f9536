"""Morphisms: edits after which the model predicts what it did before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.activation_intervals import activation_of, leaves_unchanged, outputs_of
from mutspec.keras_facts.argument_values import a, value_problem
from mutspec.keras_facts.classes import quantization_mode
from mutspec.keras_facts.linear_layers import LINEAR
from mutspec.language.types import Positive, Target, or_default
from mutspec.lowering.base import StructureOp
from mutspec.lowering.batch_norm_folding import Folded, affine_of, folded_after, folded_before
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.new_layer import AddedLayer
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.spec import LayerSpec, TensorRef
from mutspec.structure import edits
from mutspec.structure.network import Network, refs


class OnUnfoldable(StrEnum):
    """What to do about a batch normalization that cannot be folded."""

    ERROR = "error"
    SKIP = "skip"


class FoldBatchNormalization(StructureOp, tag="fold_batch_normalization", frozen=True, kw_only=True):
    """Fold batch normalizations into the layers next to them, for a model that only predicts.

    A batch normalization that directly follows a Dense layer or a convolution (depthwise, separable and transposed ones
    too) without activation becomes a part of that layer's kernel and bias. Else it becomes a part of the layer that
    directly follows it, if that layer does not pad. A layer without a bias gets one. Predictions are the same up to
    rounding (1e-5 of the largest); training is not.

    Literature: folding of batch normalization (Jacob et al. 2018; Markuš 2018).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"target": {"type": "BatchNormalization"}})

    target: Annotated[Target, Meta(description="The batch normalizations.", examples=[{"type": "BatchNormalization"}])]
    on_unfoldable: Annotated[
        OnUnfoldable,
        Meta(
            description="What happens if one of them cannot be folded. `skip`: it stays as it is, and the report "
            "says why."
        ),
    ] = OnUnfoldable.ERROR

    def claim(self) -> SamePredictions:
        return SamePredictions()

    def restructure(self, ctx: StructureContext) -> None:
        kept: dict[str, str] = {}
        for layer in ctx.select(self.target, "target"):
            if "BatchNormalization" not in (layer.class_name, *layer.ancestry):
                raise PlanError(
                    f"`{layer.path}` is {a(layer.class_name)}, and not a BatchNormalization",
                    path=("target",),
                    hint="name batch normalizations alone, for instance {type: BatchNormalization}",
                )
            try:
                folding = _folding(ctx, layer)
            except PlanError as error:
                if self.on_unfoldable is OnUnfoldable.ERROR:
                    raise PlanError(
                        f"`{layer.path}` cannot be folded: {error.problems[0].message}",
                        path=("target",),
                        hint="leave it out of the target, or leave such layers as they are: `on_unfoldable: skip`",
                    ) from None
                kept[layer.path] = error.problems[0].message
            else:
                _apply(ctx, *folding)
        if kept:
            path, why = next(iter(kept.items()))
            more = f"; {len(kept) - 1:,} more stay too" if len(kept) > 1 else ""
            ctx.context.notes.append(f"`{path}` is not folded: {why}{more}")


def _folding(ctx: StructureContext, layer: LayerSpec) -> tuple[FoundLayer, FoundLayer, Folded]:
    """Returns a batch normalization, the layer that it is folded into, and that layer's weights then.

    Raises:
        PlanError: it cannot be folded; the message is the reason.
    """
    found = ctx.locate(layer, "target")
    if any(call.get("kwargs", {}).get("training") for call in found.calls):
        raise PlanError("it is called with `training: true`, and so it does not use its moving statistics")
    reasons = []
    for neighbour_of, folded_with in ((_layer_before, folded_before), (_layer_after, folded_after)):
        try:
            neighbour = neighbour_of(ctx, found)
            return found, neighbour, folded_with(ctx, neighbour, affine_of(ctx, found))
        except PlanError as error:
            reasons.append(error.problems[0].message)
    raise PlanError(f"before it, {reasons[0]}; after it, {reasons[1]}")


def _apply(ctx: StructureContext, found: FoundLayer, neighbour: FoundLayer, folded: Folded) -> None:
    """Writes the folded weights, and takes the batch normalization out."""
    ctx.write(folded.kernel, folded.value)
    edit = partial(edits.remove, name=found.name)
    if (bias := ctx.weight(neighbour.path, "bias")) is not None:
        ctx.write(bias, folded.bias)
        ctx.edit(found.owner, edit)
        return
    entry = {**neighbour.serialised, "config": {**neighbour.config, "use_bias": True}}
    ctx.edit(
        found.owner,
        lambda network: edits.put(edit(network), neighbour.name, entry, neighbour.name),
        added={neighbour.name: AddedLayer(entry, neighbour.path, folded.first_bias)},
        configured=(neighbour.path,),
    )


def _layer_before(ctx: StructureContext, found: FoundLayer) -> FoundLayer:
    """Returns the layer whose outputs a batch normalization takes, if it is foldable into that layer.

    Raises:
        PlanError: it is not.
    """
    sources = [_source(call) for call in found.calls]
    name = _single(ref.layer for ref in sources)
    before = _neighbour(found, name)
    if (activation := activation_of(before.config)) != "linear":
        raise PlanError(f"`{name}` has the activation {activation}")
    _refuse_other_users(found, before, sources)
    _refuse_other_axis(ctx, found, before, sources[0])
    return before


def _layer_after(ctx: StructureContext, found: FoundLayer) -> FoundLayer:
    """Returns the layer that alone takes the outputs of a batch normalization, if it is foldable into that layer.

    Raises:
        PlanError: it is not.
    """
    users = found.network.consumers(found.name)
    if found.name in {ref.layer for ref in refs(found.network.outputs)}:
        raise PlanError("its output is one of the model")
    if len(users) > 1:
        raise PlanError(f"its output is used by {_listing(users)}")
    after = _neighbour(found, users[0])
    if not LINEAR[after.class_name].takes_shift:
        raise PlanError(f"`{after.name}` is {a(after.class_name)}, at whose edges fewer inputs add up")
    if _pads(after.config):
        raise PlanError(f"`{after.name}` pads its input with zeros, to which the shift is not added")
    sources = [found.output(call) for call in range(len(found.calls))]
    if sorted(map(_key, sources)) != sorted(_key(_source(call)) for call in after.calls):
        raise PlanError(f"`{after.name}` is called on other tensors too")
    _refuse_other_axis(ctx, found, after, sources[0])
    return after


def _neighbour(found: FoundLayer, name: str) -> FoundLayer:
    """Returns a layer of the same model.

    Raises:
        PlanError: nothing can be folded into its class.
    """
    if name not in found.network.layers:
        raise PlanError("there is only the model's input")
    layer = found.neighbour(name)
    if isinstance(layer.entry, Network):
        raise PlanError(f"`{name}` is a model")
    if not layer.calls:
        raise PlanError(f"`{name}` is an input of the model")
    if layer.class_name not in LINEAR:
        raise PlanError(f"`{name}` is {a(layer.class_name)}")
    if quantization_mode(layer.config) or layer.config.get("lora_rank"):
        raise PlanError(f"`{name}` is quantised, or has adapters (LoRA)")
    return layer


def _refuse_other_users(found: FoundLayer, before: FoundLayer, sources: list[TensorRef]) -> None:
    network = found.network
    if before.name in {ref.layer for ref in refs(network.outputs)}:
        raise PlanError(f"`{before.name}` is an output of the model too")
    if others := [name for name in network.consumers(before.name) if name != found.name]:
        raise PlanError(f"`{before.name}` is used by {_listing(others)} too")
    if sorted(map(_key, sources)) != [(call, 0) for call in range(len(before.calls))]:
        raise PlanError(f"`{before.name}` is called {len(before.calls)} times, and it is called {len(sources)} times")


def _refuse_other_axis(ctx: StructureContext, found: FoundLayer, layer: FoundLayer, tensor: TensorRef) -> None:
    """Refuses a batch normalization of another axis than that of a layer's channels."""
    axis = found.config.get("axis", -1)
    axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
    rank = len(ctx.type_of(found.owner, tensor).shape)
    channels = 1 if layer.config.get("data_format") == "channels_first" else rank - 1
    if not isinstance(axis, int) or axis % rank != channels:
        raise PlanError(f"the channels of `{layer.name}` are axis {channels}, and it normalises axis {axis}")


def _pads(config: Mapping[str, Any]) -> bool:
    """Returns whether a layer adds zeros around its input."""
    size = config.get("kernel_size", 1)
    is_point = set(size if isinstance(size, list | tuple) else (size,)) == {1}
    return config.get("padding", "valid") != "valid" and not is_point


def _source(call: Mapping[str, Any]) -> TensorRef:
    return next(refs(call["args"]))


def _single(names: Iterator[str]) -> str:
    found = list(dict.fromkeys(names))
    if len(found) > 1:
        raise PlanError(f"it is called on the outputs of {_listing(found)}")
    return found[0]


def _key(ref: TensorRef) -> tuple[int, int]:
    return ref.call, ref.output


def _listing(names: Any) -> str:
    return " and ".join(f"`{name}`" for name in names)


_DEEPENED = ("Dense", "Conv1D", "Conv2D", "Conv3D")
_AFTER_LINEAR = frozenset({"BatchNormalization", "Activation", "ReLU", "LeakyReLU", "ELU"})
"""Layers between a linear layer and the next one that belong to it."""


class Deepen(StructureOp, tag="deepen", frozen=True, kw_only=True):
    """Put a layer of the same kind after a layer, which begins as the identity: the model predicts what it did before.

    The new layer is Dense, or a convolution with the same window, `padding: same` and strides of 1. It has the layer's
    activation, which must leave its own outputs unchanged, as ReLU does and sigmoid does not. Where the activation, and
    perhaps a batch normalization, are layers of their own, the new layer comes after them, and an activation of the
    same kind after it.

    Literature: Net2DeeperNet (Net2Net, Chen et al. 2016); deepen (network morphism, Wei et al. 2016; LEMONADE).
    """

    target: Annotated[Target, Meta(description="The layers to put one after: Dense, Conv1D, Conv2D, Conv3D.")]
    activation: Annotated[
        str | UnsetType,
        Meta(description="The activation of the new layer. Default: that of the layer.", examples=["relu"]),
    ] = UNSET
    batch_normalization: Annotated[
        bool, Meta(description="Whether a batch normalization comes before the new activation.")
    ] = False
    kernel_size: Annotated[
        Positive | tuple[Positive, ...] | UnsetType,
        Meta(description="The window of the new convolution. Default: that of the layer."),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        if self.activation is not UNSET and (wrong := value_problem("Dense", "activation", self.activation)):
            yield wrong.below("activation")

    def claim(self) -> SamePredictions:
        return SamePredictions()

    def restructure(self, ctx: StructureContext) -> None:
        for found in ctx.find(self.target, "target"):
            if found.class_name not in _DEEPENED:
                raise PlanError(
                    f"`{found.path}` is {a(found.class_name)}, and no layer of this kind begins as the identity",
                    path=("target",),
                    hint=f"name layers of the classes {', '.join(_DEEPENED)}; for others see `insert_layer`",
                )
            end = _end_of(found)
            activation = self._activation(found, end)
            has_norm, is_apart = self.batch_normalization, end.name != found.name
            linear = {"activation": "linear"} if is_apart or has_norm else activation
            sources = [end.output(call) for call in range(len(end.calls))]
            sources = _put(ctx, found.owner, self._linear(found, linear), sources)
            if has_norm:
                axis = 1 if found.config.get("data_format") == "channels_first" else -1
                sources = _put(ctx, found.owner, {"type": "BatchNormalization", "axis": axis}, sources)
            if is_apart and self.activation is UNSET:
                if end.class_name != "BatchNormalization":
                    _put(ctx, found.owner, end.written(), sources, is_identity=False)
            elif (is_apart or has_norm) and activation["activation"] != "linear":
                _put(ctx, found.owner, {"type": "Activation", **activation}, sources, is_identity=False)

    def _activation(self, found: FoundLayer, end: FoundLayer) -> dict[str, Any]:
        """Returns the new activation as an argument of a layer.

        Raises:
            PlanError: it changes what the layer outputs.
        """
        config = end.config if self.activation is UNSET else {"activation": self.activation}
        class_name = end.class_name if self.activation is UNSET else "Activation"
        if not leaves_unchanged(class_name, config, outputs_of(end.class_name, end.config)):
            activation = activation_of(config) if "activation" in config else class_name
            raise PlanError(
                f"after `{end.name}`, another `{activation}` changes the values, so that the model would predict "
                "something else",
                path=("target",) if self.activation is UNSET else ("activation",),
                hint="say `activation: linear`, or relu where no value is negative",
            )
        return {"activation": config.get("activation", "linear")}

    def _linear(self, found: FoundLayer, activation: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the new layer as a step writes one."""
        if found.class_name == "Dense" and self.kernel_size is not UNSET:
            message = f"`{found.path}` is a Dense, and has no window"
            raise PlanError(message, path=("kernel_size",), hint="leave `kernel_size` out, or name convolutions alone")
        if found.class_name == "Dense":
            return {"type": "Dense", "units": "same", **activation}
        size = or_default(self.kernel_size, found.config["kernel_size"])
        same = {key: found.config.get(key) for key in ("data_format", "groups")}
        return {
            "type": found.class_name,
            "filters": "same",
            "kernel_size": size,
            "padding": "same",
            **same,
            **activation,
        }


def _end_of(found: FoundLayer) -> FoundLayer:
    """Returns the last layer of the block of a layer: its activation, if that is a layer of its own."""
    end = found
    while activation_of(end.config) == "linear" and end.class_name in (*_DEEPENED, "BatchNormalization"):
        users = end.network.consumers(end.name)
        is_output = end.name in {ref.layer for ref in refs(end.network.outputs)}
        if len(users) != 1 or is_output:
            break
        following = end.neighbour(users[0])
        if following.class_name not in _AFTER_LINEAR or len(following.calls) != len(end.calls):
            break
        end = following
    return end


def _put(
    ctx: StructureContext, owner: str, layer: Mapping[str, Any], sources: list[TensorRef], *, is_identity: bool = True
) -> list[TensorRef]:
    """Puts a layer on tensors, and returns its outputs."""
    for ref in sources:
        ctx.type_of(owner, ref)
    entry = ctx.new_layer(layer, owner, sources[0])
    first_value = ctx.identity(entry, owner, sources[0]) if is_identity else None
    ctx.insert(entry, owner, sources, first_value=first_value)
    return [TensorRef(str(entry["name"]), call) for call in range(len(sources))]
