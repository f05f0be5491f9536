"""Student's interval, held to SciPy."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from scipy import stats

from mutspec.experiment.reports.interval import Estimate, estimate, student_quantile


@pytest.mark.parametrize("degrees", [*range(1, 60), 99, 100, 499, 500, 4999])
def test_the_quantile_is_scipys(degrees: int) -> None:
    assert student_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-11)


@pytest.mark.parametrize("count", [2, 3, 5, 20, 101])
def test_the_interval_is_scipys(count: int) -> None:
    random = Random(count)
    values = [0.9 + 0.05 * random.gauss(0, 1) for _ in range(count)]
    found = estimate(values)
    low, high = stats.t.interval(0.95, count - 1, loc=np.mean(values), scale=stats.sem(values))
    assert found.count == count
    assert found.mean is not None
    assert found.half_width is not None
    assert found.mean - found.half_width == pytest.approx(low, rel=1e-12)
    assert found.mean + found.half_width == pytest.approx(high, rel=1e-12)


def test_one_value_has_a_mean_and_no_interval_and_none_has_neither() -> None:
    assert estimate([0.3]) == Estimate(1, 0.3, None)
    assert estimate([]) == Estimate(0, None, None)


def test_equal_values_are_their_own_mean_without_any_rounding() -> None:
    assert estimate([525 / 540] * 5) == Estimate(5, 525 / 540, 0.0)


def test_values_that_are_not_finite_make_a_mean_that_is_not_and_no_interval() -> None:
    assert estimate([1.0, math.inf]) == Estimate(2, math.inf, None)
    found = estimate([1.0, math.nan, 2.0])
    assert found.mean is not None
    assert math.isnan(found.mean)
    assert found.half_width is None


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    random = Random(7)
    covered = 0
    for _ in range(2000):
        found = estimate([random.gauss(3, 2) for _ in range(4)])
        assert found.mean is not None
        assert found.half_width is not None
        covered += abs(found.mean - 3) <= found.half_width
    assert abs(covered / 2000 - 0.95) < 0.015  # three standard errors
