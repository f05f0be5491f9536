"""What reports and warnings say of masks that a step moves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mutspec
from tests.structure.masked_models import STEPS, WIDTH, chain, layer, padded, written
from tests.zoo.play import outputs

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not support masking"),  # Keras says where it drops a mask
    pytest.mark.filterwarnings("ignore:.*acts in training only"),
]

Step = dict[str, Any]


def test_a_step_says_which_masks_appear_and_vanish_with_it() -> None:
    base = chain("masking", "lstm", "last")
    steps = [
        {"op": "rename_layer", "target": "lstm", "to": "other"},
        {"op": "insert_layer", "before": "other", "layer": {**written("same"), "name": "same"}},
        {"op": "scale", "target": "last", "factor": 2},
        {"op": "remove_layer", "target": "same"},
        {"op": "remove_layer", "id": "again", "target": "masking"},
    ]
    told = [
        [(edit.kind.value, edit.type) for edit in step.edits if edit.type in ("NotEqual", "Any")]
        for step in mutspec.dry_run(mutspec.plan({"steps": steps}), base).steps
    ]
    gone, back = [("removed", "NotEqual"), ("removed", "Any")], [("added", "NotEqual"), ("added", "Any")]
    assert told == [[], gone, [], back, gone]


def in_sequence(*names: str) -> Any:
    """A Sequential model, in which no mask is written."""
    import keras

    return keras.Sequential([keras.Input((STEPS, WIDTH)), *map(layer, names)])


def nested(outer: str, *names: str) -> Any:
    """A layer before a model in the model, whose layers get the mask when they are called."""
    import keras

    inputs = keras.Input((STEPS, WIDTH))
    inner = chain(*names)
    inner.name = "inner"
    return keras.Model(inputs, inner(layer(outer)(inputs)))


IDENTITY = {
    "op": "insert_layer",
    "layer": {"type": "Conv1D", "filters": "same", "kernel_size": 1, "name": "new"},
    "initialize": "identity",
}


@pytest.mark.parametrize(
    ("base", "step"),
    [
        (lambda: chain("dense", "last"), {**IDENTITY, "before": "last"}),
        (lambda: chain("masking", "last"), {**IDENTITY, "before": "last"}),
        (lambda: chain("norm", "average"), {"op": "nest_layers", "target": "norm", "name": "inner"}),
        (lambda: in_sequence("dense", "last"), {**IDENTITY, "before": "last"}),
        (lambda: in_sequence("masking", "last"), {**IDENTITY, "before": "last"}),
        (lambda: nested("masking", "dense", "last"), {**IDENTITY, "before": "inner/last"}),
        (lambda: nested("dense", "dense2", "last"), {**IDENTITY, "before": "inner/last"}),
        (lambda: nested("masking", "dense", "last"), {"op": "inline_model", "target": "inner"}),
    ],
)
def test_a_step_claims_the_same_predictions_unless_it_moves_masks_and_then_it_says_so(
    base: Callable[[], Any], step: Step
) -> None:
    model = base()
    claim, warned, mutant = _claimed(model, step)
    given = padded(model)
    assert claim == np.allclose(outputs(model, given)[0], outputs(mutant, given)[0], atol=1e-6)
    assert warned != claim


def test_where_keras_alone_knows_whether_a_model_in_the_model_passes_a_mask_on_nothing_is_claimed() -> None:
    model = chain("masking", "norm", "average")
    claim, warned, _ = _claimed(model, {"op": "nest_layers", "target": "norm", "name": "inner"})
    assert (claim, warned) == (False, True)


def _claimed(model: Any, step: Step) -> tuple[bool, bool, Any]:
    """Whether a step claims the same predictions, whether it is said that it may not keep them, and the mutant."""
    from mutspec.lowering.compile import compile_plan
    from mutspec.model.live import read_live

    plan, live = mutspec.plan({"steps": [step]}), read_live(model)
    found = compile_plan(plan, live.spec, {}, config=live.config)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mutspec.MutspecWarning)
        mutant = mutspec.apply(plan, model)
    warned = any("only where nothing is masked" in str(each) for each in found.warnings)
    return found.steps[0].claim is not None, warned, mutant


def test_a_step_that_changes_no_mask_says_nothing_of_masks() -> None:
    report = mutspec.dry_run(
        mutspec.plan(
            {"steps": [{"op": "insert_layer", "before": "last", "layer": {**written("norm"), "name": "new"}}]}
        ),
        chain("masking", "last"),
    )
    assert [edit.layer for edit in report.steps[0].edits] == ["new"]
    assert not report.structure.removed
