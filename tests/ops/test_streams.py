"""Draws: what a step's depend on, and that nothing else changes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from mutspec.errors import PlanError
from tests.ops.op_table import BY_ENTRY, DRAWING, REARRANGING, SOME, TARGET, TARGETS, UNITS, example, inputs_for
from tests.oracle import NEURON_OPS, Step
from tests.toys import Tensors, layered, mutate, same_bits

EVERY = (*SOME, *REARRANGING, "quantize")


def bytes_of(tensors: Tensors) -> bytes:
    return b"".join(values.tobytes() for values in tensors.values())


def mutated(before: Tensors, step: Step, **document: Any) -> Tensors:
    one = (
        step if isinstance(step, dict) else next(each for each in step if each.get("id") == "mine" or "source" in each)
    )
    return mutate(before, step, inputs=inputs_for(one, before), **document).tensors


@pytest.mark.parametrize("op", EVERY)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(op: str) -> None:
    before = layered()

    def outcome(document_seed: int, **extra: Any) -> bytes:
        return bytes_of(mutated(before, example(op, fraction=0.5, **extra), seed=document_seed))

    assert outcome(1) == outcome(1)
    assert outcome(1, seed=5) == outcome(2, seed=5) == outcome(5)
    is_by_rank = op == "prune_weights"  # which draws nothing
    assert (outcome(1) == outcome(2)) is is_by_rank


@pytest.mark.parametrize("op", DRAWING)
def test_without_an_amount_too_another_seed_gives_other_bytes(op: str) -> None:
    before = layered()
    one, other = (bytes_of(mutated(before, example(op), seed=seed)) for seed in (1, 2))
    assert one != other


@pytest.mark.parametrize("amount", [{}, {"rate": 0.3}, {"fraction": 0.3, "per": "all"}], ids=str)
@pytest.mark.parametrize("op", EVERY)
def test_other_steps_do_not_change_a_steps_draws(op: str, amount: Step) -> None:
    amount = _meaningful(op, amount)
    base = layered()
    mine = example(op, id="mine", allow_empty=True, **amount)
    noise = {"op": "gaussian_noise", "id": "other", "target": {"name": "*"}, "std": 1.0, "fraction": 0.5}
    restore = {"op": "blend", "id": "restore", "target": {"name": "*"}, "source": "base:", "t": 1.0}
    back = {"op": "crossover", "id": "back", "target": {"name": "*"}, "source": "base:", "fraction": 1.0}
    elsewhere = {"op": "uniform_noise", "id": "elsewhere", "target": "f", "low": 0, "high": 1, "count": 3}
    inputs = {**(inputs_for(mine, base) or {}), "base": base}

    def outcome(*steps: Step) -> Tensors:
        return mutate(base, list(steps), inputs=inputs).tensors

    alone = outcome(mine)
    for steps in (
        [elsewhere, noise, back, mine, {**restore, "target": "f"}],
        [{**mine, "id": "renamed", "stream": "mine"}],
        [{**noise, "id": "mine2", "stream": "other"}, back, mine],
    ):
        after = outcome(*steps)
        assert all(same_bits(after[path], alone[path]) for path in TARGETS)
    if op in DRAWING or (amount and op != "prune_weights"):
        assert bytes_of(outcome({**mine, "id": "renamed"})) != bytes_of(alone)


def _meaningful(op: str, amount: Step) -> Step:
    """An amount that an op takes."""
    if op == "prune_weights":
        return {"fraction": 0.3}
    if op == "swap_neurons":
        return {"count": 2} if "per" in amount or not amount else amount
    return amount


def test_a_steps_stream_is_its_id_or_else_its_op() -> None:
    before = layered()
    step = {"op": "gaussian_noise", "target": TARGET, "std": 1.0}
    by_op = mutate(before, step).tensors["d/kernel"]
    assert same_bits(mutate(before, {**step, "id": "gaussian_noise"}).tensors["d/kernel"], by_op)
    assert same_bits(mutate(before, {**step, "id": "x", "stream": "gaussian_noise"}).tensors["d/kernel"], by_op)
    assert not same_bits(mutate(before, {**step, "id": "x"}).tensors["d/kernel"], by_op)


@pytest.mark.parametrize("op", [*BY_ENTRY, "quantize", "shuffle"])
def test_what_a_tensor_gets_does_not_depend_on_which_others_are_chosen(op: str) -> None:
    before = layered()
    wide = mutated(before, example(op, target={"name": "*"}, fraction=0.5))
    narrow = mutated(before, example(op, target="e/kernel", fraction=0.5))
    assert not same_bits(wide["e/kernel"], before["e/kernel"])
    assert same_bits(wide["e/kernel"], narrow["e/kernel"])


@pytest.mark.parametrize("op", NEURON_OPS)
def test_what_a_layers_neurons_get_does_not_depend_on_which_others_are_chosen(op: str) -> None:
    before = layered()
    wide = mutated(before, example(op, target={"name": "*"}, count=2))
    narrow = mutated(before, example(op, target="e", count=2))
    assert not same_bits(wide["e/kernel"], before["e/kernel"])
    assert same_bits(wide["e/kernel"], narrow["e/kernel"])


SIZES: Mapping[str, str] = {"gaussian_noise": "std", "laplace_noise": "scale", "programming_noise": "std"}


@pytest.mark.parametrize("relative_to", UNITS)
@pytest.mark.parametrize("op", SIZES)
def test_a_sweep_over_scales_moves_along_one_direction(op: str, relative_to: str) -> None:
    before = {path: values.astype(np.float64) for path, values in layered().items()}
    extra = {"keep_sign": False, "coefficients": [0.5, 2.0]} if op == "programming_noise" else {}

    def moved(size: float) -> np.ndarray:
        step = {"op": op, "target": "d/kernel", SIZES[op]: size, "relative_to": relative_to, "fraction": 0.5, **extra}
        return np.asarray(mutate(before, step).tensors["d/kernel"] - before["d/kernel"])

    assert np.count_nonzero(moved(1.0)) == 39
    for size in (2.0, 3.0, 0.125):
        np.testing.assert_allclose(moved(size), size * moved(1.0), rtol=1e-9, atol=1e-15)


def test_uniform_noise_keeps_its_position_within_the_bounds() -> None:
    before = {"d/kernel": np.zeros(1000)}

    def drawn(low: float, high: float) -> np.ndarray:
        step = {"op": "uniform_noise", "target": "d", "low": low, "high": high}
        return np.asarray(mutate(before, step).tensors["d/kernel"])

    position = drawn(0, 1)
    assert 0 <= position.min() < 0.01
    assert 0.99 < position.max() < 1
    np.testing.assert_allclose(drawn(-2, 6), -2 + 8 * position, rtol=1e-12)


def test_a_sweep_over_the_time_that_cells_drift_has_one_exponent_for_each() -> None:
    before = {"d/kernel": np.random.default_rng(0).uniform(1, 2, 1000)}

    def exponents(hours: float) -> np.ndarray:
        step = {"op": "conductance_drift", "target": "d", "seconds": 3600 * hours, "read_noise": 0}
        return np.log(mutate(before, step).tensors["d/kernel"] / before["d/kernel"]) / np.log(1 + 180 * hours)

    np.testing.assert_allclose(exponents(1), exponents(1000), rtol=1e-9)


def test_steps_apply_in_order() -> None:
    before = layered()
    steps = [
        {"op": "scale", "target": "d", "factor": 2.0},
        {"op": "fill", "target": "d/kernel", "value": 1.0, "indices": [3]},
        {"op": "scale", "id": "again", "target": "d", "factor": 10.0, "indices": [3, 4]},
    ]
    after = mutate(before, steps).tensors["d/kernel"].ravel()
    assert after[3] == 10
    assert after[4] == before["d/kernel"].ravel()[4] * np.float32(2) * np.float32(10)
    assert after[5] == before["d/kernel"].ravel()[5] * np.float32(2)


BY_TARGET: Mapping[str, tuple[str, Step]] = {
    "gaussian_noise": ("std", {"relative_to": "std"}),
    "uniform_noise": ("high", {"low": -1.0}),
    "laplace_noise": ("scale", {}),
    "polynomial_noise": ("high", {"low": -1.0}),
    "discretized_noise": ("std", {"resolution": 0.25}),
    "programming_noise": ("std", {}),
    "conductance_drift": ("seconds", {}),
    "scale": ("factor", {}),
    "shift": ("by", {}),
    "clip": ("max", {"min": -1.0}),
    "fill": ("value", {}),
    "binarize": ("scale", {}),
    "blend": ("t", {"source": "other:"}),
    "add_difference": ("factor", {"plus": "other:", "minus": "third:"}),
}


@pytest.mark.parametrize("op", BY_TARGET)
def test_of_values_by_target_the_first_that_matches_wins(op: str) -> None:
    field, rest = BY_TARGET[op]
    cases = [
        {"target": "d/kernel", "value": 0.25},
        {"target": {"name": "d"}, "value": 0.5},
        {"target": {"weights": "gamma"}, "value": 0.75},
        {"value": 2.0},
    ]
    wanted = {"d/kernel": 0.25, "d/bias": 0.5, "e/gamma": 0.75, "e/kernel": 2.0}
    before = layered()
    after = mutated(before, {"op": op, "target": TARGET, field: cases, **rest})
    for path, value in wanted.items():
        alone = mutated(before, {"op": op, "target": TARGET, field: value, **rest})
        assert same_bits(after[path], alone[path])


def test_values_by_target_that_leave_a_weight_out_are_an_error() -> None:
    step = {"op": "scale", "target": TARGET, "factor": [{"target": "d", "value": 2.0}]}
    with pytest.raises(PlanError, match="no entry of `factor` matches `e/kernel`") as caught:
        mutate(layered(), step)
    assert caught.value.problems[0].path == ("steps", 0, "factor")
    unknown = {"op": "scale", "target": TARGET, "factor": [{"target": "g", "value": 2.0}, {"value": 1.0}]}
    with pytest.raises(PlanError) as caught:
        mutate(layered(), unknown)
    assert caught.value.problems[0].path[:5] == ("steps", 0, "factor", 0, "target")


def test_problems_of_all_steps_come_at_once() -> None:
    steps = [
        {"op": "zero", "target": "e/gamma", "count": 3},
        {"op": "fill", "target": "d", "value": 1.0},
        {"op": "scale", "target": "nowhere", "factor": 1.0},
    ]
    with pytest.raises(PlanError) as caught:
        mutate(layered(), steps)
    assert [problem.path[:2] for problem in caught.value.problems] == [("steps", 0), ("steps", 2)]
