"""Sweeps that optimise: the best so far, the Pareto front, and what the charts and the page show of all trials."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mutspec.experiment.reports.aggregate import collect
from mutspec.experiment.reports.colours import PALETTE, ramp
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.reports.marks import Chart, Dots, Words
from mutspec.experiment.reports.page import web_page
from mutspec.experiment.reports.plot import pictures
from mutspec.experiment.reports.study import Study, study
from mutspec.experiment.reports.study_charts import MOST_PAIRS, study_charts
from mutspec.experiment.result import Result
from tests.experiment.made_up import failed, replace, result, row, sweep, write
from tests.experiment.read_html import Page

ONE = {"loss": "minimize"}
TWO = {"agreement": "maximize", "drop.accuracy": "minimize"}
THREE = {**TWO, "loss": "minimize"}
SIGNS = list(product(["minimize", "maximize"], repeat=2))


def trials(directions: dict[str, str], number: int = 30) -> list[Result]:
    """Jobs as Optuna leaves them: numbers and a name that it chose, and a value for each objective."""
    random = Random(4)
    made = []
    for trial in range(number):
        std, layer = 10 ** random.uniform(-2, 1), random.choice(["conv_1", "conv_2", "dense"])
        values = {name: round(random.uniform(0.1, 0.9), 2) for name in directions}
        parameters = {"std": std, "layer": layer, "part": random.random()}
        changes: dict[str, Any] = {"objectives": values, "directions": directions, "objective": next(iter(directions))}
        made.append(result(trial, [f"plan.params.std={std}"], [row(0, std)], parameters, **changes))
    return made


def found(results: list[Result]) -> Study:
    made = study(summarise(results, "accuracy"))
    assert made is not None
    return made


def charts(results: list[Result]) -> dict[str, Chart]:
    return study_charts(found(results), summarise(results, "accuracy"))


def is_better(one: float, other: float, direction: str) -> bool:
    return one > other if direction == "maximize" else one < other


def of_call(call: int, results: list[Result]) -> list[Result]:
    """The jobs of a call, in a folder of their own."""
    began = f"2026-01-0{call + 1}T00:00:00.000000"
    jobs = [replace(each.job, call=began, directory=f"{9 - call}/{each.job.number}") for each in results]
    return [replace(each, job=job) for each, job in zip(results, jobs, strict=True)]


# What was found


def test_trials_of_a_study_that_goes_on_are_in_the_order_of_the_calls(tmp_path: Path) -> None:
    made = trials({"loss": "minimize"}, 10)
    later = [replace(each, job=replace(each.job, number=number)) for number, each in enumerate(made[5:])]
    results = list(collect(write([*of_call(1, later), *of_call(0, made[:5])], tmp_path)))
    values = [each.objectives["loss"] for each in made]
    assert [each.objectives["loss"] for each in results] == values
    study = found(results)
    assert [(trial.number, trial.values[0]) for trial in study.trials] == list(enumerate(values))
    assert study.best_so_far(0) == [min(values[: number + 1]) for number in range(10)]


def test_jobs_of_a_sweep_that_another_call_went_on_with_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    made = trials({"loss": "minimize"}, 4)
    results = collect(write([*of_call(1, made[1:2]), *of_call(0, [made[0], *made[2:]])], tmp_path))
    assert [each.job.number for each in results] == [0, 1, 2, 3]
    assert [trial.number for trial in found(list(results)).trials] == [0, 1, 2, 3]


def test_trials_keep_their_numbers_where_others_failed() -> None:
    results = of_call(0, trials({"loss": "minimize"}, 5))
    for number in (0, 1, 3):
        results[number] = replace(failed(number, (), "boom"), job=results[number].job)
    made = found(results)
    assert [trial.number for trial in made.trials] == [2, 4]
    chart = charts(results)["best"]
    assert [mark.points[0][0] for mark in chart.panels[0].marks if isinstance(mark, Dots)] == [2, 4]
    assert [x for x, _ in chart.panels[0].paths("mean")[0].points] == [2, 4, 4]
    assert "parallel" in charts(results)


@pytest.mark.parametrize("signs", SIGNS)
def test_the_front_is_the_trials_that_no_other_one_beats(signs: tuple[str, str]) -> None:
    directions = dict(zip(("a", "b"), signs, strict=True))
    results = trials(directions, 80)
    points = [tuple(each.objectives.values()) for each in results]

    def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        better = [is_better(x, y, sign) for x, y, sign in zip(one, other, signs, strict=True)]
        worse = [is_better(y, x, sign) for x, y, sign in zip(one, other, signs, strict=True)]
        return any(better) and not any(worse)

    expected = {n for n, point in enumerate(points) if not any(beats(other, point) for other in points)}
    assert {trial.number for trial in found(results).front} == expected
    assert 1 < len(expected) < 40


def test_the_best_so_far_is_the_best_of_all_trials_until_then() -> None:
    for direction, best in (("minimize", min), ("maximize", max)):
        results = trials({"loss": direction})
        values = [each.objectives["loss"] for each in results]
        expected = [best(values[: number + 1]) for number in range(len(values))]
        assert found(results).best_so_far(0) == expected


def test_jobs_that_failed_or_have_no_number_are_counted_and_left_out() -> None:
    results = trials(TWO)
    results[3] = failed(3, results[3].job.overrides, "boom")
    results[5] = replace(results[5], objectives={"agreement": math.nan, "drop.accuracy": 0.1})
    made = found(results)
    assert (len(made.trials), made.left_out) == (28, 2)
    assert all("2 jobs without a value left out" in chart.notes for chart in charts(results).values())


@pytest.mark.parametrize("results", [sweep(), trials(ONE, 1), [result()]], ids=["sweep", "one trial", "run"])
def test_other_sweeps_are_not_studies(results: list[Result]) -> None:
    assert study(summarise(results)) is None
    assert "Optimisation" not in web_page(summarise(results)).decode()


# What is drawn


@pytest.mark.parametrize(
    ("directions", "names"),
    [(ONE, ["best", "parallel"]), (TWO, ["best", "front", "parallel"]), (THREE, ["best", "front", "parallel"])],
)
def test_a_study_has_the_best_so_far_all_trials_and_of_several_objectives_the_front(
    directions: dict[str, str], names: list[str]
) -> None:
    assert list(charts(trials(directions))) == names


def test_every_objective_has_a_panel_with_its_trials_and_a_staircase_of_the_best() -> None:
    results = trials(THREE)
    chart = charts(results)["best"]
    assert len(chart.panels) == 3
    for index, (panel, (name, direction)) in enumerate(zip(chart.panels, THREE.items(), strict=True)):
        assert panel.y is not None
        assert panel.y.label.endswith("maximised" if direction == "maximize" else "minimised")
        assert sorted(panel.dots) == [(number, each.objectives[name]) for number, each in enumerate(results)]
        (stairs,) = panel.paths("mean")
        best = dict(stairs.points)  # of each trial the last point counts
        assert [best[number] for number in range(30)] == found(results).best_so_far(index)
        for (x, y), (after, above) in zip(stairs.points, stairs.points[1:], strict=False):
            assert x == after or y == above


@pytest.mark.parametrize("signs", SIGNS)
def test_the_border_of_the_front_has_every_trial_on_its_worse_side(signs: tuple[str, str]) -> None:
    directions = dict(zip(("a", "b"), signs, strict=True))
    results = trials(directions, 60)
    (panel,) = charts(results)["front"].panels
    (border,) = panel.paths("interval")
    on_front = {trial.values for trial in found(results).front}
    for x, y in border.points:
        assert not any(
            is_better(x, a, signs[0]) and is_better(y, b, signs[1]) for a, b in on_front if (x, y) not in on_front
        )
        assert any(a == x or b == y for a, b in on_front)
        # Each corner is beaten by, or is, a trial that was found: nothing is claimed that no trial reached.
        assert any(not is_better(x, a, signs[0]) and not is_better(y, b, signs[1]) for a, b in on_front)


def test_the_front_is_strong_and_on_top_and_all_trials_are_there() -> None:
    results = trials(TWO)
    (panel,) = charts(results)["front"].panels
    assert sorted(panel.dots) == sorted(
        (each.objectives["agreement"], each.objectives["drop.accuracy"]) for each in results
    )
    strong = [mark.points[0] for mark in panel.marks if isinstance(mark, Dots) and mark.is_strong]
    assert strong == [trial.values for trial in found(results).front]
    assert all(mark.colour == PALETTE[1] for mark in panel.marks[-len(strong) :] if isinstance(mark, Dots))


def test_each_pair_of_objectives_has_a_panel_with_axes_of_its_own() -> None:
    chart = charts(trials(THREE))["front"]
    labels = [(panel.x.label, panel.y.label) for panel in chart.panels if panel.x and panel.y]
    accuracy = "Drop of accuracy, minimised"
    assert labels == [
        ("Agreement, maximised", accuracy),
        ("Agreement, maximised", "Loss, minimised"),
        (accuracy, "Loss, minimised"),
    ]
    five = charts(trials({f"score_{n}": "minimize" for n in range(5)}))["front"]
    assert len(five.panels) == MOST_PAIRS
    assert f"{MOST_PAIRS} of 10 pairs of objectives" in five.notes


def test_parallel_coordinates_have_an_axis_for_each_setting_and_objective_and_a_line_for_each_trial() -> None:
    results = trials(TWO)
    chart = charts(results)["parallel"]
    (panel,) = chart.panels
    assert [tick.text for tick in chart.x.ticks] == ["std", "layer", "part", "agreement", "drop.accuracy"]
    lines = panel.paths("interval")
    assert len(lines) == 30
    stds = [each.parameters["std"] for each in results]
    low, high = math.log10(min(stds)), math.log10(max(stds))
    expected = sorted((math.log10(std) - low) / (high - low) for std in stds)
    assert sorted(line.points[0][1] for line in lines) == pytest.approx(expected)
    assert {line.points[1][1] for line in lines} == {0, 0.5, 1}
    assert all([x for x, _ in line.points] == list(range(5)) for line in lines)
    best = max(results, key=lambda each: each.objectives["agreement"])
    assert lines[-1].points[3][1] == 1
    assert lines[-1].colour == ramp(5)[0]
    said = {mark.text for mark in panel.marks if isinstance(mark, Words)}
    assert {"conv_1", "dense", f"{best.objectives['agreement']:.3g}", f"{min(stds):.3g}"} <= said


# Where it is shown


def test_the_page_has_all_objectives_of_the_trials_on_the_front_and_the_charts() -> None:
    results = trials(TWO)
    shown = Page(web_page(summarise(results, "accuracy")).decode())
    table = shown.table("Trials that no other one beats in all objectives")
    front = found(results).front
    for name in TWO:
        assert [float(each) for each in table.column(name)] == [trial.result.objectives[name] for trial in front]
    assert table.column("Trial") == [str(trial.number) for trial in front]
    assert {"Optimisation", "Best so far", "Pareto front", "All trials"} <= set(shown.said("h2", "h3"))


def test_with_one_objective_the_page_has_the_best_trials_first() -> None:
    results = trials({"loss": "maximize"})
    table = Page(web_page(summarise(results, "accuracy")).decode()).table("The best trials")
    expected = sorted((each.objectives["loss"] for each in results), reverse=True)[:10]
    assert [float(each) for each in table.column("loss")] == expected


def test_the_pictures_are_files_of_their_own() -> None:
    stems = dict.fromkeys(name.partition(".")[0] for name in pictures(summarise(trials(TWO, 8), "accuracy")))
    assert list(stems) == ["plot", "best", "front", "parallel"]
