"""Amounts: the number is exact, entries are distinct and nested, and any entry can be chosen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from mutspec.errors import PlanError
from mutspec.graph.choice import Computed
from mutspec.graph.numpy_kernels.masks import Mask
from tests.ops.op_table import BY_ENTRY, REARRANGING, SOME, TARGET, TARGETS, UNITS, example, inputs_for
from tests.oracle import NEURON_OPS, Step
from tests.toys import Mutant, Tensors, layered, mutate, same_bits

Entries = dict[str, set[int]]


def after(before: Tensors, step: Step) -> Mutant:
    return mutate(before, step, inputs=inputs_for(step, before))


def changed(before: Tensors, mutant: Mutant) -> Entries:
    return {path: set(np.flatnonzero(before[path] != mutant.tensors[path]).tolist()) for path in before}


def touched(before: Tensors, mutant: Mutant) -> Entries:
    """The entries that a step touches, as it chooses them."""
    chosen: Entries = {path: set() for path in before}
    for write in mutant.program.steps[0].writes:
        shape = write.tensor.shape or (1,)
        assert not isinstance(write.version.choice, Computed)
        chosen[write.tensor.path] = set(Mask(write.version.choice, shape).entries().tolist())
    return chosen


def overs(op: str) -> tuple[str, ...]:
    """What an amount of an op may count over."""
    if op == "prune_weights":
        return ("tensor",)
    return ("tensor", "layer") if op == "swap_neurons" else ("tensor", "layer", "all")


OVER = [(op, per) for op in (*SOME, *REARRANGING) for per in overs(op)]
SHARES = (0.1, 0.55, 1.0)


@pytest.mark.parametrize("amount", ["fraction", "rate"])
@pytest.mark.parametrize(("op", "per"), OVER)
def test_a_smaller_amount_is_contained_in_a_larger_one_with_the_same_values(op: str, per: str, amount: str) -> None:
    before = layered()
    look = touched if op == "shuffle" else changed
    previous: Entries = {path: set() for path in before}
    values: Tensors = before
    for share in SHARES:
        mutant = after(before, example(op, **{amount: share}, per=per, allow_empty=True))
        now = look(before, mutant)
        for path in before:
            assert previous[path] <= now[path]
            entries = sorted(previous[path]) if op != "shuffle" else []
            assert same_bits(values[path].ravel()[entries], mutant.tensors[path].ravel()[entries])
        previous, values = now, mutant.tensors
    if op not in ("shuffle_neurons", "swap_neurons"):
        kept = {"e/gamma"} if op in NEURON_OPS else set()
        assert {path: len(entries) for path, entries in previous.items()} == {
            path: before[path].size if path in set(TARGETS) - kept else 0 for path in before
        }


@pytest.mark.parametrize("rank", ["smallest", "largest"])
@pytest.mark.parametrize("op", [op for op in (*BY_ENTRY, "prune_weights") if op != "crossover"])
def test_with_a_rank_a_smaller_amount_is_contained_in_a_larger_one(op: str, rank: str) -> None:
    before = layered()
    previous: Entries = {path: set() for path in before}
    for share in SHARES:
        mutant = after(before, example(op, fraction=share, rank=rank, allow_empty=True))
        now = changed(before, mutant)
        for path in TARGETS:
            assert previous[path] <= now[path]
            sizes = np.abs(before[path].ravel()) * (1 if rank == "smallest" else -1)
            assert now[path] == set(np.argsort(sizes, kind="stable")[: len(now[path])].tolist())
            assert len(now[path]) == int(share * before[path].size + 0.5)
        previous = now


COUNTS: list[tuple[Step, Mapping[str, int]]] = [
    ({"fraction": 0.1}, {"d/kernel": 8, "d/bias": 1, "e/kernel": 3, "e/gamma": 0}),
    ({"fraction": "50%"}, {"d/kernel": 39, "d/bias": 6, "e/kernel": 15, "e/gamma": 1}),
    ({"fraction": 0.1, "at_least": 5}, {"d/kernel": 8, "d/bias": 5, "e/kernel": 5, "e/gamma": 2}),
    ({"count": 2}, {"d/kernel": 2, "d/bias": 2, "e/kernel": 2, "e/gamma": 2}),
    ({"fraction": 0.1, "per": "layer"}, {"d": 9, "e": 3}),
    ({"fraction": 0.1, "per": "all"}, {"": 12}),
    ({"count": 90, "per": "all"}, {"": 90}),
    ({"fraction": 0.001, "per": "all", "at_least": 1}, {"": 1}),
    ({"indices": [0, -1, 1]}, {"d/kernel": 3, "d/bias": 3, "e/kernel": 3}),
    ({"unit": "row", "count": 2}, {"d/kernel": 22, "d/bias": 0}),
    ({"unit": "column", "count": 2}, {"d/kernel": 14, "d/bias": 2, "e/kernel": 30, "e/gamma": 2}),
    ({"unit": "neuron", "count": 2}, {"d/kernel": 14, "d/bias": 2, "e/kernel": 30, "e/gamma": 2}),
    ({"unit": "neuron", "fraction": 1.0, "per": "all"}, {"d/kernel": 77, "d/bias": 11, "e/kernel": 30, "e/gamma": 2}),
    ({"unit": "block", "block": [2, 4], "indices": [-1]}, {"d/kernel": 3, "d/bias": 3, "e/kernel": 2, "e/gamma": 2}),
    ({"unit": "block", "block": [9], "indices": [-1]}, {"d/kernel": 5, "d/bias": 2, "e/kernel": 3, "e/gamma": 2}),
    ({"unit": "block", "block": [7, 11], "count": 1}, {"d/kernel": 77, "d/bias": 11, "e/gamma": 2}),
]


@pytest.mark.parametrize(("amount", "counts"), COUNTS, ids=str)
@pytest.mark.parametrize("op", BY_ENTRY)
def test_an_amount_touches_exactly_that_many_entries(op: str, amount: Step, counts: Mapping[str, int]) -> None:
    before = layered()
    target: list[object] = ["d", "e/kernel"] if "indices" in amount and "unit" not in amount else TARGET
    if amount.get("unit") == "row":
        target = ["d/kernel"]
    seen = changed(before, after(before, example(op, **{**amount, "target": target})))
    for prefix, count in counts.items():
        assert sum(len(entries) for path, entries in seen.items() if path.startswith(prefix)) == count
    assert not seen["f/kernel"]


@pytest.mark.parametrize(
    ("amount", "neurons"),
    [
        ({"count": 2}, {"d": 2, "e": 2}),
        ({"fraction": 0.25}, {"d": 3, "e": 1}),
        ({"fraction": 0.01, "at_least": 1}, {"d": 1, "e": 1}),
        ({"count": 3, "per": "all"}, {"": 3}),
        ({"indices": [0, -1]}, {"d": 2, "e": 2}),
        ({"count": 1, "rank": "largest"}, {"d": 1, "e": 1}),
    ],
)
@pytest.mark.parametrize("op", ["zero_neurons", "negate_neurons", "scale_neurons"])
def test_an_amount_of_neurons_touches_all_their_weights(op: str, amount: Step, neurons: Mapping[str, int]) -> None:
    before = layered()
    seen = changed(before, after(before, example(op, **amount)))
    columns = {path: sorted({entry % before[path].shape[-1] for entry in entries}) for path, entries in seen.items()}
    for path in ("d/kernel", "e/kernel", "d/bias"):
        assert len(seen[path]) == len(columns[path]) * before[path].size // before[path].shape[-1]
    assert columns["d/bias"] == columns["d/kernel"]
    assert not seen["e/gamma"]
    for prefix, count in neurons.items():
        kernels = [path for path in ("d/kernel", "e/kernel") if path.startswith(prefix)]
        assert sum(len(columns[path]) for path in kernels) == count


@pytest.mark.parametrize(
    ("op", "per"), [*((op, "tensor") for op in BY_ENTRY), ("zero", "layer"), ("zero", "all"), ("blend", "all")]
)
def test_every_entry_can_be_chosen_the_first_and_the_last_included(op: str, per: str) -> None:
    before = {"d/kernel": np.full(3, 1.5, np.float32), "d/bias": np.full(4, 1.25, np.float32)}
    seen: Entries = {path: set() for path in before}
    for seed in range(40):
        for path, entries in changed(
            before, after(before, example(op, target="d", count=1, per=per, seed=seed))
        ).items():
            seen[path] |= entries
        if seen == {"d/kernel": {0, 1, 2}, "d/bias": {0, 1, 2, 3}}:
            return
    pytest.fail(f"only {seen}")


@pytest.mark.parametrize("unit", ["row", "column", "block", "neuron"])
def test_every_unit_can_be_chosen_the_first_and_the_last_included(unit: str) -> None:
    before = {"d/kernel": np.ones((5, 7), np.float32)}
    block = {"block": [2, 3]} if unit == "block" else {}
    step = {"op": "zero", "target": "d", "unit": unit, "count": 1, **block}
    seen: set[int] = set()
    for seed in range(60):
        seen |= changed(before, mutate(before, {**step, "seed": seed}))["d/kernel"]
    assert seen == set(range(35))


@pytest.mark.parametrize("op", NEURON_OPS)
def test_every_neuron_can_be_chosen_the_first_and_the_last_included(op: str) -> None:
    before = {"d/kernel": np.arange(1, 13, dtype=np.float32).reshape(4, 3)}
    seen: set[int] = set()
    for seed in range(40):
        entries = changed(before, mutate(before, example(op, target="d", count=2, seed=seed)))["d/kernel"]
        assert len({entry % 3 for entry in entries}) <= 2
        seen |= entries
    assert seen == set(range(12))


NOTHING: list[Step] = [{"count": 0}, {"fraction": 0.0}, {"rate": 0.0}, {"indices": []}, {"fraction": 0.001}]


@pytest.mark.parametrize(
    ("op", "nothing"),
    [
        (op, nothing)
        for op in (*SOME, *REARRANGING)
        for nothing in NOTHING
        if op != "prune_weights" or "indices" not in nothing  # it is by rank
    ],
)
def test_an_amount_of_nothing_is_an_error_unless_allowed(op: str, nothing: Step) -> None:
    before = layered()
    step = example(op, **nothing)
    with pytest.raises(PlanError, match=r"comes to (0|fewer than two)|so the step touches nothing"):
        after(before, step)
    mutant = after(before, {**step, "allow_empty": True})
    assert all(same_bits(mutant.tensors[path], before[path]) for path in before)


@pytest.mark.parametrize(
    ("amount", "message", "key"),
    [
        ({"count": 3}, "`count` is 3, but `e/gamma` has only 2 entries", "count"),
        ({"count": 121, "per": "all"}, "`count` is 121, but the targets together have only 120 entries", "count"),
        ({"count": 3, "unit": "neuron"}, "`count` is 3, but `e` has only 2 neurons", "count"),
        ({"count": 2, "unit": "row"}, "`count` is 2, but `d/bias` has only 1 rows", "count"),
        ({"indices": [0, 2]}, "index 2 is outside `e/gamma`, which has 2 entries", "indices"),
        ({"indices": [-3]}, "index -3 is outside `e/gamma`", "indices"),
        ({"indices": [2], "unit": "neuron"}, "index 2 is outside `e`, which has 2 neurons", "indices"),
        ({"indices": [1, -1]}, "the indices 1 and -1 name the same entry of `e/gamma`", "indices"),
        ({"indices": [1, -1], "unit": "column"}, "the indices 1 and -1 name the same column of `e/kernel`", "indices"),
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
        assert mutate(before, step).touched() == {"d/bias": 3}
    assert mutate(before, {"op": "zero", "target": "d/kernel", "allow_empty": True}).touched() == {}


@pytest.mark.parametrize("op", [op for op in (*SOME, *REARRANGING) if op not in ("shuffle_neurons", "swap_neurons")])
def test_no_op_stumbles_over_tensors_without_entries(op: str) -> None:
    before = {"d/kernel": np.zeros((0, 3), np.float32), "d/bias": np.ones(3, np.float32)}
    by_default = [{}] if op not in ("prune_weights", "crossover") else []
    for amount in (*by_default, {"fraction": 1.0}):
        step = example(op, target="d", **amount)
        assert after(before, step).touched() == {"d/bias": 3}
