"""How a plan meets a model when something is wrong with a step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mutspec import OpError, PlanError
from mutspec.execute.files import dry_run
from mutspec.language import plan_from
from mutspec.ops import catalogue
from mutspec.plugin import WeightOp
from tests.toys import mutate

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "conf" / "model" / "digits.keras"


class Absent(WeightOp, tag="absent", frozen=True, kw_only=True):
    """Fails."""

    def lower(self, weight, at):
        """Read what is not there."""
        return weight.nothing


class Doubtful(WeightOp, tag="doubtful", frozen=True, kw_only=True):
    """Says what is wrong as text, which is not a `Problem`."""

    def problems(self):
        """Text."""
        yield "something is wrong"


def test_a_bug_in_what_an_op_says_of_itself_is_told_with_the_op() -> None:
    with pytest.raises(OpError, match="the op `doubtful` fails: AttributeError") as caught:
        plan_from({"steps": [{"op": "doubtful", "target": "dense_1"}]}, {**catalogue(), "doubtful": Doubtful})
    (problem,) = caught.value.problems
    assert problem.path == ("steps", 0)
    assert problem.hint == "a bug; report it to whoever maintains `tests`"


def test_a_bug_in_an_op_is_told_with_the_op_and_the_place_of_the_bug() -> None:
    plan = plan_from({"steps": [{"op": "absent", "target": "dense_1"}]}, {**catalogue(), "absent": Absent})
    with pytest.raises(OpError, match="the op `absent` fails: AttributeError") as caught:
        dry_run(plan, DIGITS)
    (problem,) = caught.value.problems
    assert problem.path == ("steps", 0)
    assert f"{Path(__file__).name}:" in problem.hint


def test_the_problems_of_all_steps_are_told_at_once() -> None:
    steps = [{"op": "zero", "target": "dens_1"}, {"op": "fill", "target": "logits", "value": 0, "count": 10**9}]
    with pytest.raises(PlanError) as caught:
        dry_run(plan_from({"steps": steps}, catalogue()), DIGITS)
    assert [problem.path[:2] for problem in caught.value.problems] == [("steps", 0), ("steps", 1)]


def test_what_may_follow_from_a_refused_structural_step_says_so() -> None:
    steps = [
        {"op": "zero", "target": "dens_1"},
        {"op": "insert_layer", "after": "dens_1", "layer": {"type": "Dropout", "name": "drop", "rate": 0.1}},
        {"op": "rename_layer", "target": "drop", "to": "dropped"},
    ]
    with pytest.raises(PlanError) as caught:
        dry_run(plan_from({"steps": steps}, catalogue()), DIGITS)
    first = "fix `insert_layer` first"
    assert [first in problem.hint for problem in caught.value.problems] == [False, False, True]


def test_a_layer_that_is_missing_in_an_input_is_said_to_be_missing_there() -> None:
    plan = plan_from(
        {
            "inputs": {"teacher": {}},
            "steps": [{"op": "transfer_weights", "source": "teacher:head", "target": "logits"}],
        },
        catalogue(),
    )
    with pytest.raises(PlanError, match="in the input `teacher`, no layer is called `head`"):
        dry_run(plan, DIGITS, inputs={"teacher": DIGITS})


def test_a_pick_chooses_the_same_layers_for_a_transfer_as_for_any_other_step() -> None:
    target = {"regex": ".*_[12]", "pick": {"last": 2}, "weights": "bias"}  # relu_2 fits too, and has no weights
    steps = [
        {"op": "zero", "target": target},
        {"op": "transfer_weights", "source": "logits/bias", "target": target, "axis": 0},
    ]
    zero, transfer = dry_run(plan_from({"steps": steps}, catalogue()), DIGITS).steps
    assert [row.layer for row in transfer.targets] == [row.layer for row in zero.targets] == ["conv_2", "dense_1"]


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "longdouble"])
@pytest.mark.parametrize("step", [{"op": "zero"}, {"op": "gaussian_noise", "std": 0.1}])
def test_a_dtype_that_is_not_computed_with_is_refused_while_compiling(dtype: str, step: dict[str, object]) -> None:
    tensors = {"odd/kernel": np.ones(3, dtype)}
    with pytest.raises(PlanError, match="which mutspec does not compute with"):
        mutate(tensors, [{**step, "target": "odd/kernel"}])
