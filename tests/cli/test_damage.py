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
def test_inspect_warns_and_goes_on(mutspec, damaged, options) -> None:
    result = mutspec("inspect", damaged, *options)
    assert (result.code, result.out) == (0, mutspec("inspect", damaged, "--no-verify", *options).out)
    assert result.err.startswith(f"warning: {SAID}; its weights may be wrong")
    assert mutspec("inspect", damaged, "--no-verify", *options).err == ""
    assert mutspec("inspect", "whole.keras", *options).err == ""


def test_diff_warns_and_its_exit_code_stays(mutspec, damaged) -> None:
    for one, other, code in (("whole.keras", damaged, 1), (damaged, "whole.keras", 1), (damaged, damaged, 0)):
        result = mutspec("diff", one, other, "-q")
        assert result.code == code
        assert result.err.count(f"warning: {SAID}") == [one, other].count(damaged)
        assert mutspec("diff", one, other, "-q", "--no-verify").err == ""


def test_apply_refuses_and_writes_nothing_unless_the_call_says_so(mutspec, damaged, room) -> None:
    (room / "plan.yaml").write_text(
        "mutspec: 1\ninputs: {teacher: {}}\n"
        "steps: [{op: transfer_weights, id: graft, source: 'teacher:conv_2/kernel', target: conv_2/kernel}]\n"
    )
    call = ["apply", "plan.yaml", "whole.keras", "--input", f"teacher={damaged}", "-o", "out.keras"]
    result = mutspec(*call)
    assert result.code == 2
    assert result.err.startswith(f"error: {SAID}; `conv_2/kernel`, which step `graft` reads, may be wrong")
    assert "--no-verify" in result.err
    assert not (room / "out.keras").exists()
    assert mutspec(*call, "--dry-run").code == 0
    assert mutspec(*call, "--no-verify").code == 0
    own = ["apply", "plan.yaml", damaged, "--input", "teacher=whole.keras", "-o", "own.keras"]
    assert mutspec(*own).code == 2
    assert mutspec(*own, "--no-verify").code == 0
    assert "is damaged" in mutspec("inspect", "own.keras").err


@pytest.mark.parametrize("output", ["out.h5", "out.keras"])
def test_a_file_that_keras_loads_is_checked_too(mutspec, damaged, room, output) -> None:
    (room / "plan.yaml").write_text(
        "mutspec: 1\nsteps: [{op: remove_layer, target: dropout}, {op: zero, target: conv_1, count: 1}]\n"
        if output == "out.keras"
        else "mutspec: 1\nsteps: [{op: zero, target: conv_1, count: 1}]\n"
    )
    result = mutspec("apply", "plan.yaml", damaged, "-o", output)
    assert result.code == 2
    assert result.err.startswith(f"error: {SAID}; its weights may be wrong")
    assert not (room / output).exists()


def test_run_refuses_a_damaged_base_and_a_damaged_input(mutspec, damaged, room) -> None:
    (room / "plan.yaml").write_text(
        "mutspec: 1\ninputs: {teacher: {}}\nsteps: [{op: transfer_weights, source: 'teacher:conv_2', target: conv_2}]\n"
    )
    for base, teacher in ((damaged, "whole.keras"), ("whole.keras", damaged)):
        call = ["run", "plan_file=plan.yaml", f"model.path={base}", f"inputs.teacher={teacher}", "hydra.run.dir=job"]
        result = mutspec(*call)
        assert result.code == 2
        assert SAID in result.err
