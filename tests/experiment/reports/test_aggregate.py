"""Results below a folder: which there are, what varies in them, their tidy table, and seeds taken together."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from mutspec.errors import CallError
from mutspec.experiment.reports.aggregate import collect, find, natural, rows_table, varying, write_csv
from mutspec.experiment.reports.groups import choose_metric, summarise
from mutspec.experiment.result_settings import as_number, labels, settings
from mutspec.experiment.trial import measures
from tests.experiment.made_up import BASE, categories, failed, result, row, several_plans, sweep, write


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# What is below a folder


def test_results_come_by_the_number_of_their_job_wherever_they_lie(tmp_path: Path) -> None:
    results = sweep(seeds=3)
    for each in results:
        each.write(tmp_path / f"part {each.job.number % 2}" / f"{14 - each.job.number}")
    found = collect(tmp_path)
    assert [each.job.number for each in found] == list(range(15))
    assert [each.job.directory for each in found][:3] == ["part 0/14", "part 1/13", "part 0/12"]


def test_results_without_numbers_come_by_the_numbers_in_their_overrides(tmp_path: Path) -> None:
    for scale in ("10", "2", "1e-3", "0.01"):
        result(None, [f"plan.params.std={scale}"]).write(tmp_path / scale)
    assert [each.job.overrides[0].partition("=")[2] for each in collect(tmp_path)] == ["1e-3", "0.01", "2", "10"]


def test_texts_are_sorted_by_their_numbers() -> None:
    texts = ["job 10", "job 9", "job", "1", "a1b2", "a1b10", "2.5e-1", "0.3"]
    assert sorted(texts, key=natural) == ["2.5e-1", "0.3", "1", "a1b2", "a1b10", "job", "job 9", "job 10"]


def test_the_folder_of_a_single_run_is_its_result(tmp_path: Path) -> None:
    (found,) = collect(write([result()], tmp_path))
    assert found.job.directory == "."


def test_what_is_damaged_is_named_and_the_rest_is_used(tmp_path: Path) -> None:
    write(sweep(), tmp_path)
    whole = (tmp_path / "7/result.json").read_bytes()
    (tmp_path / "7/result.json").write_bytes(whole[: len(whole) // 2])
    found = find(tmp_path)
    assert [each.job.number for each in found.results] == [number for number in range(25) if number != 7]
    (problem,) = found.damaged
    assert problem.is_warning
    assert problem.place is not None
    assert problem.place.file == str(tmp_path / "7/result.json")


def test_jobs_that_left_no_result_are_known_by_what_hydra_wrote(tmp_path: Path) -> None:
    write(sweep(), tmp_path)
    for job in ("10", "9"):
        (tmp_path / job / "result.json").unlink()
        (tmp_path / job / ".hydra").mkdir()
        (tmp_path / job / ".hydra" / "overrides.yaml").write_text("")
    (tmp_path / "8" / ".hydra").mkdir()
    (tmp_path / "10" / ".result.json.0a1b2c3d.mutspec-tmp").write_text("{")
    found = find(tmp_path)
    assert found.unfinished == ("9", "10")
    assert len(found.results) == 23


# What varies


def test_the_scale_varies_and_seeds_do_not_count() -> None:
    assert varying(sweep()) == ("params.std",)
    assert varying([result(rows=[row(seed) for seed in range(5)])]) == ()


def test_settings_come_in_the_order_of_the_call() -> None:
    jobs = [(bits, std, plan) for bits in (1, 2) for std in (0.1, 1) for plan in "ab"]
    results = [
        result(n, [f"plan.steps.flip.bits={bits}", f"plan.params.std={std}", f"plan={plan}"], [row(0)], {"std": std})
        for n, (bits, std, plan) in enumerate(jobs)
    ]
    named = [
        each if plan == "a" else result(each.job.number, each.job.overrides, parameters=each.parameters, plan_name="b")
        for each, (_, _, plan) in zip(results, jobs, strict=True)
    ]
    assert varying(named) == ("plan.steps.flip.bits", "params.std", "plan")


def test_parameters_that_go_with_their_plan_do_not_vary() -> None:
    results = [
        result(n, [f"plan={plan}"], parameters=given, plan_name=plan)
        for n, (plan, given) in enumerate({"a": {"std": 0.1}, "b": {"std": 0.3, "fraction": "1%"}, "c": {}}.items())
    ]
    assert varying(results) == ("plan",)


def test_an_override_that_says_what_the_model_says_is_left_out() -> None:
    results = [
        result(n, [f"model={name}", f"plan.params.std={std}"], parameters={"std": std}, model=f"models/{name}.keras")
        for n, (name, std) in enumerate((name, std) for name in ("small", "large") for std in (0.1, 1.0))
    ]
    assert varying(results) == ("model", "params.std")


def test_equal_numbers_are_equal_however_they_are_written() -> None:
    results = [result(0, parameters={"std": 1}), result(1, parameters={"std": 1.0})]
    assert varying(results) == ()


def test_hydras_own_overrides_and_the_objective_are_not_settings() -> None:
    overrides = ["hydra/launcher=joblib", "hydra.job.num=3", "objective=loss", "seeds=5", "+plan.seed=3", "+mode=diff"]
    assert set(settings(result(0, overrides))) == {"plan", "model", "data", "params.std", "mode"}


def test_values_of_overrides_are_numbers_where_they_are() -> None:
    given = settings(result(0, ["a=3", "b=1e-3", "c='1'", "d=on", "e=2%", "++f=x=y"]))
    assert [given[name] for name in "abcdef"] == [3, 0.001, "1", "on", "2%", "x=y"]
    numbers = [as_number(each) for each in (3, 0.5, "2%", "on", True, None, float("inf"), [1])]
    assert numbers == [3.0, 0.5, 0.02, None, None, None, None, None]


def test_of_overrides_of_one_key_the_last_one_is_the_setting() -> None:
    assert settings(result(0, ["plan.steps.a.std=1", "++plan.steps.a.std=2"]))["plan.steps.a.std"] == 2


def test_labels_are_short_where_that_leaves_them_apart() -> None:
    assert labels(["params.std", "plan", "plan.steps.a.std"]) == ["std", "plan", "a.std"]
    assert labels(["params.std", "std"]) == ["params.std", "std"]


# The tidy table


def test_there_is_one_row_for_each_job_and_seed(tmp_path: Path) -> None:
    results = several_plans({"a": 1.0, "b": 2.0}, (0.1, 1), seeds=3)
    write_csv(results, tmp_path / "results.csv")
    rows = read_csv(tmp_path / "results.csv")
    assert [(each["job"], each["seed"]) for each in rows] == [
        (str(job), str(seed)) for job in range(4) for seed in range(3)
    ]
    assert [each["params.std"] for each in rows[::3]] == ["0.1", "1", "0.1", "1"]
    assert [each["plan"] for each in rows[::6]] == ["a", "b"]
    for each, written in zip(rows, [each for job in results for each in job.rows], strict=True):
        for name in BASE:
            assert float(each[f"metrics.{name}"]) == written.metrics[name]
            assert float(each[f"base.{name}"]) == BASE[name]
            assert float(each[f"drop.{name}"]) == written.drop[name]
        assert float(each["agreement"]) == written.agreement
        counts = [int(each[name]) for name in ("non_finite_outputs", "touched", "changed")]
        assert counts == [written.non_finite_outputs, written.touched, written.changed]


def test_any_number_reads_back_exactly(tmp_path: Path) -> None:
    random = Random(3)
    values = [random.uniform(-1, 1) * 10 ** random.randint(-300, 300) for _ in range(200)]
    values += [0.1, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf")]
    write_csv([result(rows=[row(0, metrics={"m": value}, drop={}) for value in values])], tmp_path / "t.csv")
    assert [float(each["metrics.m"]) for each in read_csv(tmp_path / "t.csv")] == values


def test_the_file_is_utf_8_with_plain_ends_of_lines_and_one_row_a_line(tmp_path: Path) -> None:
    results = [
        result(0, plan_name='ë, "層"', parameters={"where": ["a", "b"], "on": True}),
        failed(1, [], "a\r\nb, c\nd"),
    ]
    write_csv(results, tmp_path / "t.csv")
    data = (tmp_path / "t.csv").read_bytes()
    assert b"\r" not in data
    assert data.count(b"\n") == 3
    first, second = read_csv(tmp_path / "t.csv")
    assert (first["plan"], first["params.where"], first["params.on"]) == ('ë, "層"', "[a, b]", "true")
    assert (second["error"], second["seed"], second["metrics.accuracy"]) == ("a", "", "")


def test_a_failed_job_has_a_row_with_what_it_was_to_do(tmp_path: Path) -> None:
    write_csv([*sweep(), failed(25, ["plan.params.std=-1", "plan.seed=0"], "boom")], tmp_path / "t.csv")
    last = read_csv(tmp_path / "t.csv")[-1]
    assert (last["job"], last["params.std"], last["error"], last["plan"]) == ("25", "-1", "boom", "")


def test_other_overrides_that_vary_are_columns_and_constant_ones_are_not() -> None:
    table = rows_table(
        [result(n, [f"plan.steps.a.std={n}", "evaluate.batch_size=32"]) for n in range(2)],
    )
    assert "plan.steps.a.std" in table.columns
    assert "evaluate.batch_size" not in table.columns
    assert len(set(table.columns)) == len(table.columns)


# Seeds together


def test_groups_are_means_over_the_seeds() -> None:
    results = sweep()
    summary = summarise(results)
    assert [group.values for group in summary.groups] == [(0.03,), (0.1,), (0.3,), (1,), (3,)]
    for group in summary.groups:
        values = [
            each.metrics["accuracy"] for job in results if job.parameters["std"] == group.values[0] for each in job.rows
        ]
        assert group.metric.mean == pytest.approx(np.mean(values), abs=1e-15)
        assert group.drop == pytest.approx(BASE["accuracy"] - np.mean(values), abs=1e-15)
    assert (summary.metric, summary.is_share, summary.base) == ("accuracy", True, BASE["accuracy"])


def test_seeds_in_one_job_and_a_job_for_each_seed_make_the_same_groups() -> None:
    apart = summarise(sweep())
    together = summarise(
        [
            result(n, [f"plan.params.std={std}", "seeds=5"], [row(seed, std) for seed in range(5)], {"std": std})
            for n, std in enumerate((0.03, 0.1, 0.3, 1, 3))
        ]
    )
    assert apart.groups == together.groups


def test_a_seed_that_two_sweeps_have_counts_once() -> None:
    once = summarise(sweep())
    twice = summarise([*sweep(), *sweep(seeds=3)])
    assert [group.metric for group in twice.groups] == [group.metric for group in once.groups]


def test_failed_jobs_are_in_no_group() -> None:
    summary = summarise([*sweep(), failed(25, ["plan.params.std=-1"], "boom")])
    assert len(summary.groups) == 5
    assert [each.job.number for each in summary.failed] == [25]


def test_the_objective_is_shown_unless_another_metric_is_asked_for() -> None:
    results = [result(n, objective="loss") for n in range(3)]
    assert choose_metric(results) == "loss"
    assert choose_metric(results, "accuracy") == "accuracy"
    assert choose_metric([result(objective="no_such")]) == "accuracy"
    bare = result(rows=[row(0, metrics={}, drop={})], base={})
    assert choose_metric([bare]) == "agreement"
    assert choose_metric([result(rows=[row(0, metrics={}, drop={}, agreement=None)], base={})]) is None
    with pytest.raises(CallError, match="no result has the metric `acuracy`") as caught:
        choose_metric(results, "acuracy")
    assert caught.value.problems[0].candidates == ("accuracy",)


def test_all_that_can_be_an_objective_can_be_shown() -> None:
    made = row(1, non_finite_outputs=7, divergence=0.5, deviation=0.25)
    expected = measures(made)
    assert {"loss", "agreement", "drop.loss", "non_finite_outputs", "deviation"} < set(expected)
    shown = {name: summarise([result(rows=[made], objective=name)], name) for name in expected}
    assert {name: each.groups[0].measured for name, each in shown.items()} == {
        name: (value,) for name, value in expected.items()
    }


def test_of_a_drop_that_is_the_objective_the_metric_is_shown_with_its_drop() -> None:
    (group,) = summarise([result(objective="drop.loss")]).groups
    assert group.base == BASE["loss"]
    assert group.drop == pytest.approx(row(0).drop["loss"])


def test_only_what_is_a_part_of_the_samples_is_shown_in_percent() -> None:
    assert summarise(sweep(), "agreement").is_share
    assert not summarise(sweep(), "loss").is_share
    counted = [row(0, metrics={"accuracy": 97.0, "sparse_top_k_accuracy": 0.5}, drop={})]
    assert not summarise([result(rows=counted, base={})], "accuracy").is_share
    assert summarise([result(rows=counted, base={})], "sparse_top_k_accuracy").is_share


def test_bases_that_differ_belong_to_their_groups() -> None:
    results = [
        result(n, [f"model={name}"], model=f"{name}.keras", base={"accuracy": base})
        for n, (name, base) in enumerate({"small": 0.9, "large": 0.95}.items())
    ]
    summary = summarise(results)
    assert (summary.base, summary.base_varies) == (None, True)
    assert [group.base for group in summary.groups] == [0.9, 0.95]


def test_a_thousand_jobs_are_one_table(tmp_path: Path) -> None:
    results = sweep([0.001 * n for n in range(1, 201)])
    write_csv(results, tmp_path / "results.csv")
    assert len(read_csv(tmp_path / "results.csv")) == 1000
    assert len(summarise(results).groups) == 200


def test_the_document_of_a_result_that_moved_still_says_where_it_ran(tmp_path: Path) -> None:
    each = categories({"a": 1.0})[0]
    each.write(tmp_path / "elsewhere")
    assert collect(tmp_path)[0].job.directory == "elsewhere"
    assert json.loads((tmp_path / "elsewhere/result.json").read_text())["job"]["directory"] == "0"


def test_a_text_is_never_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    texts = ["=1+1", "+cmd|x", "-a", "@SUM(A1)", "\t=1", "\r=1", "=\r1,\n", " =1", "＝1", "'a"]
    plain = ["-0.5", "+1e-3", "-5%", "conv_1", "a=1"]
    results = [
        result(number, [f"plan.params.layer={number}"], [row(0, drop={"loss": -0.5})], {"layer": text, "std": -0.5})
        for number, text in enumerate([*texts, *plain])
    ]
    write_csv(results, tmp_path / "results.csv")
    rows = read_csv(tmp_path / "results.csv")
    assert [each["params.layer"] for each in rows] == [*(f"'{text}" for text in texts), *plain]
    assert {each["params.std"] for each in rows} == {each["drop.loss"] for each in rows} == {"-0.5"}


def test_the_header_of_a_column_is_not_a_formula_either(tmp_path: Path) -> None:
    results = [result(number, [f"-x={number}"]) for number in range(2)]
    write_csv(results, tmp_path / "results.csv")
    assert "'-x" in read_csv(tmp_path / "results.csv")[0]


def test_the_quotes_of_an_override_are_hydras() -> None:
    for written, meant in (("'it\\'s'", "it's"), ("'back\\\\'", "back\\"), ('"a\\b"', "a\\b"), ("'\"'", '"')):
        assert settings(failed(0, [f"plan.x={written}"], "boom"))["plan.x"] == meant


@pytest.mark.parametrize("text", ["9" * 400, "-" + "9" * 4000, "9e999", "9" * 500 + "%"])
def test_a_setting_that_is_a_huge_number_is_none_to_a_picture(text: str) -> None:
    assert as_number(settings(failed(0, [f"plan.x={text}"], "boom"))["plan.x"]) is None
