"""The laws of the literature's operators on hardware and of evolution that are of no common form.

Each gets the weights of a model and what makes mutants of it, with other values for some keys of the steps, and raises
if a mutant is not what the operator's authors say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats

Weights = Mapping[str, np.ndarray]
Mutant = Callable[..., Weights]


def kernels(weights: Weights) -> np.ndarray:
    """All entries of all kernels, in float64."""
    return np.concatenate([each.ravel() for path, each in weights.items() if "kernel" in path]).astype(np.float64)


def assert_only_kernels_differ(before: Weights, after: Weights) -> None:
    assert all(np.array_equal(before[path], after[path]) for path in before if "kernel" not in path)


def all_weights_move_by_debs_law_within_bounds(before: Weights, mutant: Mutant) -> None:
    after = mutant()
    old, new = (np.concatenate([each.ravel() for each in some.values()]).astype(float) for some in (before, after))
    assert (new != old).mean() > 0.9999
    assert (np.abs(new) <= 1).all()
    is_inside = np.abs(old) < 0.9
    old, moved = old[is_inside], (new - old)[is_inside] / 2
    # Of a uniform number r, they move by 1 - x to the power of 1/21, or by the negative of it where r is below a half.
    behind = np.where(moved < 0, (1 - old) / 2, (1 + old) / 2) ** 21
    half = ((1 - np.abs(moved)) ** 21 - behind) / (1 - behind) / 2
    assert stats.kstest(np.where(moved < 0, half, 1 - half), stats.uniform().cdf).pvalue > 1e-6


def kernels_become_multiples_of_a_tenth_up_to_six(before: Weights, mutant: Mutant) -> None:
    after = mutant()
    assert_only_kernels_differ(before, after)
    for path in (path for path in before if "kernel" in path):
        old, new = before[path].astype(np.float64), after[path].astype(np.float64)
        tenths = np.tanh(old) * 6 / np.tanh(np.abs(old).max())
        is_between = np.abs(tenths % 1 - 0.5) > 1e-4  # where a last bit does not decide
        np.testing.assert_allclose(new[is_between], 0.1 * np.round(tenths[is_between]), atol=1e-7)
        np.testing.assert_allclose(np.abs(new).max(), 0.6, atol=1e-7)


def cells_are_programmed_drift_for_an_hour_and_are_read(before: Weights, mutant: Mutant) -> None:
    at_once, later = mutant(seconds=0.0), mutant()
    assert_only_kernels_differ(before, later)
    old, new, newer = (each["conv_2/kernel"].astype(np.float64).ravel() for each in (before, at_once, later))
    share = np.abs(old) / np.abs(old).max()
    is_large = share > 0.4
    old, new, newer, share = (each[is_large] for each in (old, new, newer, share))
    programmed = np.abs(old) / share * (0.26348 + 1.965 * share - 1.1731 * share**2) / 25
    read, read_later = (0.0088 / share**0.65 * np.sqrt(np.log(time / 500e-9)) for time in (20, 3620))
    assert stats.kstest((new - old) / np.hypot(programmed, read * old), stats.norm.cdf).pvalue > 1e-6
    decay, decades = -np.log(newer / new), np.log(3620 / 20)
    law = stats.norm(0.049 * decades, np.hypot(0.008 * decades, read_later - read))
    assert stats.kstest(law.cdf(decay), stats.uniform.cdf).pvalue > 1e-6


def one_bit_of_a_number_in_blocks_as_large_as_kernels_flips(before: Weights, mutant: Mutant) -> None:
    seen: set[int] = set()
    for seed in range(20):
        after = mutant(seed)
        assert_only_kernels_differ(before, after)
        for path in (path for path in before if "kernel" in path):
            (entry,) = np.flatnonzero(before[path] != after[path])
            step = 2.0 ** (np.floor(np.log2(np.abs(before[path]).max())) - 22)
            old, new = (float(each.flat[entry]) / step for each in (before[path], after[path]))
            assert new == int(new)
            size = min(round(abs(old)), 2**23 - 1)
            flipped = size ^ abs(int(new)) | (1 << 23 if (old < 0) != (new < 0) else 0)
            assert flipped.bit_count() == 1
            seen.add(flipped.bit_length())
    assert len(seen) > 20


LAWS_OF_DEVICES: Mapping[str, Callable[[Weights, Mutant], None]] = {
    "EvoTorch PolynomialMutation": all_weights_move_by_debs_law_within_bounds,
    "AIHWKit DoReFa": kernels_become_multiples_of_a_tenth_up_to_six,
    "AIHWKit PCM": cells_are_programmed_drift_for_an_hour_and_are_read,
    "GoldenEye block floating point bit flip": one_bit_of_a_number_in_blocks_as_large_as_kernels_flips,
}
