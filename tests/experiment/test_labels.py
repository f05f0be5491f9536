"""Labels: settings of results differ where the digests do, and only there."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mutspec.experiment.job_inputs import evaluate_digest
from mutspec.experiment.job_settings import EvaluateSettings
from mutspec.experiment.labels import labelled
from mutspec.experiment.reports.aggregate import collect, rows_table
from mutspec.experiment.reports.curves import curves
from mutspec.experiment.reports.groups import Summary, summarise
from mutspec.experiment.reports.report import make_report
from mutspec.experiment.reports.sensitivity import sensitivity
from mutspec.experiment.reports.table import summary_text
from mutspec.experiment.result import Result, Row
from mutspec.own_modules import in_folder_of_the_call
from tests.experiment.made_up import LAYERS, layers, replace, result, row, sweep, write

VERSION_1 = Path(__file__).parents[1] / "data" / "results_1"


def digest(*parts: object) -> str:
    """A digest that is the same for the same parts, of 32 digits."""
    return f"{Random(repr(parts)).getrandbits(128):032x}"


def known(
    std: float = 0.1,
    rows: Iterable[Row] = (row(0),),
    *,
    recipe: str = "noise",
    plan: str = "noise",
    steps: str = "",
    weights: str = "trained",
    data: str = "test",
    overrides: Sequence[str] = (),
    number: int = 0,
    **changes: Any,
) -> Result:
    """A job whose digests say what it is of, whatever the names are."""
    made = result(number, [f"plan={recipe}", f"plan.params.std={std}", *overrides], rows, {"std": std}, plan_name=plan)
    digests: dict[str, Any] = {
        "recipe": recipe,
        "recipe_digest": digest(steps),
        "effect_digest": digest(steps, std),
        "weights_digest": digest("weights", weights),
        "data_digest": digest("data", data),
    }
    return replace(made, **{**digests, **changes})


def identity(each: Result) -> tuple[str, ...]:
    """What a result is of."""
    return each.plan.effect_digest, each.model.weights_digest, each.model.structure_digest, each.data.digest


def table(results: Sequence[Result]) -> dict[tuple[str, ...], list[float]]:
    """The accuracies by the settings that a summary shows."""
    summary = summarise(results)
    return {tuple(map(str, group.values)): list(group.measured) for group in summary.groups}


# -- one name for several things


def test_recipes_of_one_name_are_called_as_the_call_chose_them() -> None:
    results = [
        known(std, [row(0, half_at=half)], recipe=recipe, plan="gf", steps=recipe)
        for recipe, half in (("paper/gf", 0.4), ("strong/gf", 4.0))
        for std in (0.1, 1.0)
    ]
    assert table(results) == {
        (recipe, str(std)): [row(0, half_at=half).metrics["accuracy"]]
        for recipe, half in (("paper/gf", 0.4), ("strong/gf", 4.0))
        for std in (0.1, 1.0)
    }


@pytest.mark.parametrize(
    ("recipes", "labels"),
    [
        (["a", "b"], ["a", "b"]),
        (["x/paper/gf", "x/strong/gf"], ["paper/gf", "strong/gf"]),
        (["x/gf/a", "x/gf/b"], ["a", "b"]),
        (["gf", "strong/gf"], ["gf", "strong/gf"]),
    ],
)
def test_what_tells_recipes_apart_is_as_short_as_can_be(recipes: list[str], labels: list[str]) -> None:
    results = [known(recipe=recipe, plan="one name", steps=recipe) for recipe in recipes]
    assert [each.plan.name for each in labelled(results).results] == labels


def test_a_label_is_not_the_name_of_another_plan() -> None:
    results = [
        *(known(recipe=recipe, plan="gf", steps=recipe) for recipe in "ab"),
        known(recipe="c", plan="a", steps="another"),
    ]
    names = [each.plan.name for each in labelled(results).results]
    assert names == [f"gf @{digest('a')[:6]}", f"gf @{digest('b')[:6]}", "a"]


def test_a_recipe_that_was_edited_has_a_line_of_its_own() -> None:
    results = [known(std, steps=steps) for steps in ("before", "after") for std in (0.1, 0.3, 1.0)]
    over = curves(summarise(results))
    assert over is not None
    assert [line.label for line in over.lines] == [f"noise @{digest(steps)[:6]}" for steps in ("before", "after")]
    assert [line.x for line in over.lines] == [(0.1, 0.3, 1.0)] * 2


def test_what_an_experiments_file_has_changed_in_a_plan_tells_it_apart() -> None:
    results = [known(effect_digest=digest(changed)) for changed in ("once", "twice")]
    assert set(table(results)) == {(f"noise @{digest(changed)[:6]}",) for changed in ("once", "twice")}


def test_a_model_that_was_trained_again_is_not_pooled_with_the_old_one() -> None:
    results = [known(std, weights=weights) for weights, std in (("old", 0.1), ("new", 0.1), ("old", 1.0), ("new", 3.0))]
    summary = summarise(results)
    assert summary.names == ("params.std", "model")
    path = results[0].model.path
    assert [group.values for group in summary.groups] == [
        (each.parameters["std"], f"{path} @{each.model.weights_digest[:6]}") for each in results
    ]
    over = curves(summary)
    assert over is not None
    assert [line.x for line in over.lines] == [(0.1, 1.0), (0.1, 3.0)]


def test_models_of_the_same_weights_and_other_layers_are_told_apart_by_these() -> None:
    results = [known(structure_digest=digest(activation)) for activation in ("relu", "tanh")]
    assert {each.model.path.rpartition("@")[2] for each in labelled(results).results} == {
        digest(activation)[:6] for activation in ("relu", "tanh")
    }


def test_data_that_changed_under_their_name_are_told_apart() -> None:
    assert set(table([known(data=data) for data in ("old", "new")])) == {
        (f"digits @{digest('data', data)[:6]}",) for data in ("old", "new")
    }


def test_a_model_that_plans_take_from_is_told_apart_too() -> None:
    results = [known(inputs={"teacher": digest(teacher)}, overrides=["inputs.teacher=t.keras"]) for teacher in "ab"]
    assert set(table(results)) == {(f"t.keras @{digest(teacher)[:6]}",) for teacher in "ab"}


def test_settings_that_say_the_difference_need_no_digest() -> None:
    results = [known(data=f"{limit}", overrides=[f"data.limit={limit}"]) for limit in (10, 100)]
    summary = summarise(results)
    assert (summary.names, [group.values for group in summary.groups]) == (("data.limit",), [(10,), (100,)])
    assert {each.data.name for each in summary.results} == {"digits"}


def test_labels_of_digests_that_begin_alike_are_longer() -> None:
    digests = ["abcdef10", "abcdef11", "abcdef2"]
    results = [known(weights_digest=each) for each in digests]
    assert [each.model.path.rpartition("@")[2] for each in labelled(results).results] == digests


def test_layers_are_ranked_where_one_model_was_measured_only() -> None:
    ranked = [replace(each, weights_digest="a" * 32, effect_digest=f"{n:032}") for n, each in enumerate(layers(LAYERS))]
    assert sensitivity(summarise(ranked)) is not None
    retrained = [replace(each, weights_digest="b" * 32) for each in ranked]
    assert sensitivity(summarise([*ranked, *retrained])) is None


# -- several names for one thing


def test_a_model_that_was_moved_is_the_same_one_and_a_seed_of_it_counts_once(tmp_path: Path) -> None:
    paths = ["here/m.keras", "there/m.keras"]
    results = [
        known(
            rows=[row(seed) for seed in seeds],
            model=path,
            overrides=[f"model.path={path}"],
            number=number,
        )
        for number, (path, seeds) in enumerate(zip(paths, ((0, 1), (1, 2)), strict=True))
    ]
    summary = summarise(results)
    assert summary.names == ()
    assert [[each.seed for each in group.rows] for group in summary.groups] == [[0, 1, 2]]
    for each in results:
        each.write(tmp_path / str(each.job.number))
    warned = [str(each) for each in make_report(tmp_path).warnings]
    assert "`here/m.keras`, `there/m.keras` hold the same weights, and count as one model." in warned


def test_plans_that_do_the_same_are_one() -> None:
    told = labelled([known(recipe=recipe, plan=recipe) for recipe in ("a", "copies/of_a")])
    assert [each.plan.name for each in told.results] == ["a", "a"]
    assert told.joined == (("plan", ("a", "copies/of_a")),)


def test_data_that_were_moved_are_the_same() -> None:
    paths = ["a/x.npz", "b/x.npz"]
    results = [known(data="one", overrides=[f"data.path={path}"]) for path in paths]
    assert len(summarise([replace(each, data=path) for each, path in zip(results, paths, strict=True)]).groups) == 1


def test_names_that_are_unique_stay_as_they_are() -> None:
    results = (*sweep(), *(known(std, number=100 + n) for n, std in enumerate((0.1, 1.0))))
    assert [each.model.path for each in labelled(results[:25]).results] == [each.model.path for each in results[:25]]
    assert all(one is other for one, other in zip(labelled(results[25:]).results, results[25:], strict=True))


# -- any names for any things


@pytest.mark.parametrize("seed", range(12))
def test_groups_are_what_digests_make_them_whatever_the_names_are(seed: int) -> None:
    luck = Random(seed)
    results = [
        known(
            luck.choice([0.1, 1.0]),
            [row(luck.randrange(4), half_at=0.1 + luck.random())],
            recipe=luck.choice(["a/n", "b/n", "n"]),
            plan=luck.choice(["n", "m"]),
            steps=luck.choice(["x", "y", "z"]),
            weights=luck.choice(["old", "new"]),
            data=luck.choice(["p", "q"]),
            model=luck.choice(["m.keras", "n.keras"]),
            number=number,
        )
        for number in range(40)
    ]
    expected: dict[tuple[str, ...], set[int]] = {}
    for each in results:
        expected.setdefault(identity(each), set()).update(one.seed for one in each.rows)
    summary = summarise(results)
    assert sorted(sorted(one.seed for one in group.rows) for group in summary.groups) == sorted(
        sorted(each) for each in expected.values()
    )
    assert len({group.values for group in summary.groups}) == len(summary.groups)
    rows = rows_table(results)
    columns = [rows.columns.index(name) for name in ("plan", "params.std", "model", "data")]
    labels = {
        tuple(each[column] for column in columns): identity(one) for each, one in zip(rows.rows, results, strict=True)
    }
    assert len(set(labels.values())) == len(labels) == len(expected)


def test_labelling_twice_changes_nothing() -> None:
    results = [known(steps=steps, weights=weights) for steps in "xy" for weights in "pq"]
    once = labelled(results)
    assert labelled(once.results).results == once.results


# -- what is not identity


def test_jobs_that_share_numbers_are_called_by_their_folders() -> None:
    results = [
        replace(known(std, error="no memory" if std == 1 else None), job=replace(known().job, directory=f"std={std}"))
        for std in (0.1, 1)
    ]
    assert not summarise(results).has_job_numbers
    text = summary_text(summarise(results))
    assert "std=1 " in text.partition("1 job failed")[2]


def test_a_seed_that_one_of_two_jobs_measured_is_taken_from_that_one() -> None:
    measured = known(rows=[row(0)])
    other = known(rows=[row(0, metrics={"auc": 0.5}, drop={"auc": 0.1})], base={"auc": 0.6}, objective="auc")
    for results in ([measured, other], [other, measured]):
        (group,) = summarise(results, "accuracy").groups
        assert group.measured == (row(0).metrics["accuracy"],)


# -- results of version 1


def test_a_folder_of_version_1_is_reported_as_it_was(tmp_path: Path) -> None:
    shutil.copytree(VERSION_1, tmp_path / "sweep")
    report = make_report(tmp_path / "sweep")
    with open(VERSION_1 / "results.csv", newline="") as file:
        before = list(csv.DictReader(file))
    with open(tmp_path / "sweep/results.csv", newline="") as file:
        after = list(csv.DictReader(file))
    assert [{name: each[name] for name in before[0]} for each in after] == before
    assert not report.warnings
    means = {
        std: [float(each["metrics.accuracy"]) for each in before if each["params.std"] == std] for std in ("0.1", "1")
    }
    assert [group.metric.mean for group in report.summary.groups] == [sum(each) / 2 for each in means.values()]


def test_a_result_of_version_1_is_never_pooled_with_a_later_one(tmp_path: Path) -> None:
    shutil.copytree(VERSION_1, tmp_path / "old")
    old = collect(tmp_path / "old")
    new = [
        replace(
            each,
            job=replace(each.job, directory=f"new/{number}"),
            effect_digest=f"{number:032}",
            recipe_digest="f" * 32,
            weights_digest="d" * 32,
        )
        for number, each in enumerate(old)
    ]
    write(new, tmp_path)
    summary = make_report(tmp_path).summary
    plans = ("dense_noise @unknown", "dense_noise @ffffff")
    models = ("model.keras @unknown", "model.keras @dddddd")
    assert {(each.plan.name, each.model.path) for each in summary.results} == set(zip(plans, models, strict=True))
    assert [len(group.rows) for group in summary.groups] == [2] * 4


def test_summaries_keep_the_results_that_failed() -> None:
    failed = replace(known(), rows=(), error="no memory", weights_digest="", effect_digest="")
    summary: Summary = summarise([known(), failed])
    assert (len(summary.results), len(summary.groups)) == (2, 1)


# -- one mutant, evaluated by several metrics


def measured(value: float, evaluate: str, directory: str, base: float = 0.9) -> Result:
    """A job that measured a value of the metric `off`."""
    one = row(0, metrics={"off": value}, drop={"off": base - value})
    made = known(rows=[one], base={"off": base}, objective="off", evaluate_digest=evaluate and digest(evaluate))
    return replace(made, job=replace(made.job, directory=directory))


def test_a_mutant_that_was_evaluated_by_two_metrics_of_one_name_has_two_rows() -> None:
    results = [measured(0.3, "tol=1", "a/0"), measured(0.6, "tol=2", "b/0", base=0.95)]
    summary = summarise(results)
    assert summary.names == ("evaluate",)
    assert [(group.measured, group.base) for group in summary.groups] == [((0.3,), 0.9), ((0.6,), 0.95)]
    assert [f"@{digest(each)[:6]}" for each in ("tol=1", "tol=2")] == [group.values[0] for group in summary.groups]
    assert not any(group.conflicts for group in summary.groups)
    assert sensitivity(summary) is None


def test_jobs_that_count_as_one_and_measured_two_things_are_a_warning(tmp_path: Path) -> None:
    results = [measured(0.3, "", "a/0"), measured(0.6, "", "b/0", base=0.95)]
    warnings = list(map(str, make_report(write(results, tmp_path)).warnings))
    assert any("off of seed 0 is 0.3 in a/0 and 0.6 in b/0" in each for each in warnings)
    assert any("off of the base is 0.9 in a/0 and 0.95 in b/0" in each for each in warnings)
    again = [measured(0.3, "", "a/0"), measured(0.3 + 1e-8, "", "b/0")]
    assert not any(group.conflicts for group in summarise(again).groups)


def test_what_evaluates_is_known_by_loss_and_metrics_and_by_the_code_of_these(tmp_path: Path) -> None:
    def found(code: str, folder: str, **changes: Any) -> str:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        (path / "metric_of_mine.py").write_text(code, encoding="utf-8")
        with in_folder_of_the_call(str(path)):
            return evaluate_digest(EvaluateSettings(metrics=[{"_target_": "metric_of_mine.off"}], **changes))

    one = found("tol = 1", "a")
    assert found("tol = 1", "b") == one
    assert found("tol = 1", "a", batch_size=7, agreement=False) == one
    assert found("tol = 2", "c") != one
    assert found("tol = 1", "a", loss="mse") != one
