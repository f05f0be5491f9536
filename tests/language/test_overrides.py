"""`--set key=value`: what it reaches, what its values are, and where its errors are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mutspec.errors import PlanError
from mutspec.language import Override, load_text

TEXT = """\
mutspec: 1
seed: 1
params: {std: 0.01, names: [a, b], layer: dense}
steps:
  - op: gaussian_noise
    target: ${params.layer}
    std: ${params.std}
  - id: graded
    op: gaussian_noise
    target: {type: Dense, name: ["${params.layer}", b]}
    std:
      - {value: 0.1, target: x}
      - {value: 0.2}
"""


def load(catalogue: Mapping[str, type[Any]], *overrides: str | Override) -> Any:
    return load_text(TEXT, catalogue, file="a.yaml", overrides=overrides)


def test_a_parameter_is_overridden_where_it_is_used(catalogue: Mapping[str, type[Any]]) -> None:
    plan = load(catalogue, "params.std=5e-2", "params.layer=dense_2")
    assert plan.steps[0].std == 0.05
    assert plan.steps[0].target == "dense_2"
    assert plan.steps[1].target.name == ("dense_2", "b")
    assert plan.params["std"] == 0.05


def test_a_step_goes_by_its_id_which_may_be_its_ops_name(catalogue: Mapping[str, type[Any]]) -> None:
    plan = load(
        catalogue, "steps.gaussian_noise.std=3", "steps.graded.target.type=[Conv2D, 'C*']", "steps.graded.std.1.value=7"
    )
    assert plan.steps[0].std == 3
    assert plan.steps[1].target.type == ("Conv2D", "C*")
    assert [case.value for case in plan.steps[1].std] == [0.1, 7]


def test_an_override_adds_keys_that_the_step_does_not_say(catalogue: Mapping[str, type[Any]]) -> None:
    assert load(catalogue, "steps.graded.fraction=1%").steps[1].fraction == "1%"
    assert load(catalogue, "name=other", "non_finite=report", "seed=9").name == "other"


def test_the_last_override_wins(catalogue: Mapping[str, type[Any]]) -> None:
    assert load(catalogue, "seed=2", "seed=3").seed == 3


def test_values_that_are_parsed_already_are_taken_as_they_are(catalogue: Mapping[str, type[Any]]) -> None:
    assert load(catalogue, Override("params.layer=…", 1, "yes")).steps[0].target == "yes"


@pytest.mark.parametrize(
    ("override", "column", "words"),
    [
        ("params.sdt=1", 1, ("no parameter `sdt`", "params.std")),
        ("params.other=1", 1, ("no parameter `other`", "`std`")),
        ("params=1", 1, ("no parameter",)),
        ("std=1", 1, ("cannot begin with `std`", "params.std")),
        ("seeds=1", 1, ("`seeds`", "`seed`")),
        ("mutspec=2", 1, ("cannot be overridden",)),
        ("inputs.a=b", 1, ("cannot be overridden", "--input")),
        ("steps.graded.op=zero", 1, ("`op` cannot be overridden",)),
        ("steps.graded.id=a", 1, ("`id` cannot be overridden",)),
        ("steps.gradde.std=1", 1, ("no step `gradde`", "steps.graded")),
        ("steps.graded=1", 1, ("must name one of its keys",)),
        ("steps=1", 1, ("no step",)),
        ("steps.graded.target.pick.first=1", 1, ("no key `pick`", "steps.graded.target.pick={first: …}")),
        ("steps.graded.std.2.value=1", 1, ("list of 2", "`2`")),
        ("steps.graded.seed.x=1", 1, ("`seed`",)),
        ("nothing", 1, ("key=value",)),
        ("=1", 1, ("key=value",)),
        ("seed=abc", 6, ("`seed`", "whole number")),
        ("seed=", 6, ("`seed`", "nothing")),
        ("steps.graded.fraction=null", 23, ("`fraction`", "nothing")),
        ("steps.graded.fraction=# none", 23, ("`fraction`", "nothing")),
        ("metadata.x.y=1", 1, ("the plan has no key `metadata`, so `x.y` cannot be set", "metadata={x: {y: …}}")),
        ("steps.graded.target=*/kernel", 21, ("in quotes", 'write: steps.graded.target="*/kernel"')),
        ("seed=[1", None, ("not YAML",)),
        ("steps.graded.stdd=1", 1, ("no key `stdd`", "`std`")),
        ("params.std=abc", 12, ("`std` takes a number", "line 7")),
        ("steps.graded.target=*_conv", 21, ("alias",)),
        ("params.std=${params.layer}", 12, ("literal",)),
        ("seed=!!python/name:os.system x", 6, ("tag",)),
    ],
)
def test_a_wrong_override_is_placed_in_itself(
    override: str, column: int | None, words: tuple[str, ...], catalogue: Mapping[str, type[Any]]
) -> None:
    with pytest.raises(PlanError) as caught:
        load(catalogue, "seed=5", override)
    problem = next(problem for problem in caught.value.problems if not problem.is_warning)
    assert problem.place is not None
    assert problem.place.file == "override 2"
    assert problem.place.text == override
    assert column is None or (problem.place.line, problem.place.column) == (1, column)
    for word in words:
        assert word in str(problem)


def test_several_wrong_overrides_are_reported_together(catalogue: Mapping[str, type[Any]]) -> None:
    with pytest.raises(PlanError) as caught:
        load(catalogue, "a=1", "params.b=1", "seed=c")
    assert [problem.place and problem.place.file for problem in caught.value.problems if not problem.is_warning] == [
        "override 1",
        "override 2",
        "override 3",
    ]
