"""Laws that hold for every op: its formula in the chosen entries, nothing elsewhere, and counts that are true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutspec.graph.choice import Computed
from mutspec.graph.masks import Mask
from tests.ops.op_table import (
    LAW,
    PATHS,
    TARGETS,
    WEIGHT_OPS,
    fitting,
    inputs_for,
    models,
    steps,
)
from tests.oracle import Step, expected, masks, touches
from tests.toys import CATALOGUE, Tensors, mutate, same_bits

OTHERWISE_TESTED = {
    "low_rank": "test_sparsity.py",
    "permute_genes": "test_order.py",
    "transfer_weights": "test_transfer.py",
    "swap_weights": "test_merging.py",
    "share_values": "test_merging.py",
}
"""Ops whose result is numeric, or that choose no entries of single weights: where the laws are held for them."""


def test_every_op_on_weights_is_in_the_table_of_the_laws() -> None:
    on_weights = {name for name, op in CATALOGUE.items() if not op.is_structural}
    assert on_weights == {*WEIGHT_OPS, *OTHERWISE_TESTED}
    assert not set(WEIGHT_OPS) & OTHERWISE_TESTED.keys()


@settings(LAW, max_examples=600)
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
@settings(LAW, max_examples=12)
@given(data=st.data())
def test_each_op_alone_is_its_formula(op: str, data: st.DataObject) -> None:
    step, tensors = data.draw(steps((op,))), data.draw(models())
    tensors = fitting(step, tensors)
    inputs = inputs_for(step, tensors)
    mutant = mutate(tensors, step, inputs=inputs)
    wanted = expected(step, tensors, TARGETS, inputs)
    assert {path: same_bits(mutant.tensors[path], wanted[path]) for path in PATHS} == dict.fromkeys(PATHS, True)


@LAW
@given(steps(), models())
def test_what_the_dry_run_says_is_touched_is_touched(step: Step, tensors: Tensors) -> None:
    tensors = fitting(step, tensors)
    mutant = mutate(tensors, step, inputs=inputs_for(step, tensors))
    chosen = masks(step, {path: tensors[path] for path in TARGETS if touches(step, path)})
    touched = dict.fromkeys(chosen, 0)
    for touch in mutant.program.steps[0].touches:
        executed = mutant.outcome.effects[touch.version].touched
        assert touch.touched in (None, executed)
        if not isinstance(touch.version.choice, Computed):
            assert Mask(touch.version.choice, touch.tensor.shape or (1,)).count() == executed
        touched[touch.tensor.path] = executed
    assert touched == {path: int(mask.sum()) for path, mask in chosen.items()}
    for version, effect in mutant.outcome.effects.items():
        before, after = (np.frombuffer(each[version.path].tobytes(), np.uint8) for each in (tensors, mutant.tensors))
        rows = (before != after).reshape(tensors[version.path].size, -1).any(axis=1)
        assert effect.changed == rows.sum() <= touched[version.path]
