"""Sweeps that end before their time, and go on where they were."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import pytest

from mutspec.experiment.reports.aggregate import collect
from mutspec.experiment.reports.report import make_report
from tests.cli.conftest import ROOT, Call, Result, called

COUNTING = '''
import os, time, keras

class Counting(keras.metrics.Metric):
    """Leaves a line for each evaluation. What a file in the folder asks for happens in the fifth: the fourth job's."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        pass

    def result(self):
        with open("evaluations", "a+") as file:
            file.write("one\\n")
            file.seek(0)
            number = len(file.readlines())
        if number == 5 and os.path.exists("hang"):
            open("hanging", "w").close()
            time.sleep(60)
        if number == 5 and os.path.exists("interrupt"):
            raise KeyboardInterrupt
        if number == 5 and os.path.exists("fail"):
            raise ValueError("the disk is on holiday")
        return 0.0
'''
SWEEP = (
    *("-m", "plan=dense_noise", "plan.params.std=0.1,1", "plan.seed=range(3)", "model.path=model.keras"),
    "evaluate.metrics=[accuracy,{_target_: counting_metric.Counting}]",
)
SIX = [f"std={std},seed={seed}" for std in ("0.1", "1") for seed in range(3)]


@pytest.fixture
def counted(room: Path) -> Path:
    """The room, with a metric that counts."""
    (room / "counting_metric.py").write_text(COUNTING)
    return room


def kill_in_the_fourth_job() -> None:
    """Run the sweep as a process of its own, and kill it and all that it has begun."""
    Path("hang").touch()
    running = subprocess.Popen(
        [sys.executable, "-m", "mutspec", "run", *SWEEP],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    while not Path("hanging").exists() and running.poll() is None:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait(60) == -signal.SIGKILL
    Path("hang").unlink()


def results(folder: Path) -> dict[str, bytes]:
    """What is in the results of a sweep, by the job's folder."""
    return {path.parent.name: path.read_bytes() for path in folder.glob("*/result.json")}


def evaluations() -> int:
    """How many models have been evaluated."""
    return len(Path("evaluations").read_text().splitlines())


@dataclass(frozen=True)
class Killed:
    """A sweep that was killed and has gone on.

    Arguments:
        room: the folder that it was called in.
        folder: of the sweep.
        whole: of the same sweep, not killed.
        before: the results when it was killed.
        evaluations: how many there were when it went on.
        result: what it said.
    """

    room: Path
    folder: Path
    whole: Path
    before: dict[str, bytes]
    evaluations: int
    result: Result


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """A sweep of six jobs, killed in the fourth and resumed."""
    room = tmp_path_factory.mktemp("killed")
    (room / "counting_metric.py").write_text(COUNTING)
    shutil.copy(ROOT / "conf/model/digits.keras", room / "model.keras")
    with chdir(room):
        assert called("run", "-q", *SWEEP, "hydra.sweep.dir=whole").code == 0
        Path("evaluations").unlink()
        kill_in_the_fourth_job()
        Path("evaluations").unlink()
        (folder,) = Path("runs/dense_noise").iterdir()
        before = results(folder)
        result = called("run", *SWEEP, f"resume={folder}")
        yield Killed(room, folder, Path("whole"), before, evaluations(), result)


def test_a_sweep_that_was_killed_says_how_much_of_it_was_done(killed: Killed) -> None:
    assert (killed.result.code, killed.result.err) == (0, "")
    assert killed.result.out.startswith("3 of 6 jobs were done already\n\ndense_noise on model.keras\n6 jobs, ")


def test_no_job_of_a_sweep_that_was_killed_is_lost(killed: Killed) -> None:
    assert sorted(results(killed.folder)) == SIX


def test_no_job_of_a_sweep_that_was_killed_is_run_twice(killed: Killed) -> None:
    assert sorted(killed.before) == SIX[:3]
    assert results(killed.folder).items() >= killed.before.items()
    assert killed.evaluations == 3  # the base's has been kept by this process


def test_the_table_of_a_sweep_that_was_killed_is_that_of_one_that_was_not(killed: Killed) -> None:
    tables = []
    for folder in (killed.folder, killed.whole):
        with open(folder / "results.csv", newline="") as file:
            tables.append([{**row, "seconds": ""} for row in csv.DictReader(file)])
    assert tables[0] == tables[1]
    assert len(tables[0]) == 6


def test_but_for_seconds_the_report_of_a_sweep_that_was_killed_is_that_of_one_that_was_not(
    killed: Killed, tmp_path: Path
) -> None:
    made = []
    for number, folder in enumerate((killed.folder, killed.whole)):
        room = tmp_path / str(number)
        shutil.copytree(folder, room / "sweep")
        for path in room.glob("sweep/*/result.json"):
            document = json.loads(path.read_text())
            document["job"] |= {"directory": "", "call": ""}
            for row in document["rows"]:
                row["seconds"] = 0
            path.write_text(json.dumps(document))
        with chdir(room):
            report = json.dumps(make_report("sweep").to_json())
            files = {path.relative_to(room): path.read_bytes() for path in room.glob("sweep/**/re*") if path.is_file()}
        made.append((report, files))
    assert made[0] == made[1]
    assert {path.name for path in made[0][1]} >= {"report.html", "results.csv", "result.json"}


def test_an_interrupted_sweep_says_how_it_goes_on(counted: Path, mutspec: Call) -> None:
    Path("interrupt").touch()
    result = mutspec("run", *SWEEP)
    (folder,) = Path("runs/dense_noise").iterdir()
    assert (result.code, result.err.strip()) == (
        130,
        f"mutspec: interrupted\n  = 3 jobs are done; the same call with resume={folder} goes on with the others",
    )


def test_an_interrupted_sweep_that_went_on_counts_what_it_had_not_come_to_as_done(counted: Path, mutspec: Call) -> None:
    assert mutspec("run", "-q", *SWEEP, "hydra.sweep.dir=sweep").code == 0
    Path("sweep/std=0.1,seed=1/result.json").unlink()
    Path("evaluations").write_text("one\n" * 4)
    Path("interrupt").touch()
    result = mutspec("run", *SWEEP, "hydra.sweep.dir=sweep", "resume=true")
    assert result.code == 130
    assert "5 jobs are done; the same call goes on with the others" in result.err


def test_a_sweep_that_cannot_write_says_what_and_how_it_goes_on(room: Path, mutspec: Call) -> None:
    Path("sweep").mkdir()
    Path("sweep/seed=1").touch()  # where a job's folder should be
    result = mutspec("run", "-m", "plan=dense_noise", "mode=dry_run", "plan.seed=0,1", "hydra.sweep.dir=sweep")
    assert (result.code, result.err) == (
        3,
        "error: cannot write sweep/seed=1: File exists\n"
        "  = 1 job is done; the same call with resume=sweep goes on with the others\n",
    )


def test_a_job_that_failed_is_run_again_and_the_others_are_not(counted: Path, mutspec: Call) -> None:
    Path("fail").touch()
    failed = mutspec("run", *SWEEP, "hydra.sweep.dir=sweep")
    assert (failed.code, len(results(Path("sweep")))) == (2, 6)
    assert "std=1,seed=0: " in failed.err
    assert "the disk is on holiday" in failed.err
    before = evaluations()
    result = mutspec("run", *SWEEP, "hydra.sweep.dir=sweep", "resume=true")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("5 of 6 jobs were done already\n")
    assert evaluations() == before + 1
    assert [each.error for each in collect("sweep")] == [None] * 6


def test_joblibs_processes_go_on_where_a_sweep_was_and_say_why_a_job_fails(room: Path, mutspec: Call) -> None:
    target = "plan.steps.gaussian_noise.target.name"
    sweep = ("-m", "plan=dense_noise", "mode=dry_run", "hydra.sweep.dir=sweep")
    assert mutspec("run", "-q", *sweep, f"{target}=dense_1,logits").code == 0
    shutil.rmtree("sweep/gaussian_noise.target.name=logits")
    before = results(Path("sweep"))
    command = [sys.executable, "-m", "mutspec", "run", *sweep, "resume=true", "hydra/launcher=joblib"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    result = subprocess.run(
        [*command, "hydra.launcher.n_jobs=2", f"{target}=dense_1,logits,dense_3"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=200,
    )
    assert result.returncode == 2
    assert "no layer is called `dense_3`" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout.startswith("1 of 3 jobs was done already\n")
    assert len(results(Path("sweep"))) == 3
    assert results(Path("sweep")).items() >= before.items()


def test_a_single_run_that_is_done_is_kept(room: Path, mutspec: Call) -> None:
    call = ("run", "plan=dense_noise", "hydra.run.dir=here")
    assert mutspec(*call).out.endswith("Wrote here/result.json\n")
    written = Path("here/result.json").read_bytes()
    again = mutspec(*call, "resume=true")
    assert again.out.endswith("Kept here/result.json\n")
    assert Path("here/result.json").read_bytes() == written


def test_jobs_that_the_sweep_no_longer_has_are_pointed_out(room: Path, mutspec: Call) -> None:
    sweep = ("run", "-m", "plan=dense_noise", "mode=dry_run", "hydra.sweep.dir=sweep")
    mutspec(*sweep, "plan.seed=range(3)")
    result = mutspec(*sweep, "plan.seed=0,3", "resume=true")
    assert result.code == 0
    assert result.err == (
        "sweep: warning: 2 jobs of an earlier sweep are in the report: seed=1, seed=2\n"
        "  = to leave out a job, delete its folder\n"
    )
    assert result.out.startswith("1 of 2 jobs was done already\n")


def test_jobs_that_failed_and_that_the_sweep_no_longer_has_do_not_make_it_fail(room: Path, mutspec: Call) -> None:
    sweep = ("run", "-m", "plan=dense_noise", "data=npz", "mode=apply", "hydra.sweep.dir=sweep")
    assert mutspec(*sweep, "data.path=none.npz", "plan.seed=0,1").code == 2
    result = mutspec(*sweep, "plan.seed=0,2", "data=digits", "resume=true")
    assert result.code == 0
    assert result.err.startswith("sweep: warning: 1 job of an earlier sweep is in the report: seed=1\n")


# -- mistakes

LATEST = "runs/dense_noise/2026-11-25_12-00-00"
MISTAKES = [
    ("-m resume=true", "`resume=true` has nothing to go on with: each sweep has a folder of its own"),
    ("-m resume=true", "hydra.sweep.dir=DIR\n  = did you mean `resume=" + LATEST),
    ("resume=true", "each run has a folder of its own\n  = name the folder by resume=DIR"),
    ("-m resume=runs/dense_noise", "this is not the folder of a sweep\n  = did you mean `resume=" + LATEST),
    (
        "-m resume=runs/dens_noise",
        "runs/dens_noise: there is no such folder\n  = did you mean `resume=runs/dense_noise`?",
    ),
    (f"resume={LATEST}", "this is not the folder of a run\n  = it is that of a sweep: add -m"),
    (f"-m resume={LATEST}/seed=0", "override 3:1:"),
    (f"-m resume='{LATEST}/seed=0'", "this is not the folder of a sweep\n  = it is that of a single run: leave out -m"),
    ("-m resume=model.keras", "model.keras: there is no such folder"),
    ("-m resume=true,false", "`resume` is said of all jobs, and cannot be swept over"),
    ("resume=3", "override 3:1:8: `resume`: expected true, false or text, got a whole number"),
]


@pytest.mark.parametrize(("call", "words"), MISTAKES)
def test_a_folder_to_go_on_in_that_is_none_is_told(room: Path, mutspec: Call, call: str, words: str) -> None:
    (room / LATEST / "seed=0/.hydra").mkdir(parents=True)
    (room / LATEST / "multirun.yaml").touch()
    before = sorted(Path().glob("**/*"))
    result = mutspec("run", "plan=dense_noise", "mode=dry_run", *call.split())
    assert result.code == 2
    assert words in result.err
    assert sorted(Path().glob("**/*")) == before
