"""`result.json`: what is written is what the schema describes, and what is read back."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from mutspec.errors import CallError, EnvironmentProblem
from mutspec.experiment.reports.report_document import report_schema
from mutspec.experiment.result import FORMAT_VERSION, Result, read, result_schema
from tests.experiment.made_up import failed, replace, result, row, sweep

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schemas/result.schema.json").read_text(encoding="utf-8"))

NAN, INF = math.nan, math.inf
BURST = row(3, metrics={"accuracy": 0.1, "loss": NAN}, drop={"accuracy": 0.87, "loss": -INF}, non_finite_outputs=7)
RESULTS: dict[str, Result] = {
    "a job of a sweep": sweep()[7],
    "a single run of several seeds": result(rows=[row(seed) for seed in range(3)], output="mutant.keras"),
    "numbers that are not finite": result(rows=[BURST], base={"loss": INF}, value=NAN, parameters={"std": INF}),
    "a dry-run": result(
        rows=[row(0, metrics={}, drop={}, agreement=None, changed=None)],
        mode="dry_run",
        data="",
        samples=0,
        objective="",
        base={},
        value=None,
    ),
    "parameters of all kinds": result(parameters={"a": [1, 2.5, {"b": None}], "c": True, "d": "1%", "é": "层"}),
    "a failed job": failed(4, ["plan=dense_nois"], "there is no plan `dense_nois`\n  did you mean `dense_noise`?"),
    "warnings": replace(result(), warnings=("`encoder` is reached by 2 paths; counted once",)),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_read_as_it_was_written(name: str, tmp_path: Path) -> None:
    written = RESULTS[name]
    path = written.write(tmp_path / "job" / "of" / "a sweep")
    assert path == tmp_path / "job" / "of" / "a sweep" / "result.json"
    again = read(path)
    assert again.to_json() == written.to_json()
    assert (again.job, again.error, again.warnings) == (written.job, written.error, written.warnings)
    assert [list(each.metrics) for each in again.rows] == [list(each.metrics) for each in written.rows]


def test_numbers_that_json_has_not_are_numbers_again_when_they_are_read(tmp_path: Path) -> None:
    path = RESULTS["numbers that are not finite"].write(tmp_path)
    document = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert document["rows"][0]["metrics"]["loss"] == "nan"
    assert document["base"] == {"loss": "inf"}
    again = read(path)
    assert math.isnan(again.rows[0].metrics["loss"])
    assert again.rows[0].drop["loss"] == -INF
    assert again.base == {"loss": INF}
    assert again.value is not None
    assert math.isnan(again.value)


def test_numbers_of_numpy_are_written_as_numbers(tmp_path: Path) -> None:
    each = row(0, metrics={"accuracy": np.float32(0.5)}, drop={"accuracy": np.float64(0.25)}, touched=np.int64(3))
    again = read(result(rows=[each], base={"accuracy": np.float64(0.75)}).write(tmp_path))
    assert (again.rows[0].metrics, again.rows[0].drop, again.base) == (
        {"accuracy": 0.5},
        {"accuracy": 0.25},
        {"accuracy": 0.75},
    )
    assert again.rows[0].touched == 3


@pytest.mark.parametrize("name", RESULTS)
def test_a_document_is_what_the_schema_describes_and_needs_every_key(name: str, tmp_path: Path) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    validator = Draft202012Validator(SCHEMA)
    document = json.loads(RESULTS[name].write(tmp_path).read_text(encoding="utf-8"))
    validator.validate(document)
    for key in document:
        assert list(validator.iter_errors({each: value for each, value in document.items() if each != key})), key
    assert list(validator.iter_errors(document | {"more": 1}))


@pytest.mark.parametrize(("name", "schema"), {"result": result_schema, "report": report_schema}.items())
def test_the_committed_schema_is_that_of_the_declarations(name: str, schema: Callable[[], dict[str, Any]]) -> None:
    committed = (ROOT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")
    assert json.loads(committed) == schema(), f"run: mutspec schema {name} > schemas/{name}.schema.json"


def objects(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The schemas of a schema that list the keys of an object."""
    parts = [each for value in schema.values() for each in (value if isinstance(value, list) else [value])]
    inner = [found for part in parts if isinstance(part, dict) for found in objects(part)]
    return [schema, *inner] if "additionalProperties" in schema and "properties" in schema else inner


@pytest.mark.parametrize("name", ["result", "report"])
def test_the_schema_describes_every_key_and_allows_no_other(name: str) -> None:
    schema = json.loads((ROOT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert schema["title"]
    found = objects(schema)
    assert len(found) > 3
    for each in found:
        assert each["additionalProperties"] is False
        assert sorted(each["required"]) == sorted(each["properties"])
        assert all("description" in value for value in each["properties"].values())


def test_a_second_result_replaces_the_first_and_leaves_no_other_file(tmp_path: Path) -> None:
    result().write(tmp_path)
    sweep()[3].write(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]
    assert read(tmp_path / "result.json").job.number == 3


def test_a_folder_that_cannot_be_is_the_environments_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match=r"cannot write .*result.json"):
        result().write(tmp_path / "file" / "job")


GOOD = json.dumps(result().to_json())
DAMAGED = {
    "empty": ("", "is empty"),
    "cut short": (GOOD[:200], "is damaged"),
    "no JSON": ("accuracy: 0.97", "is damaged"),
    "not UTF-8": (b"\xff\xfe\x00", "is damaged"),
    "a list": ("[]", "not a result of mutspec"),
    "of another program": ('{"accuracy": 0.97}', "not a result of mutspec"),
    "of a later format": (GOOD.replace('"format_version": 2', '"format_version": 3'), "format version 3"),
    "without a key": (GOOD.replace('"objective"', '"goal"'), "missing required field `objective`"),
    "of a wrong type": (GOOD.replace('"seed": 0', '"seed": "zero"'), r"rows\[0\].seed"),
    "with a word for a number": (GOOD.replace('"samples": 540', '"samples": "many"'), "samples"),
    "nested deeply": ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
    "with a deep parameter": (GOOD.replace('"std": 0.5', '"std": ' + "[" * 80 + "]" * 80), "nested too deeply"),
    "with a huge seed": (GOOD.replace('"seed": 0', '"seed": 1' + "0" * 400), "a whole number is too large"),
    "with a huge parameter": (
        GOOD.replace('"std": 0.5', '"std": [-1' + "0" * 400 + "]"),
        "a whole number is too large",
    ),
    "with a number of many digits": (GOOD.replace('"seed": 0', '"seed": 1' + "0" * 9000), "out of range"),
    "with a text without end": (
        GOOD.replace('"agreement": ', f'"{"x" * 300_000}": 1, "agreement": '),
        "300,000 characters",
    ),
    "with fewer than no entries": (GOOD.replace('"touched": ', '"touched": -'), r">= 0 - at `\$.rows\[0\].touched`"),
    "with a metric that is none": (GOOD.replace('"agreement": ', '"agreement": "none", "was": '), "agreement"),
}


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "result.json")
    with pytest.raises(CallError, match="is not a file"):
        read(tmp_path / "result.json")


def test_numbers_that_no_report_can_work_with_are_infinite_or_zero(tmp_path: Path) -> None:
    base = {"a": 1e300, "b": -1e300, "c": 1e-300, "d": 1e38}
    found = read(replace(result(), base=base).write(tmp_path))
    assert found.base == {"a": math.inf, "b": -math.inf, "c": 0.0, "d": 1e38}


def test_half_a_character_is_written_out(tmp_path: Path) -> None:
    found = read(replace(result(), warnings=("`\ud800`",)).write(tmp_path))
    assert found.warnings == ("`\\ud800`",)


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_is_not_a_result_is_named_with_what_is_wrong(name: str, tmp_path: Path) -> None:
    content, said = DAMAGED[name]
    path = tmp_path / "result.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CallError, match=said) as caught:
        read(path)
    (problem,) = caught.value.problems
    assert problem.place is not None
    assert problem.place.file == str(path)
    assert problem.hint


def test_a_file_that_is_not_there_is_an_error_of_the_call(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="No such file"):
        read(tmp_path / "result.json")


def test_keys_that_a_later_mutspec_adds_are_passed_over(tmp_path: Path) -> None:
    document = result().to_json()
    document["job"]["host"] = "n17"
    (tmp_path / "result.json").write_text(json.dumps(document | {"gates": []}))
    assert document["format_version"] == FORMAT_VERSION
    assert read(tmp_path / "result.json").to_json() == result().to_json()


def test_results_need_neither_pictures_nor_models_nor_hydra() -> None:
    code = "import sys, mutspec.experiment.result; print(*sorted(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
    assert "mutspec.experiment.result" in loaded
    assert not {"matplotlib", "keras", "tensorflow", "hydra", "omegaconf", "numpy"} & set(loaded)
