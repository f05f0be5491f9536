"""What a report says beyond its targets."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

import mutspec
from mutspec.model.files.opening import open_archive
from mutspec.show.markdown import report_markdown

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "schemas" / "apply.schema.json").read_text())
DIGITS = ROOT / "conf" / "model" / "digits.keras"


def test_a_report_names_the_inputs_that_were_read() -> None:
    plan = mutspec.load_plan(ROOT / "conf" / "plan" / "half_kernel_transfer.yaml")
    report = mutspec.dry_run(plan, DIGITS, inputs={"teacher": DIGITS})
    document = report.to_json()
    digest = open_archive(DIGITS).spec.structure_digest
    assert document["inputs"] == [{"name": "teacher", "path": str(DIGITS), "structure_digest": digest}]
    jsonschema.validate(document, SCHEMA)
    assert "input teacher: " in " ".join(str(report).split())


def test_a_report_of_one_model_has_no_inputs() -> None:
    plan = mutspec.plan({"steps": [{"op": "zero", "target": "dense_1"}]})
    assert "inputs" not in mutspec.dry_run(plan, DIGITS).to_json()


def _wider(units: int) -> mutspec.Plan:
    layer = {"type": "Dense", "units": units, "activation": "relu"}
    last = {"type": "Dense", "units": 10}
    steps = [
        {"op": "replace_layer", "id": "wider", "target": "dense_1", "layer": layer},
        {"op": "replace_layer", "id": "last", "target": "logits", "layer": last},
    ]
    return mutspec.plan({"steps": steps})


CONVOLUTIONS = 8 * 8 * 3 * 3 * (1 * 16 + 16 * 32)


def test_a_structural_report_has_the_multiply_adds_before_and_after() -> None:
    report = mutspec.dry_run(_wider(80), DIGITS)
    document = report.to_json()
    before, after = (CONVOLUTIONS + 512 * units + units * 10 for units in (40, 80))
    assert document["multiply_adds"] == {"before": before, "after": after}
    jsonschema.validate(document, SCHEMA)
    said = "multiply–adds 325,008 → 345,888 (+6.42%)"
    assert said in " ".join(str(report).split())
    assert said in report_markdown(report)


def test_multiply_adds_that_stay_are_in_the_json_alone() -> None:
    report = mutspec.dry_run(_wider(40), DIGITS)
    assert report.to_json()["multiply_adds"] == {"before": 325_008, "after": 325_008}
    assert "multiply" not in str(report)


def test_a_report_on_weights_alone_has_no_multiply_adds() -> None:
    plan = mutspec.plan({"steps": [{"op": "zero", "target": "dense_1"}]})
    assert "multiply_adds" not in mutspec.dry_run(plan, DIGITS).to_json()


def test_unknown_multiply_adds_are_null_and_the_json_says_why() -> None:
    import keras

    model = keras.Sequential([keras.Input((None, 4)), keras.layers.LSTM(3, name="read"), keras.layers.Dense(2)])
    layer = {"type": "Dense", "units": 3}
    plan = mutspec.plan({"steps": [{"op": "insert_layer", "id": "more", "after": "read", "layer": layer}]})
    report = mutspec.dry_run(plan, model)
    why = "`read` (LSTM) has a tensor of (None, None, 4), of which not all extents are known"
    document = report.to_json()
    assert document["multiply_adds"] == {"before": None, "after": None, "unknown": why}
    jsonschema.validate(document, SCHEMA)
    assert "multiply" not in str(report)
