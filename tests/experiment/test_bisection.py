"""The bisection: that it finds where something breaks, within its tolerance, its limits and few evaluations."""

from __future__ import annotations

from math import inf, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutspec.experiment.job_settings import Search
from mutspec.experiment.search.bisection import BrokenAtLow, ScaleGrid, crossing

TOLERANCES = st.sampled_from([0.001, 0.01, 0.05, 0.3, 1.0])
HIGHS = st.floats(1e-3, 1e3)


@st.composite
def grids(draw: st.DrawFn, is_whole: bool = False) -> ScaleGrid:
    high = float(draw(st.integers(1, 500))) if is_whole else draw(HIGHS)
    limit = high * draw(st.sampled_from([1, 2, 7, 64]))
    low = draw(st.sampled_from([0.0, 0.0, 0.001, 0.4])) * high
    return ScaleGrid(float(int(low)) if is_whole else low, high, limit, draw(TOLERANCES), is_whole)


class Asked:
    """Breaks from a threshold on, and keeps what it was asked."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.scales: list[float] = []

    def __call__(self, scale: float) -> bool:
        self.scales.append(scale)
        return scale >= self.threshold


@given(grids(), st.floats(-8, 6))
def test_what_breaks_from_a_scale_on_is_bracketed_within_the_tolerance(grid: ScaleGrid, octaves: float) -> None:
    asked = Asked(max(grid.high * 2.0**octaves, grid.low * 1.01))
    bracket = crossing(asked, grid)
    if bracket.breaks_at is None:
        assert bracket.holds_at == grid.limit < asked.threshold
        return
    assert bracket.holds_at < asked.threshold <= bracket.breaks_at
    assert bracket.breaks_at <= bracket.holds_at * (1 + grid.tolerance)


@given(grids(), st.floats(-60, 12))
def test_no_scale_is_tried_twice_outside_the_limits_or_without_need(grid: ScaleGrid, octaves: float) -> None:
    asked = Asked(max(grid.high * 2.0**octaves, grid.low * 1.01, 1e-300))
    crossing(asked, grid)
    assert all(grid.low <= scale <= grid.limit for scale in asked.scales)
    assert len(set(asked.scales)) == len(asked.scales)
    doublings = log2(grid.limit / grid.high)
    within_an_octave = log2(grid.doubling) + 1
    assert len(asked.scales) <= 2 + doublings + 1 + 2 * log2(40) + within_an_octave + 2


@given(grids(is_whole=True), st.integers(1, 40_000))
def test_whole_numbers_are_tried_alone_and_small_ones_are_neighbours(grid: ScaleGrid, threshold: int) -> None:
    asked = Asked(max(threshold, grid.low + 1))
    bracket = crossing(asked, grid)
    assert all(isinstance(scale, int) or scale.is_integer() for scale in asked.scales)
    if bracket.breaks_at is not None:
        assert bracket.holds_at < asked.threshold <= bracket.breaks_at
        assert bracket.breaks_at - bracket.holds_at <= 1 + grid.tolerance * bracket.holds_at


@given(grids(), st.sets(st.integers(-400, 400)))
def test_what_breaks_here_and_there_is_bracketed_by_one_that_holds_and_one_that_breaks(
    grid: ScaleGrid, broken: set[int]
) -> None:
    def breaks(scale: float) -> bool:
        return scale > grid.low and round(20 * log2(scale / grid.high)) in broken

    bracket = crossing(breaks, grid)
    assert not breaks(bracket.holds_at)
    assert bracket.breaks_at is None or breaks(bracket.breaks_at)


@given(grids())
def test_rungs_rise_from_low_by_high_to_the_limit(grid: ScaleGrid) -> None:
    top = min(grid.last, 400)
    scales = [grid.scale(index) for index in range(max(grid.first, -400), top + 1)]
    assert scales == sorted(scales)
    assert (grid.scale(grid.first), grid.scale(grid.last)) == (grid.low, grid.limit)


def test_a_tolerance_of_a_percent_asks_for_four_digits() -> None:
    grid = ScaleGrid(0, 1, 1, 0.01)
    assert [grid.scale(-index) for index in (1, 2, grid.doubling)] == [0.9916, 0.9832, 0.5]


@pytest.mark.parametrize(
    "search", [Search(high=1e308), Search(high=1e-300, limit=1e300), Search(low=1e-320, high=1e300)]
)
@pytest.mark.parametrize("threshold", [1e-310, 1e-100, 1e100, 1.7e308])
def test_scales_may_be_as_far_apart_as_floats_are(search: Search, threshold: float) -> None:
    assert not list(search.problems())
    asked = Asked(threshold)
    bracket = crossing(asked, ScaleGrid(search.low, search.high, search.greatest, search.tolerance))
    assert bracket.holds_at < threshold
    assert (bracket.breaks_at or inf) >= threshold


@pytest.mark.parametrize("name", ["high", "limit"])
def test_a_search_has_ends(name: str) -> None:
    ((blamed, problem),) = Search(**{name: inf}).problems()
    assert (blamed, problem.message) == (name, f"`{name}` is infinite, and a scale must be a finite number")


def test_what_is_broken_at_low_is_not_searched() -> None:
    asked = Asked(-inf)
    with pytest.raises(BrokenAtLow):
        crossing(asked, ScaleGrid(0.1, 1, 2, 0.01))
    assert asked.scales == [0.1]


def test_what_breaks_right_above_zero_is_found_there() -> None:
    asked = Asked(1e-300)
    bracket = crossing(asked, ScaleGrid(0, 1, 1, 0.01))
    assert bracket.holds_at == 0
    assert 0 < (bracket.breaks_at or 0) < 1e-12
    assert len(asked.scales) < 20
