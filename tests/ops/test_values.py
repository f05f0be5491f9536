"""Values that are clipped, drawn again, rounded and pruned: what the laws do not reach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutspec.errors import PlanError
from tests.ops.op_table import LAW, SHAPES
from tests.oracle import Step
from tests.toys import layered, mutate, same_bits

SHARES = st.sampled_from(["0%", "10%", "25%", "50%", "90%", "100%"])


@LAW
@given(SHAPES, SHARES, SHARES, st.sampled_from(["float64", "float32", "float16", "bfloat16"]), st.integers(0, 9))
def test_a_clip_to_quantiles_is_that_of_numpy(
    shape: tuple[int, ...], low: str, high: str, dtype: str, seed: int
) -> None:
    low, high = sorted((low, high), key=lambda share: float(share[:-1]))
    before = {"d/kernel": np.asarray(np.random.default_rng(seed).normal(size=shape)).astype(dtype)}
    step = {"op": "clip", "target": "d", "min_quantile": low, "max_quantile": high}
    after = mutate(before, step).tensors["d/kernel"]
    wide = before["d/kernel"].astype("float64")
    bounds = np.quantile(wide, [float(low[:-1]) / 100, float(high[:-1]) / 100])
    tolerance = {"float64": 1e-12, "float32": 1e-6, "float16": 1e-3, "bfloat16": 1e-2}[dtype]
    np.testing.assert_allclose(after.astype("float64"), np.clip(wide, *bounds), rtol=tolerance, atol=tolerance)
    inside = (wide > bounds[0]) & (wide < bounds[1])
    assert same_bits(after[inside], before["d/kernel"][inside])


@pytest.mark.parametrize(
    ("name", "deviation", "mean"),
    [
        ("glorot_uniform", np.sqrt(2 / 500), 0),
        ("glorot_normal", np.sqrt(2 / 500), 0),
        ("he_normal", np.sqrt(2 / 200), 0),
        ("lecun_uniform", np.sqrt(1 / 200), 0),
        ({"class_name": "VarianceScaling", "config": {"scale": 3.0, "mode": "fan_out"}}, np.sqrt(3 / 300), 0),
        ({"class_name": "RandomNormal", "config": {"mean": 3.0, "stddev": 0.5}}, 0.5, 3),
        ({"class_name": "random_uniform", "config": {"minval": 0, "maxval": 1}}, np.sqrt(1 / 12), 0.5),
    ],
    ids=str,
)
def test_weights_that_are_drawn_again_have_the_moments_of_the_literature(
    name: object, deviation: float, mean: float
) -> None:
    before = {"d/kernel": np.full((200, 300), 99, np.float32)}
    after = mutate(before, {"op": "reinitialize", "target": "d", "initializer": name}).tensors["d/kernel"]
    assert after.std() == pytest.approx(deviation, rel=0.02)
    assert after.mean() == pytest.approx(mean, abs=0.02 * deviation)


def test_neat_noise_and_resets_share_out_the_entries() -> None:
    before = {"d/kernel": np.full(20_000, 100.0)}
    step: Step = {"op": "gaussian_noise", "target": "d", "std": 0.5, "rate": 0.8, "reset_rate": 0.1, "reset_std": 1.0}
    after = mutate(before, step).tensors["d/kernel"]
    noised, anew = (after > 50) & (after != 100), after < 50
    assert noised.mean() == pytest.approx(0.8, abs=0.02)
    assert anew.mean() == pytest.approx(0.1, abs=0.01)
    assert (after[noised] - 100).std() == pytest.approx(0.5, rel=0.03)
    assert after[anew].std() == pytest.approx(1.0, rel=0.06)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_value_that_is_not_finite_is_set_only_if_it_may(value: str) -> None:
    step: Step = {"op": "fill", "target": "d/bias", "value": float(value), "non_finite": "report"}
    after = mutate(layered(), step).tensors["d/bias"]
    np.testing.assert_array_equal(after, np.full(11, float(value), np.float32))


@pytest.mark.parametrize("initializer", ["stft", "Identity2", {"class_name": "stft"}, {"config": {}}])
def test_an_initializer_that_is_not_drawn_here_is_named(initializer: object) -> None:
    with pytest.raises(PlanError, match=r"the initializer .* is not one that mutspec draws.*glorot") as caught:
        mutate(layered(), {"op": "reinitialize", "target": "d", "initializer": initializer})
    assert caught.value.problems[0].path == ("steps", 0, "initializer")


def test_an_initializers_config_that_is_not_a_number_is_named() -> None:
    wrong = {"class_name": "random_normal", "config": {"stddev": "much"}}
    with pytest.raises(PlanError, match=r"the initializer's config is wrong: .*much"):
        mutate(layered(), {"op": "reinitialize", "target": "d", "initializer": wrong})
