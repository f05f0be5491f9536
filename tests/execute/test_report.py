"""What a report says beyond its targets."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

import mutspec
from mutspec.model.files.opening import open_archive

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "conf" / "model" / "digits.keras"


def test_a_report_names_the_inputs_that_were_read() -> None:
    plan = mutspec.load_plan(ROOT / "conf" / "plan" / "half_kernel_transfer.yaml")
    report = mutspec.dry_run(plan, DIGITS, inputs={"teacher": DIGITS})
    document = report.to_json()
    digest = open_archive(DIGITS).spec.structure_digest
    assert document["inputs"] == [{"name": "teacher", "path": str(DIGITS), "structure_digest": digest}]
    jsonschema.validate(document, json.loads((ROOT / "schemas" / "apply.schema.json").read_text()))
    assert "input teacher: " in " ".join(str(report).split())


def test_a_report_of_one_model_has_no_inputs() -> None:
    plan = mutspec.plan({"steps": [{"op": "zero", "target": "dense_1"}]})
    assert "inputs" not in mutspec.dry_run(plan, DIGITS).to_json()
