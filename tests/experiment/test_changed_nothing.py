"""Where a plan changed nothing, a sweep says so, and ranks nothing as robust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from jsonschema import Draft202012Validator

import mutspec
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.reports.report import make_report
from mutspec.experiment.reports.sensitivity import sensitivity
from mutspec.experiment.reports.table import summary_text
from mutspec.experiment.result import Row, read
from tests.experiment.made_up import replace, result, row

ROOT = Path(__file__).parents[2]
X = np.random.default_rng(4).normal(size=(60, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def swept() -> Any:
    """Noise relative to the standard deviation, on weights that include one with a single entry and one of zeros."""
    keras.utils.set_random_seed(8)
    layers = [keras.layers.Dense(1, name="neck"), keras.layers.Dense(4, activation="softmax", name="head")]
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1, name="single"), *layers])
    steps = [{"op": "gaussian_noise", "target": "${params.weight}", "std": "${params.std}", "relative_to": "std"}]
    plan = mutspec.plan({"params": {"weight": "head/kernel", "std": 1.0}, "steps": steps})
    weights = ["neck/kernel", "head/bias", "head/kernel", "single/kernel"]
    return mutspec.sweep(plan, model, (X, None), {"params.weight": weights, "params.std": [0.0, 2.0, 4.0]}, seeds=3)


def test_a_row_says_whether_its_plan_changed_nothing(swept: Any) -> None:
    for each in swept.results:
        is_idle = each.parameters["weight"] in ("neck/kernel", "head/bias") or each.parameters["std"] == 0
        assert [one.changed_nothing for one in each.rows] == [is_idle] * 3
        assert not is_idle or {one.agreement for one in each.rows} == {1.0}
        assert any("changed nothing in" in text for text in each.warnings) == is_idle


def test_what_was_not_changed_has_no_rank_and_says_why(swept: Any) -> None:
    found = sensitivity(summarise(swept.results))
    assert found is not None
    ranked = {each.value: (each.is_ranked, each.unchanged) for each in found.ranking}
    assert {name for name, (is_ranked, _) in ranked.items() if not is_ranked} == {"neck/kernel", "head/bias"}
    assert [each.is_ranked for each in found.ranking] == [True, True, False, False]
    assert {number for _, number in ranked.values()} == {1, 3}
    assert all(each.ranks is None for each in found.ranking if not each.is_ranked)
    assert all(each.ranks is not None and max(each.ranks) <= 2 for each in found.ranking if each.is_ranked)
    text = summary_text(summarise(swept.results), width=100)
    lines = {line.split()[1]: line for line in text.splitlines() if line.startswith(("  –", "   –"))}
    assert set(lines) == {"neck/kernel", "head/bias"}
    assert all(line.endswith("anywhere") for line in lines.values())
    assert "at 1 of 3 values of std" in text
    assert text.count("3 of 3") == 3 + 3 + 1 + 1


def test_files_and_the_page_say_it(swept: Any, tmp_path: Path) -> None:
    report = swept.write(tmp_path)
    document = report.to_json()
    Draft202012Validator(json.loads((ROOT / "schemas/report.schema.json").read_text())).validate(document)
    assert [group["unchanged"] for group in document["groups"]] == [3, 3, 3, 3, 3, 3, 3, 0, 0, 3, 0, 0]
    assert [entry["is_ranked"] for entry in document["sensitivity"]["ranking"]] == [True, True, False, False]
    assert any("changed nothing in `neck/kernel`" in text for text in document["warnings"])
    assert "Changed nothing" in (tmp_path / "report.html").read_text()
    csv = (tmp_path / "results.csv").read_text().splitlines()
    column = csv[0].split(",").index("changed_nothing")
    assert [line.split(",")[column] for line in csv[1:]].count("true") == 8 * 3
    schema = json.loads((ROOT / "schemas/result.schema.json").read_text())
    Draft202012Validator(schema).validate(json.loads((tmp_path / "0" / "result.json").read_text()))


def test_results_from_before_are_told_by_what_they_counted(tmp_path: Path) -> None:
    rows = [row(0, touched=25, changed=0, deviation=0.0), row(1, touched=25, changed=25, deviation=0.1)]
    path = result(rows=[*rows, row(2, touched=0, changed=0, deviation=0.0)]).write(tmp_path)
    document = json.loads(path.read_text())
    for each in document["rows"]:
        for name in ("changed_nothing", "sample_agreement", "output_numbers", "by_output"):
            del each[name]
    del document["classes"]
    path.write_text(json.dumps(document))
    again = read(path)
    assert [one.is_unchanged for one in again.rows] == [True, False, False]
    assert [(one.sample_agreement, one.by_output, again.classes) for one in again.rows] == [(None, {}, {})] * 3
    make_report(tmp_path)


def test_a_dry_run_of_a_sweep_says_it_too() -> None:
    known = replace(Row(0, {}, {}, None, 0, 25, None, 0.1), changed_nothing=True)
    assert known.is_unchanged
    assert "Changed nothing" in summary_text(summarise([result(rows=[known], base={})]))
