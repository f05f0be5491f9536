"""Precision: weights that are rounded, quantised or binarised, and stored as before."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import Meta

from mutspec.errors import PlanError, Problem
from mutspec.graph.expression import Expression, constant
from mutspec.language.types import ByTarget
from mutspec.lowering.base import WeightOp
from mutspec.lowering.tensor_context import LEAST, TensorContext


class Scheme(StrEnum):
    """The positions of the levels of a quantisation."""

    SYMMETRIC = "symmetric"
    AFFINE = "affine"


class Granularity(StrEnum):
    """The weights that share a scale."""

    TENSOR = "tensor"
    CHANNEL = "channel"


class RoundWeights(WeightOp, tag="round", frozen=True, kw_only=True):
    """Round: each chosen weight w becomes the nearest number with `decimals` decimals, halves to even.

    As NumPy's `round`: the weight is scaled by a power of ten, rounded, and scaled back.

    Literature: RNN weight precision reduction (DeepMutation++).
    """

    may_be_done: ClassVar[bool] = True

    decimals: Annotated[ByTarget[int], Meta(description="Digits after the point; negative ones before.", examples=[2])]

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        decimals = ctx.value(self.decimals)
        if abs(decimals) > 30:
            message = f"`decimals` is {decimals}, beyond what floats can hold"
            raise PlanError(message, path=("decimals",), hint="give a number from -30 to 30")
        power = constant(ctx.context.builder, 10.0 ** abs(decimals))
        return (weight * power).round() / power if decimals >= 0 else (weight / power).round() * power


class Quantize(WeightOp, tag="quantize", frozen=True, kw_only=True):
    """Quantise: each chosen weight moves to the nearest of 2^bits levels, and is stored as before.

    `symmetric` levels are whole multiples of max|w| / (2^(bits-1) - 1), from minus to plus that; `affine` ones divide
    the range from the smallest to the largest weight, widened to hold 0, in 2^bits - 1 steps, and 0 is a level.

    Literature: RNN weight precision, quantisation (DeepMutation++); Discretize (AIHWKit); fixed-point weights (Ares);
    Jacob et al. 2018.
    """

    may_be_done: ClassVar[bool] = True

    bits: Annotated[
        int, Meta(ge=2, le=16, description="The width of the integers that weights are rounded to.", examples=[8])
    ]
    scheme: Annotated[Scheme, Meta(description="`symmetric` around 0, or `affine`: as wide as the weights.")] = (
        Scheme.SYMMETRIC
    )
    granularity: Annotated[Granularity, Meta(description="What shares a scale: a tensor, or an output channel.")] = (
        Granularity.TENSOR
    )

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        if self.scheme is Scheme.SYMMETRIC:
            largest = float(2 ** (self.bits - 1) - 1)
            step = (self._extent(abs(weight), ctx) / largest).maximum(LEAST)
            return _on_grid(weight, step, -largest, largest)
        high, low = self._extent(weight, ctx).maximum(0.0), -self._extent(-weight, ctx).maximum(0.0)
        step = ((high - low) / float(2**self.bits - 1)).maximum(LEAST)
        lowest = (low / step).round()
        return _on_grid(weight, step, lowest, lowest + float(2**self.bits - 1))

    def _extent(self, weight: Expression, ctx: TensorContext) -> Expression:
        """Returns the largest entry: of the tensor as a number, or of each channel as a tensor."""
        if self.granularity is Granularity.TENSOR:
            return weight.max()
        return ctx.channel_max(weight, "granularity")


def _on_grid(
    weight: Expression, step: Expression, lowest: float | Expression, highest: float | Expression
) -> Expression:
    return (weight / step).round().maximum(lowest).minimum(highest) * step


class DorefaQuantize(WeightOp, tag="dorefa_quantize", frozen=True, kw_only=True):
    """Quantise by a tanh: large weights are drawn in before all of them move to levels that lie `resolution` apart.

    w becomes resolution·round(t / resolution) with t = clip·tanh(w) / tanh(max|w|), max|w| being that of the tensor. So
    the largest weight becomes about ±clip, whatever it was. The last bits of tanh depend on the machine.

    Literature: DoReFa (AIHWKit: `res`, `dorefa_clip` 0.6), after DoReFa-Net (Zhou et al. 2016), whose levels have no 0.
    """

    resolution: Annotated[float, Meta(gt=0, description="The distance of the levels.", examples=[0.1])]
    clip: Annotated[float, Meta(gt=0, description="What the largest weight becomes before it is rounded.")] = 0.6

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        factor = self.clip / abs(weight).max().hyperbolic_tangent().maximum(LEAST)
        return (weight.hyperbolic_tangent() * factor / self.resolution).round() * self.resolution


class Binarize(WeightOp, tag="binarize", frozen=True, kw_only=True):
    """Binarise: each chosen weight w becomes s where w ≥ 0, else -s, with s the mean |w| of its tensor (or `scale`).

    Literature: RNN weight binarise (DeepMutation++: `scale: 1`); BinaryConnect (Courbariaux et al. 2015: `scale: 1`);
    XNOR-Net (Rastegari et al. 2016: the mean).
    """

    may_be_done: ClassVar[bool] = True

    scale: Annotated[
        ByTarget[float] | None,
        Meta(description="The size of the result. Default: the mean |w| of the tensor.", examples=[1.0]),
    ] = None

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if isinstance(self.scale, float | int) and self.scale <= 0:
            yield Problem("`scale` must be above 0", path=("scale",), hint="leave it out for the mean |w|")

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        size = abs(weight).mean() if self.scale is None else ctx.number(self.scale)
        return weight.sign() * size
