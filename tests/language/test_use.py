"""Steps that use other recipes: what stands in their place, what may be read for them, and where mistakes are."""

from __future__ import annotations

import os
import pickle
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest

import mutspec
from mutspec.errors import CallError, MutspecError, PlanError, Problem
from mutspec.language import inlining, load_plan, load_text
from mutspec.language import recipe_files as files
from mutspec.ops import catalogue

ROOT = Path(__file__).parents[2]
OPS = catalogue(plugins=False)

NOISE = """\
mutspec: 1
name: noise
seed: 99
params: {std: 0.1, target: dense}
steps:
  - op: gaussian_noise
    target: ${params.target}
    std: ${params.std}
  - {op: zero, id: gone, target: conv, stream: own, seed: 5, non_finite: error}
"""
GRAFT = """\
mutspec: 1
inputs: {teacher: {}}
non_finite: report
blocks: {head: [{type: Dense, units: same}]}
steps:
  - {op: transfer_weights, source: "teacher:conv/kernel", target: conv/kernel}
  - {op: insert_layer, id: head, after: conv, layer: {block: head}}
  - {op: configure_layer, target: head, set: {trainable: false}}
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with recipes in it."""
    monkeypatch.chdir(tmp_path)
    for name, text in {"noise/noise": NOISE, "graft": GRAFT, "a.b": NOISE}.items():
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def written(text: str, name: str = "plan.yaml") -> str:
    """The name of a plan file with these steps."""
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text if text.startswith("mutspec") else f"mutspec: 1\nsteps:\n{text}")
    return name


def plan_of(text: str, *overrides: str) -> Any:
    return load_plan(written(text), OPS, overrides=overrides)


def steps_of(text: str, *overrides: str) -> list[dict[str, Any]]:
    return list(plan_of(text, *overrides).document["steps"])


def problems_of(text: str, *overrides: str) -> list[Problem]:
    with pytest.raises(PlanError) as caught:
        plan_of(text, *overrides)
    return [problem for problem in caught.value.problems if not problem.is_warning]


PARAMETER = '"${params.s}"'
USE = "- {use: noise/noise, id: jitter, with: {std: 0.5}}\n"


def test_the_steps_of_the_recipe_stand_in_the_place_of_the_step_that_uses_it(tree: Path) -> None:
    plan = plan_of(f"- {{op: zero, target: a}}\n{USE}- {{op: zero, id: last, target: b}}\n")
    by_hand = [
        {"op": "zero", "target": "a"},
        {"id": "jitter/gaussian_noise", "op": "gaussian_noise", "target": "dense", "std": 0.5},
        {
            "id": "jitter/gone",
            "op": "zero",
            "target": "conv",
            "stream": "jitter/own",
            "seed": 5,
            "non_finite": "error",
        },
        {"id": "last", "op": "zero", "target": "b"},
    ]
    assert plan.steps == mutspec.plan({"steps": by_hand}).steps
    assert (plan.seed, plan.params, plan.name) == (0, {}, "plan")


def test_each_file_has_its_digest_in_the_plan(tree: Path) -> None:
    plan = plan_of(f"{USE}- {{use: weight_noise}}\n- {{use: noise/noise, id: more}}\n")
    assert plan.files == {
        "noise/noise.yaml": blake2b(NOISE.encode(), digest_size=16).hexdigest(),
        "shipped:weight_noise": blake2b(
            (ROOT / "conf/plan/weight_noise.yaml").read_bytes(), digest_size=16
        ).hexdigest(),
    }
    assert [(use.id, use.recipe, use.params) for use in plan.uses] == [
        ("jitter", "noise/noise.yaml", {"std": 0.5}),
        ("weight_noise", "shipped:weight_noise", {}),
        ("more", "noise/noise.yaml", {}),
    ]
    assert plan_of("- {op: zero, target: a}\n").files == {}


def test_a_seed_is_that_of_the_steps_that_state_none_and_the_recipes_own_is_not_used(tree: Path) -> None:
    first, second = steps_of("- {use: noise/noise, seed: 3}\n")
    assert (first["seed"], second["seed"]) == (3, 5)
    assert "seed" not in steps_of(USE)[0]


def test_a_use_within_a_use_has_both_ids_and_the_nearest_seed(tree: Path) -> None:
    written("- {use: noise/noise, seed: 1}\n- {use: noise/noise, id: b}\n", "both.yaml")
    plan = plan_of("- {use: both, seed: 2}\n")
    assert [step.id for step in plan.steps] == [
        "both/noise/gaussian_noise",
        "both/noise/gone",
        "both/b/gaussian_noise",
        "both/b/gone",
    ]
    assert [step.seed for step in plan.steps] == [1, 5, 2, 5]
    assert plan.steps[1].stream == "both/noise/own"
    assert [(use.id, use.seed) for use in plan.uses] == [("both", 2), ("both/noise", 1), ("both/b", 2)]


def test_parameters_pass_through_several_recipes_as_values_of_any_kind(tree: Path) -> None:
    written(
        "mutspec: 1\nparams: {t: null}\nsteps: [{use: noise/noise, with: {target: '${params.t}'}}]\n", "through.yaml"
    )
    plan = plan_of("mutspec: 1\nparams: {t: [a, {type: Dense}]}\nsteps: [{use: through, with: {t: '${params.t}'}}]\n")
    assert plan.document["steps"][0]["target"] == ["a", {"type": "Dense"}]
    assert not plan.warnings


def test_inputs_and_blocks_and_non_finite_are_written_into_the_steps(tree: Path) -> None:
    plan = plan_of("mutspec: 1\ninputs: {large: {}}\nsteps: [{use: graft, inputs: {teacher: large}}]\n")
    transfer, insert, freeze = plan.document["steps"]
    assert transfer["source"] == "large:conv/kernel"
    assert insert["layer"] == {"layers": [{"type": "Dense", "units": "same"}]}
    assert [step["non_finite"] for step in (transfer, insert, freeze)] == ["report"] * 3
    same = plan_of("mutspec: 1\ninputs: {teacher: {}}\nsteps: [{use: graft}]\n")
    assert same.document["steps"][0]["source"] == "teacher:conv/kernel"


def test_a_layer_that_a_recipe_makes_has_the_name_that_the_recipes_later_steps_have_for_it(tree: Path) -> None:
    report = mutspec.dry_run(plan_of("- {use: deepen_and_jitter, id: d}\n"), ROOT / "conf/model/digits.keras")
    assert [layer.path for layer in report.structure.added] == ["deeper"]
    assert report.steps[1].targets[0].path == "deeper/kernel"


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("steps.jitter.with.std=7", "std", 7),
        ("steps.jitter.with={std: 8, target: x}", "target", "x"),
        ("steps.jitter.seed=4", "seed", 4),
        ("steps.jitter/gaussian_noise.std=9", "std", 9),
        ("steps.jitter.steps.gaussian_noise.std=9", "std", 9),
        ("steps.jitter.steps.gaussian_noise.target.type=Dense", "target", {"type": "Dense", "name": "d"}),
        ("steps.jitter/gaussian_noise.std=${params.s}", "std", 0.25),
    ],
)
def test_an_override_reaches_the_use_and_the_steps_in_its_place(
    tree: Path, override: str, key: str, value: Any
) -> None:
    text = "mutspec: 1\nparams: {s: 0.25}\nsteps: [{use: noise/noise, id: jitter, with: {target: {name: d}}}]\n"
    assert steps_of(text, override)[0][key] == value


def test_an_override_passes_a_parameter_where_the_plan_passes_none(tree: Path) -> None:
    assert steps_of("mutspec: 1\nsteps: [{use: dense_noise}]\n", "steps.dense_noise.with.std=7")[0]["std"] == 7


def test_the_steps_of_a_plan_that_is_shown_are_overridden_in_the_same_way() -> None:
    text = "mutspec: 1\nsteps: [{id: jitter/noise, op: gaussian_noise, target: a, std: 1}]\n"
    for key in ("steps.jitter/noise.std", "steps.jitter.steps.noise.std"):
        assert load_text(text, OPS, overrides=[f"{key}=2"]).steps[0].std == 2


def test_a_plan_keeps_what_it_uses_when_its_files_are_gone(tree: Path) -> None:
    text = f"mutspec: 1\nparams: {{s: 1}}\nsteps:\n{USE.replace('0.5', PARAMETER)}"
    plan = plan_of(text, "steps.jitter/gone.seed=6")
    for path in tree.rglob("*.yaml"):
        path.unlink()
    sent = pickle.loads(pickle.dumps(plan))
    changed = sent.with_(s=2, seed=8)
    assert (changed.steps[0].std, changed.steps[1].seed, changed.seed) == (2, 6, 8)
    assert changed.files == plan.files
    again = changed.overridden({"steps.jitter/gaussian_noise.std": 3.0, "steps.jitter.with.target": "x"})
    assert (again.steps[0].std, again.steps[0].target, again.steps[1].seed) == (3, "x", 6)
    assert again.first(1).steps == again.steps[:1]
    assert changed.form_digest == plan.form_digest
    assert changed.form_digest != again.form_digest


def test_the_form_of_a_plan_changes_with_a_file_that_it_uses(tree: Path) -> None:
    before = plan_of(USE).form_digest
    (tree / "noise/noise.yaml").write_text(NOISE.replace("target: conv", "target: other"))
    assert plan_of(USE).form_digest != before


# -- what may be read


def test_a_file_hides_a_shipped_recipe_unless_it_is_called_shipped(tree: Path) -> None:
    written(NOISE, "dense_noise.yaml")
    assert [use.recipe for use in plan_of("- {use: dense_noise}\n- {use: 'shipped:dense_noise', id: b}\n").uses] == [
        "dense_noise.yaml",
        "shipped:dense_noise",
    ]


@pytest.mark.parametrize("name", ["noise/noise.yaml", "./noise/noise", "noise/../noise/noise"])
def test_a_name_may_have_a_suffix_and_dots(tree: Path, name: str) -> None:
    assert list(plan_of(f"- {{use: {name}}}\n").files) == ["noise/noise.yaml"]


def test_a_recipe_names_others_from_its_own_folder(tree: Path) -> None:
    written("- {use: noise}\n- {use: ../graft, id: up, inputs: {teacher: base}}\n", "noise/more.yaml")
    assert list(plan_of("- {use: noise/more}\n").files) == ["noise/more.yaml", "noise/noise.yaml", "graft.yaml"]


def test_no_file_outside_of_the_folder_is_used_unless_the_call_names_a_larger_one(tree: Path) -> None:
    plan = written("- {use: ../noise/noise}\n", "team/plan.yaml")
    with pytest.raises(PlanError, match="leads out of `team`"):
        mutspec.load_plan(plan)
    assert list(mutspec.load_plan(plan, recipes=".").files) == ["../noise/noise.yaml"]
    with pytest.raises(PlanError, match="leads out of `noise`"):
        mutspec.load_plan(written("- {use: ../graft}\n", "team/other.yaml"), recipes="noise")
    assert list(mutspec.load_plan(written("- {use: noise}\n"), recipes="noise").files) == ["noise/noise.yaml"]


def test_a_link_out_of_the_folder_is_not_followed_and_one_within_it_is(tree: Path) -> None:
    outside = tree.parent / f"{tree.name}-outside.yaml"
    outside.write_text(NOISE)
    (tree / "out.yaml").symlink_to(outside)
    (tree / "within.yaml").symlink_to(tree / "graft.yaml")
    (tree / "folder").symlink_to(tree.parent)
    for name in ("out", f"folder/{outside.stem}"):
        (problem,) = problems_of(f"- {{use: {name}}}\n")
        assert "leads out of the current folder" in problem.message
    assert list(plan_of("- {use: within, inputs: {teacher: base}}\n").files) == ["within.yaml"]


def test_a_plan_that_is_not_a_file_uses_what_ships_and_a_folder_that_the_call_names(tree: Path) -> None:
    steps = {"steps": [{"use": "noise/noise"}]}
    with pytest.raises(PlanError, match="there is no recipe `noise/noise`") as caught:
        mutspec.plan(steps)
    assert "--recipes DIR" in caught.value.problems[0].hint
    assert list(mutspec.plan(steps, recipes=".").files) == ["noise/noise.yaml"]
    assert list(mutspec.plan({"steps": [{"use": "dense_noise"}]}).files) == ["shipped:dense_noise"]
    with pytest.raises(CallError, match="does not exist"):
        mutspec.plan(steps, recipes="nowhere")


def test_the_problem_of_a_plan_of_values_names_the_step_as_the_plan_has_it(tree: Path) -> None:
    steps = [{"use": "noise/noise"}, {"op": "zero", "target": "a", "fraction": 2}]
    with pytest.raises(PlanError) as caught:
        mutspec.plan({"steps": steps}, recipes=".")
    assert str(caught.value).startswith("steps[1].fraction: ")


# -- mistakes


@pytest.mark.parametrize(
    ("use", "place", "words"),
    [
        ("noise/nose", (3, 9), ("there is no recipe `noise/nose`", "noise/noise", "current folder")),
        ("dense_nois", (3, 9), ("there is no recipe `dense_nois`", "dense_noise", "ship with mutspec")),
        ("shipped:nois", (3, 9), ("there is no recipe `shipped:nois`",)),
        ("../x", (3, 9), ("`../x` leads out of the current folder", "--recipes DIR")),
        ("/etc/passwd", (3, 9), ("absolute path",)),
        ("noise", (3, 9), ("there is no recipe `noise`", "noise/noise")),
        ("pipe", (3, 9), ("`pipe.yaml` is not a file",)),
        ("'${params.a}'", (3, 9), ("`use` cannot be interpolated",)),
        ("''", (3, 9), ("`use` is empty",)),
        ("3", (3, 9), ("`use` takes text",)),
        ("a.b", (3, 9), ("cannot be called `a.b`", "`id`")),
        ("noise/noise, with: {sdt: 3}", (3, 29), ("declares no parameter `sdt`", "std")),
        ("noise/noise, with: {std: -1}", (3, 34), ("`std` takes", "noise/noise.yaml:8:10")),
        ("noise/noise, with: {std: '${params.a}'}", (3, 34), ("no parameter `a`",)),
        ("noise/noise, with: 3", (3, 28), ("`with` takes a mapping",)),
        ("noise/noise, std: 3", (3, 22), ("has no key `std`", "`with`")),
        ("noise/noise, allow_empty: true", (3, 22), ("has no key `allow_empty`",)),
        ("noise/noise, id: 'a b'", (3, 26), ("`a b` cannot be an id",)),
        ("noise/noise, seed: -1", (3, 28), ("`seed` takes",)),
        ("graft", (3, 9), ("declares no input `teacher`", "inputs: {teacher: …}")),
        ("graft, inputs: {techer: base, teacher: base}", (3, 25), ("declares no input `techer`", "teacher")),
        ("graft, inputs: {teacher: large}", (3, 25), ("declares no input `large`",)),
    ],
)
def test_a_mistake_in_a_use_is_placed_at_it(
    tree: Path, use: str, place: tuple[int, int], words: tuple[str, ...]
) -> None:
    os.mkfifo(tree / "pipe.yaml")
    (problem,) = problems_of(f"- {{use: {use}}}\n")
    assert problem.place is not None
    assert (problem.place.file, problem.place.line, problem.place.column) == ("plan.yaml", *place)
    for each in words:
        assert each in str(problem)


def test_all_problems_of_a_used_file_are_in_its_places_with_the_chain_that_leads_to_it(tree: Path) -> None:
    steps = ("{op: zreo, target: a}", "{op: zero, target: a}", "{op: zero, target: a, std: 1}")
    bad = "mutspec: 1\nstepz: 1\nsteps:\n" + "".join(f"- {each}\n" for each in steps)
    written(bad, "bad.yaml")
    written("- {use: bad}\n- {use: empty}\n", "middle.yaml")
    Path("empty.yaml").write_text("")
    Path("bom.yaml").write_text("# @package _global_\n" + NOISE)
    found = problems_of("- {use: middle}\n- {use: bom}\n")
    assert [(each.place.file, each.place.line) for each in found if each.place] == [
        ("bad.yaml", 2),
        ("bad.yaml", 4),
        ("bad.yaml", 6),
        ("bad.yaml", 6),
        ("bom.yaml", 1),
        ("empty.yaml", 0),
    ]
    assert found[0].hint == "used at middle.yaml:3:9, which is used at plan.yaml:3:9"
    assert found[-1].hint.endswith("used at middle.yaml:4:9, which is used at plan.yaml:3:9")
    assert found[-2].hint.endswith("used at plan.yaml:4:9")


def test_a_problem_with_a_model_says_where_the_recipe_is_used(tree: Path) -> None:
    with pytest.raises(MutspecError) as caught:
        mutspec.dry_run(plan_of(USE), ROOT / "conf/model/digits.keras")
    problem = caught.value.problems[0]
    assert problem.place is not None
    assert (problem.place.file, problem.place.line) == ("noise/noise.yaml", 4)
    assert "used at plan.yaml:3:9" in problem.hint


def test_a_cycle_is_an_error_with_the_files_that_it_goes_through(tree: Path) -> None:
    written("- {use: b}\n", "a.yaml")
    written("- {use: c}\n", "b.yaml")
    written("- {use: b}\n- {use: plan, id: p}\n", "c.yaml")
    first, second = problems_of("- {use: a}\n")
    assert first.message == "the recipe uses itself: b.yaml → c.yaml → b.yaml"
    assert second.message == "the recipe uses itself: plan.yaml → a.yaml → b.yaml → c.yaml → plan.yaml"
    places = ("c.yaml:3:9", "b.yaml:3:9", "a.yaml:3:9", "plan.yaml:3:9")
    assert [place for place in places if place in first.hint] == list(places[1:])
    assert first.place is not None
    assert (first.place.file, first.place.line) == ("c.yaml", 3)


def test_two_uses_of_one_name_need_ids_and_ids_differ_from_those_of_all_steps(tree: Path) -> None:
    (problem,) = problems_of("- {use: noise/noise}\n- {use: noise/noise}\n")
    assert problem.message == "a second use of `noise/noise` needs an id of its own"
    assert problem.hint.startswith("add `id: noise_2`")
    (problem,) = problems_of("- {op: zero, target: a, id: noise}\n- {use: noise/noise, id: noise}\n")
    assert problem.message == "step 1 already has the id `noise`"
    (problem,) = problems_of("- {use: noise/noise}\n- {op: zero, target: a, id: noise/gone}\n")
    assert "already has the id `noise/gone`" in problem.message


def test_a_wrong_override_of_a_used_step_is_placed_in_itself(tree: Path) -> None:
    (problem,) = problems_of(USE, "steps.jitter/gaussian_nose.std=3")
    assert problem.message == "the plan has no step `jitter/gaussian_nose`"
    assert problem.candidates[0] == "steps.jitter/gaussian_noise"
    (problem,) = problems_of(USE, "steps.jitter/gaussian_noise.std=-3")
    assert problem.place is not None
    assert problem.place.file == "override 1"
    (problem,) = problems_of(USE, "steps.jitter.use=graft")
    assert problem.message == "a step's `use` cannot be overridden"


def test_an_input_called_base_is_not_the_model_that_a_recipe_means(tree: Path) -> None:
    written("- {op: transfer_weights, source: 'base:a/kernel', target: a/kernel}\n", "reset.yaml")
    assert plan_of("- {use: reset}\n").steps
    (problem,) = problems_of("mutspec: 1\ninputs: {base: {}}\nsteps: [{use: reset}]\n")
    assert "an input in this plan" in problem.message


# -- bounds


def test_uses_are_bounded_in_depth_number_and_size(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        written(f"- {{use: r{number + 1}}}\n- {{use: r{number + 1}, id: b}}\n", f"r{number}.yaml")
    written(NOISE, "r20.yaml")
    found = problems_of("- {use: r0}\n")
    assert [each.message for each in found if "more than 16 recipes" not in each.message] == [
        "the uses up to this one are more than 1,000, or 500,000 values and characters"
    ]
    assert "more than 16 recipes use one another" in {each.message for each in found}
    monkeypatch.setattr(files, "MAX_FILES", 1)
    (problem,) = problems_of(f"{USE}- {{use: dense_noise}}\n")
    assert problem.message == "the plan uses more than 1 files"


@pytest.mark.parametrize("text", ["[&a xxxxxxxxxxxxxxxxxxxx, *a, *a, *a]", "[x, x, x, x]"])
def test_what_all_uses_together_stand_for_is_bounded(tree: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """With what aliases and parameters stand for."""
    targets = ", ".join(["{name: '${params.x}'}"] * 10)
    written(f"mutspec: 1\nparams: {{x: {text}}}\nsteps: [{{op: zero, target: {{any: [{targets}]}}}}]\n", "r.yaml")
    uses = [f"- {{use: r, id: u{number}}}\n" for number in range(9)]
    monkeypatch.setattr(inlining, "MAX_GROWTH", 3000)
    (problem,) = problems_of("".join(uses))
    assert "3,000 values and characters" in problem.message
    assert plan_of("".join(uses[:2])).steps
