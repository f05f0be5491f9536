"""What the chart of a sweep shows: dots, lines, intervals, panels, scales and words, before anything draws them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from mutspec.errors import CallError
from mutspec.experiment.reports.colours import PALETTE
from mutspec.experiment.reports.curves import curves
from mutspec.experiment.reports.facets import MOST_PANELS, MOST_TOGETHER
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.reports.marks import Axis, Chart, Dots, Mark, Panel, Point
from mutspec.experiment.reports.sweep_chart import MOST_CATEGORIES, sweep_chart
from mutspec.experiment.result import Result
from tests.experiment.made_up import (
    BASE,
    RECIPES,
    SAMPLES,
    SCALES,
    categories,
    failed,
    layers,
    replace,
    result,
    row,
    several_plans,
    sweep,
)


def chart_of(
    results: list[Result], metric: str | None = None, facet: str | None = None, average: tuple[str, ...] = ()
) -> Chart:
    made = sweep_chart(summarise(results, metric, average), facet)
    assert made is not None
    return made


def panel_of(results: list[Result], metric: str | None = None) -> Panel:
    (panel,) = chart_of(results, metric).panels
    return panel


def words(chart: Chart) -> str:
    return " | ".join([chart.title, *chart.notes, chart.x.label, chart.y.label, *(each.text for each in chart.legend)])


def by_scale(results: list[Result], metric: str = "accuracy") -> dict[float, list[float]]:
    found: dict[float, list[float]] = {}
    for each in results:
        found.setdefault(each.parameters["std"], []).extend(one.metrics[metric] for one in each.rows)
    return found


def ends(axis: Axis) -> tuple[float, float]:
    """The values at the ends of an axis, where `part` is 0 and 1."""
    exact = (10**axis.start, 10**axis.end) if axis.spacing == "log" else (axis.start, axis.end)
    assert [axis.part(value) for value in exact] == pytest.approx([0, 1])
    return exact


# A metric over a number


def test_every_seed_is_a_dot_where_it_was_measured() -> None:
    results = sweep()
    assert sorted(panel_of(results).dots) == sorted((x, y) for x, ys in by_scale(results).items() for y in ys)


def test_the_line_goes_through_the_means() -> None:
    results = sweep()
    (line,) = panel_of(results).paths("mean")
    expected = by_scale(results)
    np.testing.assert_allclose(line.points, [(x, np.mean(expected[x])) for x in sorted(expected)], atol=1e-15)


def test_the_band_is_students_interval_of_the_mean() -> None:
    results = sweep()
    (band,) = panel_of(results).areas
    corners = np.array(band.points)
    for x, values in by_scale(results).items():
        low, high = np.mean(values) + np.array([-1, 1]) * stats.t.ppf(0.975, 4) * stats.sem(values)
        found = corners[corners[:, 0] == x, 1]
        assert [found.min(), found.max()] == pytest.approx([low, high])


def test_the_band_of_one_seed_is_wilsons_interval_of_the_rate() -> None:
    results = sweep(seeds=1)
    chart = chart_of(results)
    (band,) = chart.panels[0].areas
    corners = np.array(band.points)
    for x, (value,) in by_scale(results).items():
        tested = stats.binomtest(round(value * SAMPLES), SAMPLES).proportion_ci(method="wilson")
        found = corners[corners[:, 0] == x, 1]
        assert [found.min(), found.max()] == pytest.approx([tested.low, tested.high])
    assert "band: 95 % interval of the rate (Wilson)" in chart.notes
    assert not [note for note in chart.notes if "mean" in note]


def test_one_seed_of_a_loss_has_no_band_and_is_not_called_one() -> None:
    chart = chart_of(sweep(seeds=1), "loss")
    assert not chart.panels[0].areas
    assert "band" not in words(chart)
    assert len(chart.panels[0].dots) == 5


def is_above(panel: Panel, upper: Mark, lower: Mark) -> bool:
    return panel.marks.index(upper) > panel.marks.index(lower)


@pytest.mark.parametrize("lines", [1, 3])
def test_lines_and_bands_lie_above_all_dots_so_that_dense_sweeps_show_them(lines: int) -> None:
    scales = [0.01 * 1.12**n for n in range(40)]
    panel = panel_of(several_plans({f"plan_{n}": 1.0 + n for n in range(lines)}, scales, seeds=10))
    dots = [mark for mark in panel.marks if isinstance(mark, Dots)]
    assert len(panel.dots) == lines * 400
    for mark in (*panel.areas, *panel.paths("mean")):
        assert all(is_above(panel, mark, each) for each in dots)


def test_the_base_is_a_dashed_line_across_the_panel_with_its_number_in_the_legend() -> None:
    chart = chart_of(sweep())
    (base,) = chart.panels[0].paths("base")
    assert [y for _, y in base.points] == [BASE["accuracy"]] * 2
    assert [chart.x.part(x) for x, _ in base.points] == pytest.approx([0, 1])
    assert [(each.text, each.sign) for each in chart.legend] == [("base 97.2%", "base")]
    assert "base 0.0912" in words(chart_of(sweep(), "loss"))


SPACINGS = {"log": SCALES, "linear": (0.1, 0.3, 0.5, 0.8), "symlog": (0, *SCALES)}


@pytest.mark.parametrize("spacing", SPACINGS)
def test_numbers_over_decades_are_spaced_by_their_logarithm(spacing: str) -> None:
    axis = chart_of(sweep(SPACINGS[spacing])).x
    assert axis.spacing == spacing
    assert ("log scale" in axis.label) is (spacing != "linear")
    parts = [axis.part(value) for value in SPACINGS[spacing]]
    assert parts == sorted(parts)
    assert 0.02 < parts[0] < parts[-1] < 0.98


def test_numbers_chosen_by_their_ratios_are_spaced_by_their_logarithm_over_one_decade_already() -> None:
    assert chart_of(sweep((0.1, 0.3, 1, 3))).x.spacing == "log"
    assert chart_of(sweep((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2))).x.spacing == "linear"


def test_numbers_with_a_zero_or_a_sign_are_linear_unless_the_rest_spans_decades() -> None:
    assert chart_of(sweep((0, 0.1, 0.2))).x.spacing == "linear"
    assert chart_of(sweep((-1, 0.01, 1))).x.spacing == "linear"


def test_the_ticks_are_the_scales_of_the_sweep_where_they_have_room() -> None:
    assert [(tick.at, tick.text) for tick in chart_of(sweep()).x.ticks] == [(x, f"{x:g}") for x in SCALES]
    assert len(chart_of(sweep([n / 100 for n in range(1, 101)], seeds=1)).x.ticks) < 20


def test_percentages_are_on_an_axis_of_percentages() -> None:
    jobs = enumerate(("0.1%", "1%", "10%"))
    axis = chart_of([result(n, [f"plan.params.f={f}"], [row(s) for s in range(3)], {"f": f}) for n, f in jobs]).x
    assert axis.spacing == "log"
    assert [tick.text for tick in axis.ticks] == ["0.1%", "1%", "10%"]


def test_shares_are_in_percent_of_the_samples_and_within_what_is_possible() -> None:
    axis = chart_of(sweep(seeds=2)).y  # whose intervals are wider than all that is possible
    assert axis.label == "Accuracy (percent of 540 samples)"
    assert all(tick.text.endswith("%") for tick in axis.ticks)
    low, high = ends(axis)
    assert -0.05 < low <= 0
    assert 1 < high < 1.1
    assert all(0 <= tick.at <= 1 + 1e-9 for tick in axis.ticks)


@pytest.mark.parametrize(
    ("metrics", "low", "high"), [({"score": 0.5}, 0.495, 0.505), ({"loss": 2.0}, 1.98, 2.02), ({"auc": 0.0}, -0.5, 0.5)]
)
def test_equal_values_are_not_blown_up(metrics: dict[str, float], low: float, high: float) -> None:
    (metric,) = metrics
    rows = [row(0, metrics=metrics)]
    jobs = enumerate(SCALES)
    results = [result(n, [f"a={x}"], rows, {"std": x}, base=metrics, objective=metric) for n, x in jobs]
    assert ends(chart_of(results).y) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_a_loss_that_grows_without_bound_is_on_a_log_scale_and_says_so() -> None:
    jobs = enumerate(SCALES)
    results = [result(n, rows=[row(0, metrics={"loss": 0.1 * 10 ** (2 * x)})], parameters={"std": x}) for n, x in jobs]
    axis = chart_of(results, "loss").y
    assert (axis.spacing, axis.label) == ("log", "Loss (log scale)")
    assert chart_of(sweep(), "loss").y.spacing == "linear"


def test_the_title_names_plan_and_model_and_the_notes_say_what_is_averaged_and_what_the_band_is() -> None:
    chart = chart_of(sweep())
    assert chart.title == "dense_noise on digits.keras"
    assert chart.notes == ("dots: seeds", "line: mean over seeds", "band: 95 % interval of the mean (Student)")


def test_values_that_are_not_finite_are_counted_and_not_drawn() -> None:
    results = sweep()
    results[24] = result(24, results[24].job.overrides, [row(4, metrics={"accuracy": float("nan")})], {"std": 3})
    chart = chart_of(results)
    assert "1 not finite, not shown" in chart.notes
    (line,) = chart.panels[0].paths("mean")
    assert len(line.points) == 4
    assert np.isfinite(chart.panels[0].dots).all()
    assert np.isfinite(ends(chart.y)).all()


# Positions


def bits(numbers: range, name: str = "bit", **changes: object) -> list[Result]:
    return [
        result(bit, [f"plan.params.{name}={bit}"], [row(seed, 10 ** (bit / 2 - 12)) for seed in range(3)], {name: bit})
        for bit in numbers
    ]


def joined(panel: Panel) -> set[tuple[float, float]]:
    """The pairs of different measured x that one stroke joins."""
    measured = {x for x, _ in panel.dots}
    return {
        (left, right)
        for mark in (*panel.paths("mean"), *panel.areas)
        for (left, _), (right, _) in zip(mark.points, mark.points[1:], strict=False)
        if left != right and {left, right} <= measured
    }


def test_positions_of_bits_are_not_joined_and_each_has_its_mean_and_interval() -> None:
    results = bits(range(32))
    chart = chart_of(results)
    (panel,) = chart.panels
    assert joined(panel) == set()
    assert len(panel.paths("mean")) == len(panel.paths("interval")) == 32
    means = [np.mean([one.metrics["accuracy"] for one in each.rows]) for each in results]
    assert [path.points[0][1] for path in panel.paths("mean")] == pytest.approx(means)
    assert all(abs(b[0] - a[0]) < 0.8 for a, b in (path.points for path in panel.paths("mean")))
    assert chart.x.spacing == "linear"
    assert all(tick.at == int(tick.at) for tick in chart.x.ticks)
    assert not [note for note in chart.notes if note.startswith("line")]


@pytest.mark.parametrize(
    ("name", "numbers", "is_discrete"),
    [
        ("bit", range(0, 31, 10), True),
        ("plan.steps.flip.bits", range(0, 31, 10), True),
        ("channel", range(3), True),
        ("anything", range(8), True),
        ("count", range(0, 50, 10), False),
        ("std", range(1, 4), False),
    ],
)
def test_a_number_is_a_position_by_its_name_or_as_one_of_many_in_a_row(
    name: str, numbers: range, is_discrete: bool
) -> None:
    assert bool(joined(panel_of(bits(numbers, name)))) is not is_discrete


def test_several_rows_of_positions_stand_next_to_each_other() -> None:
    results = [replace(each, plan_name=name) for name in ("a", "b") for each in bits(range(8))]
    panel = panel_of(results)
    assert joined(panel) == set()
    means = [path.points for path in panel.paths("mean")]
    assert all(means[n][1][0] < means[n + 8][0][0] for n in range(8))


# Several lines


def test_up_to_four_lines_share_a_panel_each_in_a_colour_of_its_own() -> None:
    plans = {f"plan_{n}": 0.4 * n for n in range(1, MOST_TOGETHER + 1)}
    chart = chart_of(several_plans(plans))
    (panel,) = chart.panels
    assert [line.colour for line in panel.paths("mean")] == list(PALETTE[:MOST_TOGETHER])
    assert [(each.text, each.colour) for each in chart.legend[:-1]] == list(zip(plans, PALETTE, strict=False))
    assert len(panel.dots) == 25 * MOST_TOGETHER
    assert len(panel.areas) == MOST_TOGETHER


def test_lines_that_differ_by_a_number_go_from_low_to_high() -> None:
    jobs = [(fraction, std) for fraction in (10, 2, 1) for std in SCALES]
    results = [
        result(n, [f"plan.params.std={std}", f"plan.params.k={k}"], [row(0, std)], {"std": std, "k": k})
        for n, (k, std) in enumerate(jobs)
    ]
    chart = chart_of(results)
    assert [each.text for each in chart.legend[:-1]] == ["k = 1", "k = 2", "k = 10"]
    assert not set(PALETTE) & {each.colour for each in chart.legend}


def test_the_number_with_most_values_is_on_the_axis() -> None:
    jobs = enumerate(product((1, 2), SCALES))
    names = ["plan.params.k=", "plan.params.std="]
    over = curves(summarise([result(n, names, [row(0, std)], {"k": k, "std": std}) for n, (k, std) in jobs]))
    assert over is not None
    assert (over.name, [line.label for line in over.lines]) == ("std", ["k = 1", "k = 2"])


def test_more_lines_have_a_panel_each_with_the_others_in_grey() -> None:
    names = {f"block_{n}/conv": 0.3 + n for n in range(12)}
    results = layers(names, (0.1, 1, 3))
    chart = chart_of(results)
    assert [panel.title for panel in chart.panels] == list(names)
    for panel, layer in zip(chart.panels, names, strict=True):
        (line,) = panel.paths("mean")
        mine = [each for each in results if each.parameters["layer"] == layer]
        expected = [np.mean([one.metrics["accuracy"] for one in each.rows]) for each in mine]
        assert [y for _, y in line.points] == pytest.approx(expected)
        assert len(panel.paths("context")) == 11
        assert len(panel.dots) == 15
        assert len(panel.paths("base")) == 1
    assert chart.columns == 4
    assert [each.text for each in chart.legend] == ["base 97.2%"]


def test_very_many_lines_are_cut_and_that_is_said() -> None:
    chart = chart_of(several_plans({f"plan_{n}": 0.1 * n for n in range(1, 31)}, (0.1, 1), seeds=2))
    assert len(chart.panels) == MOST_PANELS
    assert f"{MOST_PANELS} of 30 lines" in chart.notes
    assert [chart.panels[0].title, chart.panels[-1].title] == ["plan_1", "plan_30"]


def models(bases: tuple[float, float] = (0.95, 0.97), count: int = 3) -> list[Result]:
    """Two models, some layers each, four scales."""
    jobs = product(zip(("small", "large"), bases, strict=True), range(count), (0.1, 0.3, 1, 3))
    return [
        result(
            number,
            [f"model={model}", f"plan.params.layer=conv_{layer}", f"plan.params.std={std}"],
            [row(seed, std, half_at=(1 + layer) * (2 if model == "large" else 1)) for seed in range(4)],
            {"std": std, "layer": f"conv_{layer}"},
            model=f"{model}.keras",
            base={"accuracy": base},
        )
        for number, ((model, base), layer, std) in enumerate(jobs)
    ]


def layout(chart: Chart) -> dict[str, int]:
    """The titles of panels, and how many lines each has."""
    return {panel.title: len(panel.paths("mean")) for panel in chart.panels}


def test_lines_are_divided_by_the_setting_that_makes_the_fewest_panels() -> None:
    assert layout(chart_of(models((0.95, 0.95)))) == {"small.keras": 3, "large.keras": 3}


def test_a_caller_chooses_the_setting_whose_values_have_a_panel_each() -> None:
    same = models((0.95, 0.95))
    assert layout(chart_of(same, facet="layer")) == {"conv_0": 2, "conv_1": 2, "conv_2": 2}
    assert layout(chart_of(same, facet="params.layer")) == layout(chart_of(same, facet="layer"))
    assert layout(chart_of(several_plans({"a": 1.0, "b": 2.0}), facet="plan")) == {"a": 1, "b": 1}
    by_layer = chart_of(same, facet="layer")
    assert [each.text for each in by_layer.legend] == ["small.keras", "large.keras", "base 95.0%"]
    colours = {line.colour for panel in by_layer.panels for line in panel.paths("mean")}
    assert colours == set(PALETTE[:2])


@pytest.mark.parametrize(
    ("facet", "said", "candidates"),
    [
        ("std", "`std` is the axis of each line, and does not tell", ()),
        ("modle", "no setting `modle` tells", ("model",)),
        ("seed", "no setting `seed` tells", ()),
        ("conv.layer", "no setting `conv.layer` tells", ("layer",)),
    ],
)
def test_a_setting_that_does_not_tell_lines_apart_is_named_with_those_that_do(
    facet: str, said: str, candidates: tuple[str, ...]
) -> None:
    with pytest.raises(CallError, match=said) as caught:
        chart_of(models(), facet=facet)
    assert "`model`, `layer`" in caught.value.problems[0].hint
    assert caught.value.problems[0].candidates == candidates


def test_a_setting_is_suggested_by_the_last_part_of_its_name() -> None:
    jobs = [result(number, (f"plan.steps.bit_flip.bits={number}",)) for number in range(3)]
    with pytest.raises(CallError, match="no setting `bits` varies") as caught:
        summarise(jobs, average=["bits"])
    assert caught.value.problems[0].candidates == ("bit_flip.bits",)


def test_a_panel_of_one_model_says_the_base_of_that_model() -> None:
    chart = chart_of(models())
    assert [panel.title for panel in chart.panels] == ["small.keras (base 95.0%)", "large.keras (base 97.0%)"]
    assert [panel.paths("base")[0].points[0][1] for panel in chart.panels] == [0.95, 0.97]


def test_bases_that_differ_within_a_panel_are_drawn_each_in_its_lines_colour() -> None:
    chart = chart_of(models(), facet="layer")
    for panel in chart.panels:
        assert [(path.points[0][1], path.colour) for path in panel.paths("base")] == [
            (0.95, PALETTE[0]),
            (0.97, PALETTE[1]),
        ]
    assert [(each.text, each.sign) for each in chart.legend[-1:]] == [("base", "base")]


def test_lines_are_seen_through_bands_that_lie_over_one_another() -> None:
    def opacity(lines: int) -> float:
        return panel_of(several_plans({f"plan_{n}": n for n in range(1, 1 + lines)})).areas[0].opacity

    assert opacity(1) == opacity(3)
    assert opacity(4) == pytest.approx(0.75 * opacity(1))


def test_a_search_in_which_no_two_jobs_share_a_line_is_a_cloud_of_dots() -> None:
    jobs = [(0.01 * n, (n * 7) % 20) for n in range(1, 20)]
    chart = chart_of([result(n, [], [row(0, a)], {"a": a, "b": b}) for n, (a, b) in enumerate(jobs)])
    (panel,) = chart.panels
    assert not panel.paths("mean")
    assert len(panel.dots) == 19
    assert [each.text for each in chart.legend] == ["base 97.2%"]


# Means over other settings


def test_the_mean_over_a_setting_is_taken_for_each_seed_and_the_interval_is_over_the_seeds() -> None:
    results = layers({"a": 0.5, "b": 1.0, "c": 2.0}, (0.1, 1))
    chart = chart_of(results, average=("layer",))
    (panel,) = chart.panels
    for scale in (0.1, 1):
        values = [[one.metrics["accuracy"] for one in each.rows] for each in results if each.parameters["std"] == scale]
        seeds = np.mean(values, axis=0)
        assert sorted(y for x, y in panel.dots if x == scale) == pytest.approx(sorted(seeds))
        low, high = stats.t.interval(0.95, 4, loc=np.mean(seeds), scale=stats.sem(seeds))
        band = [y for x, y in panel.areas[0].points if x == scale]
        assert [min(band), max(band)] == pytest.approx([low, high])
    assert "line: mean over seeds and all values of layer" in chart.notes


def test_of_one_seed_the_values_of_the_setting_are_the_sample() -> None:
    results = layers({"a": 0.5, "b": 1.0, "c": 2.0}, (0.1, 1), seeds=1)
    chart = chart_of(results, average=("layer",))
    values = [each.rows[0].metrics["accuracy"] for each in results if each.parameters["std"] == 1]
    assert sorted(y for x, y in chart.panels[0].dots if x == 1) == sorted(values)
    assert chart.notes[:2] == ("dots: layer", "line: mean over layer")


def test_a_seed_that_some_value_lacks_is_not_averaged() -> None:
    results = layers({"a": 0.5, "b": 1.0}, (0.1, 1))
    results[0] = replace(results[0], rows=results[0].rows[1:])
    groups = summarise(results, average=["layer"]).groups
    assert [[one.seed for one in group.rows] for group in groups] == [[1, 2, 3, 4], [0, 1, 2, 3, 4]]


def test_without_means_each_seed_is_a_line() -> None:
    chart = chart_of(sweep(seeds=3), average=("none",))
    assert [each.text for each in chart.legend[:-1]] == ["seed = 0", "seed = 1", "seed = 2"]
    for seed, line in enumerate(chart.panels[0].paths("mean")):
        assert [y for _, y in line.points] == [each.rows[0].metrics["accuracy"] for each in sweep(seeds=3)[seed::3]]


def test_a_setting_that_does_not_vary_cannot_be_averaged() -> None:
    with pytest.raises(CallError, match="no setting `modle` varies") as caught:
        chart_of(models(), average=("modle",))
    assert caught.value.problems[0].candidates == ("model",)


# Categories


def test_categories_are_rows_of_dots_with_a_bar_at_the_mean_and_its_interval() -> None:
    results = categories(RECIPES)
    chart = chart_of(results)
    (panel,) = chart.panels
    assert [tick.text for tick in chart.y.ticks] == list(RECIPES)
    expected = [(one.metrics["accuracy"], place) for place, each in enumerate(results) for one in each.rows]
    assert sorted(panel.dots) == sorted(expected)
    measured = [[one.metrics["accuracy"] for one in each.rows] for each in results]
    assert [path.points[0][0] for path in panel.paths("mean")] == pytest.approx([np.mean(each) for each in measured])
    found = [tuple(x for x, _ in path.points) for path in panel.paths("interval")]
    np.testing.assert_allclose(
        found, [stats.t.interval(0.95, 4, np.mean(v), max(stats.sem(v), 1e-300)) for v in measured], atol=1e-12
    )
    assert chart.y.part(0) > chart.y.part(1)
    assert chart.x.label == "Accuracy (percent of 540 samples)"
    assert [path.points[0][0] for path in panel.paths("base")] == [BASE["accuracy"]]


def test_seeds_alone_are_a_strip() -> None:
    panel = panel_of([result(rows=[row(seed) for seed in range(5)])])
    assert {y for _, y in panel.dots} == {0}
    assert len(panel.dots) == 5
    assert len(panel.paths("mean")) == 1


def test_a_single_mutant_is_a_dot_with_the_interval_of_its_rate_next_to_its_base() -> None:
    chart = chart_of([result()])
    (panel,) = chart.panels
    assert len(panel.dots) == 1
    assert not panel.paths("mean")
    (interval,) = panel.paths("interval")
    low, high = ends(chart.x)
    ((start, _), (end, _)) = interval.points
    assert low < start < panel.dots[0][0] < end < BASE["accuracy"] < high


def test_very_many_categories_are_cut_and_that_is_said() -> None:
    chart = chart_of(categories({f"plan_{n}": 1.0 for n in range(60)}, seeds=1))
    assert len(chart.y.ticks) == MOST_CATEGORIES
    assert f"{MOST_CATEGORIES} of 60 rows" in chart.notes


def test_rows_can_have_a_panel_for_each_value_of_a_setting() -> None:
    one_scale = [each for each in models() if each.parameters["std"] == 1]
    chart = chart_of(one_scale, facet="model")
    assert [panel.title for panel in chart.panels] == ["small.keras", "large.keras"]
    assert [tick.text for tick in chart.y.ticks] == ["conv_0", "conv_1", "conv_2"]
    assert [len(panel.dots) for panel in chart.panels] == [12, 12]


# All of them


def reach(chart: Chart) -> list[Point]:
    return [(chart.x.part(x), chart.y.part(y)) for panel in chart.panels for x, y in panel.dots]


CASES = {
    "scale": sweep(),
    "lines": several_plans({"a": 1.0, "b": 2.0}),
    "panels": layers({f"conv_{n}": 1.0 + n for n in range(7)}),
    "models": models(),
    "categories": categories(RECIPES),
    "single": [result()],
    "zero": sweep((0, *SCALES)),
    "flat": sweep((0.001, 0.0001)),
    "bits": bits(range(32)),
    "failed": [*sweep(), failed(25, ["plan.params.std=-1"], "boom")],
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("metric", ["accuracy", "agreement"])
def test_every_dot_is_within_its_panel(name: str, metric: str) -> None:
    for x, y in reach(chart_of(CASES[name], metric)):
        assert 0 < x < 1
        assert 0 < y < 1
