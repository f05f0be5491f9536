"""What pictures show: dots, lines, bands, scales and words; not their pixels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from scipy import stats

from mutspec.experiment.reports.axes import MOST_CATEGORIES, MOST_LINES
from mutspec.experiment.reports.curves import curves
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.reports.plot import PALETTE, NoMatplotlib, draw, pictures
from mutspec.experiment.result import Result
from tests.experiment.made_up import BASE, RECIPES, SCALES, categories, failed, result, row, several_plans, sweep

ROOT = Path(__file__).parents[3]


def drawn(results: list[Result], metric: str | None = None) -> Axes:
    (axes,) = draw(summarise(results, metric)).axes
    return axes


def dots(axes: Axes) -> list[tuple[float, float]]:
    lines = [line for line in axes.lines if line.get_marker() == "o"]
    return [(float(x), float(y)) for line in lines for x, y in zip(*line.get_data(), strict=True)]


def means(axes: Axes) -> list[Any]:
    """The lines, or bars, through means: neither dots nor dashed."""
    return [line for line in axes.lines if line.get_marker() != "o" and line.get_linestyle() == "-"]


def bases(axes: Axes) -> list[Any]:
    return [line for line in axes.lines if line.get_marker() != "o" and line.get_linestyle() == "--"]


def words(axes: Axes) -> str:
    return " | ".join(
        [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel(), *(t.get_text() for t in axes.texts)]
    )


def by_scale(results: list[Result], metric: str = "accuracy") -> dict[float, list[float]]:
    found: dict[float, list[float]] = {}
    for each in results:
        found.setdefault(each.parameters["std"], []).extend(one.metrics[metric] for one in each.rows)
    return found


# A metric over a scale


def test_every_seed_is_a_dot_where_it_was_measured() -> None:
    results = sweep()
    assert sorted(dots(drawn(results))) == sorted((x, y) for x, ys in by_scale(results).items() for y in ys)


def test_the_line_goes_through_the_means() -> None:
    results = sweep()
    (line,) = means(drawn(results))
    expected = by_scale(results)
    assert list(line.get_xdata()) == sorted(expected)
    assert list(line.get_ydata()) == pytest.approx([np.mean(expected[x]) for x in sorted(expected)], abs=1e-15)


def test_the_band_is_students_interval_of_the_mean() -> None:
    results = sweep()
    (band,) = drawn(results).collections
    corners = band.get_paths()[0].vertices
    for x, values in by_scale(results).items():
        low, high = np.mean(values) + np.array([-1, 1]) * stats.t.ppf(0.975, 4) * stats.sem(values)
        assert [corners[corners[:, 0] == x, 1].min(), corners[corners[:, 0] == x, 1].max()] == pytest.approx(
            [low, high]
        )


def test_one_seed_has_no_band_and_is_not_called_one() -> None:
    axes = drawn(sweep(seeds=1))
    assert not axes.collections
    assert "band" not in words(axes)
    assert len(dots(axes)) == 5


def test_the_base_is_a_dashed_line_with_its_number() -> None:
    axes = drawn(sweep())
    (base,) = bases(axes)
    assert list(base.get_ydata()) == [BASE["accuracy"]] * 2
    assert "base 97.2%" in words(axes)
    assert "base 0.0912" in words(drawn(sweep(), "loss"))


SPACINGS = {
    "log": SCALES,
    "linear": (0.1, 0.2, 0.5, 1),
    "symlog": (0, *SCALES),
}


@pytest.mark.parametrize("scale", SPACINGS)
def test_numbers_over_decades_are_spaced_by_their_logarithm(scale: str) -> None:
    axes = drawn(sweep(SPACINGS[scale]))
    assert axes.get_xscale() == scale
    assert ("log scale" in axes.get_xlabel()) is (scale != "linear")
    low, high = axes.get_xlim()
    assert low < min(SPACINGS[scale])
    assert high > max(SPACINGS[scale])


def test_numbers_with_a_zero_or_a_sign_are_linear_unless_the_rest_spans_decades() -> None:
    assert drawn(sweep((0, 0.1, 0.2))).get_xscale() == "linear"
    assert drawn(sweep((-1, 0.01, 1))).get_xscale() == "linear"


def test_the_ticks_are_the_scales_of_the_sweep_where_they_have_room() -> None:
    axes = drawn(sweep())
    assert list(axes.get_xticks()) == list(SCALES)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.03", "0.1", "0.3", "1", "3"]
    assert len(drawn(sweep([n / 100 for n in range(1, 101)], seeds=1)).get_xticks()) < 20


def test_percentages_are_on_an_axis_of_percentages() -> None:
    jobs = enumerate(("0.1%", "1%", "10%"))
    axes = drawn([result(n, [f"plan.params.f={f}"], [row(s) for s in range(3)], {"f": f}) for n, f in jobs])
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1%", "1%", "10%"]


def test_shares_are_in_percent_of_the_samples_and_within_what_is_possible() -> None:
    axes = drawn(sweep(seeds=2))  # whose bands are wider than all that is possible
    assert axes.get_ylabel() == "Accuracy (percent of 540 samples)"
    assert all(label.get_text().endswith("%") for label in axes.get_yticklabels())
    low, high = axes.get_ylim()
    assert low == 0
    assert 1 < high < 1.1


@pytest.mark.parametrize(
    ("metrics", "low", "high"),
    [({"accuracy": 1.0}, 0.96, 1.0), ({"accuracy": 0.5}, 0.48, 0.52), ({"loss": 2.0}, 1.98, 2.02)],
)
def test_equal_values_are_not_blown_up(metrics: dict[str, float], low: float, high: float) -> None:
    (metric,) = metrics
    results = [
        result(
            number,
            [f"plan.params.std={scale}"],
            [row(0, metrics=metrics)],
            {"std": scale},
            base=metrics,
            objective=metric,
        )
        for number, scale in enumerate(SCALES)
    ]
    bottom, top = drawn(results).get_ylim()
    assert bottom == pytest.approx(low, abs=0.1 * (high - low))
    assert top == pytest.approx(high, abs=0.1 * (high - low))


def test_a_loss_that_grows_without_bound_is_on_a_log_scale_and_says_so() -> None:
    jobs = enumerate(SCALES)
    results = [result(n, rows=[row(0, metrics={"loss": 0.1 * 10 ** (2 * x)})], parameters={"std": x}) for n, x in jobs]
    axes = drawn(results, "loss")
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "Loss (log scale)"
    assert drawn(sweep(), "loss").get_yscale() == "linear"


def test_the_title_names_plan_and_model_and_below_it_stands_what_the_marks_mean() -> None:
    said = words(drawn(sweep()))
    assert "dense_noise on digits.keras" in said
    assert "dots: seeds · line: mean · band: 95 % interval of the mean" in said


def test_values_that_are_not_finite_are_counted_and_not_drawn() -> None:
    results = sweep()
    results[24] = result(24, results[24].job.overrides, [row(4, metrics={"accuracy": float("nan")})], {"std": 3})
    axes = drawn(results)
    assert "1 not finite, not shown" in words(axes)
    (line,) = means(axes)
    assert np.isnan(line.get_ydata()).tolist() == [False] * 4 + [True]
    assert np.isfinite(axes.get_ylim()).all()


# Several lines


def test_each_plan_has_a_line_of_its_own_colour() -> None:
    axes = drawn(several_plans({"conv_noise": 0.4, "dense_noise": 1.0, "kernel_faults": 2.0}))
    assert [to_hex(line.get_color()).upper() for line in means(axes)] == list(PALETTE[:3])
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text().strip() for text in legend.get_texts()] == ["conv_noise", "dense_noise", "kernel_faults"]
    assert len(dots(axes)) == 75
    assert len(axes.collections) == 3


def test_lines_that_differ_by_a_number_go_from_low_to_high() -> None:
    jobs = [(fraction, std) for fraction in (10, 2, 1) for std in SCALES]
    results = [
        result(n, [f"plan.params.std={std}", f"plan.params.k={k}"], [row(0, std)], {"std": std, "k": k})
        for n, (k, std) in enumerate(jobs)
    ]
    legend = drawn(results).get_legend()
    assert legend is not None
    assert [text.get_text().strip() for text in legend.get_texts()] == ["k = 1", "k = 2", "k = 10"]


def test_the_number_with_most_values_is_on_the_axis() -> None:
    results = [
        result(n, ["plan.params.k=", "plan.params.std="], [row(0, std)], {"k": k, "std": std})
        for n, (k, std) in enumerate((k, std) for k in (1, 2) for std in SCALES)
    ]
    over = curves(summarise(results))
    assert over is not None
    assert (over.name, [line.label for line in over.lines]) == ("std", ["k = 1", "k = 2"])


def test_more_lines_than_people_can_tell_apart_are_not_drawn_and_that_is_said() -> None:
    axes = drawn(several_plans({f"plan_{n}": 0.1 * n for n in range(1, 13)}, seeds=2))
    assert len(means(axes)) == MOST_LINES
    assert "8 of 12 lines" in words(axes)


def test_lines_are_seen_through_bands_that_lie_over_one_another() -> None:
    def opacity(lines: int) -> float:
        return float(
            drawn(several_plans({f"plan_{n}": n for n in range(1, 1 + lines)})).collections[0].get_alpha() or 1
        )

    assert opacity(1) == opacity(3) == 0.16
    assert opacity(8) == pytest.approx(0.06)


def test_a_search_in_which_no_two_jobs_share_a_line_is_a_cloud_of_dots() -> None:
    jobs = [(0.01 * n, (n * 7) % 20) for n in range(1, 20)]
    results = [result(n, [], [row(0, a)], {"a": a, "b": b}) for n, (a, b) in enumerate(jobs)]
    axes = drawn(results)
    assert not means(axes)
    assert len(dots(axes)) == 19
    assert axes.get_legend() is None


def test_bases_that_differ_are_drawn_each_in_its_lines_colour() -> None:
    results = [
        result(n, [], [row(0, x)], {"std": x}, model=f"{model}.keras", base={"accuracy": base})
        for n, (model, base, x) in enumerate((m, b, x) for m, b in {"s": 0.9, "l": 0.95}.items() for x in SCALES)
    ]
    axes = drawn(results)
    lines = bases(axes)
    assert "dashed: base" in words(axes)
    assert [line.get_ydata()[0] for line in lines] == [0.9, 0.95]
    assert [to_hex(line.get_color()).upper() for line in lines] == list(PALETTE[:2])


# Categories


def test_categories_are_rows_of_dots_with_a_bar_at_the_mean() -> None:
    results = categories(RECIPES)
    axes = drawn(results)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(RECIPES)
    expected = [(one.metrics["accuracy"], place) for place, each in enumerate(results) for one in each.rows]
    assert sorted(dots(axes)) == sorted(expected)
    bars = [float(bar.get_xdata()[0]) for bar in means(axes)]
    assert bars == pytest.approx([np.mean([one.metrics["accuracy"] for one in each.rows]) for each in results])
    assert axes.yaxis_inverted()
    assert axes.get_xlabel() == "Accuracy (percent of 540 samples)"
    (base,) = bases(axes)
    assert base.get_xdata()[0] == BASE["accuracy"]


def test_seeds_alone_are_a_strip() -> None:
    axes = drawn([result(rows=[row(seed) for seed in range(5)])])
    assert {y for _, y in dots(axes)} == {0}
    assert len(dots(axes)) == 5
    assert len(means(axes)) == 1


def test_a_single_mutant_is_a_dot_beside_its_base() -> None:
    axes = drawn([result()])
    assert len(dots(axes)) == 1
    assert not means(axes)
    low, high = axes.get_xlim()
    assert low < dots(axes)[0][0] < BASE["accuracy"] < high


def test_very_many_categories_are_cut_and_that_is_said() -> None:
    axes = drawn(categories({f"plan_{n}": 1.0 for n in range(60)}, seeds=1))
    assert len(axes.get_yticks()) == MOST_CATEGORIES
    assert f"{MOST_CATEGORIES} of 60 rows" in words(axes)


# Files

ALL = {
    "scale": sweep(),
    "lines": several_plans({"a": 1.0, "b": 2.0}),
    "categories": categories(RECIPES),
    "single": [result()],
    "zero": sweep((0, *SCALES)),
    "flat": sweep((0.001, 0.0001)),
    "failed": [*sweep(), failed(25, ["plan.params.std=-1"], "boom")],
    "names": [result(n, [f"a={n}"], plan_name=f"_$\\alpha^{{ 层 \x1b {'long ' * 30}{n}") for n in range(2)],
}


@pytest.mark.parametrize("name", ALL)
def test_a_picture_is_a_png_and_an_svg_the_same_every_time(name: str) -> None:
    first = pictures(summarise(ALL[name]))
    assert list(first) == ["plot.png", "plot.svg"]
    assert first["plot.png"].startswith(b"\x89PNG\r\n\x1a\n")
    assert first["plot.svg"].startswith(b"<?xml")
    assert b"<dc:date>" not in first["plot.svg"]
    assert first == pictures(summarise(ALL[name]))


def test_a_picture_of_a_scale_has_the_size_of_a_readme() -> None:
    png = pictures(summarise(sweep()))["plot.png"]
    assert (int.from_bytes(png[16:20]), int.from_bytes(png[20:24])) == (960, 600)


@pytest.fixture
def taste() -> Iterator[None]:
    """A user's settings for pictures of their own."""
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30, "axes.grid": True, "savefig.dpi": 20}):
        yield


def test_the_users_own_settings_neither_show_nor_change(taste: None) -> None:
    before = dict(matplotlib.rcParams)
    dark = pictures(summarise(sweep()))
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        assert pictures(summarise(sweep())) == dark


def test_nothing_to_see_is_no_picture() -> None:
    assert pictures(summarise([failed(0, [], "boom")])) == {}
    assert pictures(summarise([result(rows=[row(0, metrics={}, drop={}, agreement=None)], base={})])) == {}
    assert pictures(summarise([result(rows=[row(0, metrics={"accuracy": float("nan")})])])) == {}


def test_a_missing_matplotlib_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(NoMatplotlib, match="Matplotlib") as caught:
        pictures(summarise(sweep()))
    assert "mutspec[plot]" in caught.value.problems[0].hint


def test_no_window_and_no_global_figure_is_touched() -> None:
    code = (
        "import sys; from tests.experiment.made_up import sweep\n"
        "from mutspec.experiment.reports.groups import summarise\n"
        "from mutspec.experiment.reports import plot; assert 'matplotlib' not in sys.modules\n"
        "plot.pictures(summarise(sweep())); print('matplotlib.pyplot' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=ROOT
    )
    assert done.stdout == "False\n"
    assert done.stderr == ""
