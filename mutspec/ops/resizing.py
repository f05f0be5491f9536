"""Resizing: other classes of an output, another vocabulary of an embedding. What is kept keeps its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.argument_values import a
from mutspec.language.types import OF_TARGET, Positive, Target
from mutspec.lowering.base import StructureOp
from mutspec.lowering.kept_channels import FirstValues, KeptChannels, first_values
from mutspec.lowering.layer_units import refusal, units_of, why_pinned
from mutspec.lowering.structure_context import StructureContext
from mutspec.lowering.widths import coupling, report_coupled, substitute
from mutspec.model.spec import LayerSpec
from mutspec.structure.coupling.axis_call import Use
from mutspec.structure.coupling.coupling import CoupledLayer, Coupling
from mutspec.structure.coupling.labels import MarkKind
from mutspec.structure.coupling.substitution import NEW, Substitution
from mutspec.text.words import listed, plural

Names = Annotated[tuple[str, ...], Meta(min_length=1)]


class ResizeOutput(StructureOp, tag="resize_output", frozen=True, kw_only=True):
    """Give a model more or fewer classes: the units of its last layer, old ones with their weights.

    Without a target it is the layer that makes the model's output, in front of a softmax or other activation, and in a
    model in the model too. Classes are kept by number, or by name if the plan lists the names before and after. New
    ones stand at the end, or where the names say. The compiled loss and metrics stay.
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"units": 12})

    target: Annotated[
        Target | UnsetType,
        OF_TARGET,
        Meta(description="The layer whose units are the output. Default: the one that makes the only output."),
    ] = UNSET
    units: Annotated[Positive | UnsetType, Meta(description="The number of classes then.", examples=[12])] = UNSET
    keep: Annotated[
        tuple[int, ...] | UnsetType,
        Meta(
            description="The old classes that stay, by number, in their new order. Default: the first, as many as "
            "there are to be.",
            examples=[[0, 2, 5]],
        ),
    ] = UNSET
    classes: Annotated[
        Names | UnsetType,
        Meta(
            description="The names of all classes then, in their order; those in `old_classes` stay.",
            examples=[["cat", "dog", "bird"]],
        ),
    ] = UNSET
    old_classes: Annotated[
        Names | UnsetType,
        Meta(description="The names of the old classes, in their order.", examples=[["dog", "cat"]]),
    ] = UNSET
    initialize: Annotated[
        FirstValues,
        Meta(
            description="How the weights of new classes begin. `default`: as the initializers say; `zero`; `mean`: as "
            "the mean of all old classes."
        ),
    ] = FirstValues.DEFAULT

    @property
    def _kept(self) -> KeptChannels:
        keys = ("units", "keep", "classes", "old_classes")
        return KeptChannels(self.units, self.keep, self.classes, self.old_classes, keys, "class")

    def problems(self) -> Iterable[Problem]:
        return self._kept.problems()

    def restructure(self, ctx: StructureContext) -> None:
        channels = coupling(ctx.context)
        for layer in self._layers(ctx, channels):
            _, labels = units_of(channels, layer, "")
            groups = channels.groups_of(labels)
            if len(groups) != len(labels):
                raise PlanError(
                    f"the units of `{layer.path}` ({layer.class_name}) are coupled in groups, so that they are no "
                    "classes of their own",
                    path=("target",),
                    hint="name another layer",
                )
            _refuse_inner(channels, layer, groups)
            _resize(ctx, channels, layer, "", groups, self._kept.sources(len(groups), layer.path), self.initialize)

    def _layers(self, ctx: StructureContext, channels: Coupling) -> Sequence[LayerSpec]:
        if self.target is UNSET:
            return [ctx.context.models[""].layer_by_path[_maker_of_output(channels).path]]
        layers = ctx.select(self.target, "target")
        if len(layers) > 1:
            raise PlanError(
                f"the target matches {plural(len(layers), 'layer')}: {listed([each.path for each in layers])}",
                path=("target",),
                hint="name one; for several outputs, add a step for each",
            )
        return layers


def _maker_of_output(channels: Coupling) -> CoupledLayer:
    """Returns the layer that makes the channels of the model's only output.

    Raises:
        PlanError: there are several outputs, or no such layer.
    """
    if len(channels.outputs) > 1:
        makers = [layer.path for number in range(len(channels.outputs)) for layer in _makers(channels, number)[-1:]]
        raise PlanError(
            f"the model has {len(channels.outputs)} outputs",
            path=("op",),
            hint=f"name the layer of one: `target: {makers[0]}`" if makers else "name the layer of one by `target`",
        )
    if not (makers_of := _makers(channels, 0)):
        raise PlanError(
            "no layer alone makes the units of the output",
            path=("op",),
            hint="name the layer whose units are the classes by `target`",
        )
    return makers_of[-1]


def _makers(channels: Coupling, number: int) -> list[CoupledLayer]:
    """Returns the layers whose units are the channels of an output, in order."""
    outputs = [set(channels.groups_of(labels)) for labels in channels.outputs[number] if labels]
    return [
        layer
        for layer in channels.layers.values()
        if any(axis.use is Use.PRODUCES for axes in layer.weights.values() for axis in axes)
        and set(channels.groups_of(next(iter(layer.widths.values()), ()))) in outputs
    ]


def _refuse_inner(channels: Coupling, layer: LayerSpec, groups: Sequence[int]) -> None:
    """Refuses units that are not an output, or cannot change."""
    its = f"the units of `{layer.path}` ({layer.class_name})"
    for group in groups:
        if (mark := refusal(channels, group, outputs=True)) is not None:
            hint = "insert a layer after it that makes the classes" if mark.kind is MarkKind.INPUT else (
                "declare the axes of a class of your own, or take that layer out"
            )  # fmt: skip
            raise PlanError(f"{its} must stay as they are{why_pinned(mark)}", path=("target",), hint=hint)
    if not any(mark.kind is MarkKind.OUTPUT for group in groups for mark in channels.marks.get(group, ())):
        raise PlanError(
            f"{its} are not an output of the model",
            path=("target",),
            hint="for layers inside the model there are `widen_layer` and `remove_neurons`",
        )


def _resize(
    ctx: StructureContext,
    channels: Coupling,
    layer: LayerSpec,
    argument: str,
    groups: Sequence[int],
    sources: Sequence[int],
    initialize: FirstValues,
) -> None:
    """Puts other channels in the place of those of a layer."""
    places = tuple(at if at == NEW else groups[at] for at in sources)
    substitution = Substitution.rearrangement(channels, groups, places)
    report_coupled(ctx.context, substitution, {layer.path: argument}, meant=layer.path)
    substitute(ctx, substitution, key="op", filling=first_values(initialize, groups, layer.path))


class ResizeEmbedding(StructureOp, tag="resize_embedding", frozen=True, kw_only=True):
    """Give an embedding a larger or smaller vocabulary: old rows stay, new ones begin as the step says.

    Rows are kept by number, or by token if the plan lists both vocabularies. The model then takes the ids of the new
    rows. Row 0 stays where `mask_zero` gives it a meaning.
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"input_dim": 30000})

    target: Annotated[Target, OF_TARGET, Meta(description="The embeddings.", examples=[{"type": "Embedding"}])]
    input_dim: Annotated[
        Positive | UnsetType, Meta(description="The number of rows then: one above the largest id.", examples=[30000])
    ] = UNSET
    keep: Annotated[
        tuple[int, ...] | UnsetType,
        Meta(description="The old rows that stay, by number, in their new order. Default: the first."),
    ] = UNSET
    vocabulary: Annotated[
        Names | UnsetType,
        Meta(description="The tokens of all rows then, in their order; those in `old_vocabulary` keep their rows."),
    ] = UNSET
    old_vocabulary: Annotated[Names | UnsetType, Meta(description="The tokens of the old rows, in their order.")] = (
        UNSET
    )
    initialize: Annotated[
        FirstValues,
        Meta(
            description="How new rows begin. `default`: as the initializer says; `zero`; `mean`: as the mean of all "
            "old rows."
        ),
    ] = FirstValues.DEFAULT

    @property
    def _kept(self) -> KeptChannels:
        keys = ("input_dim", "keep", "vocabulary", "old_vocabulary")
        return KeptChannels(self.input_dim, self.keep, self.vocabulary, self.old_vocabulary, keys, "row")

    def problems(self) -> Iterable[Problem]:
        return self._kept.problems()

    def restructure(self, ctx: StructureContext) -> None:
        for layer in ctx.select(self.target, "target"):
            channels = coupling(ctx.context)
            found = channels.layers.get(layer.path)
            if found is None or "input_dim" not in found.widths:
                why = channels.unknown.get(layer.path) or f"is {a(layer.class_name)}, which has no vocabulary"
                raise PlanError(f"`{layer.path}` {why}", path=("target",), hint="name layers of the class Embedding")
            groups = channels.groups_of(found.widths["input_dim"])
            sources = self._kept.sources(len(groups), layer.path)
            if layer.config.get("mask_zero") and sources[0] != 0:
                raise PlanError(
                    f"row 0 of `{layer.path}` is that of padding (`mask_zero: true`), and would not stay",
                    path=("vocabulary",) if self.vocabulary is not UNSET else ("keep",),
                    hint="keep it as the first one",
                )
            _resize(ctx, channels, layer, "input_dim", groups, sources, self.initialize)
