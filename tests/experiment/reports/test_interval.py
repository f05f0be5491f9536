"""Student's interval, held to SciPy."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from scipy import stats

from mutspec.experiment.reports.interval import Estimate, estimate, rate, student_quantile, wilson_interval


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


# Rates


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        # By hand, with z² = 3.8414588: (2·hits + z² ∓ z·√(z² + 4·hits·(trials - hits)/trials)) / (2·(trials + z²)).
        (0, 10, 0.0, 0.277533),
        (1, 10, 0.017876, 0.404150),
        (5, 10, 0.236593, 0.763407),
        (9, 10, 0.595850, 0.982124),
        (10, 10, 0.722467, 1.0),
        (525, 540, 0.954678, 0.983095),
    ],
)
def test_wilsons_interval_is_what_one_computes_by_hand(hits: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(hits, trials) == pytest.approx((low, high), abs=1.5e-6)


@pytest.mark.parametrize("trials", [1, 2, 7, 100, 364, 10_000, 1_000_000])
def test_wilsons_interval_is_scipys(trials: int) -> None:
    for hits in {0, 1, trials // 3, trials // 2, trials - 1, trials}:
        expected = stats.binomtest(hits, trials).proportion_ci(method="wilson")
        assert wilson_interval(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_one_rate_has_wilsons_interval_and_several_have_students() -> None:
    single = rate([0.9], 50)
    assert single.binomial == wilson_interval(45, 50)
    assert (single.low, single.high) == single.binomial
    assert single.half_width is None
    assert single.variance is None
    several = rate([0.9, 0.8], 50)
    assert several == estimate([0.9, 0.8])
    assert several.mean is not None
    assert several.half_width is not None
    assert (several.low, several.high) == (several.mean - several.half_width, several.mean + several.half_width)


@pytest.mark.parametrize(("value", "samples"), [(0.9003, 50), (1.5, 50), (math.nan, 50), (math.inf, 50), (0.9, 0)])
def test_a_value_that_is_not_a_whole_number_of_samples_has_no_interval(value: float, samples: int) -> None:
    assert rate([value], samples).binomial is None


def test_a_rate_in_32_bits_is_a_whole_number_of_the_samples() -> None:
    for hits, samples in ((1, 3), (333_333, 1_000_000), (999_999, 1_000_000), (4_999, 10_000)):
        assert rate([float(np.float32(hits / samples))], samples).binomial == wilson_interval(hits, samples)
