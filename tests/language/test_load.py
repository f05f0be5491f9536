"""From a plan's text to its values."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from mutspec.errors import PlanError
from mutspec.language import load_text, plan_from
from mutspec.language.types import NonFinite, Pick, Selector
from mutspec.plugin import WeightOp

TEXT = """\
# a comment
mutspec: 1
name: graft-and-jitter
description: What it is for.
seed: 7
params: {std: 0.01, share: 25, kinds: [Dense, "Conv*"]}
inputs:
  teacher: {}
  other:
metadata: {owner: vision, x-kept: 1}
non_finite: report
x-note: {anything: [goes]}
steps:
  - id: jitter
    op: gaussian_noise
    target: {type: "${params.kinds}", weights: kernel, pick: {skip_last: 1}, x-why: because}
    std: ${params.std}
    fraction: "${params.share}%"
    x-ticket: 12
  - op: transfer_weights
    source: teacher:conv2d_1/kernel
    target: conv2d_3/kernel
    axis: -1
    stop: 50%
"""


def test_a_plan_is_read_into_typed_values(catalogue: Mapping[str, type[Any]]) -> None:
    plan = load_text(TEXT, catalogue, file="recipes/jitter.yaml")
    assert (plan.name, plan.seed, plan.inputs) == ("graft-and-jitter", 7, ("teacher", "other"))
    assert plan.non_finite is NonFinite.REPORT
    assert plan.metadata == {"owner": "vision", "x-kept": 1}
    jitter, graft = plan.steps
    assert jitter.target == Selector(type=("Dense", "Conv*"), weights="kernel", pick=Pick(skip_last=1))
    assert (jitter.std, jitter.fraction, jitter.id) == (0.01, "25%", "jitter")
    assert (graft.id, graft.axis, graft.stop) == ("transfer_weights", -1, "50%")


def test_the_document_is_resolved_and_without_the_users_own_keys(catalogue: Mapping[str, type[Any]]) -> None:
    document = load_text(TEXT, catalogue).document
    assert "x-note" not in document
    assert document["steps"][0] == {
        "id": "jitter",
        "op": "gaussian_noise",
        "target": {"type": ["Dense", "Conv*"], "weights": "kernel", "pick": {"skip_last": 1}},
        "std": 0.01,
        "fraction": "25%",
    }


def test_a_plan_without_a_name_is_called_after_its_file(catalogue: Mapping[str, type[Any]]) -> None:
    text = "mutspec: 1\nsteps: [{op: zero, target: a}]\n"
    assert load_text(text, catalogue, file="recipes/dense_noise.yaml").name == "dense_noise"
    assert load_text(text, catalogue).name == "plan"


def test_what_nothing_uses_is_a_warning(catalogue: Mapping[str, type[Any]]) -> None:
    plan = load_text("mutspec: 1\nparams: {a: 1}\ninputs: {b: {}}\nsteps: [{op: zero, target: c}]\n", catalogue)
    assert [warning.message for warning in plan.warnings] == [
        "no step uses the parameter `a`",
        "no step uses the input `b`",
    ]
    assert all(warning.is_warning and warning.place for warning in plan.warnings)


def test_a_value_is_located_where_it_was_written(catalogue: Mapping[str, type[Any]]) -> None:
    plan = load_text(TEXT, catalogue, file="a.yaml", overrides=["steps.jitter.stream=s"])
    weights = plan.locate(("steps", 0, "target", "weights"))
    assert weights is not None
    assert (weights.file, weights.line, weights.text[weights.column - 1 : weights.end_column - 1]) == (
        "a.yaml",
        16,
        "kernel",
    )
    parameter = plan.locate(("steps", 0, "std"))
    assert parameter is not None
    assert (parameter.line, parameter.column) == (6, 15)
    override = plan.locate(("steps", 0, "stream"))
    assert override is not None
    assert (override.file, override.column) == ("override 1", 21)
    step = plan.locate(("steps", 1))
    assert step is not None
    assert (step.line, step.column) == (20, 9)


def test_with_takes_other_parameters_and_another_seed(catalogue: Mapping[str, type[Any]]) -> None:
    plan = load_text(TEXT, catalogue)
    other = plan.with_(std=0.05, seed=3)
    assert (other.steps[0].std, other.seed) == (0.05, 3)
    assert (plan.steps[0].std, plan.seed) == (0.01, 7)
    assert other.with_(std=0.01, seed=7).digest == plan.digest
    assert plan.with_(params={"std": 0.2}).steps[0].std == 0.2
    with pytest.raises(PlanError, match="no parameter `sdt`") as caught:
        plan.with_(sdt=0.05)
    assert [problem.candidates for problem in caught.value.problems if not problem.is_warning] == [("params.std",)]
    with pytest.raises(PlanError, match="takes a number"):
        plan.with_(std="much")


DRESSED = """\
# why
mutspec: 1
x-a: 1
params:
  s: 1e-1
steps:
- std: 0.10
  x-b: 2
  target: 'a'
  op: gaussian_noise
"""


def test_the_digest_is_of_the_meaning_not_the_layout(catalogue: Mapping[str, type[Any]]) -> None:
    plain = load_text(
        "mutspec: 1\nparams: {s: 0.1}\nsteps: [{op: gaussian_noise, target: a, std: '${params.s}'}]\n", catalogue
    )
    dressed = load_text(DRESSED, catalogue)
    assert plain.digest == dressed.digest
    assert plain.with_(s=0.2).digest != plain.digest
    assert (
        load_text("mutspec: 1\nsteps: [{op: zero, target: a}]", catalogue).digest == "6cb8f2294999ae5384382723c3ff19ff"
    )
    assert dressed.steps == plain.steps


def test_a_plan_can_be_made_of_python_values(catalogue: Mapping[str, type[Any]]) -> None:
    numpy = pytest.importorskip("numpy")
    plan = plan_from({"steps": [{"op": "gaussian_noise", "target": ("a", "b"), "std": numpy.float32(0.5)}]}, catalogue)
    assert plan.steps[0].target == ("a", "b")
    assert plan.steps[0].std == 0.5
    with pytest.raises(PlanError, match=r"^steps\[0\]\.std: `std` takes a number"):
        plan_from({"steps": [{"op": "gaussian_noise", "target": "a", "std": "x"}]}, catalogue)
    with pytest.raises(PlanError, match="not a set"):
        plan_from({"steps": [{"op": "zero", "target": {1, 2}}]}, catalogue)
    endless: dict[str, Any] = {}
    endless["steps"] = [endless]
    with pytest.raises(PlanError, match="deeper"):
        plan_from(endless, catalogue)


def test_a_plan_is_a_value_that_processes_can_exchange(catalogue: Mapping[str, type[Any]]) -> None:
    plan = load_text(TEXT, catalogue)
    again = pickle.loads(pickle.dumps(plan))
    assert again == plan
    assert again.with_(std=3).steps[0].std == 3


def test_an_error_keeps_its_problems_between_processes(catalogue: Mapping[str, type[Any]]) -> None:
    with pytest.raises(PlanError) as caught:
        load_text("mutspec: 1\nsteps: [{op: zreo, target: a}]\n", catalogue)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.problems == caught.value.problems
    assert str(again) == str(caught.value)


class Mix(WeightOp, tag="mix", kw_only=True):
    """An op that says which inputs it uses."""

    source: str

    def inputs_used(self) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """The input before the colon."""
        yield ("source",), self.source.partition(":")[0]


def test_an_op_that_says_its_inputs_is_held_to_the_declared_ones() -> None:
    text = "mutspec: 1\ninputs: {teacher: {}}\nsteps: [{op: mix, target: a, source: 'techer:a'}]\n"
    with pytest.raises(PlanError, match="no input `techer`") as caught:
        load_text(text, {"mix": Mix})
    problem = next(problem for problem in caught.value.problems if not problem.is_warning)
    assert problem.candidates == ("teacher",)
    assert problem.place is not None
    assert problem.place.column == 38
