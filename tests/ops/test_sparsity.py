"""Pruning by a pattern, and matrices of lower rank."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutspec.errors import PlanError
from tests.ops.op_table import LAW
from tests.oracle import expected
from tests.toys import layered, mutate, same_bits


@LAW
@given(
    st.sampled_from(["1:2", "2:4", "1:4", "2:3", "5:6"]),
    st.lists(st.integers(1, 3), max_size=2),
    st.integers(1, 3),
    st.integers(1, 5),
    st.sampled_from(["float64", "float32", "float16", "bfloat16"]),
    st.integers(0, 9),
)
def test_of_every_m_neighbours_along_the_input_axis_the_n_largest_stay(
    keep: str, window: list[int], groups: int, columns: int, dtype: str, seed: int
) -> None:
    kept, group = map(int, keep.split(":"))
    shape = (*window, groups * group, columns)
    # Whole numbers, so that there are ties: of equal ones the first goes first.
    before = {"d/kernel": np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)}
    step = {"op": "prune_weights", "target": "d", "keep": keep}
    mutant = mutate(before, step)
    assert same_bits(mutant.tensors["d/kernel"], expected(step, before, ["d/kernel"])["d/kernel"])
    assert mutant.touched() == {"d/kernel": prod(shape) // group * (group - kept)}
    assert mutant.outcome.effect("d/kernel@1").touched == mutant.touched()["d/kernel"]


MATRICES = st.tuples(st.integers(2, 7), st.integers(2, 7))


@LAW
@given(MATRICES, st.integers(1, 3), st.sampled_from(["float64", "float32"]), st.data())
def test_a_kernel_of_lower_rank_is_the_nearest_one(
    sides: tuple[int, int], window: int, dtype: str, data: st.DataObject
) -> None:
    shape = (window, *sides)
    before = {"d/kernel": np.random.default_rng(data.draw(st.integers(0, 9))).normal(size=shape).astype(dtype)}
    rank = data.draw(st.integers(1, min(window * sides[0], sides[1])))
    mutant = mutate(before, {"op": "low_rank", "target": "d", "to_rank": rank})
    after = mutant.tensors["d/kernel"].reshape(-1, sides[1]).astype("float64")
    matrix = before["d/kernel"].reshape(-1, sides[1]).astype("float64")
    tolerance = 1e-10 if dtype == "float64" else 1e-5
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert np.linalg.matrix_rank(after, tol=tolerance * 10) <= rank
    # Eckart and Young 1936: no matrix of that rank is nearer than the singular values left out.
    assert np.linalg.norm(matrix - after) == pytest.approx(np.linalg.norm(singular[rank:]), abs=tolerance * 10)
    assert mutant.touched() == {"d/kernel": matrix.size}


@LAW
@given(MATRICES, st.sampled_from([0.1, 0.5, 0.9, 1.0]), st.integers(0, 9))
def test_the_rank_is_the_least_that_keeps_the_energy(sides: tuple[int, int], energy: float, seed: int) -> None:
    before = {"d/kernel": np.random.default_rng(seed).normal(size=sides)}
    after = mutate(before, {"op": "low_rank", "target": "d", "energy": energy}).tensors["d/kernel"]
    parts = np.linalg.svd(before["d/kernel"], compute_uv=False) ** 2
    kept = (after**2).sum()
    assert kept >= energy * parts.sum() * (1 - 1e-9)
    rank = np.linalg.matrix_rank(after, tol=1e-9)
    assert rank == 1 or parts[: rank - 1].sum() < energy * parts.sum()


def test_with_an_amount_only_that_many_entries_take_the_values_of_lower_rank() -> None:
    before = layered()
    step = {"op": "low_rank", "target": "d/kernel", "to_rank": 2}
    whole = mutate(before, step).tensors["d/kernel"]
    part = mutate(before, {**step, "fraction": 0.5}).tensors["d/kernel"]
    taken = part != before["d/kernel"]
    assert np.count_nonzero(taken) == 39
    np.testing.assert_array_equal(part[taken], whole[taken])


def test_a_lower_rank_needs_the_tensor_in_memory_and_says_so() -> None:
    before = layered()
    for step in ({"op": "low_rank", "to_rank": 1}, {"op": "prune_weights", "keep": "6:7"}, {"op": "shuffle"}):
        program = mutate(before, {**step, "target": "d/kernel"}).program
        assert [node.primitive for node in program.graph.nodes if node.primitive in WHOLE], step


WHOLE = ("low_rank", "ranked_in_groups", "shuffle")


@pytest.mark.parametrize(
    ("step", "message", "key"),
    [
        ({"op": "low_rank", "to_rank": 8}, r"`d/kernel`, as a matrix of 7×11, cannot be lowered", "to_rank"),
        ({"op": "low_rank", "energy": 0.5, "target": "d/bias"}, r"`d/bias`, as a matrix of 1×11", "target"),
        ({"op": "prune_weights", "keep": "2:4"}, r"`d/kernel` \(7×11\) has no input axis of whole groups of 4", "keep"),
        ({"op": "prune_weights", "keep": "2:4", "target": "d/bias"}, r"`d/bias` \(11\) has no input axis", "keep"),
        ({"op": "prune_weights", "keep": "4:4"}, "prunes nothing, or all", "keep"),
        ({"op": "prune_weights", "keep": "2:4", "count": 1}, "`keep` and `count` cannot be used together", "count"),
        ({"op": "prune_weights", "keep": "6:7", "rank": "largest"}, "and `rank` cannot be used together", "rank"),
        ({"op": "prune_weights", "keep": "6:7", "unit": "row"}, "`keep` and `unit` cannot be used together", "unit"),
        ({"op": "low_rank"}, "either `to_rank` or `energy`", "op"),
    ],
)  # fmt: skip
def test_what_has_no_pattern_or_rank_is_named(step: dict[str, object], message: str, key: str) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        mutate(layered(), {"target": "d/kernel", **step})
    assert caught.value.problems[0].path[:3] == ("steps", 0, key)
