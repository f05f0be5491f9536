"""Values: weights that are scaled, shifted, set, clipped, negated or drawn again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType, field

from mutspec.errors import PlanError, Problem
from mutspec.graph.computed_dtypes import INTEGERS
from mutspec.graph.expression import Expression, constant
from mutspec.keras_facts.argument_values import long_form
from mutspec.language.types import ByTarget, Scale, Share, exact_share
from mutspec.lowering.base import WeightOp
from mutspec.lowering.context import FIRST_VALUE
from mutspec.lowering.initial_values import NewWeight, config_problem, initial_value
from mutspec.lowering.noise_op import RelativeTo
from mutspec.lowering.tensor_context import TensorContext


class ScaleWeights(WeightOp, tag="scale", frozen=True, kw_only=True):
    """Multiply: each chosen weight w becomes factor·w.

    Literature: WI, weight inhibitor (MuFF: a factor below 1). On neurons it is `scale_neurons`.
    """

    factor: Annotated[ByTarget[float], Meta(description="The factor.", examples=[1.1])]

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return ctx.number(self.factor) * weight


class ShiftWeights(WeightOp, tag="shift", frozen=True, kw_only=True):
    """Shift: each chosen weight w becomes w + by·unit.

    Literature: bias shifts and offset faults (hardware fault studies).
    """

    by: Annotated[ByTarget[float], Meta(description="What is added, in units of `relative_to`.", examples=[0.1])]
    relative_to: RelativeTo = Scale.ABSOLUTE

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return weight + ctx.number(self.by) * ctx.scale(self.relative_to, weight)


class Negate(WeightOp, tag="negate", frozen=True, kw_only=True):
    """Negate: each chosen weight w becomes -w. Applied twice, it changes nothing.

    Literature: sign (Ares); negate one cell (Xavier: `indices`).
    """

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return -weight


class Reciprocal(WeightOp, tag="reciprocal", frozen=True, kw_only=True):
    """Invert: each chosen weight w becomes 1/w. Weights that are 0 become infinite, which is an error unless allowed.

    Literature: reciprocal of one cell (Xavier: `indices`).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"target": "dense_1/kernel", "indices": [0]})

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return 1.0 / weight


class Clip(WeightOp, tag="clip", frozen=True, kw_only=True):
    """Clip: each chosen weight is moved to the nearest bound if it is outside of them.

    Bounds are values, or quantiles of the tensor: `min_quantile: 1%` is the value below which 1% of its entries lie
    (between two entries it is interpolated, as NumPy's `linear`). A quantile needs the tensor in memory.

    Literature: weight clipping (WGAN, Arjovsky et al. 2017); range restriction (Ranger, Chen et al. 2021).
    """

    may_be_done: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"min": -1.0, "max": 1.0})

    smallest: Annotated[
        ByTarget[float] | UnsetType, Meta(description="The smallest value. Default: none.", examples=[-1.0])
    ] = field(default=UNSET, name="min")
    largest: Annotated[
        ByTarget[float] | UnsetType, Meta(description="The largest value. Default: none.", examples=[1.0])
    ] = field(default=UNSET, name="max")
    min_quantile: Annotated[
        Share | UnsetType, Meta(description="The quantile that is the smallest value.", examples=["1%"])
    ] = UNSET
    max_quantile: Annotated[
        Share | UnsetType, Meta(description="The quantile that is the largest value.", examples=["99%"])
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        ends = ((self.smallest, self.min_quantile, "min"), (self.largest, self.max_quantile, "max"))
        for value, quantile, name in ends:
            if value is not UNSET and quantile is not UNSET:
                message = f"`{name}` and `{name}_quantile` cannot be used together"
                yield Problem(message, path=(name,), hint="keep one of them")
        if all(value is UNSET and quantile is UNSET for value, quantile, _ in ends):
            yield Problem("there is nothing to clip to", path=("op",), hint="give `min`, `max`, or a quantile")
        low, high = self.min_quantile, self.max_quantile
        if low is not UNSET and high is not UNSET and exact_share(low) > exact_share(high):
            message = f"`min_quantile` ({low}) is above `max_quantile` ({high})"
            yield Problem(message, path=("min_quantile",), hint="swap them")
        least, most = self.smallest, self.largest
        if isinstance(least, float | int) and isinstance(most, float | int) and least > most:
            yield Problem(f"`min` ({least:g}) is above `max` ({most:g})", path=("min",), hint="swap them")

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        low, high = (
            self._bound(self.smallest, self.min_quantile, ctx),
            self._bound(self.largest, self.max_quantile, ctx),
        )
        weight = weight if low is None else weight.maximum(low)
        return weight if high is None else weight.minimum(high)

    def _bound(
        self, value: ByTarget[float] | UnsetType, quantile: float | str | UnsetType, ctx: TensorContext
    ) -> Expression | None:
        if value is not UNSET:
            return ctx.number(value)
        if quantile is UNSET:
            return None
        return ctx.weight().whole("quantile", (), "float64", q=float(exact_share(quantile)).hex())


class Reinitialize(WeightOp, tag="reinitialize", frozen=True, kw_only=True):
    """Draw new weights: each chosen weight takes the value that an initializer draws for it, from the step's stream.

    Any of Keras's initializers but `stft`: zeros, ones, constant, random_normal, random_uniform, truncated_normal,
    variance_scaling, the glorot, he and lecun families, identity (of a matrix) and orthogonal. A `seed` in an
    initializer changes nothing, as all draws are from the step's stream.

    Literature: random (TensorFI 2: `random_uniform` from 0 to 1); random_weight (PyTorchFI: from -1 to 1); number
    (PyTorchALFI); UniformRandom, NormalRandom and, rounded, IntRandom (MRFI).
    """

    initializer: Annotated[
        str | dict[str, Any],
        Meta(
            description="Keras's name of an initializer, or its `class_name` and `config`.",
            examples=["glorot_uniform", {"class_name": "RandomNormal", "config": {"stddev": 0.1}}],
        ),
    ]

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if message := config_problem(self._initializer):
            yield Problem(f"the initializer is wrong: {message}", path=("initializer",), hint=_SEE)

    @property
    def _initializer(self) -> Any:
        """The initializer in Keras's form, also where it is written as layers are: `{type: RandomNormal}`."""
        return long_form("initializer", self.initializer)

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        new = NewWeight(ctx.context.builder, ctx.tensor, ctx.key(FIRST_VALUE))
        try:
            value = initial_value(new, self._initializer)
        except (TypeError, ValueError) as error:
            message = f"the initializer's config is wrong: {error}"
            raise PlanError(message, path=("initializer",), hint=_SEE) from None
        if value is None:
            raise PlanError(
                f"the initializer `{_name_of(self._initializer)}` is not one that mutspec draws",
                path=("initializer",),
                hint="zeros, ones, constant, random_normal, random_uniform, truncated_normal, variance_scaling, "
                "identity, orthogonal, glorot_*, he_* or lecun_*",
            )
        return value


_SEE = "see its arguments in Keras's documentation"


def _name_of(initializer: str | dict[str, Any]) -> str:
    return initializer if isinstance(initializer, str) else str(initializer.get("class_name", initializer))


class Fill(WeightOp, tag="fill", frozen=True, kw_only=True):
    """Set: each chosen weight becomes `value`.

    Literature: SetValue (MRFI); change one cell (Xavier: `indices`); stuck weights (hardware fault studies).
    """

    may_be_done: ClassVar[bool] = True
    accepts_integers: ClassVar[bool] = True
    accepts_nan: ClassVar[frozenset[str]] = frozenset({"value"})

    value: Annotated[
        ByTarget[float], Meta(description="The value that is set, in the weight's own unit.", examples=[0.5])
    ]

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        value = ctx.value(self.value)
        if weight.dtype in INTEGERS:
            _refuse_unrepresentable(value, ctx)
        return constant(ctx.context.builder, value)


class Zero(WeightOp, tag="zero", frozen=True, kw_only=True):
    """Set each chosen weight to zero.

    Literature: zeros (TensorFI 2, TF-Injector); zero weight (PyTorchFI); SetZero (MRFI); block one cell (Xavier:
    `indices`); DropConnect (AIHWKit: `rate`).
    """

    may_be_done: ClassVar[bool] = True
    accepts_integers: ClassVar[bool] = True

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return ctx.number(0.0)


def _refuse_unrepresentable(value: float, ctx: TensorContext) -> None:
    dtype = ctx.tensor.dtype
    bits = 1 if dtype == "bool" else int(dtype.lstrip("uint"))
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if dtype.startswith("int") else (0, (1 << bits) - 1)
    if not (value == value and low <= value <= high and value == int(value)):
        raise PlanError(
            f"`{ctx.tensor.path}` is {dtype} and cannot hold {value:g}",
            path=("value",),
            hint=f"give a whole number from {low:,} to {high:,}",
        )
