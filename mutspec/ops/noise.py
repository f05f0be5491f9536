"""Noise: random numbers that are added to weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from mutspec.graph.expression import Expression
from mutspec.language.errors import PlanError, Problem
from mutspec.language.types import ByTarget, NonNegative, Scale
from mutspec.ops.base import WeightOp
from mutspec.ops.site import Site

RelativeTo = Annotated[
    Scale,
    Meta(
        description="The unit of the noise's size: `absolute`; `std`, the tensor's standard deviation; `max_abs`, its "
        "largest |w|; `channel_max`, the largest |w| of the output channel; `weight`, the entry's own |w|."
    ),
]


class GaussianNoise(WeightOp, tag="gaussian_noise", frozen=True, kw_only=True):
    """Add normal noise: each chosen weight w becomes w + std·unit·ε with ε ~ N(0, 1).

    For one seed, ε does not depend on `std`: a sweep over `std` moves along one direction. Only the chosen entries
    change, and nothing is clipped.

    Literature: GF, gaussian fuzzing (DeepMutation, Ma et al. 2018: std 0.1; DeepMutation++, Hu et al. 2019:
        `relative_to: weight`);
    weights_fuzzing (PMT); NormalDisturb (MRFI); AddNormal (AIHWKit: `relative_to: max_abs`).
    """

    std: Annotated[
        ByTarget[NonNegative],
        Meta(description="The noise's standard deviation, in units of `relative_to`.", examples=[0.01]),
    ]
    relative_to: RelativeTo = Scale.ABSOLUTE

    def lower(self, weight: Expression, at: Site) -> Expression:
        """W + std·unit·ε."""
        return weight + at.number(self.std) * at.scale(self.relative_to, weight) * at.normal("noise")


class UniformNoise(WeightOp, tag="uniform_noise", frozen=True, kw_only=True):
    """Add uniform noise: each chosen weight w becomes w + unit·u with u ~ U[low, high).

    For one seed, the position of u within its interval does not depend on the bounds.

    Literature: uniform fuzzing (DeepMutation re-implementations); uniform disturb (MRFI: -1, 1); percent ±10 % (Ares:
    `low: -0.1, high: 0.1, relative_to: weight`); random mutation (PyGAD: -1, 1 on 10 % of the genes).
    """

    low: Annotated[ByTarget[float], Meta(description="The lower bound, in units of `relative_to`.", examples=[-0.1])]
    high: Annotated[ByTarget[float], Meta(description="The upper bound, in units of `relative_to`.", examples=[0.1])]
    relative_to: RelativeTo = Scale.ABSOLUTE

    def problems(self) -> Iterable[Problem]:
        """Bounds in the wrong order, and what is wrong with the amount."""
        yield from super().problems()
        if not isinstance(self.low, tuple) and not isinstance(self.high, tuple) and self.low > self.high:
            yield Problem(f"`low` ({self.low:g}) is above `high` ({self.high:g})", path=("low",), hint="swap them")

    def lower(self, weight: Expression, at: Site) -> Expression:
        """W + unit·(low + (high - low)·u)."""
        if at.value(self.low) > at.value(self.high):
            raise PlanError(
                Problem(
                    f"`low` ({at.value(self.low):g}) is above `high` ({at.value(self.high):g}) for `{at.tensor.path}`",
                    path=("low",),
                    hint="give this weight values in order: of each list the first entry that matches counts",
                )
            )
        low, high = at.number(self.low), at.number(self.high)
        return weight + at.scale(self.relative_to, weight) * (low + (high - low) * at.uniform("noise"))
