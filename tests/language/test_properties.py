"""Whatever the text, the loader either reads it or says what is wrong, and soon."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mutspec.cli.problems import as_github, as_text
from mutspec.errors import PlanError, Problem
from mutspec.language import load_text
from mutspec.ops import catalogue as shipped
from tests.effort import examples

HANGS = 30.0
"""Seconds of processor time that nothing here comes near. How fast things are is measured in benchmarks/."""

CATALOGUE: Mapping[str, type[Any]] = shipped(plugins=False)

GOOD = """\
mutspec: 1
params: {std: 0.01}
steps:
  - id: jitter
    op: gaussian_noise
    target: {type: [Dense, "Conv*"], pick: {skip_last: 1}, not: {regex: "a.*"}}
    std: [{target: "re:conv1_.*", value: 0.01}, {value: "${params.std}"}]
    fraction: 1%
"""


def load_or_explain(text: str, overrides: tuple[str, ...] = ()) -> None:
    start = time.process_time()
    problems: tuple[Problem, ...] = ()
    try:
        load_text(text, CATALOGUE, overrides=overrides)
    except PlanError as error:
        problems = error.problems
    for problem in problems:
        assert problem.place is not None
        assert as_text(problem)
        assert as_github(problem)
    assert time.process_time() - start < HANGS


@given(st.text(max_size=200))
@example("\ufeff\ufeff")
@example("\u2028: \u2029\n\x85")
@example("? \n")
@example("- - - - ?")
@example("&a *a")
@example("{<<: *a}")
@example("a: |2\n  b")
@example("'\ud800'")
@settings(max_examples=examples(80, 40), deadline=None)
def test_any_text(text: str) -> None:
    load_or_explain(text)


@given(st.text(alphabet="ab1:- \n{}[],'\"&*!%#?|>$~.\t<=@`\\", max_size=60))
@settings(max_examples=examples(150, 50), deadline=None)
def test_any_text_of_yamls_own_characters(text: str) -> None:
    load_or_explain(text)


@given(st.integers(0, len(GOOD)), st.integers(0, 12), st.text(alphabet="a1:- \n{}[],'\"&*!%#?|$\t", max_size=4))
@settings(max_examples=examples(100, 40), deadline=None)
def test_any_small_change_to_a_good_plan(at: int, length: int, text: str) -> None:
    load_or_explain(GOOD[:at] + text + GOOD[at + length :])


KEYS = st.sampled_from(["op", "id", "target", "std", "name", "not", "pick", "first", "value", "x-a", "any"])
TEXTS = st.sampled_from(["a", "re:(", "1%", "${params.std}", "${x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["mutspec", "steps", "params", "inputs", "seed", "x-y", "name"]), VALUES))
@settings(max_examples=examples(100, 40), deadline=None)
def test_any_values_in_the_places_of_a_plan(document: dict[str, Any]) -> None:
    import json

    document.setdefault("mutspec", 1)
    load_or_explain(json.dumps(document))


@given(
    st.sampled_from(["params.std", "steps.jitter.std", "steps.jitter.target.not", "seed", "steps", ""]),
    st.text(max_size=30),
)
@settings(max_examples=examples(80, 40), deadline=None)
def test_any_override(key: str, value: str) -> None:
    load_or_explain(GOOD, (f"{key}={value}",))
