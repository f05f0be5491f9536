"""What a problem looks like."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mutspec.cli.problems import MOST_PROBLEMS, as_github, as_text, as_texts, capped
from mutspec.errors import Place, Problem
from mutspec.text.visible import in_lines, in_one_line


def test_a_problem_shows_its_line_with_carets_and_help() -> None:
    place = Place("plan.yaml", 12, 10, 13, "    std: abc")
    problem = Problem("`std` takes a number", place, hint="write a number", candidates=("a", "b", "c"))
    assert as_text(problem) == (
        "plan.yaml:12:10: `std` takes a number\n"
        "  12 |     std: abc\n"
        "     |          ^^^\n"
        "  = write a number\n"
        "  = did you mean `a`, `b` or `c`?"
    )


def test_carets_stand_below_wide_and_combining_characters() -> None:
    text = "名: e\u0301 x"
    _, line, carets, *_ = as_text(Problem("m", Place("p", 1, 7, 8, text))).splitlines()
    assert line == "  1 | " + text
    assert carets == "    |" + " " * 7 + "^"


def test_of_a_long_line_the_part_around_the_place_is_shown() -> None:
    text = "a" * 500 + "HERE" + "b" * 500
    _, line, carets = as_text(Problem("m", Place("p", 1, 501, 505, text))).splitlines()
    assert len(line) < 120
    assert line[carets.index("^") : carets.rindex("^") + 1] == "HERE"


def test_a_tab_does_not_move_the_caret() -> None:
    _, line, carets = as_text(Problem("m", Place("p", 1, 3, 4, "\t\tx"))).splitlines()
    assert line[carets.index("^")] == "x"


def test_a_place_after_the_end_of_the_line_has_one_caret() -> None:
    _, line, carets = as_text(Problem("m", Place("p", 1, 4, 4, "abc"))).splitlines()
    assert carets.count("^") == 1
    assert carets.index("^") == len(line)


def test_a_problem_of_a_whole_file_has_no_line() -> None:
    assert as_text(Problem("there is no such file", Place("p.yaml", 0, 0, 0))) == "p.yaml: there is no such file"


def test_a_problem_without_a_place_is_called_an_error() -> None:
    assert as_text(Problem("wrong")) == "error: wrong"
    assert as_text(Problem("odd", is_warning=True)) == "warning: odd"
    assert as_text(Problem("wrong", path=("steps", 0, "std"))) == "steps[0].std: wrong"


def test_colour_changes_nothing_but_colour() -> None:
    import re

    problem = Problem("m", Place("p", 1, 1, 2, "abc"), hint="h", candidates=("c",))
    assert re.sub(r"\x1b\[[0-9;]*m", "", as_text(problem, color=True)) == as_text(problem)


def test_github_escapes_what_would_end_the_annotation() -> None:
    problem = Problem("50% of\nall: a, b", Place("a,b:c%.yaml", 1, 2, 3, ""))
    assert (
        as_github(problem)
        == "::error file=a%2Cb%3Ac%25.yaml,line=1,col=2,endColumn=3,title=mutspec::50%25 of%0Aall: a, b"
    )


@given(st.text(st.sampled_from("%:,\n\r\x1b\u202e0ADa`")), st.text(st.sampled_from("%:,\n0ACDa="), min_size=1))
def test_an_annotation_is_one_line_that_gives_back_what_it_was_given(message: str, file: str) -> None:
    written = as_github(Problem(message, Place(file, 1, 2, 3, "")))
    assert len(written.splitlines()) == 1
    kind, properties, data = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", written).groups()  # type: ignore[union-attr]
    given = dict(each.split("=", 1) for each in properties.split(","))
    assert (kind, list(given)) == ("error", ["file", "line", "col", "endColumn", "title"])
    assert unescaped(given["file"]) == in_one_line(file)
    assert unescaped(data) == in_lines(message)


def unescaped(text: str) -> str:
    """As GitHub's runner reads data and properties."""
    for code, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, sign)
    return text


def test_problems_of_one_line_stand_close_together() -> None:
    one, two = Problem("a", Place("p", 0, 0, 0)), Problem("b", Place("p", 0, 0, 0))
    assert as_texts([one, two]) == "p: a\np: b"


def test_control_characters_are_spelt_out_and_move_no_caret() -> None:
    place = Place("p\n.yaml", 1, 3, 4, "\x1b[x")
    problem = Problem("no layer `a\x1b[31m\n\x9b`", place, hint="write\n\x07", candidates=("b\r",))
    assert as_text(problem) == (
        r"p\n.yaml:1:3: no layer `a\x1b[31m\n\x9b`"
        "\n  1 | \ufffd[x\n    |   ^\n  = write\n"
        r"  = \x07"
        "\n"
        r"  = did you mean `b\r`?"
    )
    assert not {"\x1b", "\x9b", "\x07", "\r", "\n"} & set(as_github(problem))


def test_of_a_file_with_very_many_problems_the_first_are_shown_and_the_rest_counted() -> None:
    many = [Problem(f"no {number}", Place("many", number, 1, 2)) for number in range(1, MOST_PROBLEMS + 3)]
    other = Problem("here too", Place("other", 1, 1, 2))
    *shown, last, rest = capped([*many, other])
    assert shown == many[:MOST_PROBLEMS]
    assert last == other
    assert as_text(rest).startswith("many: and 2 more problems")
