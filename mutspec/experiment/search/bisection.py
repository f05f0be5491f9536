"""Bisection: where, along a scale, something that holds begins to break.

Scales are taken from a ladder that depends on the settings alone: rungs a tolerance apart, rounded to the digits that
it asks for. So what is found for one seed depends on no other one, and can be typed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, floor, ldexp, log2, log10

MOST_HALVINGS = 40
"""How often `high` is halved on the way to a `low` of 0; what breaks below that breaks right above 0."""


UNROUNDED = 0.85
"""The part of the tolerance that rungs are apart; the rest is for rounding them, which may move both by 0.05 of it."""


@dataclass(frozen=True)
class Ladder:
    """The scales that are tried: `high` is rung 0, the lowest rung is `low`, the highest one `limit`.

    Arguments:
        low, high, limit: the scales of these rungs, low < high ≤ limit.
        tolerance: how far apart rungs are at most, relatively.
        is_whole: whether scales are whole numbers.
    """

    low: float
    high: float
    limit: float
    tolerance: float
    is_whole: bool = False
    octave: int = field(init=False)
    """How many rungs up a scale is doubled."""

    def __post_init__(self) -> None:
        """Counts the rungs of an octave."""
        object.__setattr__(self, "octave", ceil(1 / log2(1 + UNROUNDED * self.tolerance) - 1e-9))

    @property
    def bottom(self) -> int:
        """The lowest rung."""
        octaves = -MOST_HALVINGS if self.low <= 0 else log2(self.low) - log2(self.high)
        return min(floor(octaves * self.octave + 1e-9), -1)

    @property
    def top(self) -> int:
        """The highest rung."""
        return ceil((log2(self.limit) - log2(self.high)) * self.octave - 1e-9)

    def scale(self, rung: int) -> float | int:
        """The scale of a rung.

        Rounded, so that it does not depend on the last bit of a platform's `pow`.
        """
        ends = {self.bottom: self.low, 0: self.high, self.top: self.limit}
        octaves, rest = divmod(rung, self.octave)  # 2.0 ** octaves may be beyond what floats hold
        exact = ends[rung] if rung in ends else ldexp(self.high * 2.0 ** (rest / self.octave - 1), octaves + 1)
        if self.is_whole:
            return round(exact)
        if rung in ends:
            return exact
        rounded = float(f"{exact:.{2 + ceil(-log10(self.tolerance))}g}")
        return min(max(rounded, self.low), self.limit)


@dataclass(frozen=True)
class Bracket:
    """The interval in which something begins to break.

    Arguments:
        holds_at: a scale at which it holds.
        breaks_at: the next scale of the ladder, at which it does not; None if it holds at the limit.
    """

    holds_at: float
    breaks_at: float | None


class BrokenAtLow(Exception):
    """It is broken at `low` already."""


def crossing(breaks: Callable[[float], bool], ladder: Ladder) -> Bracket:
    """Two neighbours of a ladder of which the lower one holds and the higher one breaks.

    If nothing that is broken holds again at a greater scale, there is one such pair; else it is one of several.

    Arguments:
        breaks: whether a scale breaks it; asked for each scale once.
        ladder: the scales to try.

    Raises:
        BrokenAtLow: the lowest one breaks it.
    """
    known: dict[float, bool] = {}

    def broken(rung: int) -> bool:
        scale = ladder.scale(rung)
        if scale not in known:
            known[scale] = breaks(scale)
        return known[scale]

    lower, upper, top = ladder.bottom, 0, ladder.top
    if broken(lower):
        raise BrokenAtLow
    while not broken(upper):
        if upper == top:
            return Bracket(ladder.scale(top), None)
        lower, upper = upper, min(upper + ladder.octave, top)
    # Down by octaves, ever more of them, until it holds: there may be 40 of them, and `high` is a guess to begin with.
    stride = ladder.octave
    while upper - lower > 1:
        middle = max((lower + upper) // 2, upper - stride)
        if broken(middle):
            upper, stride = middle, 2 * stride
        else:
            lower = middle
    return Bracket(ladder.scale(lower), ladder.scale(upper))
