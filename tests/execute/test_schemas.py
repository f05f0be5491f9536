"""The committed schema of the `apply` document describes what reports become."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema

from mutspec.errors import Problem
from mutspec.show.report import Report, StepReport, TargetReport

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "apply.schema.json").read_text())
TARGET = TargetReport("dense", "kernel", (3, 2), "float32", 6, 4, 4)
REPORT = Report(
    engine="mutspec 0.1.0",
    plan_name="jitter",
    plan_digest="00ff",
    seed=7,
    model="base.keras",
    structure_digest="ff00",
    warnings=(Problem("`encoder` is reached by 2 paths; counted once"),),
    steps=(StepReport("jitter", "gaussian_noise", (TARGET,)),),
    parameters_before=8,
    parameters_after=8,
    output=Path("mutant.keras"),
)


def test_the_document_of_an_application_and_of_a_dry_run_is_what_the_schema_describes() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    dry = replace(REPORT, output=None, steps=(StepReport("jitter", "zero", (replace(TARGET, changed=None),)),))
    for report in (REPORT, dry):
        document = json.loads(json.dumps(report.to_json(), allow_nan=False))
        validator.validate(document)
        for key in document:
            assert list(validator.iter_errors({name: value for name, value in document.items() if name != key})), key
