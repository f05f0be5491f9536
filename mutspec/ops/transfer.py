"""Transfer: weights that are copied between layers and models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import DocumentPath, PlanError, Problem
from mutspec.graph.choice import Box, Window
from mutspec.graph.exact_counts import rounded_share
from mutspec.graph.expression import Expression, constant
from mutspec.language.types import OF_TARGET, Patterns, Percent, Selector, Target, exact_share
from mutspec.lowering.base import Op
from mutspec.lowering.context import ALL_GROUPS, LoweringContext, TensorWrite
from mutspec.lowering.merge_op import described, model_and_name, refuse_kinds
from mutspec.model.select import Selection
from mutspec.model.spec import TensorSpec

Position = int | Percent


class Mismatch(StrEnum):
    """The ways to copy between two weights that differ in length along some axis."""

    ERROR = "error"
    SLICE = "slice"
    PAD = "pad"


class TransferWeights(Op, tag="transfer_weights", frozen=True, kw_only=True):
    """Copy weights from one layer to others, whole or a slice along one axis.

    Each weight of a target layer takes the values of the source layer's weight of the same role; `source` and `target`
    may also name single weights (`conv_1/kernel`). With `axis`, the entries from `start` up to `stop` of the source go
    to the same positions of the target, and its other entries stay. Where shapes of one rank differ, it is an error,
    unless `on_mismatch` says to copy what both have, and to leave the target's other entries or to set them to zero.

    Literature: transfer learning and grafting of trained layers; crossover of networks (neuro-evolution).
    """

    may_be_done: ClassVar[bool] = True

    source: Annotated[
        str,
        Meta(
            description="The layer or weight to copy from; `<input>:` before it for another model.",
            examples=["teacher:dense_1", "conv_1/kernel"],
        ),
    ]
    target: Annotated[Target, OF_TARGET, Meta(description="The layers or weights to copy to.")]
    weights: Annotated[
        Patterns | UnsetType, Meta(description="The roles or groups to copy. Default: all roles that both layers have.")
    ] = UNSET
    axis: Annotated[
        int | UnsetType, Meta(description="The axis to slice along; negative ones count from the last.", examples=[-1])
    ] = UNSET
    start: Annotated[
        Position | UnsetType, Meta(description="The first index, or percent of the source's axis. Default: 0.")
    ] = UNSET
    stop: Annotated[
        Position | UnsetType,
        Meta(
            description="The index after the last, or percent of the source's axis. Default: all of it.",
            examples=["50%", 16],
        ),
    ] = UNSET

    on_mismatch: Annotated[
        Mismatch,
        Meta(
            description="Where lengths differ: an `error`; `slice`, copy the indices that both have; `pad`, that, and "
            "set the target's other entries to zero."
        ),
    ] = Mismatch.ERROR

    def problems(self) -> Iterable[Problem]:
        if self.axis is not UNSET and self.on_mismatch is not Mismatch.ERROR:
            message = "`axis` and `on_mismatch` cannot be used together"
            yield Problem(message, path=("on_mismatch",), hint="say `start` and `stop`, or leave `axis` out")
        if not model_and_name(self.source)[1]:
            message = "`source` is empty" if not self.source else f"`source: {self.source}` names no layer"
            yield Problem(message, path=("source",), hint="name a layer or weight, such as `conv_1` or `conv_1/kernel`")
        if self.weights is not UNSET and not self.weights:
            hint = "name the weights to copy, or leave the key out for all"
            yield Problem("`weights` is empty, and copies nothing", path=("weights",), hint=hint)
        for name in ("start", "stop"):
            if getattr(self, name) is not UNSET and self.axis is UNSET:
                yield Problem(
                    f"`{name}` needs `axis`", path=(name,), hint="add `axis: -1` to slice along the last axis"
                )

    def inputs_used(self) -> Iterable[tuple[DocumentPath, str]]:
        if model := model_and_name(self.source)[0]:
            yield ("source",), model

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Pairs the tensors, reads all sources, then binds all targets."""
        model, sources = self._sources(context)
        chosen = self._select(context, self.target, "target")
        pairs = [pair for root in _roots(chosen) for pair in self._pairs(sources, root)]
        copies = [
            (context.read(source, model), source, target)
            for source, target in pairs
            if model or source.path != target.path
        ]
        if pairs and not copies and not self.allow_empty:
            raise PlanError(
                f"source and target are the same weight{'s' * (len(pairs) > 1)}, "
                + ", ".join(f"`{target.path}`" for _, target in pairs[:3]),
                path=("target",),
                hint="name another layer to copy to, or copy from an input: `source: <input>:layer`",
            )
        return [self._copy(context, value, source, target) for value, source, target in copies]

    def _select(self, context: LoweringContext, target: Target, at: str, model: str = "") -> Selection:
        """Returns what both a target and `weights` choose."""
        if self.weights is UNSET:
            return context.select(target, at, model=model, groups=ALL_GROUPS)
        both = Selector(all=(Selector(any=_members(target)), Selector(weights=self.weights)))
        try:
            return context.select(both, at, model=model, groups=ALL_GROUPS)
        except PlanError:
            # What is wrong with one of the two by itself is said in the words that the plan has; else it is the pair.
            selection = context.select(target, at, model=model, groups=ALL_GROUPS)
            context.select(Selector(weights=self.weights), model=model, groups=ALL_GROUPS)
        roles = tuple(dict.fromkeys(tensor.role for tensor in selection.tensors))
        has = ", ".join(f"`{role}`" for role in roles[:6])
        wanted = self.weights if isinstance(self.weights, str) else ", ".join(self.weights)
        raise PlanError(
            f"`{at}` has no weights that `weights: {wanted}` names, only {has}",
            path=("weights",),
            hint=f"leave `weights` out, or let it and `{at}` name the same ones",
        )

    def _sources(self, context: LoweringContext) -> tuple[str, Mapping[str, TensorSpec]]:
        """Returns the model that is copied from, and its tensors by their path below the source layer."""
        model, name = model_and_name(self.source)
        selection = self._select(context, name, "source", model)
        groups = list(_roots(selection))
        if len(groups) != 1:
            paths = ", ".join(f"`{layer.path}`" for layer in selection.matched[:4])
            raise PlanError(
                f"`source` must be one layer, but it matches {len(groups)}: {paths}",
                path=("source",),
                hint="name one of them, and take a step for each",
            )
        return model, groups[0]

    def _pairs(
        self, sources: Mapping[str, TensorSpec], targets: Mapping[str, TensorSpec]
    ) -> list[tuple[TensorSpec, TensorSpec]]:
        """Returns pairs of tensors of the same role; of one weight each, these two whatever their roles."""
        if len(sources) == len(targets) == 1:
            return [(next(iter(sources.values())), next(iter(targets.values())))]
        shared = [(source, targets[path]) for path, source in sources.items() if path in targets]
        by_role = [tensor.role for tensor in sources.values()] == [tensor.role for tensor in targets.values()]
        if not shared and by_role:
            shared = list(zip(sources.values(), targets.values(), strict=True))
        if not shared:
            one, other = (f"`{next(iter(each.values())).layer}` ({', '.join(each)})" for each in (sources, targets))
            raise PlanError(
                f"{one} and {other} have no weight in common",
                path=("target",),
                hint="name one weight of each, such as `layer/kernel`",
            )
        return shared

    def _copy(self, context: LoweringContext, value: Expression, source: TensorSpec, target: TensorSpec) -> TensorWrite:
        refuse_kinds(source, target, "source")
        shape = context.read(target).shape
        if self.axis is UNSET:
            if value.shape != shape:
                return self._overlap(context, value, source, target)
            return context.bind(target, value.cast(target.dtype), None)
        axis = self._axis(source, target)
        window = self._window(axis, source, target)
        return context.bind(target, value.window(axis, shape).cast(target.dtype), window)

    def _overlap(
        self, context: LoweringContext, value: Expression, source: TensorSpec, target: TensorSpec
    ) -> TensorWrite:
        """Copies what two weights of different shapes have in common."""
        shape = context.read(target).shape
        if self.on_mismatch is Mismatch.ERROR or len(value.shape) != len(shape):
            message = f"{described(source)} does not fit {described(target)}"
            hint = "only weights with as many axes are fitted; choose `weights`"
            if self.on_mismatch is Mismatch.ERROR:
                hint = "copy a slice with `axis`, choose `weights` that fit, or say `on_mismatch: slice`"
            raise PlanError(message, path=("source",), hint=hint)
        stops = tuple(min(pair) for pair in zip(value.shape, shape, strict=True))
        for axis, extent in enumerate(shape):
            if value.shape[axis] != extent:
                value = value.window(axis, (*shape[: axis + 1], *value.shape[axis + 1 :]))
        value, common = value.cast(target.dtype), Box(stops)
        if self.on_mismatch is Mismatch.SLICE:
            return context.bind(target, value, common)
        zero = constant(context.builder, 0.0).cast(target.dtype).spread(shape)
        return context.bind(target, value.where(common, zero), None)

    def _axis(self, source: TensorSpec, target: TensorSpec) -> int:
        assert self.axis is not UNSET
        rank = len(target.shape)
        if len(source.shape) != rank or not -rank <= self.axis < rank:
            raise PlanError(
                f"`axis: {self.axis}` does not fit {described(source)} and {described(target)}",
                path=("axis",),
                hint="narrow the step to weights of one rank with `weights`",
            )
        axis = self.axis % rank
        if any(a != b for at, (a, b) in enumerate(zip(source.shape, target.shape, strict=True)) if at != axis):
            raise PlanError(
                f"{described(source)} and {described(target)} differ in more than axis {axis}",
                path=("axis",),
                hint="all other axes must have the same length",
            )
        return axis

    def _window(self, axis: int, source: TensorSpec, target: TensorSpec) -> Window:
        length, room = source.shape[axis], target.shape[axis]
        start = 0 if self.start is UNSET else self._index(self.start, length, "start", source)
        stop = length if self.stop is UNSET else self._index(self.stop, length, "stop", source)
        if stop > room:
            raise PlanError(
                f"the slice {start}:{stop} does not fit `{target.path}`, whose axis {axis} has {room} entries",
                path=("axis",) if self.stop is UNSET else ("stop",),
                hint=f"end it with `stop: {room}` or earlier",
            )
        if start >= stop and not self.allow_empty:
            raise PlanError(
                f"the slice {start}:{stop} of `{source.path}` is empty",
                path=("stop",) if self.start is UNSET else ("start",),
                hint="widen it, or say `allow_empty: true`",
            )
        return Window(axis, start, max(start, stop))

    def _index(self, position: Position, length: int, name: str, source: TensorSpec) -> int:
        index = rounded_share(exact_share(position), length) if isinstance(position, str) else position
        if not -length <= index <= length:
            raise PlanError(
                f"`{name}: {index}` is outside the axis of `{source.path}`, of {length} entries",
                path=(name,),
                hint=f"positions run from 0 to {length}, or from -1 down to {-length}",
            )
        return index + length if index < 0 else index


def _members(target: Target) -> tuple[str | Selector, ...]:
    return target if isinstance(target, tuple) else (target,)


def _roots(selection: Selection) -> Iterator[Mapping[str, TensorSpec]]:
    """Yields the tensors below each outermost layer that was matched, by their path below it."""
    layers = [layer.path for layer in selection.matched]
    outermost = [path for path in layers if not any(path.startswith(f"{other}/") for other in layers)]
    for root in outermost:
        below = {
            tensor.path.removeprefix(f"{root}/"): tensor
            for tensor in selection.tensors
            if tensor.path.startswith(f"{root}/")
        }
        if below:
            yield below
