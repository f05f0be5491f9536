"""Blocks: what the plan's head declares stands wherever a step takes a layer."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

import mutspec
from mutspec.errors import PlanError
from mutspec.language import load_text
from mutspec.ops import catalogue

OPS = catalogue(plugins=False)


def load(text: str) -> Any:
    return load_text(text, OPS)


def problems(text: str) -> list[tuple[int, str]]:
    """The line and the message of each problem."""
    with pytest.raises(PlanError) as caught:
        load(text)
    return [(each.place.line, each.message) for each in caught.value.problems if each.place is not None]


PLAN = """
mutspec: 1
params: {rate: 0.5}
blocks:
  head:
    - {type: Dense, units: same}
    - {block: drop}
  drop:
    - {type: Dropout, rate: "${params.rate}"}
steps:
  - {op: insert_layer, after: a, layer: {block: head}}
"""


def test_a_block_is_its_layers_where_a_step_uses_it() -> None:
    inner = {"layers": [{"type": "Dropout", "rate": 0.5}]}
    (step,) = load(PLAN).steps
    assert step.layer == {"layers": [{"type": "Dense", "units": "same"}, inner]}
    written_out = {"op": "insert_layer", "after": "a", "layer": {"layers": [{"type": "Dense", "units": "same"}, inner]}}
    assert load(PLAN).steps == mutspec.plan({"steps": [written_out]}).steps


def test_blocks_are_not_a_part_of_the_resolved_plan_but_of_its_form() -> None:
    plan = load(PLAN)
    assert "blocks" not in plan.document
    other = load(PLAN.replace("same", "7"))
    assert other.digest != plan.digest
    assert other.form_digest != plan.form_digest
    assert plan.with_(rate=0.1).form_digest == plan.form_digest
    assert plan.with_(rate=0.1).steps[0].layer["layers"][1]["layers"][0]["rate"] == 0.1


def test_a_use_may_name_the_block_and_say_what_it_stands_on() -> None:
    text = """
mutspec: 1
blocks: {gate: [{type: Activation, activation: sigmoid}]}
steps:
  - op: insert_layer
    after: a
    layers: [{block: gate, name: gated, of: input}, {type: Multiply, of: [gated, input]}]
"""
    (step,) = load(text).steps
    assert step.layers[0] == {
        "layers": [{"type": "Activation", "activation": "sigmoid"}],
        "name": "gated",
        "of": "input",
    }


def test_a_block_that_no_step_uses_is_a_warning() -> None:
    plan = load(PLAN.replace("{block: head}", "{type: ReLU}"))
    assert [each.message for each in plan.warnings] == [
        "no step uses the block `head`",
        "no step uses the block `drop`",
    ]


def test_an_argument_that_is_called_block_is_not_a_block() -> None:
    text = "mutspec: 1\nsteps:\n- {op: insert_layer, after: a, layer: {type: 'my>Layer', block: x}}\n"
    assert load(text).steps[0].layer == {"type": "my>Layer", "block": "x"}
    text = "mutspec: 1\nsteps:\n- {op: configure_layer, target: a, set: {block: x}}\n"
    assert load(text).steps[0].set == {"block": "x"}


def test_mistakes_have_the_places_of_the_block_and_of_its_use() -> None:
    assert problems(PLAN.replace("{block: drop}", "{block: drip}")) == [(7, "the plan declares no block `drip`")]
    assert problems(PLAN.replace("{block: head}", "{block: 3}")) == [(11, "`block` takes the name of a block")]
    assert problems(PLAN.replace("${params.rate}", "${params.rat}")) == [(9, "the plan declares no parameter `rat`")]
    assert (8, "`drop it` cannot be the name of a block") in problems(PLAN.replace("  drop:\n", "  drop it:\n"))
    (problem,) = problems(PLAN.replace("{type: Dense, units: same}", "{type: Dense, of: inputs}"))
    assert problem == (6, "the block has no layer `inputs`")


def test_blocks_that_double_in_each_other_are_refused_before_they_fill_the_memory() -> None:
    names = [f"b{number}" for number in range(12)]
    layers = {name: [{"block": after}] * 12 for name, after in pairwise(names)}
    blocks = {**layers, names[-1]: [{"type": "ReLU"}]}
    steps = [{"op": "insert_layer", "after": "a", "layer": {"block": "b0"}}]
    with pytest.raises(PlanError, match="stand for more than"):
        mutspec.plan({"blocks": blocks, "steps": steps})


def test_many_blocks_in_one_another_are_refused() -> None:
    blocks: dict[str, Any] = {f"b{number}": [{"block": f"b{number + 1}"}] for number in range(2000)}
    steps = [{"op": "insert_layer", "after": "a", "layer": {"block": "b0"}}]
    with pytest.raises(PlanError, match="more than 16 blocks stand in one another"):
        mutspec.plan({"blocks": {**blocks, "b2000": [{"type": "ReLU"}]}, "steps": steps})
