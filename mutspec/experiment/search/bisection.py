"""Bisection along a scale for the point at which something that holds begins to break.

Scales are taken from a grid that depends on the settings alone: they are a tolerance apart, and rounded to the digits
that it asks for. So the scale found for one seed does not depend on other seeds, and can be typed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, floor, ldexp, log2, log10

MOST_HALVINGS = 40
"""The number of times that `high` is halved towards a `low` of 0; what breaks below that breaks right above 0."""


UNROUNDED = 0.85
"""The part of the tolerance that scales are apart; the rest is for rounding, which may move both by 0.05 of it."""


@dataclass(frozen=True)
class ScaleGrid:
    """The scales that may be tried, by whole numbers: `high` is number 0, `low` the first one, `limit` the last one.

    Arguments:
        low, high, limit: these three scales, low < high ≤ limit.
        tolerance: the greatest distance of neighbours, relatively.
        is_whole: whether scales are whole numbers.
    """

    low: float
    high: float
    limit: float
    tolerance: float
    is_whole: bool = False
    doubling: int = field(init=False)
    """The difference of the numbers of a scale and of its double."""

    def __post_init__(self) -> None:
        """Computes `doubling`."""
        object.__setattr__(self, "doubling", ceil(1 / log2(1 + UNROUNDED * self.tolerance) - 1e-9))

    @property
    def first(self) -> int:
        """The number of `low`."""
        doublings = -MOST_HALVINGS if self.low <= 0 else log2(self.low) - log2(self.high)
        return min(floor(doublings * self.doubling + 1e-9), -1)

    @property
    def last(self) -> int:
        """The number of `limit`."""
        return ceil((log2(self.limit) - log2(self.high)) * self.doubling - 1e-9)

    def scale(self, number: int) -> float | int:
        """Returns the scale of a number.

        It is rounded, so that it does not depend on the last bit of a platform's `pow`.
        """
        ends = {self.first: self.low, 0: self.high, self.last: self.limit}
        doublings, rest = divmod(number, self.doubling)  # 2.0 ** doublings may be beyond what floats hold
        exact = ends[number] if number in ends else ldexp(self.high * 2.0 ** (rest / self.doubling - 1), doublings + 1)
        if self.is_whole:
            return round(exact)
        if number in ends:
            return exact
        rounded = float(f"{exact:.{2 + ceil(-log10(self.tolerance))}g}")
        return min(max(rounded, self.low), self.limit)


@dataclass(frozen=True)
class Bracket:
    """The interval in which something begins to break.

    Arguments:
        holds_at: a scale at which it holds.
        breaks_at: the next scale of the grid, at which it does not; None if it holds at the limit.
    """

    holds_at: float
    breaks_at: float | None


class BrokenAtLow(Exception):
    """The lowest scale already breaks it."""


def crossing(breaks: Callable[[float], bool], grid: ScaleGrid) -> Bracket:
    """Returns two neighbours of a grid of which the lower one holds and the higher one breaks.

    If nothing that is broken holds again at a greater scale, there is one such pair; else it is one of several.

    Arguments:
        breaks: tells whether a scale breaks it; called once for each scale.
        grid: the scales to try.

    Raises:
        BrokenAtLow: the lowest one breaks it.
    """
    known: dict[float, bool] = {}

    def broken(number: int) -> bool:
        scale = grid.scale(number)
        if scale not in known:
            known[scale] = breaks(scale)
        return known[scale]

    lower, upper, top = grid.first, 0, grid.last
    if broken(lower):
        raise BrokenAtLow
    while not broken(upper):
        if upper == top:
            return Bracket(grid.scale(top), None)
        lower, upper = upper, min(upper + grid.doubling, top)
    # Halve, then halve more often each time, until it holds: `low` may be 40 halvings away, and `high` is a guess.
    stride = grid.doubling
    while upper - lower > 1:
        middle = max((lower + upper) // 2, upper - stride)
        if broken(middle):
            upper, stride = middle, 2 * stride
        else:
            lower = middle
    return Bracket(grid.scale(lower), grid.scale(upper))
