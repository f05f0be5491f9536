"""Arguments of the Python API that are of a wrong type: the error says what takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.resources import resource_folder

MODEL = resource_folder("conf") / "model" / "digits.keras"
RECIPE = resource_folder("conf") / "plan" / "dense_noise.yaml"
DOCUMENT = {"steps": [{"op": "zero", "target": "dense_1"}]}
PLAN = mutspec.plan(DOCUMENT)
DATA = (np.zeros((4, 8, 8, 1), "float32"), None)

MAPPING, FILE = "mutspec.plan(MAPPING)", "mutspec.load_plan(FILE)"
NO_PLAN: dict[str, tuple[Callable[[Any], Any], Any, str]] = {
    "load_plan takes no mapping": (mutspec.load_plan, DOCUMENT, MAPPING),
    "load_plan takes no plan": (mutspec.load_plan, PLAN, "it already is a plan"),
    "load_plan needs a path": (mutspec.load_plan, None, FILE),
    "plan takes no path": (mutspec.plan, str(RECIPE), FILE),
    "plan takes no Path": (mutspec.plan, RECIPE, FILE),
    "plan takes no list": (mutspec.plan, DOCUMENT["steps"], 'mutspec.plan({"steps": [...]})'),
    "plan takes no plan": (mutspec.plan, PLAN, "it already is a plan"),
    "dry_run takes no mapping": (lambda plan: mutspec.dry_run(plan, MODEL), DOCUMENT, MAPPING),
    "dry_run takes the plan first": (lambda plan: mutspec.dry_run(plan, PLAN), MODEL, FILE),
    "apply to a file takes no mapping": (lambda plan: mutspec.apply(plan, MODEL, "out.keras"), DOCUMENT, MAPPING),
    "apply takes no path of a plan": (lambda plan: mutspec.apply(plan, MODEL), RECIPE, FILE),
    "mutated takes no mapping": (lambda plan: mutspec.mutated(plan, None).__enter__(), DOCUMENT, MAPPING),
    "sweep takes no mapping": (lambda plan: mutspec.sweep(plan, MODEL, DATA), DOCUMENT, MAPPING),
    "breaking_point takes no path": (lambda plan: mutspec.breaking_point(plan, MODEL, DATA), str(RECIPE), FILE),
}


@pytest.mark.parametrize("case", NO_PLAN)
def test_what_is_not_a_plan_is_named_with_the_function_that_makes_one(case: str) -> None:
    function, value, hint = NO_PLAN[case]
    with pytest.raises(mutspec.CallError) as caught:
        function(value)
    (problem,) = caught.value.problems
    assert hint in problem.hint
    assert problem.message.endswith((", not a Plan", type(value).__name__, "not None"))


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "one text": (lambda: mutspec.load_plan(RECIPE, overrides="seed=3"), "`overrides` is a str, not a list of texts"),
    "a mapping": (lambda: mutspec.load_plan(RECIPE, overrides={"seed": 3}), "`overrides` is a dict"),
    "inputs without names": (lambda: mutspec.dry_run(PLAN, MODEL, inputs=[MODEL]), "`inputs` is a list"),
    "values without keys": (lambda: mutspec.sweep(PLAN, object(), DATA, [1]), "`values` is a list"),
    "threads as a text": (lambda: mutspec.apply(PLAN, MODEL, "o.keras", threads="4"), "`threads` is '4'"),
    "memory as a text": (lambda: mutspec.apply(PLAN, MODEL, "o.keras", max_memory="1G"), "`max_memory` is '1G'"),
    "a number as the output": (lambda: mutspec.apply(PLAN, MODEL, 3), "the output is an int, not the path of a file"),
    "an empty plan file": (lambda: mutspec.load_plan(""), "the path of the plan file is empty"),
    "an empty model": (lambda: mutspec.dry_run(PLAN, ""), "the path of the model is empty"),
    "an empty output": (lambda: mutspec.apply(PLAN, MODEL, ""), "the path of the output is empty"),
    "an empty architecture": (lambda: mutspec.dry_run(PLAN, MODEL, architecture=""), "the path of the architecture"),
    "an empty input": (lambda: mutspec.dry_run(PLAN, MODEL, inputs={"a": ""}), "the path of the input `a` is empty"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_argument_of_a_wrong_type_or_without_a_value_is_told(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call, words = WRONG[case]
    with pytest.raises(mutspec.CallError) as caught:
        call()
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_whole_numbers_of_numpy_are_whole_numbers(tmp_path: Path) -> None:
    mutspec.apply(PLAN, MODEL, tmp_path / "out.keras", threads=np.int64(1), max_memory=np.int64(2**30))
    assert (tmp_path / "out.keras").exists()
