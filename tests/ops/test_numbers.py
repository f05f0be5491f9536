"""Numbers: half precision, overflow, and kinds of numbers that do not mix."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import ml_dtypes  # noqa: F401  (makes NumPy know bfloat16 by name)
import numpy as np
import pytest

from mutspec.errors import CheckError, PlanError
from mutspec.execute.prepare import non_finite_warnings
from tests.oracle import Step
from tests.toys import Mutant, Tensors, mutate, same_bits


def every_finite(dtype: str) -> np.ndarray:
    """All finite numbers of 16 bits."""
    numbers = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    return numbers[np.isfinite(numbers.astype("float32"))]


ROUNDED_ONCE: Mapping[str, tuple[Step, Callable[[np.ndarray], np.ndarray]]] = {
    "scale": ({"op": "scale", "factor": 1.1}, lambda w: np.float32(1.1) * w),
    "shift": ({"op": "shift", "by": 0.1}, lambda w: w + np.float32(0.1)),
    "reciprocal": ({"op": "reciprocal"}, lambda w: np.float32(1) / w),
    "negate": ({"op": "negate"}, lambda w: -w),
    "round": ({"op": "round", "decimals": 2}, lambda w: np.rint(w * np.float32(100)) / np.float32(100)),
    "clip": ({"op": "clip", "min": -0.1, "max": 0.3}, lambda w: np.clip(w, np.float32(-0.1), np.float32(0.3))),
    "blend": (
        {"op": "blend", "source": "other:", "t": 0.3},
        lambda w: w + np.float32(0.3) * (w[::-1] - w),
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("op", ROUNDED_ONCE)
def test_every_number_of_half_precision_is_computed_in_float32_and_rounded_once(op: str, dtype: str) -> None:
    step, formula = ROUNDED_ONCE[op]
    numbers = every_finite(dtype)
    inputs = {"other": {"d/kernel": numbers[::-1].copy()}}
    mutant = mutate({"d/kernel": numbers}, {**step, "target": "d", "non_finite": "report"}, inputs=inputs)
    with np.errstate(all="ignore"):
        wanted = formula(numbers.astype("float32")).astype(dtype)
    assert same_bits(mutant.tensors["d/kernel"], wanted)
    lost = int(np.count_nonzero(~np.isfinite(wanted.astype("float32"))))
    assert mutant.outcome.effect("d/kernel@1").non_finite == lost


LARGE = {"float16": 6e4, "bfloat16": 3e38, "float32": 3e38, "float64": 1.7e308}
OVERFLOWING: Mapping[str, Step] = {
    "scale": {"factor": 2.0},
    "shift": {"by": 1.0, "relative_to": "weight"},
    "gaussian_noise": {"std": 9.0, "relative_to": "weight", "seed": 2},
    "uniform_noise": {"low": 1.0, "high": 2.0, "mode": "multiply"},
    "laplace_noise": {"scale": 9.0, "relative_to": "weight", "seed": 1},
    "scale_neurons": {"factor": 2.0},
    "add_difference": {"plus": "d/kernel", "minus": "zeros/kernel"},
    "blend": {"source": "zeros/kernel", "t": -1.0},
    "average": {"sources": ["zeros/kernel"], "shares": [3.0, -1.0]},
    "bit_flip": {"bits": "exponent", "flip": "all"},
    "stuck_at": {"bits": "exponent", "value": 1},
}


def large(dtype: str) -> Tensors:
    return {"d/kernel": np.full((2, 3), LARGE[dtype], dtype), "zeros/kernel": np.zeros((2, 3), dtype)}


@pytest.mark.parametrize("dtype", LARGE)
@pytest.mark.parametrize("op", OVERFLOWING)
def test_overflow_is_an_error_that_names_the_step_and_the_weight_or_else_is_counted(op: str, dtype: str) -> None:
    before = large(dtype)
    if op == "bit_flip":
        before["d/kernel"][:] = 0
    step = {"op": op, "target": "d", **OVERFLOWING[op]}
    mutant = mutate(before, step)
    lost = int(np.count_nonzero(~np.isfinite(mutant.tensors["d/kernel"].astype("float64"))))
    assert lost
    with pytest.raises(CheckError, match=rf"d/kernel.*{lost}|{lost}.*d/kernel") as caught:
        report(mutant)
    assert "non_finite: report" in str(caught.value)
    assert caught.value.problems[0].path[:2] == ("steps", 0)
    (warning,) = report(mutate(before, {**step, "non_finite": "report"}))
    assert str(lost) in warning
    assert "d/kernel" in warning


def report(mutant: Mutant) -> list[str]:
    return [str(each) for each in non_finite_warnings(mutant.program, mutant.outcome.effects)]


def test_entries_that_were_not_finite_before_are_not_reported() -> None:
    before = {"d/kernel": np.array([np.inf, np.nan, -np.inf, 1.0], np.float32)}
    mutant = mutate(before, {"op": "scale", "target": "d", "factor": 2.0})
    assert report(mutant) == []
    assert same_bits(mutant.tensors["d/kernel"], before["d/kernel"] * np.float32(2))


def test_the_reciprocal_of_0_is_an_overflow_too() -> None:
    mutant = mutate({"d/kernel": np.array([0.0, 2.0], np.float32)}, {"op": "reciprocal", "target": "d"})
    with pytest.raises(CheckError, match="d/kernel"):
        report(mutant)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_statistics_of_half_precision_are_not_taken_in_half_precision(dtype: str) -> None:
    """The sum of squares of these is beyond what float16 holds, and their mean beyond what bfloat16 resolves."""
    before = {"d/kernel": np.where(np.arange(4096) % 2, 300.0, 301.0).astype(dtype)}
    step = {"op": "shift", "target": "d", "by": 1.0, "relative_to": "std"}
    after = mutate(before, step).tensors["d/kernel"]
    wide = before["d/kernel"].astype("float64")
    assert same_bits(after, (wide.astype("float32") + np.float32(wide.std())).astype(dtype))


MIXED: Mapping[str, Step] = {
    "crossover": {"op": "crossover", "source": "e", "fraction": 1.0},
    "blend": {"op": "blend", "source": "e", "t": 0.5},
    "average": {"op": "average", "sources": ["e"]},
    "add_difference": {"op": "add_difference", "plus": "e", "minus": "d"},
    "transfer_weights": {"op": "transfer_weights", "source": "e"},
    "swap_weights": {"op": "swap_weights", "other": "e"},
    "share_values": {"op": "share_values", "target": ["e", "d"]},
}


@pytest.mark.parametrize(("one", "other"), [("int8", "float32"), ("float32", "int8"), ("int8", "int32")])
@pytest.mark.parametrize("op", MIXED)
def test_weights_of_integers_and_of_real_numbers_are_not_merged(op: str, one: str, other: str) -> None:
    before = {"d/kernel": np.ones(3, one), "e/kernel": np.ones(3, other)}
    with pytest.raises(PlanError) as caught:
        mutate(before, {"target": "d", **MIXED[op]})
    (problem,) = caught.value.problems
    assert problem.hint
    if "for real numbers" not in problem.message:
        assert re.search(rf"`d/kernel` (\(3, |is ){one}", problem.message)
        assert re.search(rf"`e/kernel` (\(3, |is ){other}", problem.message)
