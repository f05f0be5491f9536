"""Gates on the command line: what becomes of a run, a sweep and a mutant that fails one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mutspec.experiment.result import read
from tests.cli.conftest import Call

STRICT = "require=[{metric: accuracy, max_drop: 0.02}, {metric: non_finite_outputs, max: 0}]"


def test_a_run_that_fails_a_gate_ends_with_1_and_keeps_no_mutant(room: Path, mutspec: Call) -> None:
    call = ("run", "plan=dense_noise", "plan.params.std=1", STRICT, "save=true", "hydra.run.dir=here")
    result = mutspec(*call)
    assert result.code == 1
    assert "FAILED  accuracy fell by" in result.out
    assert "held    non_finite_outputs is 0, and must be at most 0" in result.out
    assert "the mutant is not saved" in result.out
    assert not list(Path("here").glob("*.keras"))
    found = read("here/result.json")
    assert [verdict.holds for verdict in found.gates] == [False, True]
    assert found.gates[0].value == pytest.approx(found.rows[0].drop["accuracy"])


def test_a_run_that_holds_keeps_its_mutant(room: Path, mutspec: Call) -> None:
    call = ("run", "plan=dense_noise", "plan.params.std=0.0001", STRICT, "save=true", "hydra.run.dir=here")
    assert mutspec(*call).code == 0
    assert Path("here/mutant.keras").is_file()


def test_in_a_sweep_a_failed_gate_is_a_mark_and_strict_ones_end_it_with_1(room: Path, mutspec: Call) -> None:
    call = ["run", "-m", "plan=dense_noise", "plan.params.std=0.0001,1", STRICT, "hydra.sweep.dir=there"]
    result = mutspec(*call)
    assert result.code == 0
    assert "1 of 1" in result.out
    assert "0 of 1" in result.out
    assert "1 job failed a gate" in result.out
    report = json.loads(mutspec("report", "there", "--json").out)
    (refused,) = report["jobs"]["refused"]
    assert refused["number"] == 1
    assert refused["gates"][0].startswith("accuracy fell by")
    assert "accuracy fell by" in Path("there/results.csv").read_text()
    strict = mutspec(*call, "strict_gates=true", "--quiet")
    assert strict.code == 1
    assert "accuracy fell by" in strict.err


@pytest.mark.parametrize(
    ("require", "words"),
    [
        ("[{metric: acuracy, min: 0.5}]", ["no measure is called `acuracy`", "did you mean `accuracy`"]),
        ("[{metric: accuracy}]", ["`require` sets no bound to `accuracy`", "give min, max or max_drop"]),
        ("[{metrc: accuracy, min: 1}]", ["`require[0]` has no key `metrc`", "did you mean `metric`?"]),
        ("[{metric: accuracy, min: low}]", ["`require[0].min`: expected a number, got text"]),
        ("[{min: 0.5}]", ["`require[0].metric` is not given"]),
        ("0.5", ["`require`"]),
    ],
)
def test_gates_that_make_no_sense_are_refused(room: Path, mutspec: Call, require: str, words: list[str]) -> None:
    result = mutspec("run", "plan=dense_noise", f"require={require}")
    assert result.code == 2
    for each in words:
        assert each in result.err
    assert not Path("runs").exists()
