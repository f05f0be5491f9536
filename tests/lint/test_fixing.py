"""A fixed plan is the same plan, is in order, and keeps all else of its text."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutspec.errors import PlanError
from mutspec.language import load_text
from mutspec.lint.fixing import fixed
from mutspec.ops import catalogue

CATALOGUE = catalogue(plugins=False)


def after(text: str) -> str:
    return fixed(text, CATALOGUE).text


UNTIDY = """\
# what the plan is for
mutspec: 1

steps:
  # about the first step
  - target: re:conv_[0-9]+   # which
    # how much
    std: ${params.std}
    op: gaussian_noise
      # more about the op
    # its name
    id: one~~

  - {target: [a, b], op: fill, value: 012}
x-note: {y: 1}
# about the parameters
params: {std: 1_0, other: "yes"}

seed: 1_000
# the end


""".replace("~", " ")
TIDY = """\
# what the plan is for
mutspec: 1

seed: 1000
# about the parameters
params: {std: 10, other: "yes"}
x-note: {y: 1}

steps:
  # about the first step
  # its name
  - id: one
    op: gaussian_noise
      # more about the op
    target: "re:conv_[0-9]+"   # which
    # how much
    std: ${params.std}

  - {op: fill, target: [a, b], value: 10}
# the end
"""


def test_keys_quotes_numbers_and_ends_of_lines_are_fixed_and_comments_go_along() -> None:
    made = fixed(UNTIDY, CATALOGUE)
    assert made.text == TIDY
    assert made.changes == (
        "ends of 2 lines",
        "spelling of 3 values",
        "quotes of 1 value",
        "order of keys in 3 mappings",
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("target: re:a", 'target: "re:a"'),
        (r"target: re:a\.b", r"target: 're:a\.b'"),
        ("target: re:it's\\d", "target: 're:it''s\\d'"),
        ("target: 're:a'", "target: 're:a'"),
        ("target: &a re:a", 'target: &a "re:a"'),
        ("target: [re:a, y]", 'target: ["re:a", "y"]'),
        ("target: a, allow_empty: on", "target: a, allow_empty: true"),
        ("target: a, allow_empty: True", "target: a, allow_empty: true"),
        ("target: a, x-a: ~", "target: a, x-a: ~"),
        ("target: a, count: 0x10", "target: a, count: 0x10"),
        ("target: a, count: 1_0", "target: a, count: 10"),
        ("target: a, count: 010", "target: a, count: 8"),
        ("target: a, count: '010'", None),
        ("target: a, rate: 1e-3", "target: a, rate: 1e-3"),
        ("target: a, rate: 0.1_5", "target: a, rate: 0.15"),
    ],
)
def test_the_spelling_of_a_value(line: str, expected: str | None) -> None:
    text = f"mutspec: 1\nsteps: [{{op: zero, {line}}}]\n"
    if expected is None:
        with pytest.raises(PlanError):
            after(text)
    else:
        assert after(text) == f"mutspec: 1\nsteps: [{{op: zero, {expected}}}]\n"


@pytest.mark.parametrize(
    "text",
    [
        'mutspec: 1\nname: "octal ${params.n}"\nparams: {n: 010}\nsteps: [{op: zero, target: a}]\n',
        "mutspec: 1\nsteps: [{target: a, # why\n op: zero}]\n",
        "mutspec: 1\nx-a: {b: &here c}\nsteps: [{target: *here, op: zero, x-b: &here c}]\n",
        "mutspec: 1\nsteps:\n  - op: zero\n    target: a\n    x-text: |+\n      two  \n\n\n",
        "mutspec: 1\nsteps:\n- {op: zero, target: a, x-t: 'two  \n  lines'}\n",
        "mutspec: 1\nsteps:\n  - x-t: &t a\n    op: zero\n    target: *t\n",
    ],
)
def test_what_would_be_another_plan_or_lose_something_is_left(text: str) -> None:
    assert after(text) == text


def test_an_anchor_moves_if_it_stays_before_its_aliases() -> None:
    text = "mutspec: 1\nsteps:\n  - target: &t a\n    op: zero\n  - id: z\n    target: *t\n    op: zero\n"
    tidy = "mutspec: 1\nsteps:\n  - op: zero\n    target: &t a\n  - id: z\n    op: zero\n    target: *t\n"
    assert after(text) == tidy
    late = "mutspec: 1\nsteps: [{op: zero, target: *t}]\nx-a: &t a\n"
    with pytest.raises(PlanError):
        after(late)


def test_values_of_several_lines_move_as_a_whole() -> None:
    text = (
        "mutspec: 1\nsteps:\n- target:\n  - a\n  -\n    b\n\n  op: zero\ndescription: |\n  one\n\n  two\nname: >-\n  x"
    )
    head = "mutspec: 1\nname: >-\n  x\ndescription: |\n  one\n\n  two\n"
    tidy = f"{head}steps:\n\n- op: zero\n  target:\n  - a\n  -\n    b\n"
    assert after(text) == tidy


def test_ends_of_lines_stay_those_of_windows() -> None:
    text = "mutspec: 1\r\nsteps:\r\n  - target: a  \r\n    op: zero"
    assert after(text) == "mutspec: 1\r\nsteps:\r\n  - op: zero\r\n    target: a\r\n"


SCALARS = st.sampled_from(["a", "re:a.*", '"re:b"', "y", "'on'", "é", "[a, re:c]", "{type: Dense, name: [y, b]}"])
STEPS = st.lists(
    st.permutations(["op: zero", "target: {}", "allow_empty: {}", "seed: {}", "x-k: {}", "fraction: 0.5"]),
    min_size=1,
    max_size=3,
)


@st.composite
def plans(draw: st.DrawFn) -> str:
    """A valid plan with its keys in any order, comments, blank lines, and block or flow style."""
    newline = draw(st.sampled_from(["\n", "\r\n"]))
    blank = st.sampled_from(["", "", newline, f"  {newline}"])
    lines = ["steps:"]
    for number, keys in enumerate(draw(STEPS)):
        values = {
            "target": draw(SCALARS),
            "allow_empty": draw(st.sampled_from(["on", "true", "No", "&flag off"])),
            "seed": draw(st.sampled_from(["1_0", "012", "3", "1:30"])),
            "x-k": draw(st.sampled_from(["", "~", "|\n      a  \n\n      b", "'q  '", "[1, {b: on}]"])),
        }
        filled = [f"id: s{number}", *(key.format(values.get(key.partition(":")[0], "")) for key in keys)]
        filled = draw(st.permutations([each.replace("&flag", f"&flag{number}") for each in filled]))
        if draw(st.booleans()) and not any("|" in each for each in filled):
            lines.append("  - {" + ", ".join(filled) + "}" + draw(st.sampled_from(["", "  ", " # c"])))
            continue
        for place, each in enumerate(filled):
            comment = draw(st.sampled_from(["", "", f" # {number}.{place}"])) if "|" not in each else ""
            before = draw(st.sampled_from(["", "", f"    # before {number}.{place}\n", "\n"])) if place else ""
            lines.append(before + ("  - " if not place else "    ") + each + comment)
    parts = ["mutspec: 1", "name: y" if draw(st.booleans()) else "name: plan", "seed: 0_1", "x-top: {a: on}"]
    whole = draw(st.permutations([*parts, "\n".join(lines)]))
    return newline.join((draw(blank) + part).replace("\r\n", "\n").replace("\n", newline) for part in whole)


@given(plans())
@settings(max_examples=25, deadline=None)
def test_fixing_is_done_once_and_keeps_the_plan_and_its_comments(text: str) -> None:
    before, made = load_text(text, CATALOGUE), fixed(text, CATALOGUE)
    plan = load_text(made.text, CATALOGUE)
    assert (plan.digest, plan.form_digest) == (before.digest, before.form_digest)
    assert fixed(made.text, CATALOGUE).changes == ()
    assert comments(made.text) == comments(text)
    assert made.text.count("\r\n") in (0, made.text.count("\n"))
    keys = [key for key in plan.source.written.entries if key in KNOWN]
    assert keys == [key for key in KNOWN if key in keys]
    for step in plan.source.written.entries["steps"].items:
        order = [key for key in step.entries if key in STEP]
        assert order == [key for key in STEP if key in order]


KNOWN = ["mutspec", "name", "seed", "x-top", "steps"]
STEP = ["id", "op", "target", "fraction", "seed", "allow_empty", "x-k"]


def comments(text: str) -> Counter[Any]:
    return Counter(line.partition("# ")[2].strip() for line in text.splitlines() if "# " in line)
