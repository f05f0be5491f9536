"""Laws that hold for every op: its formula in the chosen entries, nothing elsewhere, and counts that are true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutspec.errors import PlanError
from mutspec.graph.choice import Computed
from mutspec.graph.numpy_kernels.masks import Mask
from tests.ops.op_table import (
    LAW,
    OF_INTEGERS,
    PATHS,
    REARRANGING,
    SOME,
    TARGETS,
    WEIGHT_OPS,
    fitting,
    inputs_for,
    models,
    own_keys,
    steps,
)
from tests.oracle import Step, expected, masks, touches
from tests.toys import CATALOGUE, Tensors, layered, mutate, same_bits

OTHERWISE_TESTED = {
    "mask_neurons": "../widths/test_remove_neurons.py, as what it zeroes follows from how layers are connected",
    "low_rank": "test_sparsity.py, as a singular value decomposition is numeric",
    "permute_genes": "test_order.py, as a genome is several tensors",
    "transfer_weights": "test_transfer.py, as it takes slices, and no amount",
    "swap_weights": "test_merging.py, as it takes two layers, and no amount",
    "share_values": "test_merging.py, as it takes several layers, and no amount",
}
"""Ops on weights that are held to laws of their own: where, and why."""


def test_every_op_on_weights_is_in_the_table_of_the_laws() -> None:
    on_weights = {name for name, op in CATALOGUE.items() if not op.is_structural}
    missing = on_weights - {*WEIGHT_OPS, *OTHERWISE_TESTED}
    assert not missing, f"give each of {missing} a row in FORMULAS, in tests/formulas.py: what it does, in NumPy"
    assert on_weights == {*WEIGHT_OPS, *OTHERWISE_TESTED}
    assert not set(WEIGHT_OPS) & OTHERWISE_TESTED.keys()
    for op, where in OTHERWISE_TESTED.items():
        assert f'"{op}"' in (Path(__file__).parent / where.partition(",")[0]).read_text()


@settings(LAW, max_examples=200)
@given(steps(), models())
def test_every_op_is_its_formula_in_the_chosen_entries_and_nothing_elsewhere(step: Step, tensors: Tensors) -> None:
    tensors = fitting(step, tensors)
    inputs = inputs_for(step, tensors)
    mutant = mutate(tensors, step, inputs=inputs)
    wanted = expected(step, tensors, TARGETS, inputs)
    for path in PATHS:
        assert same_bits(mutant.tensors[path], wanted[path]), path
        assert same_bits(mutant.outcome.home.inputs[""][path], tensors[path].reshape(-1))


@pytest.mark.parametrize("op", WEIGHT_OPS)
@settings(LAW, max_examples=8)
@given(data=st.data())
def test_each_op_alone_is_its_formula(op: str, data: st.DataObject) -> None:
    step, tensors = data.draw(steps((op,))), data.draw(models())
    tensors = fitting(step, tensors)
    inputs = inputs_for(step, tensors)
    mutant = mutate(tensors, step, inputs=inputs)
    wanted = expected(step, tensors, TARGETS, inputs)
    assert {path: same_bits(mutant.tensors[path], wanted[path]) for path in PATHS} == dict.fromkeys(PATHS, True)


@pytest.mark.parametrize("op", WEIGHT_OPS)
@settings(LAW, max_examples=8)
@given(data=st.data())
def test_what_the_dry_run_says_is_touched_is_touched(op: str, data: st.DataObject) -> None:
    step, tensors = data.draw(steps((op,))), data.draw(models())
    tensors = fitting(step, tensors)
    mutant = mutate(tensors, step, inputs=inputs_for(step, tensors))
    chosen = masks(step, {path: tensors[path] for path in TARGETS if touches(step, path)})
    touched = dict.fromkeys(chosen, 0)
    for write in mutant.program.steps[0].writes:
        executed = mutant.outcome.effects[write.version].touched
        assert write.touched in (None, executed)
        if not isinstance(write.version.choice, Computed):
            assert Mask(write.version.choice, write.tensor.shape or (1,)).count() == executed
        touched[write.tensor.path] = executed
    assert touched == {path: int(mask.sum()) for path, mask in chosen.items()}
    for version, effect in mutant.outcome.effects.items():
        before, after = (np.frombuffer(each[version.origin].tobytes(), np.uint8) for each in (tensors, mutant.tensors))
        rows = (before != after).reshape(tensors[version.origin].size, -1).any(axis=1)
        assert effect.changed == rows.sum() <= touched[version.origin]
        with np.errstate(invalid="ignore"):  # to cast a signalling NaN is a warning on some processors
            was, is_now = (np.isfinite(each[version.origin].astype("float64")) for each in (tensors, mutant.tensors))
        assert effect.non_finite == np.count_nonzero(was & ~is_now)


@pytest.mark.parametrize("op", WEIGHT_OPS)
def test_of_a_tensor_of_several_chunks_each_op_is_its_formula_too(op: str) -> None:
    """Of all entries: few have the same bits, as `tests/execute/test_few_entries.py` shows of each primitive."""
    random = np.random.default_rng(4)
    before = {"d/kernel": random.uniform(0.5, 2, (300, 241)).astype("float32"), "d/bias": np.ones(241, "float32")}
    keys = {**SOME, **REARRANGING, "quantize": {"bits": 4}, "round": {"decimals": 2}}.get(op) or own_keys(op)
    step = {"op": op, "target": "d", "allow_empty": True, "non_finite": "report", **keys}
    step |= {"count": 60} if op in ("swap_neurons", "prune_weights") else {}
    inputs = inputs_for(step, before)
    after = mutate(before, step, inputs=inputs, threads=2).tensors
    wanted = expected(step, before, ["d/kernel", "d/bias"], inputs)
    assert {path: same_bits(after[path], wanted[path]) for path in before} == dict.fromkeys(before, True)
    assert not same_bits(after["d/kernel"], before["d/kernel"])


@LAW
@given(steps(tuple(OF_INTEGERS), OF_INTEGERS, otherwise=False), models(("int8",)))
def test_ops_that_make_sense_on_integers_are_their_formula_there_too(step: Step, tensors: Tensors) -> None:
    tensors = fitting(step, tensors)
    inputs = inputs_for(step, tensors)
    wanted = expected(step, tensors, TARGETS, inputs)
    mutant = mutate(tensors, step, inputs=inputs)
    assert {path: same_bits(mutant.tensors[path], wanted[path]) for path in PATHS} == dict.fromkeys(PATHS, True)


@pytest.mark.parametrize("dtype", ["int8", "int32", "bool"])
@pytest.mark.parametrize("op", sorted({*WEIGHT_OPS, "low_rank", "share_values"} - OF_INTEGERS.keys()))
def test_ops_on_real_numbers_refuse_integers(op: str, dtype: str) -> None:
    tensors = {path: np.ones(values.shape, dtype) for path, values in layered().items()}
    parameters = {"low_rank": {"to_rank": 1}, "share_values": {"take": "mean"}, **SOME, **REARRANGING}
    step = {"op": op, "target": "d", **(parameters.get(op) or own_keys(op))}
    step |= {"count": 2} if op in ("prune_weights", "swap_neurons") else {}
    with pytest.raises(PlanError, match=rf"`{op}` is for real numbers, and cannot change `d/kernel` \({dtype}\)"):
        mutate(tensors, step, inputs=inputs_for(step, tensors))


@pytest.mark.parametrize("value", [0.5, 128, -129, "nan", "inf"])
def test_a_value_that_an_integer_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(PlanError, match="int8 and cannot hold"):
        mutate({"d/kernel": np.ones(3, np.int8)}, {"op": "fill", "target": "d", "value": float(value)})
