"""Maps and rankings of sensitivity: their numbers are NumPy's and SciPy's, and every picture and table has them."""

from __future__ import annotations

import math
import re
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mutspec.experiment.reports.facets import MOST_PANELS
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.reports.heat_map import MOST_PLACES, draw_map
from mutspec.experiment.reports.interval import estimate, is_surely_above
from mutspec.experiment.reports.marks import Dots
from mutspec.experiment.reports.page import web_page
from mutspec.experiment.reports.plot import pictures
from mutspec.experiment.reports.ranking_chart import ranking_chart
from mutspec.experiment.reports.sensitivity import Sensitivity, grows_when_worse, sensitivity
from mutspec.experiment.reports.sweep_chart import sweep_chart
from mutspec.experiment.reports.table import summary_text
from mutspec.experiment.result import Breaking, Result
from tests.experiment.made_up import LAYERS, SAMPLES, SCALES, failed, layers, replace, several_plans, sweep
from tests.experiment.read_html import Page


def found(results: list[Result], metric: str | None = None) -> Sensitivity:
    made = sensitivity(summarise(results, metric))
    assert made is not None
    return made


def drops(results: list[Result], metric: str = "accuracy") -> np.ndarray:
    """Drops by layer, scale and seed."""
    measured = [[one.drop[metric] for one in result.rows] for result in results]
    return np.array(measured).reshape(len(LAYERS), -1, len(results[0].rows))


def many(count: int) -> list[Result]:
    random = Random(1)
    return layers({f"block_{number}/conv": math.exp(random.gauss(0, 1)) for number in range(count)}, (0.1, 1))


# The numbers


def test_the_map_has_the_mean_drop_of_each_layer_and_scale_in_the_order_of_the_sweep() -> None:
    results = layers(LAYERS)
    made = found(results)
    assert list(made.harms) == list(LAYERS)
    assert (made.name, made.over, made.scales) == ("layer", "std", SCALES)
    np.testing.assert_allclose(list(made.harms.values()), drops(results).mean(axis=2))


def test_scales_are_in_the_order_of_their_size_however_they_were_swept() -> None:
    results = layers(LAYERS, (0.03, 0.005, 0.2))
    percent = [
        replace(each, parameters={**each.parameters, "std": f"{100 * each.parameters['std']:g}%"}) for each in results
    ]
    assert found(results).scales == (0.005, 0.03, 0.2)
    assert found(percent).scales == ("0.5%", "3%", "20%")


def test_the_ranking_is_by_the_mean_over_scales_with_the_interval_over_seeds() -> None:
    results = layers(LAYERS)
    by_seed = drops(results).mean(axis=1)
    order = np.argsort(-by_seed.mean(axis=1))
    ranking = found(results).ranking
    assert [each.value for each in ranking] == [list(LAYERS)[number] for number in order]
    for each, number in zip(ranking, order, strict=True):
        low, high = stats.t.interval(0.95, 4, loc=by_seed[number].mean(), scale=stats.sem(by_seed[number]))
        assert each.harm.mean == pytest.approx((low + high) / 2)
        assert each.harm.half_width == pytest.approx((high - low) / 2)


def test_ranks_are_what_welchs_test_of_each_pair_leaves_open() -> None:
    results = layers(LAYERS)
    values = dict(zip(LAYERS, drops(results).mean(axis=1), strict=True))

    def is_above(one: str, other: str) -> bool:
        tested = stats.ttest_ind(values[one], values[other], equal_var=False)
        return bool(tested.statistic > 0 and tested.pvalue < 0.05)

    for each in found(results).ranking:
        above = sum(is_above(other, each.value) for other in LAYERS)
        below = sum(is_above(each.value, other) for other in LAYERS)
        assert each.ranks == (1 + above, len(LAYERS) - below)


def test_a_difference_is_sure_where_welchs_interval_leaves_out_0() -> None:
    random = Random(3)
    for count in (2, 3, 5, 9):
        for shift in np.linspace(0, 3, 25):
            one = [random.gauss(shift, 1) for _ in range(count)]
            other = [random.gauss(0, 0.4) for _ in range(count + 2)]
            spread = [stats.sem(each) ** 2 for each in (one, other)]
            degrees = sum(spread) ** 2 / (spread[0] ** 2 / (count - 1) + spread[1] ** 2 / (count + 1))
            least = stats.t.ppf(0.975, max(int(degrees), 1)) * math.sqrt(sum(spread))
            assert is_surely_above(estimate(one), estimate(other)) == (np.mean(one) - np.mean(other) > least)


def test_one_seed_has_an_order_and_leaves_open_which_is_by_chance() -> None:
    ranking = found(layers(LAYERS, seeds=1)).ranking
    assert [each.ranks for each in ranking] == [None] * len(LAYERS)
    assert ranking[0].value == "logits"


def test_means_without_spread_are_told_apart_by_what_they_are() -> None:
    assert is_surely_above(estimate([0.2, 0.2]), estimate([0.1, 0.1]))
    assert not is_surely_above(estimate([0.2, 0.2]), estimate([0.2, 0.2]))


def test_a_loss_is_worse_when_it_grows() -> None:
    results = layers(LAYERS)
    made = found(results, "loss")
    assert made.is_rise
    np.testing.assert_allclose(list(made.harms.values()), -drops(results, "loss").mean(axis=2))
    assert made.ranking[0].value == "logits"


def test_agreement_falls_from_that_of_the_base_with_itself() -> None:
    results = layers(LAYERS)
    agreement = np.array([[one.agreement for one in each.rows] for each in results]).mean(axis=1)
    np.testing.assert_allclose(np.ravel(list(found(results, "agreement").harms.values())), 1 - agreement)


@pytest.mark.parametrize(
    ("metric", "grows"),
    [
        ("accuracy", False),
        ("sparse_top_k_categorical_accuracy", False),
        ("auc", False),
        ("r2_score", False),
        ("loss", True),
        ("head_loss", True),
        ("mean_squared_error", True),
        ("mae", True),
        ("huber", True),
        ("sparse_categorical_crossentropy", True),
        ("divergence", True),
        ("deviation", True),
    ],
)
def test_whether_a_metric_grows_when_worse_is_told_by_its_name(metric: str, grows: bool) -> None:
    assert grows_when_worse(metric) is grows


def test_layers_are_compared_at_the_scales_that_all_of_them_have() -> None:
    results = layers(LAYERS)
    results[4] = failed(4, results[4].job.overrides, "out of memory")  # conv_1 at the largest scale
    made = found(results)
    assert made.harms["conv_1"][-1] is None
    assert made.compared == len(SCALES) - 1
    means = {each.value: each.harm.mean for each in made.ranking}
    expected = drops(layers(LAYERS))[:, :-1].mean(axis=(1, 2))
    assert [means[layer] for layer in LAYERS] == pytest.approx(list(expected))


def test_what_is_not_finite_is_worst() -> None:
    results = layers(LAYERS)
    burst = replace(results[5].rows[0], drop={"accuracy": 0.0, "loss": math.nan})
    results[5] = replace(results[5], rows=(burst, *results[5].rows[1:]))
    ranking = found(results, "loss").ranking
    assert ranking[0].value == "bn_1"
    assert ranking[0].ranks is None


def test_mutants_that_break_at_scales_of_their_own_are_not_ranked_by_another_measure() -> None:
    meaning = Breaking("params.std", "accuracy", {"max_drop": 0.1}, 0.01)
    results = [replace(each, breaking=meaning) for each in layers(LAYERS, [0.3])]
    assert sensitivity(summarise(results, "accuracy")) is None


@pytest.mark.parametrize(
    "results",
    [
        sweep(),
        several_plans({"conv_noise": 0.4, "dense_noise": 1.0}),
        layers({"conv_1": 0.5}),
        [replace(each, data=f"part {number % 2}") for number, each in enumerate(layers(LAYERS))],
        [replace(each, base={}, objective="", rows=()) for each in layers(LAYERS)],
    ],
    ids=["numbers alone", "plans", "one layer", "two settings that are no numbers", "nothing measured"],
)
def test_other_sweeps_have_no_map(results: list[Result]) -> None:
    summary = summarise(results)
    assert sensitivity(summary) is None
    assert "most sensitive" not in summary_text(summary)
    assert "Sensitivity" not in web_page(summary).decode()


# What people see


def test_the_terminal_shows_the_ranking() -> None:
    text = summary_text(summarise(layers(LAYERS)), width=100)
    ranking = [line.split() for line in text.partition("5 layers, the most sensitive first")[2].splitlines()[2:7]]
    assert [(words[0], words[1]) for words in ranking] == [
        (str(rank), each.value) for rank, each in enumerate(found(layers(LAYERS)).ranking, start=1)
    ]


def test_settings_that_have_no_plural_are_not_given_one() -> None:
    results = [
        replace(each, parameters={**each.parameters, "relative_to": each.parameters["layer"], "layer": "**"})
        for each in layers(LAYERS)
    ]
    assert "5 values of relative_to, the most sensitive first" in summary_text(summarise(results))


def test_at_one_scale_there_is_a_ranking_and_no_map() -> None:
    results = layers(LAYERS, [0.3])
    page = Page(web_page(summarise(results)).decode())
    assert page.table("Ranking: Drop of accuracy in points").column("layer")[0] == "logits"
    assert not [table for table in page.tables if " by layer and " in table.caption]
    assert "map.png" not in pictures(summarise(layers({"conv_1": 0.5, "logits": 0.3}, [0.3])))


def test_the_page_has_the_map_as_a_table_and_the_ranking() -> None:
    results = layers(LAYERS)
    page = Page(web_page(summarise(results)).decode())
    table = page.table("Drop of accuracy in points by layer and std")
    assert table.head == ["layer", *(f"std {scale:g}" for scale in SCALES), "Rank"]
    assert table.column("layer") == list(LAYERS)
    shown = np.array([[float(cell) for cell in cells[1:-1]] for cells in table.rows])
    np.testing.assert_allclose(shown, 100 * drops(results).mean(axis=2), atol=0.051)
    ranking = page.table("Ranking: Drop of accuracy in points")
    assert [ranking.column("layer").index(layer) + 1 for layer in LAYERS] == [
        int(each) for each in table.column("Rank")
    ]


def test_the_largest_drop_of_the_page_is_on_the_darkest_ground() -> None:
    text = web_page(summarise(layers(LAYERS))).decode()
    cells = re.findall(r'<span class="h(\d)">([\d.]+)</span>', text)
    assert max(cells, key=lambda cell: float(cell[1]))[0] == "9"
    assert sorted(cells, key=lambda cell: float(cell[1])) == sorted(
        cells, key=lambda cell: (int(cell[0]), float(cell[1]))
    )


def test_a_layers_name_stays_text() -> None:
    text = web_page(summarise(layers({"<b>one</b>": 0.3, "two": 1.0}))).decode()
    assert "<b>" not in text


def heat(results: list[Result], metric: str | None = None) -> Any:
    figure = draw_map(found(results, metric), summarise(results, metric))
    figure.canvas.draw()
    return figure.axes[0]


def test_the_picture_has_the_map_in_colours_and_numbers() -> None:
    results = layers(LAYERS)
    axes = heat(results)
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array(), drops(results).mean(axis=2))
    assert [label.get_text() for label in axes.get_yticklabels()] == list(LAYERS)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.03", "0.1", "0.3", "1", "3"]
    numbers = [float(text.get_text()) for text in axes.texts if re.fullmatch(r"-?[\d.]+", text.get_text())]
    np.testing.assert_allclose(numbers, 100 * drops(results).mean(axis=2).ravel(), atol=0.051)


def test_numbers_in_the_picture_have_the_contrast_that_wcag_asks_of_graphics() -> None:
    axes = heat(layers(LAYERS))
    (image,) = axes.images
    for text in axes.texts:
        if re.fullmatch(r"-?[\d.]+", text.get_text()):
            column, row_number = text.get_position()
            ground = image.cmap(image.norm(image.get_array()[row_number, column]))
            assert contrast(ground, 1.0 if text.get_color() == "white" else 0.0159) >= 3.9


def contrast(ground: tuple[float, ...], ink: float) -> float:
    """WCAG's, of a colour and the luminance of an ink."""
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in ground[:3]]
    low, high = sorted((0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2], ink))
    return (high + 0.05) / (low + 0.05)


def test_the_ranking_has_a_bar_and_a_whisker_for_each_layer() -> None:
    results = layers(LAYERS)
    made, summary = found(results), summarise(results)
    chart = ranking_chart(made, summary)
    assert chart is not None
    by_seed = drops(results).mean(axis=1)
    order = np.argsort(-by_seed.mean(axis=1))
    (panel,) = chart.panels
    assert [tick.text for tick in chart.y.ticks] == [list(LAYERS)[number] for number in order]
    assert [area.points[1][0] for area in panel.areas] == pytest.approx(list(100 * by_seed[order].mean(axis=1)))
    whiskers = [path.points for path in panel.paths("interval") if path.points[0][1] == path.points[1][1]]
    for (start, end), number in zip(whiskers, order, strict=True):
        low, high = stats.t.interval(0.95, 4, loc=by_seed[number].mean(), scale=stats.sem(by_seed[number]) or 1e-300)
        assert [start[0], end[0]] == pytest.approx([100 * low, 100 * high], abs=1e-9)
    assert chart.x.label == "Drop of accuracy in points"


def test_the_ranking_of_one_seed_has_bars_without_whiskers() -> None:
    results = layers(LAYERS, seeds=1)
    chart = ranking_chart(found(results), summarise(results))
    assert chart is not None
    assert len(chart.panels[0].areas) == len(LAYERS)
    assert not chart.panels[0].paths("interval")
    assert chart.notes == ("bar: mean over 5 values of std",)


def test_bars_of_the_page_have_whiskers_where_the_intervals_are() -> None:
    results = layers(LAYERS)
    ranking = found(results).ranking
    text = web_page(summarise(results)).decode()
    parts = [float(each) for each in re.findall(r'class="bar" style="--part:([\d.e-]+)"', text)]
    ends = [tuple(map(float, each)) for each in re.findall(r"--low:([\d.e-]+);--high:([\d.e-]+)", text)]
    most = max(each.harm.high or 0 for each in ranking)
    assert parts == pytest.approx([(each.harm.mean or 0) / most for each in ranking], abs=1e-3)
    assert ends == [
        pytest.approx((max(each.harm.low or 0, 0) / most, (each.harm.high or 0) / most), abs=2e-3) for each in ranking
    ]
    one_seed = web_page(summarise(layers(LAYERS, seeds=1))).decode()
    assert one_seed.count('class="bar"') == len(LAYERS)
    assert 'class="whisker"' not in one_seed


def test_what_was_not_measured_is_grey_in_the_picture() -> None:
    results = layers(LAYERS)
    results[4] = failed(4, results[4].job.overrides, "out of memory")
    axes = heat(results)
    assert np.isnan(np.ma.filled(axes.images[0].get_array(), np.nan)[0, -1])
    assert any("grey: not measured" in text.get_text() for text in axes.figure.texts)


def test_of_very_many_layers_the_picture_has_the_most_sensitive_in_the_order_of_the_sweep() -> None:
    results = many(MOST_PLACES + 20)
    labels = [label.get_text() for label in heat(results).get_yticklabels()]
    best = {each.value for each in found(results).ranking[:MOST_PLACES]}
    assert labels == [layer for layer in found(results).harms if layer in best]


def test_of_more_lines_than_can_be_told_apart_those_of_the_most_sensitive_layers_are_drawn() -> None:
    results = many(30)
    chart = sweep_chart(summarise(results))
    assert chart is not None
    assert [panel.title for panel in chart.panels] == [each.value for each in found(results).ranking[:MOST_PANELS]]
    assert f"the most sensitive {MOST_PANELS} of 30 lines" in chart.notes


def test_pictures_of_equal_results_are_equal_files() -> None:
    one, other = (pictures(summarise(layers({"conv_1": 0.5, "logits": 0.3}))) for _ in range(2))
    assert list(dict.fromkeys(name.partition(".")[0] for name in one)) == ["plot", "map", "ranking"]
    assert one == other


def test_samples_decide_how_many_decimals_a_drop_has() -> None:
    results = [replace(each, samples=10 * SAMPLES) for each in layers({"one": 0.5, "two": 1.0}, seeds=2)]
    assert re.search(r"one +\d+\.\d\d ± +\d+\.\d\d", summary_text(summarise(results)))


def idle(results: list[Result], layer: str) -> list[Result]:
    """Results in which the plan changes nothing in a layer."""
    return [
        replace(
            each,
            rows=tuple(
                replace(one, metrics=dict(each.base), drop=dict.fromkeys(each.base, 0.0), changed_nothing=True)
                for one in each.rows
            ),
        )
        if each.parameters["layer"] == layer
        else each
        for each in results
    ]


def test_where_the_plan_changed_nothing_the_map_has_no_number() -> None:
    from matplotlib.patches import Rectangle

    summary = summarise(idle(layers(LAYERS), "bn_1"))
    made = sensitivity(summary)
    assert made is not None
    axes = draw_map(made, summary).axes[0]
    cells = [each for each in axes.patches if isinstance(each, Rectangle) and each.get_hatch()]
    assert [each.get_y() + 0.5 for each in cells] == [list(LAYERS).index("bn_1")] * len(SCALES)
    assert len(axes.texts) == (len(LAYERS) - 1) * len(SCALES)
    table = Page(web_page(summary).decode()).table("Drop of accuracy in points by layer and std")
    assert next(row for row in table.rows if row[0] == "bn_1")[1:-1] == ["–"] * len(SCALES)


def test_dots_of_mutants_that_are_not_mutants_are_in_the_colour_of_the_base() -> None:
    chart = sweep_chart(summarise(idle(layers(LAYERS), "bn_1")))
    assert chart is not None
    dots = [mark for panel in chart.panels for mark in panel.marks if isinstance(mark, Dots)]
    assert {"bn_1" in mark.tells for mark in dots if mark.colour is None} == {True}
    assert sum(mark.colour is None for mark in dots) == len(SCALES)
    assert "the plan changed nothing" in [entry.text for entry in chart.legend]


@pytest.mark.parametrize("drop", [0.0, -0.05])
def test_a_ranking_in_which_nothing_got_worse_is_drawn_too(drop: float) -> None:
    results = [
        replace(each, rows=tuple(replace(one, drop={"accuracy": drop}) for one in each.rows)) for each in layers(LAYERS)
    ]
    summary = summarise(results)
    made = sensitivity(summary)
    assert made is not None
    chart = ranking_chart(made, summary)
    assert chart is not None
    for bar in chart.panels[0].areas:
        assert all(0 <= chart.x.part(x) <= 1 for x, _ in bar.points)


@pytest.mark.parametrize("spread", [0.01, 0.1])
def test_whiskers_that_the_frame_cuts_off_are_said(spread: float) -> None:
    results = [
        replace(each, rows=tuple(replace(one, drop={"accuracy": 0.2 + spread * one.seed}) for one in each.rows))
        for each in layers(LAYERS, seeds=2)
    ]
    summary = summarise(results)
    made = sensitivity(summary)
    assert made is not None
    chart = ranking_chart(made, summary)
    assert chart is not None
    assert ("whiskers that end at the frame go on beyond it" in chart.notes) is (spread == 0.1)
