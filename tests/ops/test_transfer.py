"""`transfer_weights` is copying in NumPy, slices included."""

from __future__ import annotations

from typing import Any

import ml_dtypes  # noqa: F401  (makes NumPy know bfloat16 by name)
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mutspec.errors import PlanError
from tests.oracle import Step
from tests.toys import Tensors, layered, mutate, same_bits

LAW = settings(suppress_health_check=[HealthCheck.too_slow])
SHAPES = st.lists(st.integers(1, 4), max_size=5).map(tuple)
PAIR = ("s/kernel", "t/kernel")


def pair(
    shape: tuple[int, ...], other: tuple[int, ...] | None = None, dtypes: tuple[str, str] = ("float32",) * 2
) -> Tensors:
    random = np.random.default_rng(0)
    shapes = (shape, other or shape)
    return {path: np.asarray(random.normal(size=s)).astype(d) for path, s, d in zip(PAIR, shapes, dtypes, strict=True)}


@LAW
@given(SHAPES, st.sampled_from(["float64", "float32", "float16", "bfloat16"]), st.sampled_from(["float32", "bfloat16"]))
def test_a_whole_transfer_is_a_copy_rounded_once(shape: tuple[int, ...], source: str, target: str) -> None:
    before = pair(shape, dtypes=(source, target))
    mutant = mutate(before, {"op": "transfer_weights", "source": "s", "target": "t"})
    if (source, target) == ("float64", "bfloat16"):
        error = np.abs(mutant.tensors["t/kernel"].astype(float) - before["s/kernel"])
        assert (error <= 2.0**-9 * 2 * np.abs(before["s/kernel"])).all()
    else:
        assert same_bits(mutant.tensors["t/kernel"], before["s/kernel"].astype(target))
    assert same_bits(mutant.tensors["s/kernel"], before["s/kernel"])
    assert mutant.touched() == {"t/kernel": before["t/kernel"].size}


@LAW
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple), st.integers(1, 6), st.data())
def test_a_sliced_transfer_is_a_slice_assignment(shape: tuple[int, ...], length: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    at = axis % len(shape)
    before = pair((*shape[:at], length, *shape[at + 1 :]), shape)
    start = data.draw(st.integers(0, min(length, shape[at]) - 1))
    stop = data.draw(st.integers(start + 1, min(length, shape[at])))
    step: Step = {"op": "transfer_weights", "source": "s/kernel", "target": "t/kernel", "axis": axis}
    step["start"] = data.draw(st.sampled_from([start, start - length]))
    step["stop"] = stop
    mutant = mutate(before, step)
    wanted = before["t/kernel"].copy()
    index = (*[slice(None)] * at, slice(start, stop))
    wanted[index] = before["s/kernel"][index]
    assert same_bits(mutant.tensors["t/kernel"], wanted)
    assert mutant.touched() == {"t/kernel": wanted[index].size}


@pytest.mark.parametrize(("stop", "columns"), [("50%", 3), ("10%", 1), ("100%", 5), ("29%", 1), ("30%", 2), (-1, 4)])
def test_percents_are_of_the_sources_axis_rounded_half_up(stop: Any, columns: int) -> None:
    before = pair((2, 5), (2, 9))
    step = {"op": "transfer_weights", "source": "s", "target": "t", "axis": -1, "stop": stop}
    after = mutate(before, step).tensors["t/kernel"]
    assert (after != before["t/kernel"]).any(axis=0).tolist() == [True] * columns + [False] * (9 - columns)


def test_weights_come_from_another_model_as_it_is() -> None:
    before, teacher = layered(), layered(1)
    steps = [
        {"op": "zero", "target": "d"},
        {"op": "transfer_weights", "source": "teacher:d", "target": "d", "weights": "kernel"},
    ]
    after = mutate(before, steps, inputs={"teacher": teacher}).tensors
    assert same_bits(after["d/kernel"], teacher["d/kernel"])
    assert not after["d/bias"].any()


def test_a_transfer_reads_what_the_steps_before_left() -> None:
    before = {f"{layer}/kernel": values for layer, values in zip("abc", np.eye(3, dtype=np.float32), strict=True)}
    steps = [
        {"op": "scale", "target": "a", "factor": 3.0},
        {"op": "transfer_weights", "id": "one", "source": "a", "target": ["b", "c"]},
        {"op": "scale", "id": "late", "target": "a", "factor": 5.0},
        {"op": "transfer_weights", "id": "two", "source": "c", "target": "a", "axis": 0, "start": 1},
    ]
    after = mutate(before, steps).tensors
    assert {path: values.tolist() for path, values in after.items()} == {
        "a/kernel": [15, 0, 0],
        "b/kernel": [3, 0, 0],
        "c/kernel": [3, 0, 0],
    }


@LAW
@given(st.integers(0, 4), st.data(), st.booleans())
def test_of_weights_of_other_lengths_what_both_have_is_copied(rank: int, data: st.DataObject, pads: bool) -> None:
    shapes = [tuple(data.draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank))) for _ in range(2)]
    before = pair(*shapes)
    step: Step = {"op": "transfer_weights", "source": "s", "target": "t", "on_mismatch": "pad" if pads else "slice"}
    mutant = mutate(before, step)
    common = tuple(slice(min(extents)) for extents in zip(*shapes, strict=True))
    wanted = np.zeros_like(before["t/kernel"]) if pads else before["t/kernel"].copy()
    wanted[common] = before["s/kernel"][common]
    assert same_bits(mutant.tensors["t/kernel"], wanted)
    is_all = pads or shapes[0] == shapes[1]
    assert mutant.touched() == {"t/kernel": wanted.size if is_all else wanted[common].size}


@pytest.mark.parametrize(
    ("shapes", "step", "message"),
    [
        (((2, 3), (3, 2)), {}, r"`s/kernel` .*2×3.* `t/kernel` .*3×2"),
        (((2, 3), (2, 4)), {"axis": 0}, "differ in more than axis 0"),
        (((2, 3), (2,)), {"axis": 0}, "does not fit"),
        (((2, 5), (2, 3)), {"axis": 1}, r"the slice 0:5 does not fit `t/kernel`, whose axis 1 has 3 entries"),
        (((2, 3), (2, 3)), {"axis": 1, "start": 2, "stop": 2}, "is empty"),
        (((2, 3), (2, 3)), {"axis": 1, "stop": 4}, "`stop: 4` is outside the axis"),
        (((2, 3), (2, 3)), {"axis": 2}, "does not fit"),
        (((), ()), {"axis": 0}, "does not fit"),
    ],
)
def test_a_transfer_that_does_not_fit_is_an_error(shapes: tuple[Any, Any], step: Step, message: str) -> None:
    before = {path: np.zeros(shape, np.float32) for path, shape in zip(PAIR, shapes, strict=True)}
    with pytest.raises(PlanError, match=message):
        mutate(before, {"op": "transfer_weights", "source": "s", "target": "t", **step})


def test_integers_are_copied_between_equal_dtypes_alone() -> None:
    step = {"op": "transfer_weights", "source": "s", "target": "t"}
    equal = {path: np.arange(3, dtype=np.int8) + number for number, path in enumerate(PAIR)}
    assert same_bits(mutate(equal, step).tensors["t/kernel"], equal["s/kernel"])
    with pytest.raises(PlanError, match="integers go between equal dtypes only"):
        mutate({**equal, "t/kernel": np.zeros(3, np.float32)}, step)
