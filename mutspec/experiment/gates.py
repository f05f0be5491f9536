"""Gates: the bounds that `require` sets to a mutant, and whether the mutant is within them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf, isclose, isnan
from typing import Annotated, Literal

from msgspec import Meta, Struct

from mutspec.documents import Count, Number
from mutspec.errors import Problem

FLOAT32_SPACING = 2.0**-22
"""Metrics and losses of Keras are 32-bit floats, relatively so far off: an accuracy of 0.9 is 0.89999998."""

Bound = Literal["min", "max", "max_drop"]
BOUNDS: tuple[Bound, ...] = ("min", "max", "max_drop")


class Gate(Struct, frozen=True, forbid_unknown_fields=True):
    """The bounds of one measure.

    Arguments:
        metric: the measure: a metric, `loss`, `agreement`, `sample_agreement`, `divergence`, `deviation`,
            `non_finite_outputs`.
        min, max: the least and the greatest value that pass.
        max_drop: how far the mutant may be below its base.
    """

    metric: str
    min: float | None = None
    max: float | None = None
    max_drop: float | None = None

    @property
    def bounds(self) -> dict[Bound, float]:
        """The bounds that are given."""
        return {bound: limit for bound in BOUNDS if (limit := getattr(self, bound)) is not None}


class Verdict(Struct, frozen=True):
    """The verdict on a gate, for all seeds of a job."""

    metric: Annotated[str, Meta(description="The measure.")]
    bound: Annotated[Bound, Meta(description="Which bound of it.")]
    limit: Annotated[Number, Meta(description="The bound.")]
    value: Annotated[
        Number,
        Meta(description="The measured value, with max_drop the drop, of the seed that it is worst for."),
    ]
    seed: Annotated[Count, Meta(description="That seed.")]
    holds: Annotated[bool, Meta(description="Whether it is within the bound. NaN is not.")]

    def __str__(self) -> str:
        """A sentence: what was measured, and by how much it misses the limit."""
        value, limit = f"{self.value:.4g}", f"{self.limit:.4g}"
        if self.bound == "max_drop":
            said = f"{self.metric} fell by {value}, and may fall by {limit}"
        else:
            said = f"{self.metric} is {value}, and must be at {'least' if self.bound == 'min' else 'most'} {limit}"
        return said if self.holds else f"{said}: {abs(self.value - self.limit):.4g} too {self._direction}"

    @property
    def _direction(self) -> str:
        return {"min": "low", "max": "high", "max_drop": "far"}[self.bound]


def verdicts(
    gates: Sequence[Gate], base: Mapping[str, float], mutants: Mapping[int, Mapping[str, float]]
) -> Iterator[Verdict]:
    """Yields a verdict for each bound of each gate.

    Arguments:
        gates: what is required, of measures that there are.
        base: the base's measures.
        mutants: the measures of each mutant, by its seed.
    """
    for gate in gates:
        for bound, limit in gate.bounds.items():
            values = {
                seed: base[gate.metric] - measured[gate.metric] if bound == "max_drop" else measured[gate.metric]
                for seed, measured in mutants.items()
            }
            seed = max(values, key=lambda seed: _badness(values[seed], bound))
            sizes = [mutants[seed][gate.metric], base[gate.metric]] if bound == "max_drop" else [values[seed]]
            slack = FLOAT32_SPACING * max(map(abs, sizes))
            yield Verdict(gate.metric, bound, limit, values[seed], seed, _holds(values[seed], bound, limit, slack))


def _holds(value: float, bound: Bound, limit: float, slack: float) -> bool:
    is_at_limit = isclose(value, limit, abs_tol=slack)
    return is_at_limit or (value > limit if bound == "min" else value < limit)


def _badness(value: float, bound: Bound) -> float:
    if isnan(value):
        return inf
    return -value if bound == "min" else value


def boundless(gates: Iterable[Gate]) -> Iterator[Problem]:
    """Yields a problem for each gate without a bound."""
    for gate in gates:
        if not gate.bounds:
            hint = f"give {', '.join(BOUNDS[:-1])} or {BOUNDS[-1]}"
            yield Problem(f"`require` sets no bound to `{gate.metric}`", hint=hint)
