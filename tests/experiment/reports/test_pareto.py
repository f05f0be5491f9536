"""Pareto fronts of sweeps whose mutants differ in cost: who is on them, the picture, the page, the table, the JSON."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import jsonschema
import pytest

from mutspec.experiment.reports.aggregate import rows_table
from mutspec.experiment.reports.groups import Summary, summarise
from mutspec.experiment.reports.marks import Axis, Chart, Dots, Panel
from mutspec.experiment.reports.page import web_page
from mutspec.experiment.reports.pareto import Front, fronts
from mutspec.experiment.reports.pareto_chart import pareto_chart
from mutspec.experiment.reports.report import make_report
from mutspec.experiment.reports.table import summary_text
from mutspec.experiment.result import Result
from tests.experiment.made_up import BASE, COSTS, categories, costing, pruned, replace, result, row, sweep, write
from tests.experiment.read_html import Page

ROOT = Path(__file__).parents[3]
RANKS = {"smallest": 0.6, "random": 0.4, "largest": 0.3}


def at_random(number: int) -> list[Result]:
    """Mutants with costs and measures that have nothing to do with each other, some of them equal."""
    random = Random(5)
    made = []
    for index in range(number):
        cost, accuracy, loss = random.randrange(1, 40), random.randrange(30) / 40, 0.1 + random.randrange(30) / 10
        measured = {"accuracy": accuracy, "loss": loss}
        each = row(0, metrics=measured, parameters=1000 * cost, multiply_adds=7000 * (40 - cost))
        one = result(index, [f"plan.params.std={index}"], [each], {"std": index})
        made.append(costing(one, parameters=45_000, multiply_adds=300_000))
    return made


def named(front: Front, summary: Summary) -> set[int | None]:
    places = {id(group): place for place, group in enumerate(summary.groups)}
    return {places.get(id(each.group)) for each in front.members}


# Who is on the front


@pytest.mark.parametrize(("metric", "sign"), [("accuracy", 1), ("loss", -1)])
def test_the_front_is_what_nothing_beats_in_both_the_base_included(metric: str, sign: int) -> None:
    results = at_random(60)
    summary = summarise(results, metric)
    for front in fronts(summary):
        rows = {index: each.rows[0] for index, each in enumerate(results)}
        points: dict[int | None, tuple[float, float]] = {
            index: (getattr(each, front.cost), each.metrics[metric]) for index, each in rows.items()
        }
        points[None] = (getattr(results[0].model, front.cost), BASE[metric])

        def beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
            is_as_good = one[0] <= other[0] and sign * one[1] >= sign * other[1]
            return is_as_good and one != other

        expected = {name for name, point in points.items() if not any(beats(each, point) for each in points.values())}
        assert named(front, summary) == expected
        assert 1 < len(expected) < 30


def test_multiply_adds_come_first_then_parameters() -> None:
    assert [front.cost for front in fronts(summarise(pruned(RANKS)))] == ["multiply_adds", "parameters"]


def test_mutants_that_cost_what_their_base_costs_have_no_front() -> None:
    results = [costing(each, **COSTS) for each in sweep()]
    results = [replace(each, rows=tuple(replace(one, **COSTS) for one in each.rows)) for each in results]
    assert fronts(summarise(results)) == ()
    assert "Multiply" not in summary_text(summarise(results))


def test_results_of_older_versions_know_no_costs_and_have_no_front() -> None:
    assert fronts(summarise(sweep())) == ()


def test_where_the_multiply_adds_of_mutants_are_not_known_their_parameters_are_left() -> None:
    results = [costing(each, multiply_adds=None) for each in pruned(RANKS)]
    results = [replace(each, rows=tuple(replace(one, multiply_adds=None) for one in each.rows)) for each in results]
    assert [front.cost for front in fronts(summarise(results))] == ["parameters"]


def test_a_cost_can_be_the_metric_and_then_has_no_front() -> None:
    summary = summarise(pruned(RANKS), "multiply_adds")
    assert summary.base == 325_008
    assert [group.metric.mean for group in summary.groups[:2]] == [round(325_008 * 0.81)] * 2
    assert fronts(summary) == ()
    text = " ".join(summary_text(summary).split())
    assert "Multiply–adds" in text
    assert "325008" in text


# The picture


def chart(results: list[Result]) -> Chart:
    made = pareto_chart(summarise(results))
    assert made is not None
    return made


def corners(panel: Panel) -> dict[float, float]:
    """The value at each end of the staircase, which is the last polyline."""
    stairs = [mark for mark in panel.paths("interval") if mark.colour is None]
    return dict(stairs[0].points)  # of two points at one cost, the upper one


def test_each_cost_has_a_panel_and_all_dots_are_means_below_the_staircase() -> None:
    made = chart(pruned(RANKS))
    assert [panel.x.label for panel in made.panels if panel.x] == ["Multiply–adds for one sample", "Parameters"]
    summary = summarise(pruned(RANKS))
    for panel, name in zip(made.panels, ("multiply_adds", "parameters"), strict=True):
        wanted = {(group.costs[name], group.metric.mean) for group in summary.groups}
        wanted.add((COSTS[name], BASE["accuracy"]))
        assert set(panel.dots) == wanted
        stairs = corners(panel)
        for cost, value in panel.dots:
            assert value is not None
            assert max(height for at, height in stairs.items() if at <= cost) >= value - 1e-12


def test_the_staircase_turns_at_the_members_of_the_front_and_goes_on_to_the_end() -> None:
    summary = summarise(pruned(RANKS))
    for front, panel in zip(fronts(summary), chart(pruned(RANKS)).panels, strict=True):
        members = {each.cost: each.value for each in front.members}
        stairs = corners(panel)
        assert panel.x is not None
        assert {at: value for at, value in stairs.items() if at in members} == members
        (end,) = stairs.keys() - members.keys()
        assert panel.x.part(end) == pytest.approx(1)
        assert stairs[end] == max(members.values())


def test_each_rank_has_a_colour_of_its_own_and_the_base_is_ink() -> None:
    made = chart(pruned(RANKS))
    assert [entry.text for entry in made.legend] == ["smallest", "random", "largest", "base 97.2%", "Pareto front"]
    colours = {mark.colour for mark in made.panels[0].marks if isinstance(mark, Dots)}
    assert colours == {None, *(entry.colour for entry in made.legend[:3])}


def test_plans_that_are_compared_have_a_colour_and_a_name_each() -> None:
    results = [
        costing(replace(each, rows=tuple(replace(one, multiply_adds=1000 + number) for one in each.rows)), **COSTS)
        for number, each in enumerate(categories({"narrower": 0.4, "shorter": 0.6}))
    ]
    made = chart(results)
    assert [entry.text for entry in made.legend[:2]] == ["narrower", "shorter"]
    assert not made.panels[0].paths("mean")


def test_a_dot_tells_its_settings_and_its_cost() -> None:
    tells = [mark.tells for mark in chart(pruned(RANKS)).panels[0].marks if isinstance(mark, Dots)]
    assert any("fraction = 10%, rank = smallest" in each and "for one sample: 263,256" in each for each in tells)


@pytest.mark.parametrize(
    ("fractions", "spacing", "texts"),
    [((0.1, 0.3, 0.5), "linear", ["100 k", "200 k", "300 k"]), ((0.1, 0.5, 0.9), "log", ["5 k", "10 k", "100 k"])],
)
def test_costs_far_apart_are_on_a_logarithmic_axis(
    fractions: tuple[float, ...], spacing: str, texts: list[str]
) -> None:
    axis = chart(pruned(RANKS, fractions)).panels[0].x
    assert isinstance(axis, Axis)
    assert axis.spacing == spacing
    assert set(texts) <= {tick.text for tick in axis.ticks}


# Tables and files


def test_tables_have_the_costs_of_base_and_mutants() -> None:
    lines = summary_text(summarise(pruned(RANKS)), width=120).splitlines()
    head = next(line for line in lines if "Parameters" in line)
    assert head.split()[-2:] == ["Parameters", "Multiply–adds"]
    assert next(line for line in lines if " base" in line).split()[-2:] == ["25,778", "325,008"]
    assert next(line for line in lines if "smallest" in line).split()[-2:] == ["20,880", "263,256"]


def test_the_page_has_the_picture_and_the_members_with_their_part_of_the_base() -> None:
    results = pruned(RANKS)
    page = Page(web_page(summarise(results)).decode())
    table = page.table("Pareto front of accuracy over multiply–adds, and over parameters")
    (front, _) = fronts(summarise(results))
    assert table.column("Multiply–adds") == [f"{each.cost:,.0f}" for each in front.members]
    assert table.column("Of the base")[-1] == "100.0%"
    assert table.rows[-1][0] == "base"
    assert page.table("All mutants").column("Multiply–adds")[0] == "263,256"


def test_fronts_of_other_members_have_tables_of_their_own() -> None:
    page = Page(web_page(summarise(at_random(30))).decode())
    for cost in ("multiply–adds", "parameters"):
        assert page.table(f"Pareto front of accuracy over {cost}").rows


def test_the_report_writes_the_picture_and_says_the_front(tmp_path: Path) -> None:
    report = make_report(write(pruned(RANKS), tmp_path))
    assert {"pareto.png", "pareto.svg", "pareto.pdf"} <= {path.name for path in report.files}
    document = json.loads(json.dumps(report.to_json()))
    jsonschema.validate(document, json.loads((ROOT / "schemas" / "report.schema.json").read_text()))
    groups, (front, _) = document["groups"], document["fronts"]
    costs = [325_008 if place is None else groups[place]["costs"]["multiply_adds"] for place in front["members"]]
    assert front["cost"] == "multiply_adds"
    assert costs == sorted(costs)


def test_the_tidy_table_has_costs_and_those_of_the_base() -> None:
    table = rows_table(pruned(RANKS))
    first = dict(zip(table.columns, table.rows[0], strict=True))
    assert (first["parameters"], first["multiply_adds"]) == (20_880, 263_256)
    assert (first["base_parameters"], first["base_multiply_adds"]) == (25_778, 325_008)
