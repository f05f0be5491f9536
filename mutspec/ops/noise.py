"""Noise: random numbers that are added to weights, or multiply them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isinf, log, sqrt
from typing import Annotated, NamedTuple

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.graph.choice import Scattered
from mutspec.graph.exact_counts import binomial_quantile
from mutspec.graph.expression import Expression, constant
from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import uniform_64_bits
from mutspec.language.types import ByTarget, NonNegative, Scale, Share, Unit, exact_share
from mutspec.lowering.amounts import Chosen
from mutspec.lowering.base import WeightOp
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.noise_op import NoiseOp, RelativeTo
from mutspec.lowering.tensor_context import LEAST, TensorContext
from mutspec.model.spec import TensorSpec


class GaussianNoise(NoiseOp, tag="gaussian_noise", frozen=True, kw_only=True):
    """Add normal noise: each chosen weight w becomes w + std·unit·ε with ε ~ N(0, 1).

    For one seed, ε does not depend on `std`: a sweep over `std` moves along one direction. Only the chosen entries
    change, and nothing is clipped unless `bounds` says so. With `reset_rate` and `rate`, some of the other entries get
    a new value, from N(0, reset_std).

    Literature: GF, gaussian fuzzing (DeepMutation, Ma et al. 2018: std 0.1; DeepMutation++, Hu et al. 2019:
    `mode: multiply`, std 0.5; LEMON: std 0.1 of the tensor's); weights_fuzzing (PMT: of each weight); normal (Ares);
    NormalDisturb (MRFI); AddNormal (AIHWKit: `relative_to: max_abs`), MultNormal (`mode: multiply`); weight mutation
    (neat-python: rate 0.8, std 0.5, reset_rate 0.1); GaussianMutation (EvoTorch).
    """

    std: Annotated[
        ByTarget[NonNegative],
        Meta(description="The noise's standard deviation, in units of `relative_to`.", examples=[0.01]),
    ]
    reset_rate: Annotated[
        Share | UnsetType,
        Meta(
            description="The probability with which an entry gets a new value instead. Needs `rate`; both are at most "
            "1 together.",
            examples=[0.1],
        ),
    ] = UNSET
    reset_std: Annotated[NonNegative, Meta(description="The standard deviation of new values.")] = 1.0

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.reset_rate is UNSET:
            return
        if self.rate is UNSET:
            yield Problem("`reset_rate` needs `rate`", path=("reset_rate",), hint="add `rate: 0.8`, for example")
        elif exact_share(self.rate) + exact_share(self.reset_rate) > 1:
            yield Problem("`rate` and `reset_rate` add up to more than 1", path=("reset_rate",), hint="lower one")
        units = self.amount.units
        is_narrowed = units.unit is not Unit.ENTRY or units.gates or units.rank is not None
        if is_narrowed or self.at_least or self.per is not UNSET:
            message = "`reset_rate` is a probability of each entry"
            yield Problem(message, path=("reset_rate",), hint="leave out `unit`, `rank`, `gates`, `per` and `at_least`")

    def choices(self, context: LoweringContext, tensors: Sequence[TensorSpec]) -> list[Chosen]:
        """Returns the entries that get noise, and after them, in the order of drawing, those that get new values."""
        if self.reset_rate is UNSET:
            return super().choices(context, tensors)
        chosen: list[Chosen] = []
        for tensor in tensors:
            noised, reset = self._counts(context, tensor)
            pool = Permutation(tensor.size, context.key(tensor.origin, "choose"))
            if noised + reset:
                chosen.append((tensor, Scattered(pool, noised + reset, 0)))
        return chosen

    def _counts(self, context: LoweringContext, tensor: TensorSpec) -> tuple[int, int]:
        """Draws the number of entries that get noise, and of others that get new values: multinomial."""
        assert self.rate is not UNSET
        assert self.reset_rate is not UNSET
        rate, reset_rate = exact_share(self.rate), exact_share(self.reset_rate)
        draws = [uniform_64_bits(context.key(tensor.origin, name)) for name in ("rate", "reset_rate")]
        noised = binomial_quantile(tensor.size, rate, draws[0])
        left = tensor.size - noised
        return noised, binomial_quantile(left, reset_rate / (1 - rate), draws[1]) if rate < 1 else 0

    def noise(self, unit: Expression, ctx: TensorContext) -> Expression:
        return ctx.number(self.std) * unit * ctx.normal("noise")

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        """Returns w plus noise, or the new value."""
        noisy = super().lower(weight, ctx)
        if self.reset_rate is UNSET:
            return noisy
        noised, _ = self._counts(ctx.context, ctx.tensor)
        assert isinstance(ctx.choice, Scattered)
        reset = self.bounded(ctx.normal("reset") * self.reset_std)
        return noisy.where(Scattered(ctx.choice.pool, noised, 0), reset)


class UniformNoise(NoiseOp, tag="uniform_noise", frozen=True, kw_only=True):
    """Add uniform noise: each chosen weight w becomes w + unit·u with u ~ U[low, high).

    For one seed, the position of u within its interval does not depend on the bounds.

    Literature: uniform fuzzing (DeepMutation re-implementations); UniformDisturb (MRFI: -1, 1); uniform, and percent
    (Ares: `low: -0.1, high: 0.1, mode: multiply`); random (PyGAD: -1, 1 on 10 % of the genes).
    """

    low: Annotated[ByTarget[float], Meta(description="The lower bound, in units of `relative_to`.", examples=[-0.1])]
    high: Annotated[ByTarget[float], Meta(description="The upper bound, in units of `relative_to`.", examples=[0.1])]

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if not isinstance(self.low, tuple) and not isinstance(self.high, tuple) and self.low > self.high:
            yield Problem(f"`low` ({self.low:g}) is above `high` ({self.high:g})", path=("low",), hint="swap them")

    def noise(self, unit: Expression, ctx: TensorContext) -> Expression:
        if ctx.value(self.low) > ctx.value(self.high):
            raise PlanError(
                f"`low` ({ctx.value(self.low):g}) is above `high` ({ctx.value(self.high):g}) for `{ctx.tensor.path}`",
                path=("low",),
                hint="give this weight values in order: of each list the first entry that matches counts",
            )
        low, high = ctx.number(self.low), ctx.number(self.high)
        return unit * (low + (high - low) * ctx.uniform("noise"))


class LaplaceNoise(NoiseOp, tag="laplace_noise", frozen=True, kw_only=True):
    """Add Laplace noise: each chosen weight w becomes w + scale·unit·λ, λ with the density ½·e^-|λ|.

    Its standard deviation is √2·scale·unit. It is drawn as the difference of two exponential draws, so that it needs no
    logarithm whose last bits depend on the machine.

    Literature: the Laplace mechanism of differential privacy (Dwork et al. 2006).
    """

    scale: Annotated[
        ByTarget[NonNegative], Meta(description="The scale b, in units of `relative_to`.", examples=[0.01])
    ]

    def noise(self, unit: Expression, ctx: TensorContext) -> Expression:
        return ctx.number(self.scale) * unit * (ctx.exponential("noise") - ctx.exponential("minus"))


class PolynomialNoise(WeightOp, tag="polynomial_noise", frozen=True, kw_only=True):
    """Add polynomial noise: each chosen weight moves within bounds, mostly a little, and never past them.

    w becomes w ± (high - low)·(1 - (1 - v + v·q^(eta+1))^(1/(eta+1))), up or down with even odds, with v ~ U[0, 1] and
    q the part of the range that lies beyond w in that direction. A weight that is outside of the range is moved to its
    end first. For one seed, v and the direction depend on neither `eta` nor the bounds. The last bits of powers depend
    on the machine.

    Literature: PolynomialMutation (EvoTorch: all weights, eta 20); polynomial mutation of genetic algorithms (Deb and
    Agrawal 1999), as NSGA-II bounds it (Deb and Tiwari 2008).
    """

    low: Annotated[ByTarget[float], Meta(description="The smallest result.", examples=[-1.0])]
    high: Annotated[ByTarget[float], Meta(description="The largest result.", examples=[1.0])]
    eta: Annotated[
        ByTarget[NonNegative], Meta(description="The index of the distribution: the larger, the nearer to w.")
    ] = 20.0

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if not isinstance(self.low, tuple) and not isinstance(self.high, tuple):
            yield from _room_problems(self.low, self.high)

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        low, high = ctx.value(self.low), ctx.value(self.high)
        for problem in _room_problems(low, high, f" for `{ctx.tensor.path}`"):
            raise PlanError(problem)
        inside, power = weight.maximum(low).minimum(high), ctx.number(self.eta) + 1.0
        position = ctx.uniform("noise") * 2.0 - 1.0
        upward = position.sign()
        beyond = (upward * (inside - (low / 2.0 + high / 2.0)) / (high - low) + 0.5).maximum(0.0)
        stay = (1.0 - abs(position) + abs(position) * beyond.power(power)).power(1.0 / power)
        return (inside + upward * (high - low) * (1.0 - stay)).maximum(low).minimum(high)


def _room_problems(low: float, high: float, where: str = "") -> Iterable[Problem]:
    if not low < high or isinf(high - low):
        message = f"there is no range from `low` ({low:g}) to `high` ({high:g}){where}"
        yield Problem(message, path=("low",), hint="give two finite numbers, the smaller one as `low`")


class DiscretizedNoise(WeightOp, tag="discretized_noise", frozen=True, kw_only=True):
    """Discretise, then add normal noise: w becomes step·round(w / step) + std·unit·ε, with step = resolution·unit.

    Literature: Discretize and DiscretizeAddNormal (AIHWKit, Rasch et al. 2021: `res`, `std_dev`).
    """

    resolution: Annotated[
        float, Meta(gt=0, description="The distance of the levels, in units of `relative_to`.", examples=[0.1])
    ]
    std: Annotated[
        ByTarget[NonNegative],
        Meta(description="The noise's standard deviation, in units of `relative_to`.", examples=[0.02]),
    ]
    relative_to: RelativeTo = Scale.MAX_ABS

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        unit = ctx.scale(self.relative_to, weight)
        step = (self.resolution * unit).maximum(LEAST)
        return step * (weight / step).round() + ctx.number(self.std) * unit * ctx.normal("noise")


class ProgrammingNoise(WeightOp, tag="programming_noise", frozen=True, kw_only=True):
    """Add the noise of programming a memory cell: its standard deviation is a polynomial of the weight's size.

    w becomes ±|w + std·unit·(c₀ + c₁·r + c₂·r² + …)·ε / g_max| with r = |w| / unit and the sign of w, which is kept
    unless `keep_sign: false`. The coefficients are in μS; a weight of one unit is stored as `g_max`.

    Literature: ProgNoise and, without the sign, Poly (AIHWKit, Rasch et al. 2021); the coefficients of phase-change
    memory are those of Nandakumar et al. 2019, as in AIHWKit's PCMLikeNoiseModel.
    """

    std: Annotated[ByTarget[NonNegative], Meta(description="A factor to all of the noise.")] = 1.0
    coefficients: Annotated[
        tuple[float, ...], Meta(min_length=1, description="Of the polynomial, the constant first, in μS.")
    ] = (0.26348, 1.9650, -1.1731)
    g_max: Annotated[float, Meta(gt=0, description="The conductance of a weight of one unit, in μS.")] = 25.0
    relative_to: RelativeTo = Scale.MAX_ABS
    keep_sign: Annotated[bool, Meta(description="Whether a weight keeps its sign.")] = True

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        unit = ctx.scale(self.relative_to, weight).maximum(LEAST)
        size = abs(weight) / unit
        deviation: Expression = constant(ctx.context.builder, self.coefficients[-1])
        for coefficient in reversed(self.coefficients[:-1]):
            deviation = deviation * size + coefficient
        factor = ctx.number(self.std) * unit / self.g_max
        noisy = weight + factor * (deviation.maximum(0.0) * ctx.normal("noise"))
        return weight.sign() * abs(noisy) if self.keep_sign else noisy


class _Fit(NamedTuple):
    """A line over the logarithm of a conductance, cut off at both ends."""

    slope: float
    constant: float
    least: float
    most: float

    def of(self, logarithm: Expression) -> Expression:
        return (logarithm * self.slope + self.constant).maximum(self.least).minimum(self.most)


_DRIFT = _Fit(-0.0155, 0.0244, 0.049, 0.1)
_DRIFT_SPREAD = _Fit(-0.0125, -0.0059, 0.008, 0.045)
"""The mean and the standard deviation of the drift's exponent, by the share that a conductance has of the largest."""
_LEAST_SHARE = 1e-7
"""Smaller shares drift like this one."""


class ConductanceDrift(WeightOp, tag="conductance_drift", frozen=True, kw_only=True):
    """Let memory cells drift, then read them: weights decay with the time since they were programmed, and get noise.

    w becomes w·(t / t₀)^-ν·max(0, 1 + σ·ε), with t = t₀ + seconds and t₀ = first_read. Of a weight that has the part
    r = |w| / unit of the largest conductance, the drift is ν = |μ + s·δ|, where μ = -0.0155·ln r + 0.0244 is kept
    within 0.049 and 0.1, and s = -0.0125·ln r - 0.0059 within 0.008 and 0.045; the noise of reading, of type 1/f, is
    σ = min(0.2, 0.0088 / r^0.65)·√ln((t + read_time) / (2·read_time)). These are fits to phase-change memory. For one
    seed, δ and ε ~ N(0, 1) do not depend on the time. The last bits of logarithms and powers depend on the machine.

    Literature: drift and read noise of PCMLikeNoiseModel (AIHWKit, whose PCM is this after `programming_noise`);
    Nandakumar et al. 2019; Joshi et al. 2020.
    """

    seconds: Annotated[
        ByTarget[NonNegative], Meta(description="The time since `first_read`, in seconds.", examples=[86400.0])
    ]
    drift: Annotated[NonNegative, Meta(description="A factor to the drift ν; 0 for none.")] = 1.0
    read_noise: Annotated[NonNegative, Meta(description="A factor to the noise of reading σ; 0 for none.")] = 1.0
    first_read: Annotated[
        float, Meta(gt=0, description="When drift begins to count, in seconds after programming: t₀ of the fit.")
    ] = 20.0
    read_time: Annotated[float, Meta(gt=0, description="How long it takes to read, in seconds.")] = 250e-9
    relative_to: RelativeTo = Scale.MAX_ABS

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.read_time > self.first_read:
            message = f"`read_time` ({self.read_time:g} s) is longer than `first_read` ({self.first_read:g} s)"
            yield Problem(message, path=("read_time",), hint="it is a time in seconds, such as 250e-9")

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        time = ctx.value(self.seconds) + self.first_read
        size = abs(weight) / ctx.scale(self.relative_to, weight).maximum(LEAST)
        logarithm = size.maximum(_LEAST_SHARE).logarithm()
        exponent = abs(_DRIFT.of(logarithm) + _DRIFT_SPREAD.of(logarithm) * ctx.normal("drift")) * self.drift
        left = constant(ctx.context.builder, time / self.first_read).power(-exponent)
        accumulated = self.read_noise * sqrt(log((time + self.read_time) / (2 * self.read_time)))
        deviation = (0.0088 / size.power(0.65)).minimum(0.2) * accumulated
        return weight * left * (deviation * ctx.normal("read") + 1.0).maximum(0.0)
