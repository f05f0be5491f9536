"""A target by itself, as `--select` gives one."""

from __future__ import annotations

import pytest

from mutspec.errors import PlanError, Problem
from mutspec.language.target import load_target
from mutspec.language.types import Selector


@pytest.mark.parametrize("text", ["dense_1", "*_conv", "re:conv_.*", "encoder/dense/kernel", "on", "3"])
def test_text_is_a_name_as_it_stands(text: str) -> None:
    assert load_target(text).target == text


def test_a_mapping_or_list_is_read_as_in_a_plan() -> None:
    assert load_target("{type: Dense, weights: kernel}").target == Selector(type="Dense", weights="kernel")
    assert load_target("[a, {not: b}]").target == ("a", Selector(not_="b"))


BAD = [
    ("", None, "empty"),
    ("{tpye: Dense}", 2, "has no key `tpye`"),
    ("{type: Dense, weights: 3}", 24, "takes text or a list"),
    ("{type: Dense, type: Conv2D}", 15, "twice"),
    ("re:a\udcff", 5, "the byte 0xff, which is not UTF-8"),
    ("re:(", 1, "regular expression"),
    ("{pick: {first: 0}}", 16, "picks no layer"),
    ("{name: *_conv}", 8, "YAML alias"),
    ("{name: '${params.x}'}", None, "no parameter"),
]


@pytest.mark.parametrize(("text", "column", "message"), BAD)
def test_a_bad_target_is_as_bad_as_in_a_plan_and_placed_in_its_text(text, column, message) -> None:
    with pytest.raises(PlanError) as caught:
        load_target(text, "--select")
    (problem,) = caught.value.problems
    assert message in problem.message
    if column is not None:
        assert problem.place is not None
        assert (problem.place.file, problem.place.line, problem.place.column) == ("--select", 1, column)


def test_what_is_found_wrong_later_is_placed_in_its_text_too() -> None:
    written = load_target("{type: Dense, expect: 3}", "--select")
    place = written.placed(Problem("expected 3 layers", path=("expect",))).place
    assert place is not None
    assert (place.column, place.text) == (23, "{type: Dense, expect: 3}")
