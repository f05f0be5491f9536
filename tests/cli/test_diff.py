"""`mutspec diff`: how two model files compare."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests/data/old/keras_3.6.0"


@pytest.fixture
def mutant(cli, room):
    (room / "plan.yaml").write_text(
        "mutspec: 1\nnon_finite: report\nsteps:\n"
        "- {op: gaussian_noise, target: dense_1, std: 0.01}\n"
        "- {op: scale, target: logits/kernel, factor: 1e39, count: 2}\n"
    )
    assert cli("apply", "plan.yaml", "model.keras", "-o", "mutant.keras", "-q").code == 0
    return room / "mutant.keras"


def test_equal_files_give_zero(cli, room) -> None:
    result = cli("diff", "model.keras", "model.keras")
    assert result.code == 0
    assert "Identical" in result.out


@pytest.mark.parametrize("width", [80, 140])
def test_a_mutant_looks_right(cli, mutant, same_as, monkeypatch, width) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    result = cli("diff", "model.keras", "mutant.keras")
    assert result.code == 1
    assert max(map(len, result.out.splitlines())) <= width
    same_as(result.out, f"diff_{width}")


def test_another_structure_looks_right(cli, room, same_as, monkeypatch) -> None:
    monkeypatch.chdir(OLD)
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = cli("diff", "cnn.keras", "residual.keras")
    assert result.code == 1
    same_as(result.out, "diff_structure_80_coloured")
    longer = cli("diff", "cnn.keras", "residual.keras", "--verbose")
    assert "more" in result.out
    assert "more" not in longer.out


def test_markdown_looks_right(cli, mutant, same_as, monkeypatch) -> None:
    same_as(cli("diff", "model.keras", "mutant.keras", "--format", "markdown").out, "diff_markdown")
    monkeypatch.chdir(OLD)
    same_as(cli("diff", "cnn.keras", "residual.keras", "--format", "markdown").out, "diff_markdown_structure")


def test_quiet_says_it_by_the_exit_code(cli, mutant) -> None:
    result = cli("diff", "model.keras", "mutant.keras", "-q")
    assert (result.code, result.out, result.err) == (1, "", "")


def test_json_is_what_its_schema_describes_also_with_numbers_that_json_has_not(cli, mutant) -> None:
    result = cli("diff", "model.keras", "mutant.keras", "--json")
    document = json.loads(result.out, parse_constant=pytest.fail)
    schema = json.loads((ROOT / "schemas/diff.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(document)
    assert (result.code, document["identical"]) == (1, False)
    assert [tensor["non_finite"] for tensor in document["tensors"]] == [0, 0, 2]


def test_files_of_two_kinds_are_compared_by_their_values(cli) -> None:
    result = cli("diff", str(OLD / "cnn.keras"), str(OLD / "cnn.h5"), "--json")
    assert json.loads(result.out)["tensors"] == []
