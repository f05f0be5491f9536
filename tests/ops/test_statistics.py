"""What is drawn has the law that is stated: distributions, independence, rates, and which entries are chosen.

Each test is of fixed seeds, and would raise a false alarm for one set of seeds in a hundred thousand or more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import combinations, permutations
from math import comb, sqrt
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.toys import compile_plan, mutate, plan_of, spec_of

SHAPE = (1000, 1100)
"""Of weights with more than a million entries, in 17 chunks."""
SMALLEST = 1e-5
"""The least probability of a result that is still taken for chance."""

WEIGHT = np.random.default_rng(1).normal(0.2, 1.0, SHAPE)
STD, MAX_ABS = WEIGHT.std(), np.abs(WEIGHT).max()
CHANNEL_MAX = np.abs(WEIGHT).max(axis=0)


def drawn(weight: np.ndarray, **step: Any) -> np.ndarray:
    """A weight after a step."""
    return mutate({"dense/kernel": weight}, {"target": "dense", **step}).tensors["dense/kernel"]


def assert_law(draws: np.ndarray, law: Any) -> None:
    """Draws have the mean, the standard deviation and the distribution of a law."""
    draws = draws.astype(np.float64).ravel()
    mean, variance, _, kurtosis = (float(each) for each in law.stats("mvsk"))
    assert len(draws) >= 10**6
    assert abs(draws.mean() - mean) < 5 * sqrt(variance / len(draws))
    assert abs(draws.var() / variance - 1) < 5 * sqrt((kurtosis + 2) / len(draws))
    assert stats.kstest(draws, law.cdf, method="asymp").pvalue > SMALLEST


# Noises.

Residual = Callable[[np.ndarray], np.ndarray]
NORMAL = stats.norm()
NOISES: Mapping[str, tuple[dict[str, Any], Any, Residual]] = {
    "normal": ({"std": 0.1}, stats.norm(0, 0.1), lambda after: after - WEIGHT),
    "normal, in standard deviations": ({"std": 0.5, "relative_to": "std"}, NORMAL, lambda a: (a - WEIGHT) / STD / 0.5),
    "normal, in the largest": ({"std": 0.5, "relative_to": "max_abs"}, NORMAL, lambda a: (a - WEIGHT) / MAX_ABS / 0.5),
    "normal, in the channel's largest": (
        {"std": 0.5, "relative_to": "channel_max"},
        NORMAL,
        lambda after: (after - WEIGHT) / CHANNEL_MAX / 0.5,
    ),
    "normal, in the weight": ({"std": 0.5, "relative_to": "weight"}, NORMAL, lambda a: (a / WEIGHT - 1) / 0.5),
    "normal, multiplied": ({"std": 0.5, "mode": "multiply"}, NORMAL, lambda after: (after / WEIGHT - 1) / 0.5),
    "uniform": ({"low": -0.1, "high": 0.3}, stats.uniform(-0.1, 0.4), lambda after: after - WEIGHT),
    "uniform, in standard deviations": (
        {"low": 0.5, "high": 1.5, "relative_to": "std"},
        stats.uniform(0.5, 1.0),
        lambda after: (after - WEIGHT) / STD,
    ),
    "uniform, multiplied": (
        {"low": -0.1, "high": 0.1, "mode": "multiply"},
        stats.uniform(-0.1, 0.2),
        lambda after: after / WEIGHT - 1,
    ),
    "laplace": ({"scale": 0.3}, stats.laplace(0, 0.3), lambda after: after - WEIGHT),
    "laplace, in the largest": (
        {"scale": 0.3, "relative_to": "max_abs"},
        stats.laplace(0, 0.3),
        lambda after: (after - WEIGHT) / MAX_ABS,
    ),
    "laplace, multiplied": ({"scale": 0.3, "mode": "multiply"}, stats.laplace(0, 0.3), lambda a: a / WEIGHT - 1),
    "discretized": (
        {"resolution": 0.1, "std": 0.02},
        stats.norm(0, 0.02),
        lambda after: after / MAX_ABS - 0.1 * np.rint(WEIGHT / (0.1 * MAX_ABS)),
    ),
    "discretized, absolute": (
        {"resolution": 0.1, "std": 0.02, "relative_to": "absolute"},
        stats.norm(0, 0.02),
        lambda after: after - 0.1 * np.rint(WEIGHT / 0.1),
    ),
    "programming": (
        {"std": 0.5, "coefficients": [0.3, 2.0, -1.0], "g_max": 20.0, "keep_sign": False},
        NORMAL,
        lambda after: (
            (after - WEIGHT) / (0.5 * MAX_ABS * (0.3 + 2 * np.abs(WEIGHT) / MAX_ABS - (WEIGHT / MAX_ABS) ** 2) / 20.0)
        ),
    ),
}


@pytest.mark.parametrize("name", NOISES)
def test_a_noise_has_its_law(name: str) -> None:
    keys, law, residual = NOISES[name]
    first = name.partition(",")[0]
    op = {"normal": "gaussian_noise"}.get(first, f"{first}_noise")
    assert_law(residual(drawn(WEIGHT, op=op, **keys)), law)


@pytest.mark.parametrize(
    ("step", "law"),
    [
        ({"op": "gaussian_noise", "std": 0.1}, stats.norm(0, 0.1)),
        ({"op": "uniform_noise", "low": -1, "high": 1}, stats.uniform(-1, 2)),
        ({"op": "laplace_noise", "scale": 2}, stats.laplace(0, 2)),
    ],
    ids=lambda each: each.get("op") if isinstance(each, dict) else "",
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_noise_has_its_law_in_the_dtypes_that_networks_have(step: dict[str, Any], law: Any, dtype: str) -> None:
    noise = drawn(np.zeros(SHAPE, dtype), **step).astype(np.float64)
    if dtype == "bfloat16":  # rounded to 8 bits; what is below a bound as rounded is blurred by half a step
        noise = noise * (1 + np.random.default_rng(2).uniform(-(2.0**-9), 2.0**-9, SHAPE))
        assert abs(noise.std() / law.std() - 1) < 0.005
        assert stats.kstest(noise.ravel(), law.cdf, method="asymp").statistic < 0.003
    else:
        assert_law(noise, law)


def test_programming_noise_that_keeps_signs_is_folded() -> None:
    weight = np.full(SHAPE, -0.02)
    weight[0, 0] = 1.0  # the largest, in units of which the noise is
    deviation = (0.26348 + 1.965 * 0.02 - 1.1731 * 0.02**2) / 25
    noisy = drawn(weight, op="programming_noise").ravel()[1:]
    assert (noisy <= 0).all()
    assert_law(-noisy, stats.foldnorm(0.02 / deviation, scale=deviation))


@pytest.mark.parametrize("eta", [0.0, 5.0, 20.0])
def test_polynomial_noise_has_its_law_wherever_the_weight_is(eta: float) -> None:
    weight = np.random.default_rng(3).uniform(-0.9, 1.9, SHAPE)
    moved = (drawn(weight, op="polynomial_noise", low=-1.0, high=2.0, eta=eta) - weight) / 3
    # Deb and Tiwari's formulas, solved for the uniform number that a move is made of.
    left = ((1 + moved) ** (eta + 1) - ((2 - weight) / 3) ** (eta + 1)) / (1 - ((2 - weight) / 3) ** (eta + 1)) / 2
    right = ((1 - moved) ** (eta + 1) - ((weight + 1) / 3) ** (eta + 1)) / (1 - ((weight + 1) / 3) ** (eta + 1)) / 2
    assert_law(np.where(moved < 0, left, 1 - right), stats.uniform())


def test_polynomial_noise_leads_past_no_bound_and_moves_what_is_outside_to_it() -> None:
    weight = np.random.default_rng(3).normal(0, 2, SHAPE).astype(np.float32)
    after = drawn(weight, op="polynomial_noise", low=-1.0, high=1.0, eta=2.5)
    assert (np.abs(after) <= 1).all()
    beyond = after[weight > 1]
    assert stats.binomtest(int((beyond == 1).sum()), beyond.size, 0.5).pvalue > SMALLEST  # no way up, and half go up


def test_entries_that_are_chosen_have_the_same_law_as_all() -> None:
    # A choice that depended on the noise would keep some values more often than others.
    after = drawn(np.zeros((1500, 1500)), op="gaussian_noise", std=1.0, fraction="50%")
    assert_law(after[after != 0], NORMAL)


def test_weights_that_are_drawn_again_instead_of_noised_have_their_own_law() -> None:
    weight = np.full((1600, 1500), 1000.0)
    after = drawn(weight, op="gaussian_noise", std=0.5, rate=0.5, reset_rate=0.5, reset_std=2.0)
    assert_law(after[after > 500] - 1000, stats.norm(0, 0.5))
    assert_law(after[after < 500], stats.norm(0, 2))


# Memory cells.

HALF_OF_THE_LARGEST = np.full(SHAPE, -0.5)
HALF_OF_THE_LARGEST[0, 0] = 1.0


@pytest.mark.parametrize(
    ("share", "mean", "deviation"),
    [(0.5, 0.049, 0.008), (0.05, 0.0155 * 2.99573 + 0.0244, 0.0125 * 2.99573 - 0.0059), (1e-9, 0.1, 0.045)],
)
def test_cells_drift_by_a_power_of_time_that_has_its_law(share: float, mean: float, deviation: float) -> None:
    weight = HALF_OF_THE_LARGEST * 2 * share
    weight[0, 0] = 1.0
    after = drawn(weight, op="conductance_drift", seconds=1980.0, read_noise=0)
    exponents = -np.log((after / weight).ravel()[1:]) / np.log(100)
    assert_law(exponents, stats.foldnorm(mean / deviation, scale=deviation))


def test_the_noise_of_reading_cells_has_its_law() -> None:
    after = drawn(HALF_OF_THE_LARGEST, op="conductance_drift", seconds=3580.0, drift=0)
    deviation = 0.0088 / 0.5**0.65 * sqrt(np.log((3600 + 250e-9) / 500e-9))
    assert_law(after.ravel()[1:] / -0.5, stats.norm(1, deviation))


def test_no_cell_is_read_as_less_than_nothing() -> None:
    after = drawn(HALF_OF_THE_LARGEST, op="conductance_drift", seconds=0.0, read_noise=50).ravel()[1:]
    assert after.max() == 0
    deviation = 50 * 0.0088 / 0.5**0.65 * sqrt(np.log((20 + 250e-9) / 500e-9))
    assert stats.binomtest(int((after == 0).sum()), after.size, NORMAL.cdf(-1 / deviation)).pvalue > SMALLEST


# Initialisers.


def truncated(deviation: float) -> Any:
    """A normal that is cut off at two of its own deviations, with this standard deviation after that."""
    return stats.truncnorm(-2, 2, scale=deviation / stats.truncnorm(-2, 2).std())


def within(limit: float) -> Any:
    return stats.uniform(-limit, 2 * limit)


FAN_IN, FAN_OUT = 9 * 200, 9 * 600
KERNEL = (3, 3, 200, 600)
INITIALIZERS: Mapping[str, tuple[Any, Any]] = {
    "random_normal": ({"mean": 0.5, "stddev": 0.2}, stats.norm(0.5, 0.2)),
    "random_uniform": ({"minval": -1, "maxval": 3}, stats.uniform(-1, 4)),
    "truncated_normal": ({"mean": 0.5, "stddev": 0.2}, stats.truncnorm(-2, 2, 0.5, 0.2)),
    "glorot_uniform": ({}, within(sqrt(6 / (FAN_IN + FAN_OUT)))),
    "glorot_normal": ({}, truncated(sqrt(2 / (FAN_IN + FAN_OUT)))),
    "he_uniform": ({}, within(sqrt(6 / FAN_IN))),
    "he_normal": ({}, truncated(sqrt(2 / FAN_IN))),
    "lecun_uniform": ({}, within(sqrt(3 / FAN_IN))),
    "lecun_normal": ({}, truncated(sqrt(1 / FAN_IN))),
    "variance_scaling": (
        {"scale": 3.0, "mode": "fan_out", "distribution": "untruncated_normal"},
        stats.norm(0, sqrt(3 / FAN_OUT)),
    ),
}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_an_initializer_has_its_law(name: str) -> None:
    config, law = INITIALIZERS[name]
    after = drawn(np.ones(KERNEL), op="reinitialize", initializer={"class_name": name, "config": config})
    assert_law(after, law)


# Independence.


def noise_of(seed: int = 0, id: str = "noise", path: str = "dense/kernel", op: str = "gaussian_noise") -> np.ndarray:
    keys = {"gaussian_noise": {"std": 1.0}, "uniform_noise": {"low": -1, "high": 1}, "laplace_noise": {"scale": 1.0}}
    step = {"op": op, "id": id, "target": path, **keys[op]}
    return mutate({path: np.zeros(1_100_000, np.float32)}, step, seed=seed).tensors[path].astype(np.float64)


def assert_unrelated(one: np.ndarray, other: np.ndarray) -> None:
    """Neither the values nor their sizes go together."""
    for left, right in ((one, other), (np.abs(one), np.abs(other)), (np.abs(one), other)):
        assert abs(np.corrcoef(left, right)[0, 1]) < 4.5 / sqrt(len(one))


@pytest.mark.parametrize("op", ["gaussian_noise", "uniform_noise", "laplace_noise"])
def test_the_noises_of_steps_tensors_and_seeds_have_nothing_in_common(op: str) -> None:
    noises = [
        noise_of(op=op),
        noise_of(op=op, id="another"),
        noise_of(op=op, path="dense_1/kernel"),
        noise_of(op=op, path="dense/bias"),
        noise_of(op=op, seed=1),
        noise_of(op=op, seed=2**32),
    ]
    for one, other in combinations(noises, 2):
        assert_unrelated(one, other)


@pytest.mark.parametrize("op", ["gaussian_noise", "uniform_noise", "laplace_noise"])
def test_the_noise_of_an_entry_says_nothing_of_that_of_others(op: str) -> None:
    noise = noise_of(op=op)
    for lag in (1, 2, 1100, 1 << 15, 1 << 16, 1 << 17, 10 << 16):
        assert_unrelated(noise[:-lag], noise[lag:])


def test_no_chunk_has_the_noise_of_another() -> None:
    noise = noise_of()
    chunks = [noise[start : start + (1 << 16)] for start in range(0, 16 << 16, 1 << 16)]
    for one, other in combinations(chunks, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / sqrt(1 << 16)


def test_which_entries_are_chosen_depends_on_step_tensor_and_seed() -> None:
    def chosen(seed: int, id: str, path: str) -> np.ndarray:
        step = {"op": "zero", "id": id, "target": path, "fraction": "50%"}
        return mutate({path: np.ones(100_000, np.float32)}, step, seed=seed).tensors[path]

    choices = [chosen(*each) for each in ((0, "a", "d/kernel"), (0, "b", "d/kernel"), (0, "a", "d/bias"))]
    choices += [chosen(1, "a", "d/kernel")]
    for one, other in combinations(choices, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / sqrt(100_000)
        assert abs(np.corrcoef(one[1:], other[:-1])[0, 1]) < 4.5 / sqrt(100_000)


# How many.


def binomial_fits(counts: list[int], size: int, rate: float) -> bool:
    """Whether numbers of successes have the binomial law: by mean, variance and chi-square."""
    n = len(counts)
    law = stats.binom(size, rate)
    mean, variance, _, kurtosis = (float(each) for each in law.stats("mvsk"))
    assert abs(np.mean(counts) - mean) < 4.5 * sqrt(variance / n)
    assert abs(np.var(counts) / variance - 1) < 4.5 * sqrt((kurtosis + 2) / n)
    low, high = (int(law.ppf(q)) for q in (0.02, 0.98))
    seen = np.bincount(np.clip(counts, low, high) - low, minlength=high - low + 1)
    expected = law.pmf(np.arange(low, high + 1))
    expected[0], expected[-1] = law.cdf(low), law.sf(high - 1)
    return bool(stats.chisquare(seen, n * expected).pvalue > SMALLEST)


@pytest.mark.parametrize(("size", "rate"), [(1000, 0.003), (1000, 0.4), (10**6, 1e-5), (7, 0.5), (10**9, 1e-8)])
def test_the_number_of_entries_at_a_rate_is_binomial(size: int, rate: float) -> None:
    spec = spec_of({"d/kernel": np.broadcast_to(np.float32(1), (size,))})

    def count(seed: int) -> int:
        step = {"op": "zero", "target": "d", "rate": rate, "allow_empty": True}
        writes = compile_plan(plan_of(step, seed=seed), spec, {}).steps[0].writes
        return int(writes[0].touched or 0) if writes else 0

    assert binomial_fits([count(seed) for seed in range(600)], size, rate)


def test_the_counts_of_tensors_at_a_rate_are_independent() -> None:
    before = {f"d{number}/kernel": np.ones(200, np.float32) for number in range(2)}
    counts = []
    for seed in range(500):
        after = mutate(before, {"op": "zero", "target": "*", "rate": 0.1}, seed=seed).tensors
        counts.append([int((values == 0).sum()) for values in after.values()])
    assert abs(np.corrcoef(np.transpose(counts))[0, 1]) < 4.5 / sqrt(500)


@pytest.mark.parametrize(("bits", "number"), [(None, 32), ("mantissa", 23), ([0, 5, 22], 3)])
def test_the_number_of_flips_at_a_rate_per_bit_is_binomial_and_each_bit_as_likely(bits: Any, number: int) -> None:
    before = np.full(500, 1.5, np.float32)
    rate = 3 / (500 * number)
    step = {"op": "bit_flip", "rate_per_bit": rate, "allow_empty": True, "non_finite": "report"}
    if bits is not None:
        step["bits"] = bits
    flips, places = [], Counter[int]()
    for seed in range(400):
        difference = drawn(before, **step, seed=seed).view("u4") ^ before.view("u4")
        flipped = [bit for word in difference[difference != 0] for bit in range(32) if word >> bit & 1]
        flips.append(len(flipped))
        places.update(flipped)
    assert binomial_fits(flips, 500 * number, rate)
    assert len(places) == number
    assert stats.chisquare([*places.values()]).pvalue > SMALLEST


# Which.


@pytest.mark.parametrize(
    ("size", "count", "seeds"), [(2, 1, 300), (7, 3, 400), (37, 5, 400), (256, 40, 300), (300, 299, 300)]
)
def test_each_entry_is_as_likely_to_be_chosen_the_last_as_the_first(size: int, count: int, seeds: int) -> None:
    before = np.ones(size, np.float32)
    chosen = sum((drawn(before, op="zero", count=count, seed=seed) == 0).astype(int) for seed in range(seeds))
    expected = seeds * count / size
    # Of entries that are distinct, the counts vary less than those of independent draws.
    statistic = ((chosen - expected) ** 2 / expected).sum() * (size - 1) / (size - count)
    assert stats.chi2(size - 1).sf(statistic) > SMALLEST
    for place in (0, -1):
        assert stats.binomtest(int(chosen[place]), seeds, count / size).pvalue > SMALLEST


def equally_likely(results: list[Any], number: int) -> bool:
    seen = Counter(results)
    counts = [*seen.values(), *[0] * (number - len(seen))]
    assert len(counts) == number
    return bool(stats.chisquare(counts).pvalue > SMALLEST)


def test_each_pair_of_entries_is_as_likely() -> None:
    before = np.ones(8, np.float32)
    pairs = [tuple(np.flatnonzero(drawn(before, op="zero", count=2, seed=seed) == 0)) for seed in range(600)]
    assert equally_likely(pairs, comb(8, 2))


def test_each_neuron_is_as_likely_and_each_pair_to_be_swapped() -> None:
    before = np.arange(16, dtype=np.float32).reshape(2, 8) + 1
    blocked, swapped = [], []
    for seed in range(420):
        zeroed = drawn(before, op="zero_neurons", count=1, seed=seed)
        blocked += np.flatnonzero(~zeroed.any(axis=0)).tolist()
        exchanged = drawn(before, op="swap_neurons", count=2, seed=seed)
        swapped.append(tuple(np.flatnonzero((exchanged != before).any(axis=0))))
    assert equally_likely(blocked, 8)
    assert equally_likely(swapped, comb(8, 2))


def test_each_order_of_a_shuffle_is_as_likely() -> None:
    before = np.arange(4, dtype=np.float32)
    orders = [tuple(drawn(before, op="shuffle", seed=seed)) for seed in range(480)]
    assert {*orders} == {*permutations(before)}
    assert equally_likely(orders, 24)


def test_each_bit_is_as_likely_to_flip_wherever_the_entry_is() -> None:
    before = np.ones(10**6, np.float32)
    after = drawn(before, op="bit_flip", non_finite="report")
    bits = np.log2((after.view("u4") ^ before.view("u4")).astype(np.float64)).astype(int)
    assert stats.chisquare(np.bincount(bits, minlength=32)).pvalue > SMALLEST
    assert abs(np.corrcoef(bits[1:], bits[:-1])[0, 1]) < 4.5 / 1000
    for part in (bits[: 1 << 16], bits[-(1 << 16) :], bits[::2]):
        assert stats.chisquare(np.bincount(part, minlength=32)).pvalue > SMALLEST
