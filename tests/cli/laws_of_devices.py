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


LAWS_OF_DEVICES: Mapping[str, Callable[[Weights, Mutant], None]] = {
    "EvoTorch PolynomialMutation": all_weights_move_by_debs_law_within_bounds,
    "AIHWKit DoReFa": kernels_become_multiples_of_a_tenth_up_to_six,
}
