"""How many entries: exact rounding, and binomial numbers."""

from __future__ import annotations

import time
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mutspec.graph.exact_counts import binomial_quantile, rounded_share
from mutspec.graph.streams import stream_key, uniform_64_bits
from mutspec.language.types import exact_share

uniforms = st.integers(0, 2**64 - 1)

HANGS = 30.0
"""Seconds of processor time that nothing here comes near. How fast things are is measured in benchmarks/."""


@given(st.integers(0, 10**6), st.integers(0, 10**12))
def test_a_share_is_rounded_half_up(millionths: int, size: int) -> None:
    exact = Decimal(millionths) * size / 10**6
    assert rounded_share(Fraction(millionths, 10**6), size) == int(exact.to_integral_value(ROUND_HALF_UP))


def test_a_written_decimal_is_that_decimal() -> None:
    assert exact_share(0.1) == Fraction(1, 10)
    assert exact_share("12.5%") == Fraction(1, 8)
    assert exact_share(1e-4) == Fraction(1, 10_000)
    # 0.7 × 5 and 0.35 × 10 are 3.5; the nearest binary floats of 0.7 and 0.35 are less than that.
    assert rounded_share(exact_share(0.7), 5) == 4
    assert rounded_share(exact_share(0.35), 10) == 4
    assert rounded_share(exact_share(0.1), 5) == 1
    assert rounded_share(exact_share("0.5%"), 100) == 1


@given(st.integers(0, 30), st.integers(0, 20), uniforms)
def test_a_binomial_number_is_the_exact_quantile(size: int, twentieths: int, uniform: int) -> None:
    rate = Fraction(twentieths, 20)
    cumulative = Fraction(0)
    for count in range(size + 1):
        cumulative += comb(size, count) * rate**count * (1 - rate) ** (size - count)
        if cumulative > Fraction(uniform, 2**64):
            break
    assert binomial_quantile(size, rate, uniform) == count


@pytest.mark.parametrize(("size", "rate"), [(20, 0.3), (1000, 0.001), (100_000, 0.25), (10**6, 0.999), (400, 0.5)])
def test_binomial_numbers_are_those_of_scipy(size: int, rate: float) -> None:
    uniforms_of_keys = [uniform_64_bits(stream_key(number, "s", "t", "rate")) for number in range(60)]
    ours = [binomial_quantile(size, exact_share(rate), uniform) for uniform in uniforms_of_keys]
    assert ours == [int(stats.binom.ppf(uniform / 2**64, size, rate)) for uniform in uniforms_of_keys]


def test_binomial_numbers_have_their_distribution() -> None:
    draws = [
        binomial_quantile(10, Fraction(3, 10), uniform_64_bits(stream_key(number, "s", "t", "rate")))
        for number in range(4000)
    ]
    observed = [draws.count(count) for count in range(7)]
    expected = [4000 * stats.binom.pmf(count, 10, 0.3) for count in range(7)]
    observed.append(4000 - sum(observed))
    expected.append(4000 - sum(expected))
    assert stats.chisquare(observed, expected).pvalue > 1e-3


@given(st.integers(0, 5000), uniforms, st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_a_larger_rate_never_gives_a_smaller_number(size: int, uniform: int, rates: list[float]) -> None:
    counts = [binomial_quantile(size, exact_share(rate), uniform) for rate in sorted(rates)]
    assert counts == sorted(counts)
    assert 0 <= counts[0] <= counts[-1] <= size


def test_a_rate_of_none_or_all_needs_no_luck() -> None:
    for uniform in (0, 2**64 - 1):
        assert binomial_quantile(100, Fraction(0), uniform) == 0
        assert binomial_quantile(100, Fraction(1), uniform) == 100
        assert binomial_quantile(0, Fraction(1, 2), uniform) == 0


def test_a_billion_entries_take_no_time() -> None:
    begin = time.process_time()
    count = binomial_quantile(10**9, Fraction(1, 3), 2**63)
    assert abs(count - 10**9 / 3) <= 1
    assert time.process_time() - begin < HANGS
