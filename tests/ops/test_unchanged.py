"""Steps that are known to change nothing before any value is read: compared with what they do, for every op."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from mutspec.graph.sameness import unchangeable
from tests.ops.op_table import LAW, fitting, inputs_for, models, steps
from tests.oracle import Step
from tests.toys import CATALOGUE, Tensors, mutate

RANDOM = np.random.default_rng(2)
NARROW = {
    "d/kernel": RANDOM.normal(size=(1, 4)).astype(np.float32),
    "d/bias": RANDOM.normal(size=1).astype(np.float32),
    "e/kernel": RANDOM.normal(size=(3, 1)).astype(np.float16),
    "e/gamma": np.asarray(RANDOM.normal(), np.float32),
}
"""A row, a column, and two weights of one entry."""
SINGLE = {"d/bias", "e/gamma"}


def still(mutant: Any) -> set[str]:
    """The tensors that can only stay as they are."""
    return {version.origin for version in unchangeable(mutant.program.graph)}


@settings(LAW, max_examples=60)
@given(steps(), models())
def test_what_is_said_to_stay_as_it_is_does_so(step: Step, tensors: Tensors) -> None:
    tensors = fitting(step, tensors)
    mutant = mutate(tensors, step, inputs=inputs_for(step, tensors))
    for path in still(mutant):
        np.testing.assert_array_equal(mutant.tensors[path], tensors[path])


@pytest.mark.parametrize(
    ("step", "stays"),
    [
        ({"op": "gaussian_noise", "std": 0.0}, set(NARROW)),
        ({"op": "gaussian_noise", "std": 0.0, "mode": "multiply", "fraction": 0.5, "at_least": 1}, set(NARROW)),
        ({"op": "gaussian_noise", "std": 0.3, "relative_to": "std"}, SINGLE),
        ({"op": "gaussian_noise", "std": 0.3, "relative_to": "max_abs"}, set()),
        ({"op": "gaussian_noise", "std": [{"target": "d", "value": 0.0}, {"value": 1.0}]}, {"d/kernel", "d/bias"}),
        ({"op": "uniform_noise", "low": 0.0, "high": 0.0, "relative_to": "weight"}, set(NARROW)),
        ({"op": "uniform_noise", "low": -0.1, "high": 0.1, "relative_to": "std"}, SINGLE),
        ({"op": "laplace_noise", "scale": 0.0}, set(NARROW)),
        ({"op": "laplace_noise", "scale": 1.0, "relative_to": "std"}, SINGLE),
        ({"op": "programming_noise", "std": 0.0}, set(NARROW)),
        ({"op": "scale", "factor": 1.0}, set(NARROW)),
        ({"op": "scale_neurons", "factor": 1.0, "target": "d"}, {"d/kernel"}),
        ({"op": "shift", "by": 0.0}, set(NARROW)),
        ({"op": "shift", "by": 2.0, "relative_to": "std"}, SINGLE),
        ({"op": "shuffle"}, SINGLE),
        ({"op": "shuffle", "count": 1}, set(NARROW)),
        ({"op": "shuffle_neurons", "target": "d"}, {"d/kernel"}),
        ({"op": "swap_neurons", "target": "e", "count": 1}, set()),
        ({"op": "negate"}, set()),
        ({"op": "zero"}, set()),
        ({"op": "bit_flip", "bits": 3, "count": 1}, set()),
        ({"op": "clip", "min": -9.0}, set()),
        ({"op": "blend", "source": "other:", "t": 0.0}, set(NARROW)),
    ],
)
def test_a_step_of_no_size_is_known_to_change_nothing(step: Step, stays: set[str]) -> None:
    step = {"target": ["d", "e"], "allow_empty": True, **step}
    mutant = mutate(NARROW, step, inputs={"other": NARROW} if "source" in step else None)
    assert still(mutant) == stays
    changed = {version.origin for version, effect in mutant.outcome.effects.items() if effect.changed}
    assert not changed & stays


def test_a_step_that_gives_back_what_another_left_is_known_by_what_it_finds() -> None:
    fill = {"op": "fill", "target": "d", "value": 0.0}
    mutant = mutate(NARROW, [fill, {**fill, "id": "again"}, {"op": "gaussian_noise", "target": "d", "std": 1.0}])
    assert {version.name for version in unchangeable(mutant.program.graph)} == {"d/kernel@2", "d/bias@2"}
    zeroed = mutate(NARROW, [fill, {"op": "scale", "target": "d", "factor": 3.0}])
    assert {version.name for version in unchangeable(zeroed.program.graph)} == {"d/kernel@2", "d/bias@2"}


@pytest.mark.parametrize(
    "step",
    [
        {"op": "clip", "max": 0.1},
        {"op": "fill", "value": 0.5},
        {"op": "zero", "count": 1},
        {"op": "round", "decimals": 1},
        {"op": "binarize"},
        {"op": "prune_weights", "fraction": 0.5},
        {"op": "stuck_at", "bits": 14, "value": 1},
    ],
)
def test_an_op_that_may_find_its_work_done_says_so_of_itself(step: Step) -> None:
    assert CATALOGUE[step["op"]].may_be_done
    step = {"target": ["d", "e"], **step}
    twice = mutate(NARROW, [step, {**step, "id": "again", "stream": step["op"]}], non_finite="report")
    assert not any(effect.changed for version, effect in twice.outcome.effects.items() if version.number == 2)


def test_an_op_that_moves_whatever_it_finds_does_not() -> None:
    assert not any(CATALOGUE[op].may_be_done for op in ("gaussian_noise", "scale", "negate", "bit_flip", "shuffle"))
