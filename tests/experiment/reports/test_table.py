"""The table of a sweep: what it says. How it looks is in tests/cli/test_report.py."""

from __future__ import annotations

import re

import pytest
from scipy import stats

from mutspec.experiment.gates import Verdict
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.reports.marks import Dots
from mutspec.experiment.reports.summary import result_text
from mutspec.experiment.reports.sweep_chart import sweep_chart
from mutspec.experiment.reports.table import facts, group_table, metric_label, summary_text
from mutspec.experiment.result import Result
from mutspec.text.layout import cells
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


def text(results: list[Result], metric: str | None = None, **page: object) -> str:
    return summary_text(summarise(results, metric), **page)  # type: ignore[arg-type]


def line(shown: str, start: str) -> list[str]:
    """The cells of the line that begins so."""
    found = [each for each in shown.splitlines() if each.strip().startswith(start)]
    assert len(found) == 1, found
    return re.split(r"  +", found[0].strip())


def test_a_row_has_seeds_mean_interval_drop_and_agreement() -> None:
    values = [0.90, 0.92, 0.94]  # s = 0.02, t = 4.303: 0.0497 around 0.92
    rows = [row(seed, metrics={"accuracy": value}, agreement=0.95) for seed, value in enumerate(values)]
    shown = text([result(rows=rows)])
    assert line(shown, "mutant") == ["mutant", "3", "92.0% ± 5.0%", "5.2", "95.0%"]
    assert line(shown, "base") == ["base", "97.2%"]


def test_the_base_stands_above_the_rows_and_means_stand_below_each_other() -> None:
    shown = text(sweep()).splitlines()
    table = shown[3:10]
    assert table[0].startswith(" std  Seeds")
    assert table[1].startswith("base")
    assert len({each.index("%") for each in table[1:]}) == 1
    assert [each.split()[0] for each in table[2:]] == [f"{scale:g}" for scale in SCALES]


def test_many_samples_have_a_second_decimal() -> None:
    assert "97.22%" in text(sweep(samples=10_000))
    assert "97.2%" in text(sweep(samples=540))


def test_a_loss_is_written_with_the_same_places_in_all_rows() -> None:
    shown = text(sweep(), "loss")
    assert line(shown, "base") == ["base", "0.0912"]
    assert all(re.search(r" \d\.\d{4} ± \d\.\d{4} ", each) for each in shown.splitlines()[5:10])
    assert "points" not in shown


def test_numbers_far_apart_are_written_in_four_digits() -> None:
    rows = [result(n, [f"a={n}"], [row(0, metrics={"loss": value}, drop={})]) for n, value in enumerate((0.01, 2e6))]
    shown = text(rows, "loss")
    assert line(shown, "0") == ["0", "1", "0.01", "-0.0812", "93.9%"]
    assert line(shown, "1") == ["1", "1", "2e+06", "2e+06", "93.9%"]


def test_one_seed_has_no_interval_and_no_word_about_it() -> None:
    shown = text([result()])
    assert "±" not in shown
    assert "1 seed," in shown


def test_columns_that_say_nothing_are_left_out() -> None:
    assert "Non-finite" not in text(sweep())
    assert "Agreement" not in text([result(rows=[row(0, agreement=None)])])
    burst = text([result(rows=[row(0, non_finite_outputs=1200), row(1, non_finite_outputs=34)])])
    assert "Non-finite outputs" in burst
    assert line(burst, "mutant")[-1] == "1,234"


def test_a_mean_that_is_not_finite_says_so() -> None:
    shown = text([result(rows=[row(0, metrics={"loss": float("nan")}), row(1, metrics={"loss": 1.0})])], "loss")
    assert line(shown, "mutant")[:4] == ["mutant", "2", "nan", "nan"]


def test_bases_that_differ_have_a_column() -> None:
    results = [result(n, [f"model={n}"], model=f"{n}.keras", base={"accuracy": 0.9 + n / 100}) for n in range(2)]
    shown = text(results)
    assert line(shown, "0.keras")[2] == "90.0%"
    assert line(shown, "1.keras")[2] == "91.0%"
    assert "\nbase" not in shown
    assert "dense_noise on 2 models" in shown


def test_a_dry_run_tells_what_is_touched() -> None:
    rows = [row(seed, metrics={}, drop={}, agreement=None, touched=1000 + seed, changed=None) for seed in range(3)]
    shown = text([result(rows=rows, base={}, objective="", samples=0, data="")])
    assert line(shown, "mutant") == ["mutant", "3", "1,000–1,002"]
    assert "Accuracy" not in shown


def test_the_head_says_what_there_is() -> None:
    assert text(sweep()).splitlines()[:2] == [
        "dense_noise on digits.keras",
        "25 jobs, 5 values of std, 5 seeds each, 540 samples of digits, 2 s",
    ]
    head = text(several_plans({"a": 1.0, "b": 2.0}), width=200).splitlines()[:2]
    assert head == ["2 plans on digits.keras", "10 jobs, 5 values of std, 5 seeds each, 540 samples of digits, 4 s"]


def test_failed_jobs_are_listed_below_with_the_first_line_of_their_errors() -> None:
    errors = [
        failed(25, ["plan.params.std=-1", "hydra.job.num=3"], "\n`std` is negative\nTraceback"),
        failed(26, [], "x"),
    ]
    shown = text([*sweep(), *errors])
    assert "2 jobs failed" in shown
    assert line(shown, "25") == ["25", "plan.params.std=-1", "`std` is negative"]
    assert "Traceback" not in shown
    assert "hydra" not in shown


def test_what_is_required_of_all_jobs_does_not_tell_them_apart() -> None:
    given = ["plan.params.std=-1", "hydra/launcher=joblib", "require=[{metric: loss, max: 1}]", "strict_gates=true"]
    lines = text([failed(0, given, "boom")]).splitlines()
    assert lines[-1].split() == ["0", "plan.params.std=-1", "boom"]


def test_a_sweep_whose_jobs_all_failed_is_shown_too() -> None:
    shown = text([failed(n, [f"plan.params.std={n}"], "boom") for n in range(30)])
    assert "30 jobs failed" in shown
    assert "… and 10 more" in shown
    assert "Seeds" not in shown
    assert shown.splitlines()[1] == "30 jobs"


def test_numbers_that_are_equal_share_a_row() -> None:
    shown = text([result(n, [f"plan.params.std={std}"], [row(n)], {"std": std}) for n, std in enumerate((1, 1.0, 2))])
    assert shown.splitlines()[1].startswith("3 jobs, 2 values of std, 1 to 2 seeds each")
    assert line(shown, "1")[:2] == ["1", "2"]


def test_long_tables_are_collapsed() -> None:
    shown = text(sweep([n / 100 for n in range(1, 51)]), hint="report.html has all")
    assert "… and 31 more (report.html has all)" in shown
    assert "more" not in text(sweep([n / 100 for n in range(1, 51)]), most_rows=None)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_no_line_is_wider_than_the_page(width: int) -> None:
    long = failed(7, ["plan=a_recipe_with_quite_a_long_name", "plan.steps.the_first_step.std=0.125"], "an error " * 30)
    for results in (sweep(), categories(RECIPES), [*sweep(), long]):
        assert max(map(cells, text(results, width=width).splitlines())) <= width


def test_colours_change_nothing_but_colours() -> None:
    results = [*sweep(), failed(25, ["a=b"], "boom")]
    styled = text(results, styled=True)
    assert "\x1b[31m1 job failed\x1b[0m" in styled
    assert re.sub(r"\x1b\[\d+m", "", styled) == text(results)


def test_names_that_would_move_the_cursor_are_spelt_out() -> None:
    shown = text([result(n, plan_name=f"a\x1b[2J\n{n}") for n in range(2)])
    assert "\x1b" not in shown
    assert r"\x1b[2J\n0" in shown


def test_a_drop_that_rounds_to_nothing_has_no_sign() -> None:
    better = row(0, metrics={"accuracy": BASE["accuracy"] + 0.0001})
    assert line(text([result(rows=[better])]), "mutant")[3] == "0.0"


# What a reader expects


def test_a_loss_rises_where_an_accuracy_drops_and_both_are_positive_if_the_mutant_is_worse() -> None:
    results = sweep()
    for metric, heading in {"accuracy": "Drop, points", "loss": "Rise"}.items():
        columns, rows = group_table(summarise(results, metric))
        index = [column.title for column in columns].index(heading)
        harms = [float(row[index]) for row in rows[1:]]
        assert harms[-1] > 0.1
        assert harms == sorted(harms)


@pytest.mark.parametrize("metric", ["mae", "mse", "loss", "head_loss", "root_mean_squared_error", "divergence"])
def test_what_grows_when_a_model_gets_worse_rises(metric: str) -> None:
    rows = [row(0, metrics={metric: 3.0}, drop={metric: -2.0})]
    columns, found = group_table(summarise([result(rows=rows, base={metric: 1.0})], metric))
    rises = {column.title: cell.strip() for column, cell in zip(columns, found[-1], strict=True)}
    assert float(rises["Rise"]) == 2


def test_a_single_run_says_how_each_metric_changed() -> None:
    shown = result_text(result(rows=[row(0, 1.0)]))
    changes = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.startswith(("Acc", "Loss"))}
    for base, mutant, change in changes.values():
        assert float(change) == pytest.approx(float(mutant) - float(base), abs=1.01e-4)
    assert changes["Accuracy"][2].startswith("-")


def test_a_setting_that_some_jobs_lack_is_not_counted_as_one_of_its_values() -> None:
    results = [
        *(result(n, [f"plan.params.std={x}"], [row(0, x)], {"std": x}) for n, x in enumerate((0.1, 0.3, 1))),
        result(3, ["plan=other"], [row(0)], {}, plan_name="other"),
    ]
    assert "3 values of std" in facts(summarise(results))


def test_the_rate_of_one_seed_has_wilsons_interval_and_says_what_it_does_not_say() -> None:
    results = sweep((0.3, 1), seeds=1)
    columns, rows = group_table(summarise(results))
    index = [column.title for column in columns].index("95 % interval")
    for each, said in zip(results, rows[1:], strict=True):
        hits = round(each.rows[0].metrics["accuracy"] * SAMPLES)
        low, high = stats.binomtest(hits, SAMPLES).proportion_ci(method="wilson")
        assert said[index] == f"{low:.1%}–{high:.1%}"
    assert "Wilson" in text(results)
    assert "Wilson" not in text(sweep())
    assert "95 % interval" not in [column.title for column in group_table(summarise(results, "loss"))[0]]


def test_means_over_another_setting_are_named() -> None:
    summary = summarise(layers({"a": 0.5, "b": 1.0}, (0.1, 1)), average=["layer"])
    assert "averaged over layer" in facts(summary)
    assert len(summary.groups) == 2


def test_the_part_of_jobs_that_hold_their_gates_has_wilsons_interval() -> None:
    results = [
        replace(each, gates=(Verdict("accuracy", "min", 0.9, 0.95, 0, number % 5 < 3),))
        for number, each in enumerate(sweep())
    ]
    columns, rows = group_table(summarise(results))
    index = [column.title for column in columns].index("Gates held")
    low, high = stats.binomtest(3, 5).proportion_ci(method="wilson")
    assert [cells_of[index] for cells_of in rows[1:]] == [f"3 of 5 ({low:.0%}–{high:.0%})"] * 5
    assert "Wilson" in text(results)
    _, single = group_table(summarise([replace(each, rows=each.rows) for each in results[:1]]))
    assert single[-1][-1] == "1 of 1"


def test_a_fraction_is_in_percent_however_it_was_written() -> None:
    results = [
        replace(
            result(number, [f"plan.params.part={part}"], [row(0, number)], {"part": part}), units={"params.part": "%"}
        )
        for number, part in enumerate(("1%", "5%", 0.1, 0.2))
    ]
    shown = text(results)
    assert [line(shown, part)[0] for part in ("1%", "5%", "10%", "20%")] == ["1%", "5%", "10%", "20%"]
    chart = sweep_chart(summarise(results))
    assert chart is not None
    tells = [mark.tells for mark in chart.panels[0].marks if isinstance(mark, Dots)]
    assert [each.splitlines()[0] for each in tells] == [f"part = {part}%" for part in (1, 5, 10, 20)]


def test_the_drop_of_a_share_is_called_and_written_as_in_the_picture() -> None:
    results = [
        replace(each, rows=tuple(replace(one, drop={"accuracy": -0.01}) for one in each.rows))
        if each.parameters["std"] == SCALES[0]
        else each
        for each in sweep()
    ]
    shown = text(results, "drop.accuracy")
    assert "Drop of accuracy" in shown
    assert any(each.startswith("-1.0%") for each in line(shown, f"{SCALES[0]:g}"))
    chart = sweep_chart(summarise(results, "drop.accuracy"))
    assert chart is not None
    assert chart.y.label == f"Drop of accuracy (percent of {SAMPLES} samples)"
    assert chart.y.part(-0.01) > 0
    assert all(tick.text.endswith("%") for tick in chart.y.ticks)


def test_abbreviations_of_metrics_are_in_capitals() -> None:
    names = ["auc", "auc_curve_pr", "mse", "mean_squared_error", "AUC", "automatic"]
    said = ["AUC", "AUC curve pr", "MSE", "Mean squared error", "AUC", "Automatic"]
    assert [metric_label(name) for name in names] == said
