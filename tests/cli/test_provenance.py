"""`mutspec provenance`: what it shows, makes again, and refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from tests.cli.conftest import ROOT, Call


@pytest.fixture
def mutants(cli: Call, room: Path) -> Path:
    """A mutant of a mutant of the digits model, in a folder with both."""
    assert cli("apply", "dense_noise.yaml", "model.keras", "-o", "noisy.keras", "--seed", "4", "-q").code == 0
    assert cli("apply", "insert_adapter.yaml", "noisy.keras", "-o", "mutant.keras", "-q").code == 0
    return room


def test_the_lineage_is_shown_back_to_the_base(cli: Call, mutants: Path, same_as: Callable[[str, str], None]) -> None:
    result = cli("provenance", "mutant.keras")
    assert (result.code, result.err) == (0, "")
    numbers = json.loads(cli("provenance", "mutant.keras", "--json").out)["generations"][0]["versions"]["numpy"]
    same_as(result.out.replace(numbers, "N.N.N"), "provenance")


def test_it_is_one_json_document(cli: Call, mutants: Path) -> None:
    document = json.loads(cli("provenance", "mutant.keras", "--json").out)
    jsonschema.validate(document, json.loads((ROOT / "schemas" / "provenance.schema.json").read_text()))
    assert [each["plan"]["name"] for each in document["generations"]] == ["insert_adapter", "dense_noise"]


def test_its_plan_can_be_applied_again(cli: Call, mutants: Path) -> None:
    Path("again.yaml").write_text(cli("provenance", "noisy.keras", "--plan").out)
    result = cli("validate", "again.yaml", "--strict")
    assert (result.code, result.err) == (0, "")
    result = cli("apply", "again.yaml", "model.keras", "-o", "again.keras", "-q")
    assert (result.code, result.err) == (0, "")
    assert cli("diff", "again.keras", "noisy.keras").code == 0
    assert cli("provenance", "again.keras", "--plan").out == Path("again.yaml").read_text()


def test_a_mutant_that_is_made_again_is_the_same_or_what_differs_is_shown(cli: Call, mutants: Path) -> None:
    result = cli("provenance", "mutant.keras", "--replay", "model.keras")
    assert (result.code, result.out) == (
        0,
        "2 mutations of model.keras made again: identical to mutant.keras, to the bit\n",
    )
    document = json.loads(cli("provenance", "mutant.keras", "--replay", "noisy.keras", "--json").out)
    assert (document["replay"]["generations"], document["replay"]["diff"]["identical"]) == (1, True)
    result = cli("provenance", "mutant.keras", "--replay", "mutant.keras")
    assert (result.code, result.out) == (1, "")
    assert "the mutant was not made from mutant.keras" in result.err


def test_other_weights_under_the_same_past_are_named(cli: Call, room: Path) -> None:
    shutil.copy(ROOT / "tests/data/old/keras_3.6.0/cnn.h5", "base.h5")
    assert cli("apply", "kernel_faults.yaml", "base.h5", "-o", "mutant.h5", "-q").code == 0
    shutil.copy("mutant.h5.provenance.json", "base.h5.provenance.json")
    result = cli("provenance", "base.h5", "--replay", "base.h5")
    assert result.code == 1
    assert "kernel" in result.out
    assert "base.h5.provenance.json was written for another file than the one that is base.h5 now" in result.err
    assert cli("provenance", "mutant.h5").err == ""


BAD = {
    "provenance model.keras": "does not say where it comes from",
    "provenance missing.keras": "missing.keras cannot be read",
    "provenance noisy.keras --plan --json": "--plan prints YAML alone",
    "provenance noisy.keras --input teacher=model.keras": "--input is for --replay BASE",
    "provenance noisy.keras --replay model.keras --input teacher=model.keras": "the plans read no other model",
}


def test_calls_that_make_no_sense_are_refused(cli: Call, mutants: Path) -> None:
    for call, message in BAD.items():
        result = cli(*call.split())
        assert result.code == 2, call
        assert message in result.err


def test_apply_tells_of_the_side_car_and_leaves_it_out_if_asked(cli: Call, room: Path) -> None:
    shutil.copy(ROOT / "tests/data/old/keras_3.6.0/cnn.h5", "base.h5")
    result = cli("apply", "kernel_faults.yaml", "base.h5", "-o", "out.h5")
    assert result.out.endswith("Wrote out.h5, and out.h5.provenance.json\n")
    document = json.loads(cli("apply", "kernel_faults.yaml", "base.h5", "-o", "out.h5", "--force", "--json").out)
    assert document["sidecar"] == "out.h5.provenance.json"
    jsonschema.validate(document, json.loads((ROOT / "schemas" / "apply.schema.json").read_text()))
    again = cli("apply", "kernel_faults.yaml", "base.h5", "-o", "out.h5", "--force", "--no-provenance", "--json")
    assert "sidecar" not in json.loads(again.out)
    assert not Path("out.h5.provenance.json").exists()
