"""Breaking points: against scans by Keras and NumPy, seed by seed, and what runs, reports and wrong calls say."""

from __future__ import annotations

import csv
import json
from math import inf
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from jsonschema import Draft202012Validator

import mutspec
from mutspec.experiment.data import digits
from mutspec.experiment.jobs.application import ApplicationCall, run
from mutspec.experiment.reports.aggregate import collect
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.reports.page import web_page
from mutspec.experiment.reports.report import make_report
from mutspec.experiment.result import Breaking, Result, read
from mutspec.resources import resource_folder
from tests.experiment import made_up
from tests.experiment.read_html import Page

CONF = resource_folder("conf")
ROOT = Path(__file__).parents[2]
MODEL = CONF / "model" / "digits.keras"
X, Y = digits()
SEARCH = ("plan=dense_noise", "mode=breaking_point")


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def model() -> Any:
    return keras.saving.load_model(MODEL)


def recipe(name: str = "dense_noise") -> Any:
    return mutspec.load_plan(CONF / "plan" / f"{name}.yaml")


def zeros(target: str, **amount: Any) -> Any:
    (name, value), *_ = amount.items()
    step = {"op": "zero", "target": target, name: f"${{params.{name}}}"}
    return mutspec.plan({"params": {name: value}, "steps": [step]})


def accuracy(model: Any) -> float:
    """By Keras's outputs and NumPy."""
    return float(np.mean(model.predict_on_batch(X).argmax(-1) == Y))


def single(*overrides: str) -> Result:
    outcome = run(ApplicationCall(overrides))
    assert outcome.result is not None
    return outcome.result


# Whether it is true


def test_the_breaking_point_is_where_a_scan_along_the_noise_first_finds_the_drop(model: Any) -> None:
    """The scan adds multiples of one mutant's noise, which tests/execute/test_every_op.py knows, to the weights."""
    base, whole = model.get_weights(), mutspec.apply(recipe().with_(std=1.0, seed=4), model)
    noise = [one - other for one, other in zip(whole.get_weights(), base, strict=True)]
    grid = np.geomspace(0.02, 1, 120)

    def falls(scale: float) -> bool:
        whole.set_weights([weight + scale * each for weight, each in zip(base, noise, strict=True)])
        return accuracy(model) - accuracy(whole) > 0.1

    first = next(number for number, scale in enumerate(grid) if falls(scale))
    (point,) = mutspec.breaking_point(recipe(), model, (X, Y), "params.std", seeds=[4]).by_seed.values()
    assert grid[first - 1] <= point <= grid[first] * 1.01


def test_at_both_ends_of_the_bracket_apply_makes_what_was_judged(model: Any) -> None:
    found = mutspec.breaking_point(recipe(), model, (X, Y), max_drop=0.3, seeds=2)
    for row in found.result.rows:
        assert row.breaking_point is not None
        assert row.holds_at is not None
        drops = [
            accuracy(model) - accuracy(mutspec.apply(recipe().with_(std=scale, seed=row.seed), model))
            for scale in (row.holds_at, row.breaking_point)
        ]
        assert drops[0] <= 0.3 < drops[1]
        assert row.drop["accuracy"] == pytest.approx(drops[1], abs=1e-6)
        assert row.holds_at < row.breaking_point <= 1.01 * row.holds_at


def test_a_seeds_breaking_point_does_not_depend_on_the_seeds_beside_it(model: Any) -> None:
    together = mutspec.breaking_point(recipe(), model, (X, Y), seeds=[3, 1]).by_seed
    assert list(together) == [3, 1]
    for seed, point in together.items():
        assert mutspec.breaking_point(recipe(), model, (X, Y), seeds=[seed]).by_seed == {seed: point}


@pytest.mark.parametrize(
    ("asked", "breaks"),
    [
        ({"min": 0.8}, lambda row: row.metrics["accuracy"] < 0.8),
        ({"metric": "loss", "max": 1.0}, lambda row: row.metrics["loss"] > 1),
        ({"metric": "agreement", "max_drop": 0.02}, lambda row: (row.agreement or 0) < 0.98),
        ({"metric": "drop.accuracy", "max": 0.5}, lambda row: row.drop["accuracy"] > 0.5),
    ],
)
def test_what_breaks_is_said_in_the_words_of_gates(model: Any, asked: dict[str, Any], breaks: Any) -> None:
    found = mutspec.breaking_point(recipe(), model, (X, Y), **asked)
    assert all(breaks(row) for row in found.result.rows)
    (row,) = found.result.rows
    below = mutspec.sweep(recipe(), model, (X, Y), {"params.std": [row.holds_at]}).results[0].rows
    assert not any(breaks(row) for row in below)


def test_a_drop_of_exactly_the_bound_does_not_break(model: Any) -> None:
    """Of ten samples one is a drop of 0.1, but 1 - 0.9 is more in 32-bit floats."""
    right = np.flatnonzero(model.predict_on_batch(X).argmax(-1) == Y)[:10]
    found = mutspec.breaking_point(recipe(), model, (X[right], Y[right]), seeds=5)
    assert all(row.metrics["accuracy"] < 0.85 for row in found.result.rows)


def test_the_model_is_as_it_was(model: Any) -> None:
    before = [weight.copy() for weight in model.get_weights()]
    mutspec.breaking_point(recipe(), model, (X, Y), tolerance=0.5)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def test_without_labels_it_is_the_agreement_that_breaks(model: Any) -> None:
    found = mutspec.breaking_point(recipe(), model, (X, None))
    assert found.result.breaking is not None
    assert (found.result.breaking.metric, found.result.breaking.bounds) == ("agreement", {"max_drop": 0.1})
    assert (found.result.rows[0].agreement or 0) < 0.9


# What is scaled


def test_plans_that_change_the_architecture_are_scaled_too(model: Any) -> None:
    plan = recipe("deepen_and_jitter")
    (row,) = mutspec.breaking_point(plan, model, (X, Y), tolerance=0.2).result.rows
    drops = [
        accuracy(model) - accuracy(mutspec.apply(plan.with_(std=scale), model))
        for scale in (row.holds_at, row.breaking_point)
    ]
    assert drops[0] <= 0.1 < drops[1]


def test_a_key_of_a_step_is_scaled_as_set_names_it(model: Any) -> None:
    by_step, by_parameter = (
        mutspec.breaking_point(recipe(), model, (X, Y), key, tolerance=0.2).by_seed
        for key in ("steps.gaussian_noise.std", "params.std")
    )
    assert by_step == by_parameter


def test_a_count_is_scaled_in_whole_numbers(model: Any) -> None:
    (row,) = mutspec.breaking_point(zeros("conv_1/kernel", count=1), model, (X, Y), limit=144).result.rows
    assert row.breaking_point is not None
    assert (row.holds_at, row.touched) == (row.breaking_point - 1, row.breaking_point)


def test_a_breaking_fraction_touches_the_rounded_number_of_entries(model: Any) -> None:
    (row,) = mutspec.breaking_point(zeros("conv_1/kernel", fraction="5%"), model, (X, Y)).result.rows
    assert row.breaking_point is not None
    assert row.touched == np.floor(row.breaking_point * 144 + 0.5)


def test_a_mutant_that_never_breaks_does_so_at_infinity_and_a_fraction_ends_at_all(model: Any) -> None:
    found = mutspec.breaking_point(zeros("conv_2/bias", fraction=0.1), model, (X, Y), high=0.3, seeds=2, max_drop=0.9)
    assert found.by_seed == {0: inf, 1: inf}
    assert [row.holds_at for row in found.result.rows] == [1, 1]
    assert (found.mean, found.half_width) == (inf, None)
    assert found.result.warnings == (
        "2 of 2 mutants did not break up to params.fraction=1, the greatest scale, which counts as infinity",
    )
    assert "No params.fraction that was tried breaks the model: nowhere accuracy falls by more than 0.9." in " ".join(
        str(found).split()
    )


# What runs and reports say


def test_a_run_finds_what_python_finds_and_keeps_it(model: Any) -> None:
    result = single(*SEARCH, "seeds=2", "plan.seed=2", "mode.max_drop=0.2", "mode.tolerance=0.05")
    found = mutspec.breaking_point(recipe(), model, (X, Y), max_drop=0.2, tolerance=0.05, seeds=[2, 3])
    points = {row.seed: row.breaking_point for row in result.rows}
    assert points == found.by_seed
    assert [row.evaluations for row in result.rows] == [row.evaluations for row in found.result.rows]
    assert (result.mode, result.objective, result.value) == ("breaking_point", "breaking_point", found.mean)
    assert result.parameters == {}
    assert read(Path(result.job.directory) / "result.json") == result
    schema = json.loads((ROOT / "schemas" / "result.schema.json").read_text())
    Draft202012Validator(schema).validate(result.to_json())


def test_the_mean_has_students_interval_over_the_seeds(model: Any) -> None:
    found = mutspec.breaking_point(recipe(), model, (X, Y), seeds=4)
    points = np.array(list(found.by_seed.values()))
    assert found.mean == pytest.approx(points.mean())
    assert found.half_width == pytest.approx(3.18244630528371 * points.std(ddof=1) / 2)  # t of 3 degrees, 0.975


def test_the_result_says_what_breaks_where_with_both_ends(model: Any) -> None:
    found = mutspec.breaking_point(recipe(), model, (X, Y), seeds=2)
    first, second = (row for row in found.result.rows)
    said = str(found)
    assert f"params.std breaks the model at {found.mean:.4g} ± {found.half_width:.2g}" in said
    for row in (first, second):
        line = [str(row.seed), f"{row.holds_at:g}", f"{row.breaking_point:g}", str(row.evaluations)]
        assert line in [each.split() for each in said.splitlines()]


def test_the_ends_of_a_bracket_are_told_apart_however_close_they_are(model: Any) -> None:
    found = mutspec.breaking_point(recipe(), model, (X, Y), tolerance=1e-6)
    (row,) = found.result.rows
    (line,) = (each.split() for each in str(found).splitlines() if each.split()[:1] == ["0"])
    assert [float(each) for each in line[1:3]] == [row.holds_at, row.breaking_point]


def test_seeds_with_gaps_are_counted_and_not_called_a_range(model: Any) -> None:
    said = str(mutspec.breaking_point(recipe(), model, (X, Y), seeds=[7, 3], tolerance=0.5))
    assert "2 seeds from 3 to 7," in said


def test_a_sweep_over_layers_ranks_them_by_their_breaking_points(room: Path) -> None:
    layers = "plan.steps.gaussian_noise.target=conv_2,logits,conv_1"
    outcome = run(ApplicationCall((*SEARCH, layers, "seeds=2", "mode.tolerance=0.1"), is_sweep=True))
    results = collect(outcome.folder)
    report = make_report(outcome.folder)
    page = Page((outcome.folder / "report.html").read_text())
    named = {override.partition("=")[2]: each.value or 0 for each in results for override in each.job.overrides[2:3]}
    ranked = sorted(named, key=named.__getitem__)
    assert ranked != list(named)
    table = page.table("Breaking points, ranked")
    assert table.column("gaussian_noise.target") == ranked
    assert list(map(float, table.column("Mean"))) == pytest.approx([named[name] for name in ranked], abs=1e-4)
    picture = page.said("text")
    assert [each for each in picture if each in named] == ranked
    document = report.to_json()
    assert document["metric"] == "breaking_point"
    assert {each["settings"]["plan.steps.gaussian_noise.target"]: each["mean"] for each in document["groups"]} == named
    with (outcome.folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["breaking_point"]) for row in rows] == [
        row.breaking_point for each in results for row in each.rows
    ]


def test_layers_that_some_seeds_break_are_weaker_than_those_that_none_does() -> None:
    points = {"never": [inf, inf], "once": [0.5, inf], "earlier": [0.2, inf], "always": [30.0, 40.0]}
    meaning = Breaking("params.std", "accuracy", {"max_drop": 0.1}, 0.01)
    results = [
        made_up.result(
            number,
            [f"plan.params.layer={layer}"],
            [made_up.row(seed, breaking_point=point, holds_at=0.1, evaluations=9) for seed, point in enumerate(found)],
            {"layer": layer},
            objective="breaking_point",
            breaking=meaning,
        )
        for number, (layer, found) in enumerate(points.items())
    ]
    page = Page(web_page(summarise(results)).decode())
    assert page.table("Breaking points, ranked").column("layer") == ["always", "earlier", "once", "never"]


def test_values_of_what_is_scaled_make_no_rows_and_are_pointed_out(room: Path) -> None:
    layers = ["experiment=sensitivity", "sensitivity.select=[conv_1,logits]", "mode.tolerance=0.5", "seeds=2"]
    outcome = run(ApplicationCall((*layers, "mode=breaking_point", "plan.params.std=1,2"), is_sweep=True))
    report = make_report(outcome.folder)
    document = report.to_json()
    assert [(each["settings"], each["seeds"]) for each in document["groups"]] == [
        ({"params.layer": "conv_1"}, [0, 1]),
        ({"params.layer": "logits"}, [0, 1]),
    ]
    said = (
        "the searches scale params.std, so that its 2 values in the sweep make no difference; give it one, such as plan"
    )
    assert [each.partition(".params.std=")[0] for each in document["warnings"]] == [said]


def test_a_model_can_be_required_to_stand_a_scale() -> None:
    weak = single(*SEARCH, "require=[{metric: breaking_point, min: 0.5}]")
    assert [str(verdict).partition(",")[0] for verdict in weak.failed_gates] == [f"breaking_point is {weak.value:.4g}"]
    assert not single(*SEARCH, "require=[{metric: breaking_point, min: 0.05}]").failed_gates


def test_other_modes_leave_no_trace_of_it(room: Path) -> None:
    result = single("plan=dense_noise")
    document = json.loads((Path(result.job.directory) / "result.json").read_text())
    assert document["breaking"] is None
    report = make_report(result.job.directory)
    assert "breaking_point" not in (report.folder / "results.csv").read_text()
    assert "Breaking points" not in (report.folder / "report.html").read_text()


# What is wrong


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["mode.key=params.sdt"], "override 3:1:10: the plan declares no parameter `sdt`.*Did you mean `params.std`"),
        (["mode.key=std"], "override 3:1:10: `std` is neither a parameter nor a key of a step.*`params.std`"),
        (["mode.key=steps.gaussian_nois.std"], "has no step `gaussian_nois`"),
        (
            ["mode.key=steps.gaussian_noise.mode"],
            "override 3:1:10: `steps.gaussian_noise.mode` cannot be 1: `mode` takes",
        ),
        (["mode.key=seed"], "`seed` is neither a parameter"),
        (["mode.metric=acuracy"], "override 3:1:13: no measure is called `acuracy`.*`accuracy`"),
        (["mode.metric=breaking_point"], "no measure is called `breaking_point`"),
        (["mode.metric=loss"], "override 3:1:13: nothing says when `loss` breaks.*`max`, `min` or `max_drop`"),
        (["evaluate=agreement", "mode.metric=accuracy"], "no measure is called `accuracy`"),
        (["mode.low=1"], "override 3:1:10: `low` is 1, and must be less than `high`, which is 1"),
        (["mode.low=-1"], "`mode.low`: expected a number of at least 0"),
        (["mode.high=0"], "`mode.high`: expected a number greater than 0"),
        (["mode.limit=0.5"], "`limit` is 0.5, and must be at least `high`, which is 1"),
        (["mode.max_drop=0"], "override 3:1:15: `mode.max_drop`: expected a number greater than 0"),
        (["mode.max_drop=-0.1"], "`mode.max_drop`: expected a number greater than 0"),
        (["mode.tolerance=0"], "`mode.tolerance`: expected a number of at least"),
        (["mode.tolerance=wide"], "`mode.tolerance`: expected a number, got text"),
        (["mode.tolerence=1"], "has no `mode.tolerence`.*`mode.tolerance`"),
        (["mode.min=0.999"], "the base itself is broken: accuracy is 0.989, and must be at least 0.999"),
        (
            ["mode.low=0.6"],
            "override 3:1:10: with seed 0 the mutant is broken at params.std=0.6 already: accuracy fell by",
        ),
        (["save=true"], "override 3:1:6: `save` keeps one mutant, and mode=breaking_point makes many"),
        (["require=[{metric: breaking_point, max_drop: 1}]"], "a base has no `breaking_point` to drop from"),
        (["plan=kernel_faults", "mode.high=2"], "`params.fraction` cannot be 2: `fraction` takes a number from 0 to 1"),
        (["plan=dropout_removal"], "no parameter of the plan `dropout_removal` is a number"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_place(overrides: list[str], message: str) -> None:
    plan = [] if any(each.startswith("plan=") for each in overrides) else ["plan=dense_noise"]
    with pytest.raises(mutspec.MutspecError, match=f"(?s){message}"):
        run(ApplicationCall((*plan, "mode=breaking_point", *overrides)))


def test_of_several_numbers_one_has_to_be_named(model: Any) -> None:
    step = {"op": "gaussian_noise", "target": "*", "std": "${params.std}", "fraction": "${params.part}"}
    plan = mutspec.plan({"name": "two", "params": {"std": 0.1, "part": "10%"}, "steps": [step]})
    with pytest.raises(mutspec.CallError, match=r"2 numbers that can be scaled: params.std, params.part"):
        mutspec.breaking_point(plan, model, (X, Y))


def test_more_entries_than_there_are_are_told_with_the_scale(model: Any) -> None:
    with pytest.raises(mutspec.PlanError, match=r"at params.count=256 `count` is 256, but .* has only 144"):
        mutspec.breaking_point(zeros("conv_1/kernel", count=1), model, (X, Y), max_drop=0.95)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": "params.sdt"}, "no parameter `sdt`"),
        ({"low": 2.0}, "`low` is 2, and must be less"),
        ({"max_drop": 0}, "greater than 0"),
        ({"metric": "acuracy"}, "no measure is called `acuracy`"),
        ({"seeds": 0}, "no seeds"),
        ({"metrics": ["acuracy"]}, "acuracy"),
    ],
)
def test_python_is_told_without_places_of_a_call(model: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(mutspec.CallError, match=message) as error:
        mutspec.breaking_point(recipe(), model, (X, Y), **changes)
    assert "mode." not in str(error.value)
