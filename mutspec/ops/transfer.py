"""Transfer: weights that are copied between layers and models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import DocumentPath, PlanError, Problem
from mutspec.language.types import OF_TARGET, Patterns, Selector, Target
from mutspec.lowering.base import Op
from mutspec.lowering.context import ALL_GROUPS, LoweringContext, TensorWrite
from mutspec.lowering.copies import CopiedFrom, SkippedWeight
from mutspec.lowering.fitting import Align, Combine, Fitted, Fitting, Mismatch, Position, Positions, are_positions
from mutspec.lowering.merge_op import model_and_name
from mutspec.lowering.pairing import Pair, pairs_by_path, pairs_of_layers, roots
from mutspec.lowering.weight_pair import WeightPair, window_axes
from mutspec.model.select import Selection
from mutspec.model.spec import TensorSpec
from mutspec.text import words


class TransferWeights(Op, tag="transfer_weights", frozen=True, kw_only=True):
    """Copy weights from one layer to others, or from a whole model by name; as they are, or turned, cut and placed.

    Each weight of a target layer takes the values of the source layer's weight of the same role; `source` and `target`
    may also name single weights (`conv_1/kernel`). From a whole model (`old:`) each weight of the target takes those of
    the weight of its own path, statistics included; `weights` narrows both. Where shapes differ, or the source has no
    such weight, it is an error, unless `on_mismatch` says what is done then.

    With `axis`, the entries from `start` up to `stop` of the source go to the same positions of the target, or to those
    from `at` on, and its other entries stay. With `align: center` they lie in the middle: a 3×3 kernel in a 5×5 one.
    `transpose` and `reshape` turn the source before that: a Dense kernel into that of a 1×1 convolution. `combine` adds
    or averages the source along `axis`: a kernel for three channels becomes one for a single channel.

    Literature: transfer learning and grafting of trained layers; crossover of networks (neuro-evolution).
    """

    may_be_done: ClassVar[bool] = True

    source: Annotated[
        str,
        Meta(
            description="The layer or weight to copy from; `<input>:` before it for another model, `base:` for the "
            "model before the plan. `<input>:` alone for all of a model, by path.",
            examples=["teacher:dense_1", "conv_1/kernel", "old:"],
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
    at: Annotated[
        Positions | UnsetType,
        Meta(
            description="Where it goes: the first index, or percent, of the target's axis; or one for each axis. "
            "Default: `start`.",
            examples=[3, [1, 1, 0, 0]],
        ),
    ] = UNSET
    align: Annotated[
        Align,
        Meta(
            description="Where it lies on an axis of another length: at the `start`, or in the `center`: along `axis`, "
            "or else along the window of a convolution's kernel."
        ),
    ] = Align.START
    transpose: Annotated[
        bool | tuple[int, ...],
        Meta(description="Whether to reverse the source's axes; or their order.", examples=[True, [0, 1, 3, 2]]),
    ] = False
    reshape: Annotated[
        bool,
        Meta(
            description="Whether the source's entries, in C order, take the target's shape: Dense to 1×1 convolution; "
            "Dense after Flatten to a convolution over all of its input."
        ),
    ] = False
    combine: Annotated[
        Combine | tuple[float, ...] | UnsetType,
        Meta(
            description="What the source's entries along `axis` become: their `mean` or `sum`, or a sum with these "
            "factors, at each index of the target's axis from `at` on.",
            examples=["mean", [0.299, 0.587, 0.114]],
        ),
    ] = UNSET

    on_mismatch: Annotated[
        Mismatch,
        Meta(
            description="Where lengths differ: an `error`; `slice`, copy the indices that both have; `pad`, that, and "
            "set the target's other entries to zero; `skip`, leave the weight as it is, and one that the source does "
            "not have too."
        ),
    ] = Mismatch.ERROR

    def problems(self) -> Iterable[Problem]:
        model, name = model_and_name(self.source)
        if not name and not model:
            message = "`source` is empty" if not self.source else f"`source: {self.source}` names no layer"
            yield Problem(message, path=("source",), hint="name a layer or weight, such as `conv_1` or `conv_1/kernel`")
        if self.weights is not UNSET and not self.weights:
            hint = "name the weights to copy, or leave the key out for all"
            yield Problem("`weights` is empty, and copies nothing", path=("weights",), hint=hint)
        if self.axis is UNSET:
            for key, hint in _NEED_AXIS.items():
                if self._has(key) and not isinstance(getattr(self, key), tuple):
                    yield Problem(f"`{key}` needs `axis`", path=(key,), hint=hint)
        if self.at is not UNSET and not are_positions(self.at):
            message = f"`at: {self.at}` is neither a whole number nor a percentage"
            yield Problem(message, path=("at",), hint="write `at: 3`, `at: 50%`, or a list with one for each axis")
        if isinstance(self.transpose, tuple) and sorted(self.transpose) != list(range(len(self.transpose) or 1)):
            message = f"`transpose: {list(self.transpose)}` is not an order of axes"
            yield Problem(message, path=("transpose",), hint="write each axis once, counted from 0, such as `[1, 0]`")
        yield from self._excluded()

    def _excluded(self) -> Iterable[Problem]:
        """Returns the problems of keys that make no sense together."""
        for key, others, hint in _EXCLUDED:
            for other in others:
                if self._has(key) and self._has(other):
                    yield Problem(f"`{key}` and `{other}` cannot be used together", path=(other,), hint=hint)
        if self.combine is not UNSET and isinstance(self.at, tuple):
            yield Problem("`combine` has one position, along `axis`", path=("at",), hint="write `at: 3`, for example")
        if self.reshape and self.on_mismatch in (Mismatch.SLICE, Mismatch.PAD):
            message = f"`reshape` keeps every entry, so that `on_mismatch: {self.on_mismatch}` has nothing to do"
            yield Problem(message, path=("on_mismatch",), hint="leave it out, or say `on_mismatch: skip`")

    def _has(self, key: str) -> bool:
        value = getattr(self, key)
        return value is not UNSET and value is not False and value is not Align.START

    def inputs_used(self) -> Iterable[tuple[DocumentPath, str]]:
        if model := model_and_name(self.source)[0]:
            yield ("source",), model

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Pairs the tensors, reads all sources, then binds all targets."""
        model, name = model_and_name(self.source)
        pairs = [pair for pair in self._pairs(context, model, name) if model or pair[0].path != pair[1].path]
        fitted = self._fitted(context, pairs, model)
        if context.skipped and not fitted and not self.allow_empty:
            first = context.skipped[0]
            others = f" and {len(context.skipped) - 1:,} more" if len(context.skipped) > 1 else ""
            raise PlanError(
                f"nothing is copied: `{first.tensor.path}`{others} would be skipped, because {first.reason}",
                path=("source",),
                hint="choose a source whose weights fit, or say `allow_empty: true`",
            )
        return [self._bound(context, each, pair, model) for pair, each in fitted]

    def _bound(self, context: LoweringContext, fitted: Fitted, pair: Pair, model: str) -> TensorWrite:
        source, target = pair
        write = context.bind(target, fitted.value, fitted.choice)
        padded = target.size - fitted.copied if self.on_mismatch is Mismatch.PAD else 0
        name = f"{model}:{source.path}" if model else source.path
        copied = CopiedFrom(name, source.shape, fitted.copied, source.size - fitted.used, padded)
        return replace(write, copied=copied)

    def _fitted(self, context: LoweringContext, pairs: Sequence[Pair], model: str) -> list[tuple[Pair, Fitted]]:
        """Returns what each target takes from its source. What does not fit is skipped, if the step says so.

        Raises:
            PlanError: a source does not fit.
        """
        fitting, fitted, problems = self._fitting, [], list[Problem]()
        for source, target in pairs:
            try:
                value = context.read(source, model)
                window = window_axes(context.models[""].layer_by_path[target.layer], target)
                fitted.append(((source, target), fitting.fit(WeightPair(source, target, model, value, window))))
            except PlanError as error:
                problems += error.problems
                context.skipped.append(SkippedWeight(target, error.problems[0].message))
        if problems and self.on_mismatch is not Mismatch.SKIP:
            if len(problems) > _MOST_NAMED:
                more = f"{words.plural(len(problems) - _MOST_NAMED, 'more weight')} cannot be copied"
                problems[_MOST_NAMED:] = [Problem(more, path=("source",))]
            raise PlanError(problems)
        return fitted

    @property
    def _fitting(self) -> Fitting:
        return Fitting(
            None if self.axis is UNSET else self.axis,
            None if self.start is UNSET else self.start,
            None if self.stop is UNSET else self.stop,
            None if self.at is UNSET else self.at,
            self.align,
            self.transpose,
            self.reshape,
            None if self.combine is UNSET else self.combine,
            self.on_mismatch,
            self.allow_empty,
        )

    def _pairs(self, context: LoweringContext, model: str, name: str) -> list[Pair]:
        """Returns the weights to copy, each with the one that it goes to."""
        if not name:
            return self._pairs_by_path(context, model)
        sources = self._source_layer(context, model, name)
        pairs = [
            pair
            for targets in roots(self._select(context, self.target, "target"))
            for pair in pairs_of_layers(sources, targets)
        ]
        if not model and pairs and all(source.path == target.path for source, target in pairs) and not self.allow_empty:
            raise PlanError(
                f"source and target are the same weight{'s' * (len(pairs) > 1)}, "
                + ", ".join(f"`{target.path}`" for _, target in pairs[:3]),
                path=("target",),
                hint="name another layer to copy to, or copy from an input: `source: <input>:layer`",
            )
        return pairs

    def _pairs_by_path(self, context: LoweringContext, model: str) -> list[Pair]:
        """Returns the weights of a whole model that are copied.

        Raises:
            PlanError: it does not have one of the target's weights, and the step does not skip them.
        """
        targets = self._select(context, self.target, "target").tensors
        named = context.named_model(model)
        pairs, missing = pairs_by_path(context.models[model], targets, by_origin=context.is_base(model))
        if missing and self.on_mismatch is not Mismatch.SKIP:
            listing = ", ".join(f"`{tensor.path}`" for tensor in missing[:_MOST_NAMED])
            others = f" and {len(missing) - _MOST_NAMED:,} more" if len(missing) > _MOST_NAMED else ""
            raise PlanError(
                f"{named} does not have {len(missing):,} of {words.plural(len(targets), 'weight')}: {listing}{others}",
                path=("source",),
                hint="leave them out of `target`, or say `on_mismatch: skip`",
            )
        context.skipped += [SkippedWeight(tensor, f"{named} does not have it") for tensor in missing]
        return pairs

    def _source_layer(self, context: LoweringContext, model: str, name: str) -> Mapping[str, TensorSpec]:
        """Returns the tensors of the layer that is copied from, by their path below it."""
        selection = self._select(context, name, "source", model)
        groups = list(roots(selection))
        if len(groups) != 1:
            paths = ", ".join(f"`{layer.path}`" for layer in selection.matched[:4])
            raise PlanError(
                f"`source` must be one layer, but it matches {len(groups)}: {paths}",
                path=("source",),
                hint="name one of them, and take a step for each",
            )
        return groups[0]

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


_MOST_NAMED = 4
"""The most weights that a message names; others are counted."""

_NEED_AXIS = {
    "start": "add `axis: -1` to slice along the last axis",
    "stop": "add `axis: -1` to slice along the last axis",
    "at": "add `axis: -1`, or give a position for each axis, such as `[1, 1, 0, 0]`",
    "combine": "add `axis: -2` for the channels that a convolution takes",
}
"""The keys that are along `axis`, and what to add to them."""

_EXCLUDED = (
    ("reshape", ("axis", "start", "stop", "at", "align", "combine"), "`reshape` keeps every entry; copy parts without"),
    ("align", ("start", "stop", "at", "combine"), "`align: center` places all of the source; leave one of them out"),
)
"""Keys, those that make no sense with them, and what to do."""


def _members(target: Target) -> tuple[str | Selector, ...]:
    return target if isinstance(target, tuple) else (target,)
