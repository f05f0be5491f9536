"""Counts how often intervals over seeds keep their promise: the tables of docs/statistics.md.

    python benchmarks/coverage.py

Two thousand mutants of the digits model at one scale represent all seeds. Sweeps of a few seeds are drawn from them
twenty thousand times, with Student's interval, which reports show, and a percentile bootstrap, which they do not show.
Then come rankings of thirty layers, whose means are as far apart as their seeds are spread, or less, or not at all.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray

import mutspec
from mutspec.experiment.data import digits
from mutspec.experiment.reports.interval import estimate, is_surely_above, student_quantile
from mutspec.resources import resource_folder

CONF = resource_folder("conf")
SEEDS = (2, 3, 5, 10, 20, 50)
SWEEPS = 20_000
BOOTSTRAPPED, RESAMPLES = 3_000, 1_000
LAYERS, RANKINGS = 30, 100

Values = NDArray[np.float64]


def mutants(scales: list[float], seeds: int) -> Values:
    """Returns the accuracy of mutants in percent, by scale and seed."""
    plan = mutspec.load_plan(CONF / "plan" / "weight_noise.yaml")
    sweep = mutspec.sweep(plan, CONF / "model" / "digits.keras", digits(), {"params.std": scales}, seeds=seeds)
    return np.array([100 * row["metrics.accuracy"] for row in sweep.rows]).reshape(len(scales), seeds)


def covers_student(drawn: Values, truth: float) -> tuple[float, float]:
    """Returns how often Student's interval covers the truth, and half its median width."""
    count = drawn.shape[1]
    half = student_quantile(count - 1) * drawn.std(axis=1, ddof=1) / np.sqrt(count)
    return float(np.mean(abs(drawn.mean(axis=1) - truth) <= half)), float(np.median(half))


def covers_bootstrap(drawn: Values, truth: float, random: np.random.Generator) -> float:
    """Returns how often the interval between the percentiles of resampled means covers the truth."""
    count = drawn.shape[1]
    means = [each[random.integers(0, count, (RESAMPLES, count))].mean(axis=1) for each in drawn[:BOOTSTRAPPED]]
    low, high = np.percentile(means, [2.5, 97.5], axis=1)
    return float(np.mean((low <= truth) & (truth <= high)))


def rankings(gap: float, seeds: int, random: np.random.Generator) -> tuple[float, float, float]:
    """Ranks layers whose means are `gap` standard deviations apart, many times.

    Returns:
        How often all ranks are among those left open, how many these are, and the share of layers that seem to differ
        from another one.
    """
    true = np.arange(1, LAYERS + 1)
    found = []
    for _ in range(RANKINGS):
        layers = [estimate(map(float, each)) for each in random.normal(-gap * true[:, None], 1, (LAYERS, seeds))]
        above = np.array([[is_surely_above(other, one) for other in layers] for one in layers])
        best, worst = 1 + above.sum(axis=1), LAYERS - above.sum(axis=0)
        is_right = bool(np.all((best <= true) & (true <= worst)))
        found.append((is_right, np.mean(worst - best + 1), np.mean((best > 1) | (worst < LAYERS))))
    right, open_ranks, told_apart = np.mean(found, axis=0)
    return float(right), float(open_ranks), float(told_apart)


def main() -> None:
    """Prints the tables."""
    random = np.random.default_rng(0)
    (many,) = mutants([0.5], 2_000)
    print(f"mean {many.mean():.1f} %, standard deviation {many.std():.1f} points")
    print("seeds  Student covers  bootstrap covers  half width")
    for seeds in SEEDS:
        drawn = random.choice(many, (SWEEPS, seeds))
        student, half = covers_student(drawn, many.mean())
        print(f"{seeds:5}  {student:14.1%}  {covers_bootstrap(drawn, many.mean(), random):16.1%}  {half:10.1f}")
    one, other = mutants([0.4, 0.5], 200)
    paired, apart = np.std(one - other), np.sqrt(one.var() + other.var())
    print(f"standard deviation of a difference: {paired:.1f} with the same seeds, {apart:.1f} with others")
    print("gap  seeds  all right  open ranks  told apart")
    for gap in (0, 0.1, 0.5, 1):
        for seeds in (3, 5, 10, 20):
            right, open_ranks, told_apart = rankings(gap, seeds, random)
            print(f"{gap:3}  {seeds:5}  {right:9.0%}  {open_ranks:10.1f}  {told_apart:10.0%}")


if __name__ == "__main__":
    main()
