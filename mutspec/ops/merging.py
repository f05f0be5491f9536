"""Merging: weights that are exchanged, blended, averaged or crossed with those of other layers or models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType, field

from mutspec.errors import DocumentPath, PlanError, Problem
from mutspec.graph.choice import Run
from mutspec.graph.expression import Expression
from mutspec.graph.streams import uniform_64_bits
from mutspec.language.types import ByTarget, Target, exact_share, or_default
from mutspec.lowering.amounts import Chosen
from mutspec.lowering.base import Op
from mutspec.lowering.context import ALL_GROUPS, LoweringContext, TensorWrite
from mutspec.lowering.merge_op import MergeOp, Source, described
from mutspec.lowering.pairing import roots
from mutspec.lowering.tensor_context import TensorContext
from mutspec.model.spec import TensorSpec


class Interpolation(StrEnum):
    """The way from one weight to another."""

    LINEAR = "linear"
    SPHERICAL = "spherical"


class Blend(MergeOp, tag="blend", frozen=True, kw_only=True):
    """Blend: each chosen weight moves a part t of the way to its source: w + t·(s - w).

    `spherical` moves along the arc between the two tensors as vectors, so that their norm does not sag in the middle;
    where they are parallel, it is the line.

    Literature: weight interpolation (Goodfellow et al. 2015; WiSE-FT, Wortsman et al. 2022); slerp (Shoemake 1985).
    """

    source: Source
    t: Annotated[ByTarget[float], Meta(description="How far: 0 is the weight as it is, 1 the source.", examples=[0.5])]
    along: Annotated[Interpolation, Meta(description="The way: `linear`, or `spherical` between the tensors.")] = (
        Interpolation.LINEAR
    )

    def sources(self) -> Iterator[tuple[DocumentPath, str]]:
        yield ("source",), self.source

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        other, t = self.partner(self.source, ctx, "source"), ctx.number(self.t)
        return weight + t * (other - weight) if self.along is Interpolation.LINEAR else _on_arc(weight, other, t)


_PARALLEL = 1e-7
"""The sine of an angle below which an arc is a line, in float64."""


def _on_arc(weight: Expression, other: Expression, t: Expression) -> Expression:
    one, two = weight.cast("float64"), other.cast("float64")
    norms = ((one * one).sum() * (two * two).sum()).square_root()
    least = 2.0**-1000  # where one of them is 0, it has no direction
    angle = ((one * two).sum() / norms.maximum(least)).minimum(1.0).maximum(-1.0).arc_cosine()
    sine = angle.sine()
    is_arc = ((sine - _PARALLEL).minimum(norms - least).sign() * 0.5) + 0.5  # 1 or 0
    safe = sine.maximum(_PARALLEL)
    left = is_arc * (((1.0 - t) * angle).sine() / safe) + (1.0 - is_arc) * (1.0 - t)
    right = is_arc * ((t * angle).sine() / safe) + (1.0 - is_arc) * t
    return weight * left + other * right


class Average(MergeOp, tag="average", frozen=True, kw_only=True):
    """Average: each chosen weight becomes the mean of itself and its sources, by equal or given shares.

    Literature: model soups (Wortsman et al. 2022); federated averaging (McMahan et al. 2017); checkpoint averaging.
    """

    sources_: Annotated[
        tuple[Source, ...], Meta(min_length=1, description="The other weights.", examples=[["second:", "third:"]])
    ] = field(name="sources")
    shares: Annotated[
        tuple[float, ...] | UnsetType,
        Meta(
            description="What each has a share of: first the weight itself, then the sources. They are divided by "
            "their sum. Default: all the same.",
            examples=[[0.5, 0.25, 0.25]],
        ),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.shares is UNSET:
            return
        if len(self.shares) != len(self.sources_) + 1:
            message = f"there are {len(self.shares)} shares for {len(self.sources_)} sources and the weight itself"
            yield Problem(message, path=("shares",), hint="give one for the weight itself, then one for each source")
        elif not sum(self.shares):
            yield Problem("the shares add up to 0", path=("shares",), hint="raise one")

    def sources(self) -> Iterator[tuple[DocumentPath, str]]:
        yield from ((("sources", number), source) for number, source in enumerate(self.sources_))

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        others = [self.partner(source, ctx, "sources", number) for number, source in enumerate(self.sources_)]
        shares = or_default(self.shares, (1.0,) * (1 + len(others)))
        mean = weight * (shares[0] / sum(shares))
        for other, share in zip(others, shares[1:], strict=True):
            mean = mean + other * (share / sum(shares))
        return mean


class AddDifference(MergeOp, tag="add_difference", frozen=True, kw_only=True):
    """Add a difference: each chosen weight w becomes w + factor·(plus - minus).

    Literature: task arithmetic (Ilharco et al. 2023).
    """

    plus: Annotated[Source, Meta(examples=["tuned:"])]
    minus: Annotated[Source, Meta(examples=["original:"])]
    factor: Annotated[ByTarget[float], Meta(description="The factor λ; negative to forget a task.")] = 1.0

    def sources(self) -> Iterator[tuple[DocumentPath, str]]:
        yield ("plus",), self.plus
        yield ("minus",), self.minus

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        difference = self.partner(self.plus, ctx, "plus") - self.partner(self.minus, ctx, "minus")
        return weight + ctx.number(self.factor) * difference


class CrossoverCut(StrEnum):
    """The ways in which two parents are crossed."""

    UNIFORM = "uniform"
    ONE_POINT = "one_point"
    LAYERS = "layers"


class Crossover(MergeOp, tag="crossover", frozen=True, kw_only=True):
    """Cross with another parent: some weights take the value of their source, the others stay.

    `uniform` takes each entry with a probability (`rate`, by default 0.5; any other amount does as well); `one_point`
    takes each tensor's entries from a random one on, in C order; `layers` takes whole layers with probability `rate`.

    Literature: uniform and one-point crossover (Holland 1975; PyGAD); layer-wise crossover (neuro-evolution);
    Cosyne in a population of two (EvoTorch).
    """

    accepts_integers: ClassVar[bool] = True

    source: Source
    method: Annotated[CrossoverCut, Meta(description="What is taken: entries, a run of them, or whole layers.")] = (
        CrossoverCut.UNIFORM
    )

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        allowed = {CrossoverCut.UNIFORM: self.amount.given, CrossoverCut.ONE_POINT: (), CrossoverCut.LAYERS: ("rate",)}[
            self.method
        ]
        for name in (*self.amount.given, *self.given("unit", "rank", "gates", "per")):
            if name not in allowed and self.method is not CrossoverCut.UNIFORM:
                yield Problem(f"`method: {self.method}` does not take `{name}`", path=(name,), hint="leave it out")

    def sources(self) -> Iterator[tuple[DocumentPath, str]]:
        yield ("source",), self.source

    def choices(self, context: LoweringContext, tensors: Sequence[TensorSpec]) -> list[Chosen]:
        if self.method is CrossoverCut.ONE_POINT:
            runs = ((tensor, _cut(context, tensor)) for tensor in tensors)
            return [(tensor, Run(start, tensor.size)) for tensor, start in runs if start < tensor.size]
        if self.method is CrossoverCut.LAYERS:
            return [(tensor, None) for tensor in tensors if tensor.size and self._takes(context, tensor)]
        if self.amount.given:
            return super().choices(context, tensors)
        return replace(self.amount, rate=0.5).choices(context, tensors)

    def _takes(self, context: LoweringContext, tensor: TensorSpec) -> bool:
        rate = Fraction(1, 2) if self.rate is UNSET else exact_share(self.rate)
        return uniform_64_bits(context.key(tensor.origin.rpartition("/")[0], "choose")) < rate * 2**64

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return self.partner(self.source, ctx, "source")


def _cut(context: LoweringContext, tensor: TensorSpec) -> int:
    """Draws where a tensor is cut: before any entry but the first, each as likely."""
    drawn = uniform_64_bits(context.key(tensor.origin, "cut"))
    return 1 + (drawn * max(0, tensor.size - 1) >> 64) if tensor.size > 1 else 0


class SwapWeights(Op, tag="swap_weights", frozen=True, kw_only=True):
    """Exchange the weights of two layers of one structure, or of two single weights. Applied twice, it changes nothing.

    Literature: LS, layer switch (LEMON), of the weights alone.
    """

    target: Annotated[Target, Meta(description="One layer or weight.")]
    other: Annotated[Target, Meta(description="The layer or weight that it changes places with.", examples=["dense_2"])]

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        """Reads all before it binds any."""
        sides = [context.select(side, ctx, groups=ALL_GROUPS).tensors for side, ctx in self._sides()]
        shapes = [[(tensor.shape, tensor.dtype) for tensor in side] for side in sides]
        if shapes[0] != shapes[1]:
            one, two = (", ".join(described(tensor, dtype=True) for tensor in side[:4]) or "nothing" for side in sides)
            raise PlanError(
                f"{one} cannot change places with {two}", path=("other",), hint="name two of the same structure"
            )
        if {tensor.path for tensor in sides[0]} & {tensor.path for tensor in sides[1]}:
            raise PlanError("a weight is on both sides", path=("other",), hint="name another layer")
        values = [[context.read(tensor) for tensor in side] for side in sides]
        pairs = [*zip(sides[0], values[1], strict=True), *zip(sides[1], values[0], strict=True)]
        return [context.bind(tensor, value, None) for tensor, value in pairs if tensor.size]

    def _sides(self) -> tuple[tuple[Any, str], ...]:
        return (self.target, "target"), (self.other, "other")


class Common(StrEnum):
    """The values that weights take together."""

    FIRST = "first"
    MEAN = "mean"


class ShareValues(Op, tag="share_values", frozen=True, kw_only=True):
    """Give the layers of the target the same values: those of the first, or their mean, weight by weight.

    In layers of one structure, weights belong together by their path below the layer, and in others by role; those that
    belong together must have one shape. They stay separate weights.

    Literature: weight sharing across layers (Universal Transformer, Dehghani et al. 2019; ALBERT, Lan et al. 2020).
    """

    may_be_done: ClassVar[bool] = True

    target: Annotated[
        Target, Meta(description="The layers or weights to share values.", examples=[["dense_1", "dense_2"]])
    ]
    take: Annotated[Common, Meta(description="What all of them take: the `first` one's values, or the `mean`.")] = (
        Common.FIRST
    )

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        selection = context.select(self.target, "target")
        tensors = [tensor for tensor in selection.tensors if tensor.size]
        if self.take is Common.MEAN:
            context.refuse_integers(tensors)
        layers = list(roots(selection))
        is_alike = len(layers) > 1 and all(each.keys() == layers[0].keys() for each in layers)
        places = {each.path: place for layer in layers for place, each in layer.items()} if is_alike else {}
        groups: dict[str, list[TensorSpec]] = {}
        for tensor in tensors:
            groups.setdefault(places.get(tensor.path, tensor.role), []).append(tensor)
        return [write for group in groups.values() for write in self._shared(context, group)]

    def _shared(self, context: LoweringContext, group: list[TensorSpec]) -> Iterable[TensorWrite]:
        first = group[0]
        unlike = next((each for each in group if (each.shape, each.dtype) != (first.shape, first.dtype)), None)
        if unlike is not None:
            raise PlanError(
                f"{described(unlike, dtype=True)} cannot have the values of {described(first, dtype=True)}",
                path=("target",),
                hint="choose layers of one structure, or single weights",
            )
        values = [context.read(tensor).cast(context.compute_dtype(tensor)) for tensor in group]
        value = values[0] if self.take is Common.FIRST else sum(values[1:], start=values[0]) / float(len(values))
        others = group[1:] if self.take is Common.FIRST else group
        return [context.bind(tensor, value.cast(tensor.dtype), None) for tensor in others] if len(group) > 1 else []
