"""Plans that are wrong, each with the place (marked by `«`) and the words that its error must have."""

# ruff: noqa: E501 (a table to read down)

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from mutspec.cli.problems import as_github, as_json, as_text
from mutspec.errors import PlanError
from mutspec.language import load_text


class Bad(NamedTuple):
    """A plan's text, and words of its first error: message, hint or candidates."""

    name: str
    text: str
    words: tuple[str, ...]


def step(lines: str) -> str:
    """A plan whose only step is this."""
    body = "\n".join(f"    {line}" for line in lines.splitlines())
    return f"mutspec: 1\nsteps:\n  -{body[3:]}\n"


NOISE = "op: gaussian_noise\ntarget: dense\nstd: 0.1"

BAD = [
    # YAML
    Bad("empty", "", ("empty", "mutspec: 1")),
    Bad("only a comment", "# nothing yet\n", ("empty",)),
    Bad("null", "~\n", ("empty",)),
    Bad("a list", "«- op: zero\n", ("a plan must be a mapping", "steps")),
    Bad("a text", "«hello\n", ("a plan must be a mapping",)),
    Bad("unclosed list", "mutspec: 1\nsteps: [«", ("not YAML",)),
    Bad("unclosed quote", 'mutspec: 1\nname: "abc«\n', ("not YAML",)),
    Bad("bad indentation", "mutspec: 1\nname: a\n  seed«: 3\n", ("not YAML", "indent")),
    Bad("a tab", step("op: zero") + "«\ttarget: a\n", ("tab", "spaces")),
    Bad("a tab before a step", "mutspec: 1\nsteps:\n«\t- op: zero\n    target: a\n", ("tab", "`  - op: zero`")),
    Bad("NUL", "mutspec: 1\nname: a«\0b\n", ("NUL",)),
    Bad("a control character", "mutspec: 1\nname: «\x07\n", ("U+0007",)),
    Bad("two documents", "mutspec: 1\n«---\nmutspec: 1\n", ("second document",)),
    Bad("duplicate key", "mutspec: 1\nseed: 1\n«seed: 2\nsteps: []\n", ("`seed` occurs twice", "line 2")),
    Bad("duplicate key in flow", step("op: zero\ntarget: {name: a, «name: b}"), ("`name` occurs twice",)),
    Bad("duplicate key, quoted", "mutspec: 1\n«'mutspec': 1\n", ("twice",)),
    Bad("a custom tag", step("op: zero\ntarget: «!mine a"), ("`!mine`",)),
    Bad("a Python tag", "mutspec: 1\nmetadata: «!!python/object/apply:os.system [ls]\n", ("!!python/object", "cannot use")),
    Bad("undefined alias", step("op: zero\ntarget: {name: «*_conv}"), ("alias", '{name: "*_conv"}')),
    Bad("a glob that is no alias", step("op: zero\ntarget: «*.conv"), ("quotes", 'target: "*.conv"')),
    Bad("a bare glob", step("op: zero\ntarget: {type: [Dense, «**]}"), ("quotes", '[Dense, "**"]')),
    Bad("a percent sign first", step("op: zero\ntarget: «%conv"), ("quotes", '"%conv"')),
    Bad("an at sign first", step("op: zero\ntarget: «@conv"), ("quotes", '"@conv"')),
    Bad("a colon in text", step("op: zero\ntarget: «re: conv.*"), ("quotes", 'target: "re: conv.*"')),
    Bad("alias within itself", "mutspec: 1\nmetadata: &a\n  b: «*a\n", ("inside the value that it stands for",)),
    Bad("a merge of a number", "mutspec: 1\nmetadata:\n  «<<: 3\n", ("<<", "mapping")),
    Bad("boolean key", step("op: zero\n«on: a"), ("reads `on` as true", '"on": a')),
    Bad("number key", "mutspec: 1\nmetadata:\n  «2024: a\n", ("a key must be text", '"2024": a')),
    Bad("null key", "mutspec: 1\nmetadata:\n  «~: a\n", ("a key must be text",)),
    Bad("list key", "mutspec: 1\nmetadata:\n  ? «[a]\n  : b\n", ("not a list",)),
    Bad("template braces", step("op: scale\ntarget: a\nfactor: {«{ factor }}"), ("a key must be text", "${params.name}")),
    Bad("unreadable number", step("op: zero\ntarget: a\nseed: «0x_"), ("number",)),
    Bad("a float out of range", step("op: scale\ntarget: a\nfactor: «1e999"), ("`factor: 1e999`", "too large", "1.8e308")),
    Bad("400 digits", step("op: scale\ntarget: a\nfactor: «" + "9" * 400), ("`factor`", "1.8e308")),
    Bad("5,000 digits", step("op: scale\ntarget: a\nfactor: «" + "9" * 5000), ("`factor: 999", "1.8e308")),
    Bad("a colon in a list", step("op: zero\ntarget: [a, «:}"), ("not YAML", "in quotes")),
    Bad("a bracket too many", step("op: zero\ntarget: «]"), ("not YAML", "bracket")),
    # interpolation
    Bad("bare interpolation in flow", step("{op: scale, target: a, factor: «${params.f}}"), ("quotes", '"${params.f}"')),
    Bad("bare interpolation in a list", step("op: zero\ntarget: [a, «${params.b}]"), ("quotes", '[a, "${params.b}"]')),
    Bad("unknown parameter", "params: {std: 1}\n" + step("op: scale\ntarget: a\nfactor: «${params.sdt}"), ("`sdt`", "${params.std}")),
    Bad("no parameters at all", step("op: scale\ntarget: a\nfactor: «${params.std}"), ("`std`", "declare")),
    Bad("without params", "params: {std: 1}\n" + step("op: scale\ntarget: a\nfactor: «${std}"), ("${params.std}",)),
    Bad("environment", step("op: zero\ntarget: «${oc.env:HOME}"), ("`oc.env`", "no resolvers", "--set")),
    Bad("another key", step("op: zero\ntarget: «${seed}"), ("not a parameter", "${params.<name>}")),
    Bad("nested interpolation", "params: {a: b}\n" + step("op: zero\ntarget: «${params.${params.a}}"), ("nested",)),
    Bad("unclosed interpolation", "params: {a: b}\n" + step("op: zero\ntarget: «${params.a"), ("no closing `}`",)),
    Bad("chained parameters", "params: {a: 1, b: «'${params.a}'}\n" + step("op: zero\ntarget: a"), ("literal",)),
    Bad("in a key", step("op: zero\ntarget: a\n«${params.a}: 3"), ("key", "interpolation")),
    Bad("in op", "params: {a: zero}\n" + step("op: «${params.a}\ntarget: a"), ("`op` cannot be interpolated",)),
    Bad("a list within text", "params: {a: [1]}\n" + step("op: zero\ntarget: «x${params.a}"), ("cannot be part of a text",)),
    Bad("a parameter of the wrong type", "params: {a: «abc}\n" + step("op: scale\ntarget: a\nfactor: ${params.a}"), ("a number", '"abc"', "line 6")),
    # the plan's own keys
    Bad("no version", "«steps:\n  - op: zero\n    target: a\n", ("version", "`mutspec: 1`")),
    Bad("a newer version", "mutspec: «2\nsteps: [{op: zero, target: a}]\n", ("version 1", "newer")),
    Bad("version as text", "mutspec: «'1'\nsteps: [{op: zero, target: a}]\n", ("version", "mutspec: 1")),
    Bad("no steps", "«mutspec: 1\n", ("`steps`",)),
    Bad("empty steps", "mutspec: 1\nsteps: «[]\n", ("`steps` is empty",)),
    Bad("steps as a mapping", "mutspec: 1\nsteps: «{op: zero}\n", ("`steps`", "a list", "a mapping")),
    Bad("misspelt steps", "mutspec: 1\n«stps:\n  - op: zero\n", ("`stps`", "`steps`")),
    Bad("unknown key", "mutspec: 1\n«colour: red\nsteps: [{op: zero, target: a}]\n", ("`colour`", "`steps`")),
    Bad("negative seed", "mutspec: 1\nseed: «-1\nsteps: [{op: zero, target: a}]\n", ("`seed`", "at least 0", "-1")),
    Bad("seed is a float", "mutspec: 1\nseed: «3.0\nsteps: [{op: zero, target: a}]\n", ("whole number", "3.0")),
    Bad("name is no text", "mutspec: 1\nname: «no\nsteps: [{op: zero, target: a}]\n", ("text", "false", '"no"')),
    Bad("Hydra's defaults", "mutspec: 1\n«defaults: [a]\nsteps: [{op: zero, target: a}]\n", ("`defaults`", "Hydra's")),
    Bad("Hydra's package", "«# @package _global_\nmutspec: 1\nsteps: [{op: zero, target: a}]\n", ("@package",)),
    Bad("a parameter's name", "mutspec: 1\nparams: {«a.b: 1}\nsteps: [{op: zero, target: a}]\n", ("`a.b`", "parameter")),
    Bad("an input's name", "mutspec: 1\ninputs: {«'a b': {}}\nsteps: [{op: zero, target: a}]\n", ("`a b`", "input")),
    Bad("an input called re", "mutspec: 1\ninputs: {«re: {}}\nsteps: [{op: zero, target: a}]\n", ("`re`", "regular expression")),
    Bad("an input that may be a layer", step("op: transfer_weights\nsource: «x:y\ntarget: a"), ("no input `x`", "write `re:`")),
    Bad("an empty source", step("op: transfer_weights\nsource: «''\ntarget: a"), ("`source` is empty", "conv_1")),
    Bad("an input without a name", step("op: transfer_weights\nsource: «':'\ntarget: a"), ("names no layer", "conv_1")),
    Bad("a whole model that is not declared", step("op: transfer_weights\nsource: «'old:'\ntarget: a"), ("no input `old`", "declare it")),
    Bad("a position without an axis", step("op: transfer_weights\nsource: b\ntarget: a\nat: «3"), ("`at` needs `axis`", "[1, 1, 0, 0]")),
    Bad("a position that is text", step("op: transfer_weights\nsource: b\ntarget: a\naxis: 0\nat: «half"), ("`at: half` is neither a whole number nor", "`at: 50%`")),
    Bad("positions that are text", step("op: transfer_weights\nsource: b\ntarget: a\nat: [0, «half]"), ("half", "percentage")),
    Bad("no way to align", step("op: transfer_weights\nsource: b\ntarget: a\nalign: «centre"), ("centre", "`center`")),
    Bad("no way to combine", step("op: transfer_weights\nsource: b\ntarget: a\naxis: 0\ncombine: «average"), ("average", "`mean`")),
    Bad("combined along no axis", step("op: transfer_weights\nsource: b\ntarget: a\ncombine: «mean"), ("`combine` needs `axis`", "axis: -2")),
    Bad("combined into a corner", step("op: transfer_weights\nsource: b\ntarget: a\naxis: 0\ncombine: sum\nat: «[0, 1]"), ("`combine` has one position", "at: 3")),
    Bad("no order of axes", step("op: transfer_weights\nsource: b\ntarget: a\ntranspose: «[0, 2]"), ("`transpose: [0, 2]` is not an order", "[1, 0]")),
    Bad("an order of no axes", step("op: transfer_weights\nsource: b\ntarget: a\ntranspose: «[]"), ("`transpose: []` is not an order",)),
    Bad("reshaped and cut", step("op: transfer_weights\nsource: b\ntarget: a\nreshape: true\naxis: «0"), ("`reshape` and `axis` cannot be used together", "keeps every entry")),
    Bad("reshaped and padded", step("op: transfer_weights\nsource: b\ntarget: a\nreshape: true\non_mismatch: «pad"), ("`on_mismatch: pad` has nothing to do", "on_mismatch: skip")),
    Bad("in two places", step("op: transfer_weights\nsource: b\ntarget: a\naxis: 0\nalign: center\nat: «1"), ("`align` and `at` cannot be used together", "leave one")),
    Bad("no way to treat a mismatch", step("op: transfer_weights\nsource: b\ntarget: a\non_mismatch: «ignore"), ("ignore", "`skip`")),
    Bad("weights of no kind", step("op: transfer_weights\nsource: b\ntarget: a\nweights: «[]"), ("`weights` is empty",)),
    Bad("a file as input", "mutspec: 1\ninputs: {t: «t.keras}\nsteps: [{op: zero, target: a}]\n", ("`inputs.t`", '"t.keras"')),
    Bad("non_finite", "mutspec: 1\nnon_finite: «reprot\nsteps: [{op: zero, target: a}]\n", ("`non_finite`", "`report`")),
    # steps
    Bad("a step that is text", "mutspec: 1\nsteps: [«zero]\n", ("a step must be a mapping",)),
    Bad("an empty step", "mutspec: 1\nsteps:\n  -\n", ("a step must be a mapping",)),
    Bad("the op as a key", "mutspec: 1\nsteps:\n  - «zero: {target: a}\n", ("no `op`", "op: zero")),
    Bad("no op", "mutspec: 1\nsteps:\n  - «target: a\n", ("no `op`", "mutspec ops")),
    Bad("unknown op", step("op: «gausian_noise\ntarget: a"), ("`gausian_noise`", "`gaussian_noise`")),
    Bad("op is a number", step("op: «3\ntarget: a"), ("`op` must be the name of an op",)),
    Bad("missing key", step("op: «gaussian_noise\ntarget: a"), ("`gaussian_noise` needs the key `std`", "standard deviation")),
    Bad("misspelt key", step("op: gaussian_noise\ntarget: a\n«stdd: 1"), ("no key `stdd`", "`std`")),
    Bad("a selector's key in a step", step("op: zero\ntarget: a\n«type: Dense"), ("no key `type`", "`target`")),
    Bad("text for a number", step("op: scale\ntarget: a\nfactor: «abc"), ("`factor`", "a number", '"abc"')),
    Bad("a decimal comma", step("op: scale\ntarget: a\nfactor: «0,5"), ("a number", "point")),
    Bad("a truth value for a number", step("op: scale\ntarget: a\nfactor: «yes"), ("a number", "true", "bare yes")),
    Bad("out of bounds", step("op: gaussian_noise\ntarget: a\nstd: «-0.1"), ("`std`", "at least 0", "-0.1")),
    Bad("a wrong choice", step(f"{NOISE}\nrelative_to: «stdd"), ("`relative_to`", "`std`")),
    Bad("a fraction above one", step(f"{NOISE}\nfraction: «1.5"), ("`fraction`", "from 0 to 1", "1.5")),
    Bad("a percentage above all", step(f"{NOISE}\nfraction: «150%"), ("`fraction`", '"150%"')),
    Bad("a percentage with a line's end", step(f'{NOISE}\nfraction: «"1%\\n"'), ("`fraction`", "a percentage")),
    Bad("NaN as a size", step("op: gaussian_noise\ntarget: a\nstd: «.nan"), ("`std` is NaN", "0.1")),
    Bad("NaN by target", step("op: scale\ntarget: a\nfactor: [{value: «.nan}]"), ("`factor[0].value` is NaN",)),
    Bad("NaN as a bound", step("op: uniform_noise\ntarget: a\nlow: 0\nhigh: «.nan"), ("`high` is NaN",)),
    Bad("NaN as a fraction", step(f"{NOISE}\nfraction: «.nan"), ("`fraction` is NaN",)),
    Bad("a count that is a float", step(f"{NOISE}\ncount: «1.5"), ("`count`", "whole number")),
    Bad("an index that is text", step(f"{NOISE}\nindices: [1, «a]"), ("`indices[1]`", "whole number")),
    Bad("two amounts", step(f"{NOISE}\nfraction: 0.1\ncount: «3"), ("`fraction`", "`count`")),
    Bad("a value by target, misspelt", step("op: gaussian_noise\ntarget: a\nstd: [{«valeu: 1}]"), ("`std[0]`", "`value`")),
    Bad("a value by target, wrong", step("op: gaussian_noise\ntarget: a\nstd: [{value: 1, target: b}, {value: «-1}]"), ("`std[1].value`",)),
    Bad("a value that is never reached", step("op: gaussian_noise\ntarget: a\nstd: [«{value: 1}, {value: 2, target: b}]"), ("first value that matches",)),
    Bad("target is a number", step("op: zero\ntarget: «3"), ("`target`", "a selector", '"3"')),
    Bad("unknown selector key", step("op: zero\ntarget: {«layer: a}"), ("`target` has no key `layer`",)),
    Bad(
        "a colon without a space in a mapping in braces",
        step("op: zero\ntarget: {«type:Dense}"),
        ("`target` has no key `type:Dense`", "write a space after the colon: {type: Dense}"),
    ),
    Bad("wrong pick", step("op: zero\ntarget: {pick: {first: «-1}}"), ("`target.pick.first`", "at least 0")),
    Bad("empty pick", step("op: zero\ntarget: {pick: «{}}"), ("`pick` is empty", "first")),
    Bad("a pick of none", step("op: zero\ntarget: {pick: {last: «0}}"), ("picks no layer",)),
    Bad("contradictory expect", step("op: zero\ntarget: {expect: {min: «3, max: 1}}"), ("`min` is 3", "1")),
    Bad("a bad regex", step("op: zero\ntarget: «re:(a"), ("regular expression", "missing )")),
    Bad("a regex that RE2 lacks", step("op: zero\ntarget: {regex: [a, «'(?=b)']}"), ("regular expression", "look-around")),
    Bad("an empty target", step("op: zero\ntarget: «[]"), ("matches nothing",)),
    Bad("an empty list of weights", step("op: zero\ntarget: {weights: «[]}"), ("matches nothing", "leave the key out")),
    Bad("an empty name in a selector", step("op: zero\ntarget: {name: «''}"), ("matches nothing",)),
    Bad("an empty name", step("op: zero\ntarget: {name: a, not: «''}"), ("matches nothing",)),
    Bad("where as text", step("op: zero\ntarget: {where: «relu}"), ("`target.where`", "a mapping", '"relu"')),
    Bad("where as a list", step("op: zero\ntarget: {where: «[activation, relu]}"), ("`target.where`", "a mapping", "a list")),
    Bad("an empty where", step("op: zero\ntarget: {where: «{}}"), ("`where` is empty", "activation: relu")),
    Bad("misspelt where", step("op: zero\ntarget: {«wehre: {activation: relu}}"), ("no key `wehre`", "`where`")),
    Bad("a misspelt bound", step("op: zero\ntarget: {where: {units: {«mim: 3}}}"), ("no key `mim`", "`min`")),
    Bad("an object with arguments", step("op: zero\ntarget: {where: {kernel_regularizer: {«type: L2}}}"), ("no key `type`", "`min`, `max`")),
    Bad("a bound that is text", step("op: zero\ntarget: {where: {units: {min: «many}}}"), ("`target.where.units.min`", "a number", '"many"')),
    Bad("no bounds", step("op: zero\ntarget: {where: {units: «{}}}"), ("the range is empty", "`min`")),
    Bad("bounds that cross", step("op: zero\ntarget: {where: {units: {min: «10, max: 3}}}"), ("`min` is 10", "`max`, 3")),
    Bad("no value", step("op: zero\ntarget: {where: {units: «[]}}"), ("an empty list matches nothing",)),
    Bad("a mapping among values", step("op: zero\ntarget: {where: {units: [3, «{min: 3}]}}"), ("`target.where.units[1]`", "a mapping")),
    Bad("misspelt followed_by", step("op: zero\ntarget: {«folowed_by: a}"), ("no key `folowed_by`", "`followed_by`")),
    Bad("followed by a number", step("op: zero\ntarget: {followed_by: «3}"), ("`target.followed_by`", "a selector", '"3"')),
    Bad("followed by none", step("op: zero\ntarget: {followed_by: «[]}"), ("matches nothing",)),
    Bad("preceded by a bad regex", step("op: zero\ntarget: {preceded_by: «re:(a}"), ("regular expression", "missing )")),
    Bad("downstream of an empty name", step("op: zero\ntarget: {downstream_of: «''}"), ("matches nothing",)),
    Bad("a wrong key below upstream_of", step("op: zero\ntarget: {upstream_of: {«tpye: Dense}}"), ("no key `tpye`", "`type`")),
    Bad("between as text", step("op: zero\ntarget: {between: «a}"), ("`target.between`", "a list")),
    Bad("between one", step("op: zero\ntarget: {between: «[a]}"), ("`target.between`", "1 entr", "at least 2")),
    Bad("between three", step("op: zero\ntarget: {between: «[a, b, c]}"), ("`target.between`", "3 entries", "at most 2")),
    Bad("between an empty name", step("op: zero\ntarget: {between: [a, «'']}"), ("matches nothing",)),
    Bad("between a bad regex", step("op: zero\ntarget: {between: [a, {regex: «'(b'}]}"), ("regular expression", "missing )")),
    Bad("an id of no use", step(f"{NOISE}\nid: «a//b"), ("`a//b`", "letters")),
    Bad("an id with a line's end", step(f'{NOISE}\nid: «"a\\n"'), (r"`a\n`", "letters")),
    Bad("an empty id", step(f"{NOISE}\nid: «''"), ("`id` is empty",)),
    Bad("an id that is a number", step(f"{NOISE}\nid: «3"), ("text", '"3"')),
    Bad("duplicate ids", "mutspec: 1\nsteps:\n- {op: zero, target: a, id: b}\n- {op: zero, target: a, id: «b}\n", ("`b`", "b_2")),
    Bad("a second step with one op", "mutspec: 1\nsteps:\n- {op: zero, target: a}\n- {op: «zero, target: b}\n", ("second step", "`id: zero_2`")),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_the_first_error_says_what_where_and_how_to_fix(bad: Bad, catalogue: Mapping[str, type[Any]]) -> None:
    before, mark, after = bad.text.partition("«")
    with pytest.raises(PlanError) as caught:
        load_text(before + after, catalogue, file="bad.yaml")
    problem = next(problem for problem in caught.value.problems if not problem.is_warning)
    rendered = as_text(problem)
    for word in bad.words:
        assert word in rendered, rendered
    assert problem.place is not None
    assert problem.place.file == "bad.yaml"
    if mark:
        lines = before.split("\n")
        assert (problem.place.line, problem.place.column) == (len(lines), len(lines[-1]) + 1), rendered
        assert rendered.startswith(f"bad.yaml:{len(lines)}:{len(lines[-1]) + 1}: "), rendered


@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_every_error_can_be_shown_in_all_forms(bad: Bad, catalogue: Mapping[str, type[Any]]) -> None:
    with pytest.raises(PlanError) as caught:
        load_text(bad.text.replace("«", ""), catalogue, file="bad.yaml")
    for problem in caught.value.problems:
        assert problem.message
        assert problem.message[-1] not in ".\n"
        assert problem.message in as_text(problem, color=True)
        assert as_json(problem)["message"] == problem.message
        assert as_github(problem).startswith(("::error file=bad.yaml", "::warning file=bad.yaml"))
        assert "\n" not in as_github(problem)


def test_all_problems_are_reported_at_once_in_the_order_of_their_places(catalogue: Mapping[str, type[Any]]) -> None:
    text = """\
mutspec: 1
seed: -1
unheard: of
steps:
  - op: gausian_noise
    target: a
  - op: gaussian_noise
    target: {pick: {}}
    std: -1
    stdd: 2
  - op: gaussian_noise
    target: "re:("
    std: ${params.none}
"""
    with pytest.raises(PlanError) as caught:
        load_text(text, catalogue)
    places = [(problem.place.line, problem.place.column) for problem in caught.value.problems if problem.place]
    assert places == [(2, 7), (3, 1), (5, 9), (8, 20), (9, 10), (10, 5), (11, 9), (12, 13), (13, 10)]


def test_an_unresolved_parameter_causes_no_further_errors(catalogue: Mapping[str, type[Any]]) -> None:
    text = step("op: gaussian_noise\ntarget: {expect: {min: '${params.a}'}}\nstd: ${params.b}")
    with pytest.raises(PlanError) as caught:
        load_text(text, catalogue)
    assert [problem.message for problem in caught.value.problems] == [
        "the plan declares no parameter `a`",
        "the plan declares no parameter `b`",
    ]


def test_the_message_for_python_users_has_the_place(catalogue: Mapping[str, type[Any]]) -> None:
    with pytest.raises(PlanError, match=r"a\.yaml:4:5: `zero` has no key `b`"):
        load_text("mutspec: 1\nsteps:\n  - {op: zero, target: a,\n    b: 1}\n", catalogue, file="a.yaml")


def test_not_a_number_is_a_value_to_fill_with(catalogue: Mapping[str, type[Any]]) -> None:
    plan = load_text(step("op: fill\ntarget: a\nvalue: .nan"), catalogue)
    assert plan.steps[0].value != plan.steps[0].value
