"""The base class of noises: their size, their effect on a weight, and bounds for the results."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import Problem
from mutspec.graph.expression import Expression, constant
from mutspec.language.types import PlanValue, Scale
from mutspec.lowering.base import WeightOp
from mutspec.lowering.tensor_context import TensorContext

RelativeTo = Annotated[
    Scale,
    Meta(
        description="The unit of the size: `absolute`, 1; `std`, the tensor's standard deviation; `max_abs`, its "
        "largest |w|; `channel_max`, the largest |w| of the output channel; `weight`, the entry's own |w|."
    ),
]


class Mode(StrEnum):
    """The effect of a noise on a weight."""

    ADD = "add"
    MULTIPLY = "multiply"


class Bounds(PlanValue, frozen=True):
    """The range that results are moved into if they lie outside."""

    min: Annotated[float | UnsetType, Meta(description="The smallest result. Default: none.")] = UNSET
    max: Annotated[float | UnsetType, Meta(description="The largest result. Default: none.")] = UNSET


class NoiseOp(WeightOp, frozen=True, kw_only=True):
    """An op that adds random numbers, or multiplies by 1 plus them. A subclass gives them by `noise`."""

    relative_to: RelativeTo = Scale.ABSOLUTE
    mode: Annotated[Mode, Meta(description="`add`: w + noise; `multiply`: w·(1 + noise).")] = Mode.ADD
    bounds: Annotated[
        Bounds | UnsetType,
        Meta(
            description="Move the touched entries, and no others, into these bounds.", examples=[{"min": -1, "max": 1}]
        ),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.mode is Mode.MULTIPLY and self.relative_to is not Scale.ABSOLUTE:
            message = "with `mode: multiply` the noise does not have a unit"
            yield Problem(message, path=("relative_to",), hint="leave `relative_to` out, or `mode: multiply`")
        if self.bounds is UNSET:
            return
        low, high = self.bounds.min, self.bounds.max
        if low is UNSET and high is UNSET:
            yield Problem("`bounds` has neither `min` nor `max`", path=("bounds",), hint="give one, or leave it out")
        elif isinstance(low, float | int) and isinstance(high, float | int) and low > high:
            yield Problem(f"`min` ({low:g}) is above `max` ({high:g})", path=("bounds", "min"), hint="swap them")

    def noise(self, unit: Expression, ctx: TensorContext) -> Expression:
        """Returns the noise of every entry.

        Arguments:
            unit: the unit of its size: a number, or a tensor of the weight's shape.
            ctx: the place.
        """
        raise NotImplementedError("it has no method `noise`")

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        noise = self.noise(ctx.scale(self.relative_to, weight), ctx)
        return self.bounded(weight + noise if self.mode is Mode.ADD else weight * (noise + 1.0))

    def bounded(self, value: Expression) -> Expression:
        """Returns a result, moved into the bounds."""
        if self.bounds is UNSET:
            return value
        low, high = self.bounds.min, self.bounds.max
        value = value if low is UNSET else value.maximum(constant(value.builder, low))
        return value if high is UNSET else value.minimum(constant(value.builder, high))
