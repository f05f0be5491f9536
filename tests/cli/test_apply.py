"""`mutspec apply`: what it writes, says and promises."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.without_keras import BLOCKER

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "conf" / "model" / "digits.keras"
TWO_STEPS = """\
mutspec: 1
name: drift and dead filters
seed: 3
params: {size: 0.05, unused: 1}
steps:
  - id: drift
    op: gaussian_noise
    target: {type: [Dense, "Conv*"], weights: kernels}
    relative_to: std
    std:
      - {target: "re:conv_.*", value: "${params.size}"}
      - {value: 0.1}
    fraction: 5%
  - op: zero
    target: conv_2
    count: 12
    per: layer
"""


def schema(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / f"schemas/{name}.schema.json").read_text(encoding="utf-8")))


@pytest.mark.parametrize("width", [80, 140])
def test_a_dry_run_looks_right(cli, room, same_as, monkeypatch, width) -> None:
    (room / "two.yaml").write_text(TWO_STEPS)
    monkeypatch.setenv("COLUMNS", str(width))
    result = cli("apply", "two.yaml", "model.keras", "--dry-run")
    assert result.code == 0
    assert max(map(len, result.out.splitlines())) <= width
    same_as(result.out, f"apply_dry_run_{width}")


def test_an_application_with_a_diff_looks_right(cli, room, same_as) -> None:
    result = cli("apply", "kernel_faults.yaml", "model.keras", "-o", "mutant.keras", "--diff")
    assert result.code == 0
    same_as(result.out, "apply_diff_80")


def test_a_dry_run_with_a_diff_says_what_will_differ(cli, room, same_as) -> None:
    same_as(cli("apply", "dense_noise.yaml", "model.keras", "--dry-run", "--diff").out, "apply_dry_run_diff_80")


def test_colours_look_right(cli, room, same_as, monkeypatch) -> None:
    (room / "two.yaml").write_text(TWO_STEPS)
    monkeypatch.setenv("FORCE_COLOR", "1")
    same_as(cli("apply", "two.yaml", "model.keras", "--dry-run").out, "apply_dry_run_80_coloured")


@pytest.mark.parametrize("options", [["--dry-run"], ["-o", "mutant.keras"], ["-o", "mutant.keras", "--diff"]])
def test_markdown_for_pull_requests_looks_right(cli, room, same_as, options) -> None:
    result = cli("apply", "kernel_faults.yaml", "model.keras", *options, "--format", "markdown")
    assert result.code == 0
    same_as(result.out, "apply_markdown" + "_".join(options).replace("-", "_").replace(".", "_"))


@pytest.mark.parametrize(
    "options", [["--dry-run"], ["--dry-run", "--diff"], ["-o", "mutant.keras"], ["-o", "mutant.keras", "--diff"]]
)
def test_json_is_one_document_that_its_schema_describes(cli, room, options) -> None:
    (room / "two.yaml").write_text(TWO_STEPS)
    result = cli("apply", "two.yaml", "model.keras", *options, "--json")
    assert (result.code, result.err) == (0, "")
    document = json.loads(result.out)
    schema("apply").validate(document)
    assert ("diff" in document) == ("--diff" in options)
    if "--diff" in options:
        schema("diff").validate(document["diff"])
    assert document["output"] == (None if "--dry-run" in options else "mutant.keras")


def test_the_dry_run_foretells_what_is_touched_and_what_differs(cli, room) -> None:
    (room / "two.yaml").write_text(TWO_STEPS)
    foretold = json.loads(cli("apply", "two.yaml", "model.keras", "--dry-run", "--diff", "--json").out)
    done = json.loads(cli("apply", "two.yaml", "model.keras", "-o", "mutant.keras", "--diff", "--json").out)
    for before, after in zip(foretold["steps"], done["steps"], strict=True):
        assert [target | {"changed": None} for target in after["targets"]] == before["targets"]
    foretold_weights = [(tensor["layer"], tensor["weight"]) for tensor in foretold["diff"]["tensors"]]
    assert foretold_weights == [(tensor["layer"], tensor["weight"]) for tensor in done["diff"]["tensors"]]


def test_a_dry_run_writes_nothing_and_needs_no_output(cli, room) -> None:
    before = sorted(os.listdir(room))
    assert cli("apply", "dense_noise.yaml", "model.keras", "--dry-run", "-o", "mutant.keras").code == 0
    assert sorted(os.listdir(room)) == before


def test_a_dry_run_checks_the_output_that_it_is_given(cli, room) -> None:
    result = cli("apply", "dense_noise.yaml", "model.keras", "--dry-run", "-o", "model.keras", "--force")
    assert result.code == 2
    assert "same file as the input" in result.err


def test_quiet_prints_nothing_when_all_is_well(cli, room) -> None:
    result = cli("apply", "dense_noise.yaml", "model.keras", "-o", "mutant.keras", "-q")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert (room / "mutant.keras").exists()


def test_an_output_is_replaced_only_by_force(cli, room) -> None:
    (room / "mutant.keras").write_text("precious")
    refused = cli("apply", "dense_noise.yaml", "model.keras", "-o", "mutant.keras")
    assert (refused.code, (room / "mutant.keras").read_text()) == (2, "precious")
    assert cli("apply", "dense_noise.yaml", "model.keras", "-o", "mutant.keras", "--force").code == 0
    assert cli("diff", "model.keras", "mutant.keras", "-q").code == 1


def test_seed_and_parameters_come_from_the_call(cli, room) -> None:
    def mutant(*options: str) -> bytes:
        assert (
            cli(
                "apply",
                "dense_noise.yaml",
                "model.keras",
                "-o",
                "m.keras",
                "-q",
                "--force",
                "--no-provenance",
                *options,
            ).code
            == 0
        )
        return (room / "m.keras").read_bytes()

    plain = mutant()
    assert mutant("--seed", "0") == mutant("--set", "seed=0") == mutant("--threads", "1") == plain
    assert mutant("--seed", "1") != plain
    assert mutant("--set", "params.std=0.25") != plain


def test_an_input_model_is_bound_by_name(cli, room) -> None:
    cli("apply", "conv_noise.yaml", "model.keras", "-o", "teacher.keras", "-q")
    arguments = ["apply", "half_kernel_transfer.yaml", "model.keras", "--input", "teacher=teacher.keras", "--json"]
    document = json.loads(cli(*arguments, "-o", "mutant.keras").out)
    (target,) = document["steps"][0]["targets"]
    assert (target["layer"], target["touched"]) == ("conv_2", 3 * 3 * 16 * 32 // 2)


def test_a_newly_non_finite_entry_is_a_check_that_fails_and_leaves_nothing(cli, room) -> None:
    (room / "burst.yaml").write_text("mutspec: 1\nsteps:\n- {op: scale, target: dense_1/kernel, factor: 1e39}\n")
    before = sorted(os.listdir(room))
    result = cli("apply", "burst.yaml", "model.keras", "-o", "mutant.keras")
    assert (result.code, result.out) == (1, "")
    assert "burst.yaml:3:8" in result.err
    assert "non_finite: report" in result.err
    assert sorted(os.listdir(room)) == before
    allowed = cli("apply", "burst.yaml", "model.keras", "-o", "mutant.keras", "--set", "non_finite=report")
    assert allowed.code == 0
    assert "infinite or NaN" in allowed.out


def test_a_plan_may_come_by_standard_input(room) -> None:
    command = [sys.executable, "-m", "mutspec", "apply", "-", "model.keras", "--dry-run"]
    plan = (room / "dense_noise.yaml").read_text()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, input=plan, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "dense_1/kernel" in done.stdout


def test_where_the_encoding_has_no_unicode_the_text_has_none(room) -> None:
    command = [sys.executable, "-m", "mutspec", "apply", "dense_noise.yaml", "model.keras", "--dry-run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"512x40" in done.stdout


def test_a_terminal_gets_colours_and_a_pipe_none(room) -> None:
    command = [sys.executable, "-m", "mutspec", "apply", "dense_noise.yaml", "model.keras", "--dry-run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    piped = subprocess.run(command, capture_output=True, env=environment, check=True).stdout
    leader, follower = pty.openpty()
    with subprocess.Popen(command, stdout=follower, env=environment) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                data = os.read(leader, 4096)
            except OSError:  # Linux's way to say that the other end is closed
                break
            if not data:
                break
            shown += data
    os.close(leader)
    assert process.returncode == 0
    assert b"\x1b[1m" in shown
    assert b"\x1b" not in piped


BLOCKED = (
    BLOCKER
    + """
from mutspec.cli.boundary import run
from mutspec.cli.main import cli
calls = [
    "validate kernel_faults.yaml --model model.h5",
    "inspect model.h5",
    "inspect model.keras --select logits",
    "graph kernel_faults.yaml model.keras",
    "apply kernel_faults.yaml model.keras --dry-run",
    "apply kernel_faults.yaml model.keras -o mutant.keras --diff",
    "apply kernel_faults.yaml model.h5 -o mutant.h5 --diff",
    "diff mutant.keras mutant.keras",
]
codes = [int(run(cli, call.split(), "mutspec")) for call in calls]
assert codes == [0] * len(calls), codes
assert not {"tensorflow", "keras"} & {name.partition(".")[0] for name in sys.modules}
assert "mutspec.structure.network" not in sys.modules  # which edits architectures
"""
)


def test_no_command_needs_tensorflow_or_keras(room) -> None:
    shutil.copy(ROOT / "tests/data/old/keras_3.6.0/cnn.h5", room / "model.h5")
    command = [sys.executable, "-c", BLOCKED]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_a_shipped_recipe_is_found_by_its_bare_name_from_any_folder(cli, tmp_path, monkeypatch) -> None:
    call = ("apply", "kernel_faults", str(DIGITS), "--dry-run", "--json")
    monkeypatch.chdir(tmp_path)
    assert json.loads(cli(*call).out)["plan"]["name"] == "kernel_faults"
    (tmp_path / "kernel_faults").write_text("mutspec: 1\nname: mine\nsteps: [{op: zero, target: logits}]\n")
    assert json.loads(cli(*call).out)["plan"]["name"] == "mine"
