"""Each rule finds what it is for, and not what looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutspec.cli.manual import manual
from mutspec.errors import Problem
from mutspec.execute.check import compiled_as_far_as_known
from mutspec.language import load_plan, load_text, plan_from
from mutspec.lint import RULES, Rule, findings, unknown_rules
from mutspec.lint.rule import Subject
from mutspec.lowering.compile import compile_plan
from mutspec.model.files.opening import open_archive
from tests.lint.conftest import CATALOGUE, DIGITS, found, model_of, plan_text, rules
from tests.ops.op_table import WEIGHT_OPS

ROOT = Path(__file__).parents[2]
ALLOW = "lint: {allow: [missing-expect]}\nseed: 1"


def targeting(target: str) -> str:
    return plan_text(f"{{op: zero, target: {target}}}", head=ALLOW)


NAMES = ("conv_1", "conv.1", "conv_10", "conv_1_bn", "a/dense", "b/dense", "a/other")
BROKEN = {
    "unescaped-dot": targeting("'re:conv.1'"),
    "open-prefix": targeting('"conv_1*"'),
    "ambiguous-name": plan_text("{op: zero, target: dense}"),
    "missing-expect": plan_text('{op: zero, target: "conv*"}'),
    "no-effect": plan_text("{op: gaussian_noise, target: conv_1, std: 0}"),
    "order-matters": plan_text(
        "{op: fill, target: conv_1, value: 1}", "{op: scale, target: [conv_1, conv_10], factor: 2}"
    ),
    "tied-weights": plan_text("{op: zero, target: a/other}"),
    "implied-seed": plan_text("{op: gaussian_noise, target: conv_1, std: 1}", head="name: x"),
    "surprising-number": plan_text("{op: fill, target: conv_1, value: 010}"),
    "unused-parameter": plan_text("{op: zero, target: conv_1}", head="params: {std: 1}"),
    "unused-input": plan_text("{op: zero, target: conv_1}", head="inputs: {teacher: {}}"),
    "unused-block": plan_text("{op: zero, target: conv_1}", head="blocks: {head: [{type: Dense, units: 1}]}"),
    "unused-allow": plan_text("{op: zero, target: conv_1}", head="lint: {allow: [missing-expect]}"),
}
"""A plan that breaks each rule, and no other one."""


def test_there_is_a_plan_for_each_rule() -> None:
    assert [*BROKEN] == [rule.name for rule in RULES]


@pytest.mark.parametrize("rule", BROKEN)
def test_a_rule_finds_what_it_is_for_and_can_be_allowed(rule: str) -> None:
    model = model_of(*NAMES, aliases={"a/other": "b/other/kernel"})
    broken = load_text(BROKEN[rule], CATALOGUE)
    (problem,) = findings(broken, compile_plan(broken, model, {"teacher": model}))
    assert problem.rule == rule
    assert problem.place
    assert f"[{rule}]" in str(problem)
    assert not problem.is_warning

    named = {*broken.allowed, rule}
    lines = [line for line in BROKEN[rule].splitlines() if not line.startswith("lint:")]
    silenced = load_text("\n".join([*lines, f"lint: {{allow: [{', '.join(sorted(named))}]}}"]), CATALOGUE)
    assert findings(silenced, compile_plan(silenced, model, {"teacher": model})) == ()
    assert silenced.warnings == ()
    assert (silenced.effect_digest, silenced.form_digest) == (broken.effect_digest, broken.form_digest)


@pytest.mark.parametrize("rule", [rule for rule in BROKEN if rule != "unused-allow"])
@pytest.mark.parametrize("depth", [1, 2])
def test_what_a_recipe_allows_is_allowed_in_its_steps_where_it_is_used(tmp_path: Path, rule: str, depth: int) -> None:
    model = model_of(*NAMES, aliases={"a/other": "b/other/kernel"})
    head = "mutspec: 1\ninputs: {teacher: {}}\n"

    def broken_in_recipe(*allowed: str) -> list[Problem]:
        lines = [line for line in BROKEN[rule].splitlines() if not line.startswith("lint:")]
        (tmp_path / "inner.yaml").write_text("\n".join(lines))
        (tmp_path / "outer.yaml").write_text(f"{head}steps: [{{use: inner}}]\n")
        used = tmp_path / ("inner.yaml" if depth == 1 else "outer.yaml")
        used.write_text(f"{used.read_text()}\nlint: {{allow: [{', '.join(allowed)}]}}\n")
        path = tmp_path / "plan.yaml"
        path.write_text(f'{head}steps:\n- {{use: {used.stem}}}\n- {{op: zero, id: own, target: "b/d*"}}\n')
        plan = load_plan(path, CATALOGUE)
        program = compile_plan(plan, model, {"teacher": model})
        found = (*plan.warnings, *program.warnings, *findings(plan, program))
        assert "missing-expect" in [each.rule for each in found if each.place and each.place.file == str(path)]
        return [each for each in found if each.rule == rule and each.place and each.place.file.endswith("inner.yaml")]

    assert broken_in_recipe("no-such-rule")
    assert not broken_in_recipe(rule)


def test_a_recipe_does_not_allow_what_others_do_to_its_weights(tmp_path: Path) -> None:
    recipe = plan_text("{op: fill, target: conv_1, value: 1}", head="lint: {allow: [order-matters, implied-seed]}")
    (tmp_path / "recipe.yaml").write_text(recipe)
    plan = plan_text(
        "{op: fill, id: own, target: [conv_1, conv_10], value: 2}", "{use: recipe}", "{op: shuffle, target: b/dense}"
    )
    (tmp_path / "plan.yaml").write_text(plan.replace("seed: 1\n", ""))
    loaded = load_plan(tmp_path / "plan.yaml", CATALOGUE)
    found = {each.rule: each.place for each in findings(loaded, compile_plan(loaded, model_of(*NAMES), {}))}
    for rule, line in {"order-matters": 3, "implied-seed": 5}.items():
        place = found[rule]
        assert place is not None
        assert (place.file, place.line) == (str(tmp_path / "plan.yaml"), line)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("'re:conv.1'", ["unescaped-dot"]),
        ("'re:(a|b).c'", ["unescaped-dot"]),
        (r"'re:conv\.1'", []),
        ("'re:conv_.*'", []),
        ("'re:conv_.'", []),
        ("'re:conv[a.b]c'", []),
        ("'re:a.{2}b'", []),
        ('"conv_1*"', ["open-prefix"]),
        ("'re:conv_1.*'", ["open-prefix"]),
        ("'re:conv_1.*_bn'", ["open-prefix"]),
        ('"conv_1_*"', []),
        ('"conv_1[0-4]"', []),
        ("'re:conv_[0-9]+'", []),
        ("'re:conv_1([^0-9].*)?'", []),
        ('{type: "Conv1*"}', []),
        ('{not: {name: "conv_1*"}}', ["open-prefix"]),
        ('{weights: kernel, between: [conv_1, "re:conv.2"]}', ["unescaped-dot"]),
    ],
)
def test_patterns_that_match_more_than_they_seem(target: str, expected: list[str]) -> None:
    assert [rule for rule in rules(targeting(target)) if rule != "unused-allow"] == expected


def test_with_a_model_the_layers_are_named_that_a_pattern_matches_by_surprise() -> None:
    model = model_of(*NAMES)
    (dot,) = found(targeting("'re:conv.1'"), model)
    assert dot[1] == "a dot of `conv.1` matches every character, such as the one in `conv_1`"
    (prefix,) = found(targeting('"conv_1*"'), model)
    assert prefix[1] == "`conv_1*` goes on after a digit, so that it also matches `conv_10`"
    (name,) = found(plan_text("{op: zero, target: dense}"), model)
    assert name[1] == "`dense` is the name of 2 layers: `a/dense`, `b/dense`"


@pytest.mark.parametrize("target", ['"conv_1*"', "'re:conv.1'"])
def test_with_a_model_in_which_nothing_surprises_nothing_is_found(target: str) -> None:
    assert rules(targeting(target), model_of("conv.1", "conv_1_bn")) == []


@pytest.mark.parametrize("target", ["a/dense", "{name: dense, expect: 2}", "conv_1"])
def test_a_path_or_a_contract_makes_a_name_clear(target: str) -> None:
    assert "ambiguous-name" not in rules(targeting(target), model_of(*NAMES))


@pytest.mark.parametrize(
    ("target", "is_found"),
    [
        ("conv_1", False),
        ("[conv_1, conv_2/kernel]", False),
        ('"*"', False),
        ("{weights: kernels}", False),
        ("{type: Dense}", True),
        ("{type: Dense, expect: 3}", False),
        ("{type: Dense, pick: {first: 1}}", False),
        ("{type: Dense, pick: {skip_last: 1}}", True),
        ("{type: Dense, name: [a, b]}", False),
        ('{type: Dense, name: [a, "b*"]}', True),
        ("{where: {units: 3}}", True),
        ('[conv_1, "re:conv.*"]', True),
        ('{any: [conv_1, "conv*"]}', True),
        ('{any: [conv_1, "conv*"], expect: 3}', False),
        ("{all: [{type: Dense}, {weights: bias}]}", True),
        ("{all: [{type: Dense}, dense_1]}", False),
        ("{weights: kernel, not: {type: Dense}}", False),
    ],
)
def test_a_pattern_needs_a_contract(target: str, is_found: bool) -> None:
    assert ("missing-expect" in rules(plan_text(f"{{op: zero, target: {target}}}"))) is is_found


def test_with_a_model_the_contract_has_its_number() -> None:
    plan = load_text(plan_text('{op: zero, target: "conv_*"}'), CATALOGUE)
    (problem,) = findings(plan, compile_plan(plan, model_of(*NAMES), {}))
    assert problem.hint == 'if you mean 3: `{name: "conv_*", expect: 3}`'


@pytest.mark.parametrize(
    ("steps", "is_found"),
    [
        (["{op: gaussian_noise, target: a, std: 0}"], True),
        (["{op: gaussian_noise, target: a, std: 0.1}"], False),
        (["{op: gaussian_noise, target: a, std: [{target: a, value: 0}, {value: 0}]}"], True),
        (["{op: gaussian_noise, target: a, std: [{target: a, value: 0}, {value: 1}]}"], False),
        (["{op: scale, target: a, factor: 1}"], True),
        (["{op: zero, target: a, fraction: 0, allow_empty: true}"], True),
        (["{op: zero, target: a, fraction: 0, at_least: 1}"], False),
        (["{op: zero, target: a, fraction: 1e-7}"], False),
        (["{op: gaussian_noise, target: a, std: 1}", "{op: fill, target: a, value: 1}"], True),
        (["{op: gaussian_noise, target: a, std: 1}", "{op: fill, target: a, value: 1, fraction: 0.5}"], False),
        (["{op: gaussian_noise, target: a, std: 1}", "{op: fill, target: b, value: 1}"], False),
        (["{op: fill, target: a, value: 1}", "{op: gaussian_noise, target: a, std: 1}"], False),
        (["{op: negate, target: a}", "{op: gaussian_noise, target: a, std: 1, relative_to: std}"], False),
    ],
)
def test_a_step_without_effect_is_known_without_a_model(steps: list[str], is_found: bool) -> None:
    assert rules(plan_text(*steps)) == ["no-effect"] * is_found


def test_with_a_model_a_step_is_found_whose_weights_another_target_overwrites() -> None:
    noise, fill = "{op: gaussian_noise, target: conv_1, std: 1}", '{op: fill, target: "*", value: 1}'
    model = model_of("conv_1", "conv_2")
    assert rules(plan_text(noise, fill)) == []
    assert found(plan_text(noise, fill), model) == [
        ("no-effect", "step `gaussian_noise` has no effect: step `fill` overwrites all that it changes")
    ]
    assert rules(plan_text(noise.replace("conv_1", '"*"'), fill.replace('"*"', "conv_2")), model) == ["order-matters"]


@pytest.mark.parametrize(
    ("first", "second", "is_found"),
    [
        ("{op: scale, target: [a, b], factor: 2}", "{op: fill, target: a, value: 1, fraction: 0.5}", True),
        ("{op: scale, target: a, factor: 2}", "{op: fill, target: a, value: 1, fraction: 0.5}", False),
        ("{op: scale, target: [a, b], factor: 2}", "{op: scale_neurons, target: a, factor: 3, fraction: 1}", False),
        ("{op: gaussian_noise, target: [a, b], std: 1}", "{op: shift, target: a, by: 3}", False),
        ("{op: gaussian_noise, target: [a, b], std: 1, relative_to: std}", "{op: shift, target: a, by: 3}", True),
        ("{op: zero, target: [a, b], fraction: 0.1}", "{op: zero, id: z, target: a, fraction: 0.1}", False),
        ("{op: zero, target: b}", "{op: scale, target: a, factor: 2}", False),
    ],
)
def test_the_order_of_two_steps_matters_where_they_share_some_weights(first: str, second: str, is_found: bool) -> None:
    assert ("order-matters" in rules(plan_text(first, second), model_of("a", "b"))) is is_found


@pytest.mark.parametrize(
    ("step", "is_found"),
    [
        ("{op: zero, target: a}", False),
        ("{op: zero, target: a, fraction: 0.1}", True),
        ("{op: zero, target: a, fraction: 0.1, rank: smallest}", False),
        ("{op: zero, target: {pick: {random: 1}}}", True),
        ("{op: gaussian_noise, target: a, std: 1}", True),
        ("{op: gaussian_noise, target: a, std: 1, seed: 3}", False),
        ("{op: reinitialize, target: a, initializer: zeros}", False),
        ("{op: reinitialize, target: a, initializer: glorot_uniform}", True),
    ],
)
def test_a_random_step_needs_a_stated_seed(step: str, is_found: bool) -> None:
    assert ("implied-seed" in rules(plan_text(step, head="name: x"))) is is_found
    assert "implied-seed" not in rules(plan_text(step, head="seed: 0"))


def test_what_reading_a_plan_warns_of_is_a_warning_with_the_name_of_its_rule() -> None:
    plan = load_text(BROKEN["unused-parameter"], CATALOGUE)
    assert [(each.rule, each.is_warning) for each in plan.warnings] == [("unused-parameter", True)]


def test_an_unknown_rule_is_an_error_with_the_nearest_name() -> None:
    plan = load_text(plan_text("{op: zero, target: a}", head="lint: {allow: [mising-expect, '']}"), CATALOGUE)
    near, other = unknown_rules(plan)
    assert near.candidates == ("missing-expect",)
    assert "missing-expect" in other.hint
    assert near.place
    assert (near.place.line, near.place.column) == (2, 16)


def test_new_layers_need_a_seed_if_their_weights_are_drawn_and_stay() -> None:
    archive = open_archive(DIGITS)

    def is_found(*steps: str) -> bool:
        plan = load_text(plan_text(*steps, head="name: x"), CATALOGUE)
        program, _ = compiled_as_far_as_known(plan, archive, {})
        return "implied-seed" in [problem.rule for problem in findings(plan, program)]

    layer = "op: insert_layer, after: dense_1, layer: {type: Dense, units: same}"
    assert is_found(f"{{{layer}}}")
    assert not is_found(f"{{{layer}, initialize: identity}}")
    assert not is_found(f"{{{layer}}}", "{op: zero, target: insert_layer}")


def test_every_op_on_weights_has_an_effect_in_its_example() -> None:
    tried = 0
    for name in WEIGHT_OPS:
        inputs = {each: {} for each in ("second", "third", "tuned", "teacher", "original")}
        step = {**manual(name, CATALOGUE[name])["example"], "target": "a"}
        trial = Subject(plan_from({"steps": [step], "inputs": inputs}, CATALOGUE)).trial(0)
        assert trial is None or trial.has_effect, name
        tried += trial is not None
    assert tried > 20


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_documented_word_for_word(rule: Rule) -> None:
    page = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    assert f"\n## `{rule.name}`\n\n{rule.documentation}\n" in page


def test_what_is_found_in_a_plan_and_in_a_recipe_that_it_uses_is_sorted_by_file(tmp_path: Path) -> None:
    odd = "{op: zero, target: 're:a.b', x-note: 1}"
    (tmp_path / "part.yaml").write_text(f"mutspec: 1\n\nsteps:\n  - {odd}\n")
    (tmp_path / "plan.yaml").write_text(
        f"mutspec: 1\nsteps:\n  - {odd}\n\n  - {{id: u, use: part}}\n  - {{id: v, {odd[1:]}\n"
    )
    broken = findings(load_plan(tmp_path / "plan.yaml", CATALOGUE))
    places = [each.place for each in broken if each.rule == "unescaped-dot"]
    assert [(Path(place.file).stem, place.line) for place in places if place] == [("part", 4), ("plan", 3), ("plan", 6)]
