"""What each command says of a damaged file: apply refuses, inspect and diff warn, and `--no-verify` leaves it out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mutspec.model.files.opening import open_archive

SAID = "model.keras is damaged: model.weights.h5 in it does not have the checksum that the file states"


@pytest.fixture
def damaged(room: Path) -> str:
    """A model with one flipped bit, in the exponent of an entry."""
    path = room / "model.keras"
    shutil.copy(path, room / "whole.keras")
    offset = open_archive(path).extents["conv_2/kernel"].offset
    assert offset is not None
    content = bytearray(path.read_bytes())
    content[offset + 3] ^= 0x40
    path.write_bytes(content)
    return path.name


@pytest.mark.parametrize("options", [[], ["--json"], ["--layers"], ["--select", "conv_*"]])
def test_inspect_warns_and_goes_on(cli, damaged, options) -> None:
    result = cli("inspect", damaged, *options)
    assert (result.code, result.out) == (0, cli("inspect", damaged, "--no-verify", *options).out)
    assert result.err.startswith(f"warning: {SAID}; its weights may be wrong")
    assert cli("inspect", damaged, "--no-verify", *options).err == ""
    assert cli("inspect", "whole.keras", *options).err == ""


def test_diff_warns_and_its_exit_code_stays(cli, damaged) -> None:
    for one, other, code in (("whole.keras", damaged, 1), (damaged, "whole.keras", 1), (damaged, damaged, 0)):
        result = cli("diff", one, other, "-q")
        assert result.code == code
        assert result.err.count(f"warning: {SAID}") == [one, other].count(damaged)
        assert cli("diff", one, other, "-q", "--no-verify").err == ""


def test_apply_refuses_and_writes_nothing_unless_the_call_says_so(cli, damaged, room) -> None:
    (room / "plan.yaml").write_text(
        "mutspec: 1\ninputs: {teacher: {}}\n"
        "steps: [{op: transfer_weights, id: graft, source: 'teacher:conv_2/kernel', target: conv_2/kernel}]\n"
    )
    call = ["apply", "plan.yaml", "whole.keras", "--input", f"teacher={damaged}", "-o", "out.keras"]
    result = cli(*call)
    assert result.code == 2
    assert result.err.startswith(f"error: {SAID}; `conv_2/kernel`, which step `graft` reads, may be wrong")
    assert "--no-verify" in result.err
    assert not (room / "out.keras").exists()
    assert cli(*call, "--dry-run").code == 0
    assert cli(*call, "--no-verify").code == 0
    own = ["apply", "plan.yaml", damaged, "--input", "teacher=whole.keras", "-o", "own.keras"]
    assert cli(*own).code == 2
    assert cli(*own, "--no-verify").code == 0
    assert "is damaged" in cli("inspect", "own.keras").err


@pytest.mark.parametrize("output", ["out.h5", "out.keras"])
def test_a_file_of_which_a_new_one_is_made_is_checked_too(cli, damaged, room, output) -> None:
    (room / "plan.yaml").write_text(
        "mutspec: 1\nsteps: [{op: remove_layer, target: dropout}, {op: zero, target: conv_1, count: 1}]\n"
        if output == "out.keras"
        else "mutspec: 1\nsteps: [{op: zero, target: conv_1, count: 1}]\n"
    )
    result = cli("apply", "plan.yaml", damaged, "-o", output)
    assert result.code == 2
    whose = "the mutant's" if output == "out.keras" else "its"  # which mutspec, or Keras, makes of it
    assert result.err.startswith(f"error: {SAID}; {whose} weights may be wrong")
    assert not (room / output).exists()


def test_run_refuses_a_damaged_base_and_a_damaged_input(cli, damaged, room) -> None:
    (room / "plan.yaml").write_text(
        "mutspec: 1\ninputs: {teacher: {}}\nsteps: [{op: transfer_weights, source: 'teacher:conv_2', target: conv_2}]\n"
    )
    for base, teacher in ((damaged, "whole.keras"), ("whole.keras", damaged)):
        call = ["run", "plan_file=plan.yaml", f"model.path={base}", f"inputs.teacher={teacher}", "hydra.run.dir=job"]
        result = cli(*call)
        assert result.code == 2
        assert SAID in result.err
