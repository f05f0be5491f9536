"""`mutspec validate --model`: what plans choose in a model."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Call


def test_all_problems_of_all_plans_come_in_one_run(cli, room) -> None:
    (room / "a.yaml").write_text(
        "mutspec: 1\nsteps:\n- {op: zero, target: dence_1}\n- {op: fill, target: x, value: 1}\n"
    )
    (room / "b.yaml").write_text("mutspec: 1\nsteps:\n- {op: zero, target: relu_1}\n")
    (room / "c.yaml").write_text("mutspec: 1\nsteps:\n- {op: zreo, target: relu_1}\n")
    result = cli("validate", "a.yaml", "b.yaml", "c.yaml", "dense_noise.yaml", "--model", "model.keras")
    assert result.code == 2
    for place in ("a.yaml:3:22", "a.yaml:4:22", "b.yaml:3:22", "c.yaml:3:8"):
        assert place in result.err
    assert result.out == "dense_noise.yaml: valid\n"


def test_a_step_whose_input_is_not_bound_is_left_out_and_said_so(cli, room) -> None:
    text = (room / "half_kernel_transfer.yaml").read_text() + "  - {op: zero, target: dence_1}\n"
    (room / "graft.yaml").write_text(text)
    result = cli("validate", "graft.yaml", "--model", "model.keras", "--json")
    (plan,) = json.loads(result.out)["plans"]
    assert [problem["severity"] for problem in plan["problems"]] == ["error"]
    assert plan["problems"][0]["candidates"] == ["dense_1"]
    alone = cli("validate", "half_kernel_transfer.yaml", "--model", "model.keras")
    assert alone.code == 0
    assert "--input teacher=MODEL" in alone.err
    bound = cli("validate", "half_kernel_transfer.yaml", "--model", "model.keras", "--input", "teacher=model.keras")
    assert (bound.code, bound.err) == (0, "")


def test_a_model_that_cannot_be_read_is_said_once(cli, room) -> None:
    result = cli("validate", "dense_noise.yaml", "conv_noise.yaml", "--model", "modle.keras")
    assert result.code == 2
    assert result.err.count("modle.keras cannot be read") == 1


def test_steps_on_structure_are_checked_as_a_dry_run_checks_them(room: Path, cli: Call) -> None:
    good = cli("validate", "insert_adapter.yaml", "deepen_and_jitter.yaml", "--model", "model.keras")
    assert (good.code, good.err) == (0, "")
    Path("bad.yaml").write_text("mutspec: 1\nsteps: [{op: remove_layer, target: nowhere}]\n")
    bad = cli("validate", "bad.yaml", "--model", "model.keras")
    dry_run = cli("apply", "bad.yaml", "model.keras", "--dry-run")
    assert (bad.code, dry_run.code) == (2, 2)
    assert dry_run.err.strip() in bad.err


def test_a_file_that_has_changed_is_read_again_by_the_next_call_of_a_process(cli, room) -> None:
    (room / "late.keras").write_bytes(b"not yet")
    (room / "late.yaml").write_text("mutspec: 1\nsteps: [{op: zero, target: dence_1}]\n")
    call = ("validate", "late.yaml", "--model", "late.keras")
    (room / "late.keras").write_bytes((room / "model.keras").read_bytes())
    assert "dence_1" in cli(*call).err
    (room / "late.keras").write_bytes(b"damaged")
    assert "dence_1" not in cli(*call).err
