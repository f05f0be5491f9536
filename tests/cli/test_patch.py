"""`mutspec diff --patch` and `mutspec patch`: files, exit codes, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mutspec.patches.report import patch_schema

SCHEMA = Path(__file__).parents[2] / "schemas" / "patch.schema.json"

PLAN = """\
mutspec: 1
steps:
  - {op: gaussian_noise, target: dense_1/kernel, std: 0.01, fraction: 1%}
  - {op: scale, target: logits/kernel, factor: 2, id: double}
  - {op: insert_layer, after: conv_1, layer: {type: BatchNormalization}, id: norm}
  - {op: rename_layer, target: conv_2, to: convolution}
"""


@pytest.fixture
def mutant(cli, room):
    (room / "plan.yaml").write_text(PLAN)
    assert cli("apply", "plan.yaml", "model.keras", "-o", "mutant.keras", "-q").code == 0
    return room / "mutant.keras"


def test_the_exit_code_of_diff_stays_and_its_report_says_what_was_written(cli, mutant) -> None:
    result = cli("diff", "model.keras", "mutant.keras", "--patch", "fix.safetensors")
    size = Path("fix.safetensors").stat().st_size
    assert (result.code, result.err) == (1, "")
    assert result.out.endswith(f"\nWrote fix.safetensors ({size:,} bytes) for 10 weights and the architecture.\n")
    document = json.loads(cli("diff", "model.keras", "mutant.keras", "--patch", "p.safetensors", "--json").out)
    assert document["identical"] is False
    assert Path("p.safetensors").read_bytes() == Path("fix.safetensors").read_bytes()
    quiet = cli("diff", "model.keras", "mutant.keras", "--patch", "p.safetensors", "--force", "-q")
    assert (quiet.code, quiet.out, quiet.err) == (1, "", "")


def test_of_equal_models_no_patch_is_written(cli, room) -> None:
    result = cli("diff", "model.keras", "model.keras", "--patch", "p.safetensors")
    assert result.code == 0
    assert result.err == "warning: p.safetensors was not written: the models are the same\n"
    assert not Path("p.safetensors").exists()


@pytest.mark.parametrize("width", [80, 140])
def test_a_patch_that_was_applied_looks_right(cli, mutant, same_as, monkeypatch, width) -> None:
    cli("diff", "model.keras", "mutant.keras", "--patch", "fix.safetensors", "-q")
    monkeypatch.setenv("COLUMNS", str(width))
    result = cli("patch", "model.keras", "fix.safetensors", "-o", "again.keras")
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= width
    same_as(result.out, f"patch_{width}")
    assert cli("diff", "mutant.keras", "again.keras", "-q").code == 0


def test_the_document_is_what_its_schema_says(cli, mutant) -> None:
    cli("diff", "model.keras", "mutant.keras", "--patch", "fix.safetensors", "-q")
    result = cli("patch", "mutant.keras", "fix.safetensors", "--reverse", "-o", "back.keras", "--json")
    assert (result.code, result.err) == (0, "")
    document = json.loads(result.out)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert schema == patch_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)
    changes = {each["path"]: each["change"] for each in document["tensors"]}
    assert changes["conv_2/kernel"] == "moved"
    assert changes["dense_1/kernel"] == "sparse"
    assert changes["logits/kernel"] == "changed"
    assert cli("diff", "model.keras", "back.keras", "-q").code == 0


def test_refusals_have_their_exit_codes_and_write_nothing(cli, mutant) -> None:
    cli("diff", "model.keras", "mutant.keras", "--patch", "fix.safetensors", "-q")
    there = sorted(path.name for path in mutant.parent.iterdir())
    calls = {
        ("patch", "mutant.keras", "fix.safetensors", "-o", "o.keras"): (1, "has the change of fix.safetensors already"),
        ("patch", "model.keras", "plan.yaml", "-o", "o.keras"): (2, "apply a plan by: mutspec apply plan.yaml MODEL"),
        ("patch", "model.keras", "fix.safetensors", "-o", "model.keras"): (2, "is the same file as the input"),
        ("patch", "model.keras", "fix.safetensors"): (2, "missing option '-o'"),
        ("inspect", "fix.safetensors"): (2, "is a patch, not a model"),
        ("diff", "model.keras", "mutant.keras", "--patch", "fix.safetensors"): (2, "--force to replace it"),
        ("diff", "model.keras", "mutant.keras", "--force"): (2, "--force is for the file that --patch writes"),
    }
    for call, (code, said) in calls.items():
        result = cli(*call)
        assert (result.code, result.out) == (code, "")
        assert said in result.err
    assert sorted(path.name for path in mutant.parent.iterdir()) == there
