"""Means over seeds and rates of samples, and how far to trust them: 95 % intervals by Student and by Wilson."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

CONFIDENCE = 0.95
"""The share of bands around a mean that cover the mean over all seeds, if values are about normal."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean of some values, and its 95 % interval.

    Arguments:
        count: how many values there are.
        mean: their mean; None of no values, and NaN or infinite if a value is.
        half_width: the interval is mean ± half_width; None for less than two values, or if one is not finite.
        binomial: of one value that is a rate of samples, the interval of that rate.
    """

    count: int
    mean: float | None
    half_width: float | None
    binomial: tuple[float, float] | None = None

    @property
    def low(self) -> float | None:
        """The lower end of the interval; None if there is none."""
        return self._end(-1)

    @property
    def high(self) -> float | None:
        """The upper end of the interval; None if there is none."""
        return self._end(1)

    def _end(self, side: Literal[-1, 1]) -> float | None:
        if self.binomial is not None:
            return self.binomial[(side + 1) // 2]
        return None if self.mean is None or self.half_width is None else self.mean + side * self.half_width

    @property
    def variance(self) -> float | None:
        """The variance of the mean, not of the values; None if there is no interval."""
        return None if self.half_width is None else (self.half_width / student_quantile(self.count - 1)) ** 2


def estimate(values: Iterable[float]) -> Estimate:
    """The mean of values, and Student's interval of it: mean ± t · s / √n, not clipped to what the values can be."""
    values = list(values)
    count = len(values)
    if not count:
        return Estimate(0, None, None)
    if not all(math.isfinite(value) for value in values):
        return Estimate(count, sum(values) / count, None)
    mean = float(sum(map(Fraction, values)) / count)  # rounded once: the mean of equal values is that value
    if count == 1:
        return Estimate(1, mean, None)
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return Estimate(count, mean, student_quantile(count - 1) * math.sqrt(variance / count))


def rate(values: Iterable[float], samples: int) -> Estimate:
    """The mean of rates over the same samples. A single one that is a whole number of them has Wilson's interval.

    Arguments:
        values: parts of the samples, one for each seed.
        samples: how many samples each is a part of.
    """
    found = estimate(values)
    if found.count != 1 or found.mean is None or not 0 <= found.mean <= 1 or samples < 1:
        return found
    hits = round(found.mean * samples)
    if abs(found.mean * samples - hits) > 1e-3 + 1e-6 * hits:  # Keras counts in 32-bit floats
        return found
    return replace(found, binomial=wilson_interval(hits, samples))


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a probability, without a correction for continuity.

    Wilson, E. B. (1927), Probable inference, the law of succession, and statistical inference, Journal of the American
    Statistical Association 22(158), 209-212.

    Arguments:
        hits: how many of the trials succeeded.
        trials: how many there were, at least 1.
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    part, weight = hits / trials, z * z / trials
    centre = part + weight / 2
    reach = z * math.sqrt(part * (1 - part) / trials + weight / (4 * trials))
    low, high = (centre - reach) / (1 + weight), (centre + reach) / (1 + weight)
    return 0.0 if hits == 0 else low, 1.0 if hits == trials else high


def is_surely_above(one: Estimate, other: Estimate) -> bool:
    """Returns whether the mean of some values is above that of others: the 95 % interval of the difference excludes 0.

    This is Welch's: the values may be spread unequally. Its degrees of freedom are rounded down. A mean without an
    interval is surely above none.
    """
    if one.mean is None or other.mean is None or not one.mean > other.mean:  # of thousands of pairs, half end here
        return False
    if one.variance is None or other.variance is None:
        return False
    difference, variance = one.mean - other.mean, one.variance + other.variance
    if not variance or difference <= 0:
        return difference > 0
    spread = one.variance**2 / (one.count - 1) + other.variance**2 / (other.count - 1)
    degrees = max(int(variance**2 / spread), 1)
    return difference > student_quantile(degrees) * math.sqrt(variance)


@lru_cache(maxsize=256)
def student_quantile(degrees: int) -> float:
    """Returns the half-width of a mean's 95 % interval in standard errors: 4.303 for 2 degrees of freedom.

    Arguments:
        degrees: the degrees of freedom, at least 1: one less than there are values.
    """
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if _covered(middle, degrees) < CONFIDENCE else (low, middle)
    return math.tan(high) * math.sqrt(degrees)


def _covered(angle: float, degrees: int) -> float:
    """The probability that |t| ≤ tan(angle)·√degrees: Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    squared = math.cos(angle) ** 2
    is_odd = degrees % 2
    term = total = math.cos(angle) if is_odd else 1.0
    for step in range(2 + is_odd, degrees - 1, 2):
        term *= squared * (step - 1) / step
        total += term
    if is_odd:
        return 2 / math.pi * (angle + (math.sin(angle) * total if degrees > 1 else 0.0))
    return math.sin(angle) * total
