"""JSON that commands print is as its schema under `schemas/` says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from mutspec.cli.main import cli

SCHEMAS = Path(__file__).parents[2] / "schemas"


def printed(*arguments: str) -> object:
    return json.loads(CliRunner().invoke(cli, list(arguments)).stdout)


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("arguments", [["ops"], ["ops", "zero"], ["ops", "--literature"]])
def test_ops_prints_what_its_schema_says(arguments: list[str]) -> None:
    validator("ops").validate(printed(*arguments, "--json"))


@pytest.mark.parametrize("name", ["result", "report", "test", "lock"])
def test_the_schemas_of_documents_can_be_printed(name: str) -> None:
    assert printed("schema", name) == validator(name).schema


@pytest.mark.parametrize(("name", "version"), [("plan", 1), ("test", 1), ("lock", 1), ("result", 2), ("report", 1)])
def test_a_schema_has_a_name_of_its_own_that_needs_no_host(name: str, version: int) -> None:
    schema = printed("schema", name)
    assert isinstance(schema, dict)
    assert schema["$id"] == f"urn:mutspec:schema:{name}:{version}"
    assert schema["$id"] == validator(name).schema["$id"]  # type: ignore[index]


def test_validate_prints_what_its_schema_says(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("mutspec: 1\nparams: {unused: 1}\nsteps: [{op: zero, target: a}]\n")
    bad.write_text("mutspec: 1\nsteps: [{op: zreo}]\n")
    document = printed("validate", str(good), str(bad), str(tmp_path / "missing.yaml"), "--json")
    validator("validate").validate(document)
    assert isinstance(document, dict)
    severities = [[problem["severity"] for problem in plan["problems"]] for plan in document["plans"]]
    assert severities == [["warning"], ["error"], ["error"]]
