"""Laws that hold for every op, and for each op its formula in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mutspec.graph.masks import Mask
from mutspec.language import PlanError
from tests.oracle import Step, expected, masks
from tests.toys import Tensors, layered, mutate, same_bits

WEIGHT_OPS = ("gaussian_noise", "uniform_noise", "scale", "fill", "zero")
NOISES = ("gaussian_noise", "uniform_noise")
UNITS = ["absolute", "std", "max_abs", "channel_max", "weight"]


# What is drawn.

SIZED = st.sampled_from([0.0, 0.25, 0.1, 1.0, 3.7])
PARAMETERS: Mapping[str, st.SearchStrategy[Step]] = {
    "gaussian_noise": st.fixed_dictionaries({"std": SIZED, "relative_to": st.sampled_from(UNITS)}),
    "uniform_noise": st.fixed_dictionaries(
        {"low": SIZED.map(lambda x: -x), "high": SIZED, "relative_to": st.sampled_from(UNITS)}
    ),
    "scale": st.fixed_dictionaries({"factor": st.sampled_from([-1.0, 0.9, 1.1, 0.0])}),
    "fill": st.fixed_dictionaries({"value": st.sampled_from([0.5, -2.0, 7.0])}),
    "zero": st.just({}),
}
TENTHS = st.integers(0, 20).map(lambda n: n / 20)
AMOUNTS: st.SearchStrategy[Step] = st.one_of(
    st.just({}),
    st.builds(
        lambda amount, per, least: {**amount, "per": per, "at_least": least},
        st.one_of(TENTHS.map(lambda f: {"fraction": f}), TENTHS.map(lambda f: {"rate": f})),
        st.sampled_from(["tensor", "layer", "all"]),
        st.integers(0, 3),
    ),
    st.sampled_from([{"count": 1}, {"count": 1, "per": "all"}, {"indices": [0]}, {"indices": [-1]}]),
)
SHAPES = st.lists(st.integers(1, 4), max_size=5).map(tuple)
PATHS = ("d/kernel", "d/bias", "e/kernel", "e/gamma", "e/moving_mean", "f/kernel")
TARGETS = ("d/kernel", "d/bias", "e/kernel", "e/gamma")
TARGET = ["d", {"name": "e"}]


@st.composite
def steps(draw: st.DrawFn, ops: tuple[str, ...] = WEIGHT_OPS) -> Step:
    op = draw(st.sampled_from(ops))
    step = {"op": op, "target": TARGET, "allow_empty": True, "non_finite": "report"}
    return {**step, **draw(PARAMETERS[op]), **draw(AMOUNTS), "seed": draw(st.integers(0, 5))}


@st.composite
def models(draw: st.DrawFn, dtypes: tuple[str, ...] = ("float32", "float64", "float16", "bfloat16")) -> Tensors:
    dtype = draw(st.sampled_from(dtypes))
    random = np.random.default_rng(draw(st.integers(0, 9)))
    return {path: np.asarray(random.uniform(0.5, 2, draw(SHAPES))).astype(dtype) for path in PATHS}


def needs_a_channel(step: Step) -> bool:
    return bool(step.get("relative_to") == "channel_max")


LAW = settings(suppress_health_check=[HealthCheck.too_slow])


@LAW
@given(steps(), models())
def test_every_op_is_its_formula_in_the_chosen_entries_and_nothing_elsewhere(step: Step, tensors: Tensors) -> None:
    if needs_a_channel(step):
        tensors = {path: values if values.ndim else values.reshape(1) for path, values in tensors.items()}
    mutant = mutate(tensors, step)
    wanted = expected(step, tensors, TARGETS)
    for path in PATHS:
        assert same_bits(mutant.tensors[path], wanted[path]), path
        assert same_bits(mutant.outcome.home.inputs[""][path], tensors[path].reshape(-1))


@LAW
@given(st.sampled_from(["fill", "zero"]), AMOUNTS, models(("int8",)), st.sampled_from([7, -128, 127]))
def test_values_are_set_in_integers_too(op: str, amount: Step, tensors: Tensors, value: int) -> None:
    step = {"op": op, "target": TARGET, "allow_empty": True, **amount, **({"value": value} if op == "fill" else {})}
    wanted = expected(step, tensors, TARGETS)
    mutant = mutate(tensors, step)
    assert all(same_bits(mutant.tensors[path], wanted[path]) for path in PATHS)


@pytest.mark.parametrize("op", ["gaussian_noise", "uniform_noise", "scale"])
def test_ops_on_real_numbers_refuse_integers(op: str) -> None:
    parameters = {"gaussian_noise": {"std": 1}, "uniform_noise": {"low": 0, "high": 1}, "scale": {"factor": 2}}[op]
    with pytest.raises(PlanError, match=rf"`{op}` is for real numbers, and cannot change `d/kernel` \(int8\)"):
        mutate({"d/kernel": np.ones(3, np.int8)}, {"op": op, "target": "d", **parameters})


@pytest.mark.parametrize("value", [0.5, 128, -129, "nan", "inf"])
def test_a_value_that_an_integer_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(PlanError, match="int8 and cannot hold"):
        mutate({"d/kernel": np.ones(3, np.int8)}, {"op": "fill", "target": "d", "value": float(value)})


@LAW
@given(steps(), models())
def test_what_the_dry_run_says_is_touched_is_touched(step: Step, tensors: Tensors) -> None:
    if needs_a_channel(step):
        step["relative_to"] = "std"
    mutant = mutate(tensors, step)
    chosen = masks(step, {path: tensors[path] for path in TARGETS})
    touched = dict.fromkeys(TARGETS, 0)
    for touch in mutant.program.steps[0].touches:
        drawn = Mask(touch.version.choice, touch.tensor.shape or (1,)).count()
        assert touch.touched in (None, drawn)
        touched[touch.tensor.path] = drawn
    assert touched == {path: int(mask.sum()) for path, mask in chosen.items()}
    for version, effect in mutant.outcome.effects.items():
        before, after = (np.frombuffer(each[version.path].tobytes(), np.uint8) for each in (tensors, mutant.tensors))
        rows = (before != after).reshape(tensors[version.path].size, -1).any(axis=1)
        assert effect.changed == rows.sum() <= touched[version.path]


SOME: Mapping[str, Step] = {
    "gaussian_noise": {"std": 0.5, "relative_to": "weight"},
    "uniform_noise": {"low": 0.5, "high": 1.0},
    "scale": {"factor": 3.0},
    "fill": {"value": 7.0},
    "zero": {},
}
"""Parameters with which each op changes every entry that it touches, of the tensors below."""


def changed(before: Tensors, after: Tensors) -> dict[str, set[int]]:
    return {path: set(np.flatnonzero(before[path] != after[path]).tolist()) for path in before}


@pytest.mark.parametrize("op", WEIGHT_OPS)
@pytest.mark.parametrize("per", ["tensor", "layer", "all"])
@pytest.mark.parametrize("amount", ["fraction", "rate"])
def test_a_smaller_amount_is_contained_in_a_larger_one_with_the_same_values(op: str, per: str, amount: str) -> None:
    before = layered()
    previous, values = {path: set() for path in before}, before
    for share in (0.05, 0.1, 0.3, 0.55, 0.9, 1.0):
        step = {"op": op, "target": TARGET, amount: share, "per": per, "allow_empty": True, **SOME[op]}
        after = mutate(before, step).tensors
        now = changed(before, after)
        for path in before:
            assert previous[path] <= now[path]
            entries = sorted(previous[path])
            assert same_bits(values[path].ravel()[entries], after[path].ravel()[entries])
        previous, values = now, after
    assert {path: len(entries) for path, entries in previous.items()} == {
        path: before[path].size if path in TARGETS else 0 for path in before
    }


@pytest.mark.parametrize("op", WEIGHT_OPS)
@pytest.mark.parametrize(
    ("amount", "counts"),
    [
        ({"fraction": 0.1}, {"d/kernel": 8, "d/bias": 1, "e/kernel": 3, "e/gamma": 0}),
        ({"fraction": "50%"}, {"d/kernel": 39, "d/bias": 6, "e/kernel": 15, "e/gamma": 1}),
        ({"fraction": 0.1, "at_least": 5}, {"d/kernel": 8, "d/bias": 5, "e/kernel": 5, "e/gamma": 2}),
        ({"count": 2}, {"d/kernel": 2, "d/bias": 2, "e/kernel": 2, "e/gamma": 2}),
        ({"fraction": 0.1, "per": "layer"}, {"d": 9, "e": 3}),
        ({"fraction": 0.1, "per": "all"}, {"": 12}),
        ({"count": 90, "per": "all"}, {"": 90}),
        ({"fraction": 0.001, "per": "all", "at_least": 1}, {"": 1}),
        ({"indices": [0, -1, 1]}, {"d/kernel": 3, "d/bias": 3, "e/kernel": 3}),
    ],
)
def test_an_amount_touches_exactly_that_many_entries(op: str, amount: Step, counts: Mapping[str, int]) -> None:
    before = layered()
    target = TARGET if "indices" not in amount else ["d", "e/kernel"]
    seen = changed(before, mutate(before, {"op": op, "target": target, **amount, **SOME[op]}).tensors)
    for prefix, count in counts.items():
        assert sum(len(entries) for path, entries in seen.items() if path.startswith(prefix)) == count
    assert not seen["f/kernel"]


@pytest.mark.parametrize("op", WEIGHT_OPS)
@pytest.mark.parametrize("per", ["tensor", "layer", "all"])
def test_every_entry_can_be_chosen_the_first_and_the_last_included(op: str, per: str) -> None:
    before = {"d/kernel": np.full(3, 1.5, np.float32), "d/bias": np.full(4, 1.5, np.float32)}
    seen: dict[str, set[int]] = {path: set() for path in before}
    for seed in range(40):
        step = {"op": op, "target": "d", "count": 1, "per": per, "seed": seed, **SOME[op]}
        for path, entries in changed(before, mutate(before, step).tensors).items():
            seen[path] |= entries
    assert seen == {"d/kernel": {0, 1, 2}, "d/bias": {0, 1, 2, 3}}


@pytest.mark.parametrize("op", NOISES)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(op: str) -> None:
    before = layered()

    def outcome(document_seed: int, **extra: Any) -> bytes:
        step = {"op": op, "target": TARGET, "fraction": 0.5, **SOME[op], **extra}
        results = mutate(before, step, seed=document_seed).tensors
        return b"".join(values.tobytes() for values in results.values())

    assert outcome(1) == outcome(1)
    assert outcome(1) != outcome(2)
    assert outcome(1, seed=5) == outcome(2, seed=5) == outcome(5)


@pytest.mark.parametrize("op", NOISES)
@pytest.mark.parametrize("amount", [{}, {"fraction": 0.3}, {"fraction": 0.3, "per": "all"}, {"rate": 0.3}])
def test_other_steps_do_not_change_a_steps_noise(op: str, amount: Step) -> None:
    before = {path: np.zeros_like(values) for path, values in layered().items()}
    mine = {"op": op, "id": "mine", "target": TARGET, **SOME[op], "relative_to": "absolute", **amount}
    noise = {"op": "gaussian_noise", "id": "other", "target": {"name": "*"}, "std": 1.0, "fraction": 0.5}
    clear = {"op": "zero", "target": {"name": "*"}}
    elsewhere = {"op": "uniform_noise", "id": "elsewhere", "target": "f", "low": 0, "high": 1, "count": 3}
    alone = mutate(before, mine).tensors
    for steps in (
        [noise, clear, mine],
        [clear, mine, elsewhere],
        [elsewhere, mine],
        [elsewhere, noise, clear, mine],
        [{**mine, "id": "renamed", "stream": "mine"}],
        [{**noise, "id": "mine2", "stream": "other"}, clear, mine],
    ):
        after = mutate(before, steps).tensors
        assert all(same_bits(after[path], alone[path]) for path in TARGETS)
    renamed = mutate(before, {**mine, "id": "renamed"}).tensors
    assert not same_bits(renamed["d/kernel"], alone["d/kernel"])


def test_a_steps_stream_is_its_id_or_else_its_op() -> None:
    before = layered()
    step = {"op": "gaussian_noise", "target": TARGET, "std": 1.0}
    by_op = mutate(before, step).tensors["d/kernel"]
    assert same_bits(mutate(before, {**step, "id": "gaussian_noise"}).tensors["d/kernel"], by_op)
    assert same_bits(mutate(before, {**step, "id": "x", "stream": "gaussian_noise"}).tensors["d/kernel"], by_op)
    assert not same_bits(mutate(before, {**step, "id": "x"}).tensors["d/kernel"], by_op)


def test_a_tensors_noise_does_not_depend_on_which_others_are_chosen() -> None:
    before = layered()
    step = {"op": "gaussian_noise", "std": 1.0, "fraction": 0.5}
    wide = mutate(before, {**step, "target": {"name": "*"}}).tensors
    narrow = mutate(before, {**step, "target": "e/kernel"}).tensors
    assert same_bits(wide["e/kernel"], narrow["e/kernel"])


@pytest.mark.parametrize("relative_to", UNITS)
def test_a_sweep_over_scales_moves_along_one_direction(relative_to: str) -> None:
    before = {path: values.astype(np.float64) for path, values in layered().items()}

    def moved(std: float) -> np.ndarray:
        step = {"op": "gaussian_noise", "target": "d/kernel", "std": std, "relative_to": relative_to, "fraction": 0.5}
        return mutate(before, step).tensors["d/kernel"] - before["d/kernel"]

    for std in (2.0, 3.0, 0.125):
        np.testing.assert_allclose(moved(std), std * moved(1.0), rtol=1e-12, atol=1e-15)


def test_uniform_noise_keeps_its_position_within_the_bounds() -> None:
    before = {"d/kernel": np.zeros(1000)}

    def drawn(low: float, high: float) -> np.ndarray:
        return mutate(before, {"op": "uniform_noise", "target": "d", "low": low, "high": high}).tensors["d/kernel"]

    position = drawn(0, 1)
    assert 0 <= position.min() < 0.01
    assert 0.99 < position.max() < 1
    np.testing.assert_allclose(drawn(-2, 6), -2 + 8 * position, rtol=1e-12)


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
    "scale": ("factor", {}),
    "fill": ("value", {}),
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
    after = mutate(before, {"op": op, "target": TARGET, field: cases, **rest}).tensors
    for path, value in wanted.items():
        alone = mutate(before, {"op": op, "target": TARGET, field: value, **rest}).tensors
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


@pytest.mark.parametrize("op", WEIGHT_OPS)
@pytest.mark.parametrize(
    "nothing", [{"count": 0}, {"fraction": 0.0}, {"rate": 0.0}, {"indices": []}, {"fraction": 0.001}]
)
def test_an_amount_of_nothing_is_an_error_unless_allowed(op: str, nothing: Step) -> None:
    before = layered()
    step = {"op": op, "target": TARGET, **nothing, **SOME[op]}
    with pytest.raises(PlanError, match=r"comes to no entry|so the step touches nothing"):
        mutate(before, step)
    after = mutate(before, {**step, "allow_empty": True}).tensors
    assert all(same_bits(after[path], before[path]) for path in before)


@pytest.mark.parametrize(
    ("amount", "message", "key"),
    [
        ({"count": 3}, "`count` is 3, but `e/gamma` has only 2 entries", "count"),
        ({"count": 121, "per": "all"}, "`count` is 121, but the targets together have only 120 entries", "count"),
        ({"indices": [0, 2]}, "index 2 is outside `e/gamma`, which has 2 entries", "indices"),
        ({"indices": [-3]}, "index -3 is outside `e/gamma`", "indices"),
        ({"indices": [1, -1]}, "the indices 1 and -1 name the same entry of `e/gamma`", "indices"),
    ],
)
def test_an_amount_that_does_not_fit_says_where(amount: Step, message: str, key: str) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        mutate(layered(), {"op": "zero", "target": ["d", "e"], **amount})
    assert caught.value.problems[0].path[:3] == ("steps", 0, key)


def test_tensors_without_entries_are_left_alone() -> None:
    before = {"d/kernel": np.zeros((0, 3), np.float32), "d/bias": np.ones(3, np.float32)}
    for relative_to in UNITS:
        step = {"op": "gaussian_noise", "target": "d", "std": 1.0, "relative_to": relative_to, "fraction": 1.0}
        mutant = mutate(before, step)
        assert mutant.touched() == {"d/bias": 3}
    assert mutate(before, {"op": "zero", "target": "d/kernel", "allow_empty": True}).touched() == {}


def test_problems_of_all_steps_come_at_once() -> None:
    steps = [
        {"op": "zero", "target": "e/gamma", "count": 3},
        {"op": "fill", "target": "d", "value": 1.0},
        {"op": "scale", "target": "nowhere", "factor": 1.0},
    ]
    with pytest.raises(PlanError) as caught:
        mutate(layered(), steps)
    assert [problem.path[:2] for problem in caught.value.problems] == [("steps", 0), ("steps", 2)]
