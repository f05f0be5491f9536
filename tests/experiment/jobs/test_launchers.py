"""Sweeps under launchers: their jobs leave what those under Hydra's own launcher leave."""

from __future__ import annotations

import gc
import json
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobStatus, run_job
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig

from mutspec.errors import CallError, EnvironmentProblem
from mutspec.experiment.jobs import loader
from mutspec.experiment.jobs.application import ApplicationCall, _application, run
from mutspec.experiment.jobs.failures import FailedJob
from mutspec.experiment.jobs.job import Task
from mutspec.experiment.jobs.launcher import Launcher
from mutspec.experiment.jobs.plugin_errors import error_of_package
from mutspec.resources import resource_folder

SWEEP = ("plan=dense_noise", "plan.params.std=0.1,0.5", "plan.seed=3", "seeds=2")
EVALUATED = ("plan=dense_noise", "plan.params.std=0.5", "plan.seed=3", "seeds=2")
DRY = ("plan=dense_noise", "mode=dry_run")
OTHERS = {
    "joblib": ("joblib", "hydra.launcher.n_jobs=2", EVALUATED),
    "submitit_local": ("submitit", "hydra.launcher.timeout_min=5", DRY),
    "ray": ("ray", "+hydra.launcher.ray.init={num_cpus: 1, include_dashboard: false}", DRY),
}
"""Launchers of Hydra's plug-ins: the package that runs the jobs, a setting of the launcher, and a job.

A job has a process of its own, which takes seconds to import Keras; so one launcher's evaluates, and others count.
"""


def sweep(folder: Path, launcher: str, *overrides: str) -> Path:
    """The folder of a sweep under a launcher; no job fails."""
    call = ApplicationCall((*overrides, f"hydra.sweep.dir={folder}", f"hydra/launcher={launcher}"), is_sweep=True)
    assert not run(call).failures
    return folder


def results(folder: Path) -> dict[str, Any]:
    """The results of a sweep's jobs by folder, but for where and when they ran, and how long that took."""
    found = {}
    for path in sorted(folder.glob("*/result.json")):
        found[path.parent.name] = document = json.loads(path.read_text())
        assert document["job"].pop("directory").endswith(path.parent.name)
        assert document["job"].pop("call")
        for row in document["rows"]:
            assert row.pop("seconds") > 0
    return found


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Processes of launchers, which end with the test."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    yield
    if "joblib.externals.loky" in sys.modules:
        sys.modules["joblib.externals.loky"].get_reusable_executor().shutdown()
    if "ray" in sys.modules:
        sys.modules["ray"].shutdown()


def test_our_launcher_finds_the_same_as_hydras_to_the_bit(tmp_path: Path) -> None:
    basic = results(sweep(tmp_path / "basic", "basic", *SWEEP))
    assert list(basic) == ["std=0.1", "std=0.5"]
    assert results(sweep(tmp_path / "mutspec", "mutspec", *SWEEP)) == basic


@pytest.mark.parametrize("launcher", OTHERS)
def test_launchers_of_plug_ins_find_the_same_to_the_bit(launcher: str, tmp_path: Path, workers: None) -> None:
    package, setting, job = OTHERS[launcher]
    pytest.importorskip(package)
    found = results(sweep(tmp_path / "other", launcher, *job, setting))
    basic = results(sweep(tmp_path / "basic", "basic", *job))
    assert len(found) == 1
    if job is DRY:  # here Keras is imported, whose version is then told
        for each in (*found.values(), *basic.values()):
            del each["environment"]
    assert list(found) == list(basic)
    for name, one in found.items():
        assert one == basic[name]


def test_an_optimiser_has_its_jobs_run_in_other_processes(tmp_path: Path, workers: None) -> None:
    pytest.importorskip("joblib")
    pytest.importorskip("optuna")
    sweeper = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    sweep(tmp_path, "joblib", *DRY, "plan.seed=choice(1,2,3,4,5,6,7)", *sweeper, "hydra.sweeper.sampler.seed=1")
    assert len(list(tmp_path.glob("seed=*/result.json"))) == 2


@pytest.mark.parametrize("launcher", ["basic", "mutspec"])
def test_a_job_may_be_in_a_sweep_twice(launcher: str, tmp_path: Path) -> None:
    assert list(results(sweep(tmp_path, launcher, *DRY, "plan.seed=1,1,2"))) == ["seed=1", "seed=2"]


def test_every_job_has_a_result_where_the_call_gives_a_key_twice(tmp_path: Path) -> None:
    assert list(results(sweep(tmp_path, "mutspec", *DRY, "plan.seed=7", "plan.seed=1,2"))) == ["seed=1", "seed=2"]


@pytest.mark.parametrize(
    ("subdir", "words"),
    [
        ("same", "the jobs `plan.seed=1` and `plan.seed=2` have the same folder, `same`"),
        ("a/../${plan.params.std}", "`plan.seed=1` and `plan.seed=2` have the same folder, `0.1`"),
        ("../${hydra.job.num}", "the job's folder `../0` is outside of the sweep's"),
    ],
)
def test_a_sweep_whose_results_would_be_lost_is_refused(subdir: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(CallError, match=re.escape(words)):
        sweep(tmp_path, "mutspec", *DRY, "plan.seed=1,2", f"hydra.sweep.subdir={subdir}")
    assert not list(tmp_path.glob("**/result.json"))


def test_a_jobs_folder_may_be_called_by_its_number(tmp_path: Path) -> None:
    sweep(tmp_path, "mutspec", *DRY, "plan.seed=1,2", "hydra.sweep.subdir=jobs/${hydra.job.num}")
    assert sorted(path.parent.name for path in tmp_path.glob("jobs/*/result.json")) == ["0", "1"]


def test_our_launcher_leaves_the_files_that_hydras_leaves(tmp_path: Path) -> None:
    folders = [sweep(tmp_path / name, name, *DRY, "plan.seed=1,2", "seeds=2") for name in ("basic", "mutspec")]
    one, other = ({str(path.relative_to(each)) for path in each.glob("**/*")} for each in folders)
    assert one == other
    for job in ("seed=1", "seed=2"):
        for name in ("config", "hydra", "overrides"):
            one, other = (yaml.safe_load((each / job / ".hydra" / f"{name}.yaml").read_text()) for each in folders)
            if name == "hydra":
                for each in (one["hydra"], other["hydra"]):
                    del each["launcher"], each["sweep"]["dir"], each["runtime"]["choices"]["hydra/launcher"]
                    del each["overrides"]["hydra"], each["runtime"]["output_dir"]
            assert one == other


def test_under_our_launcher_jobs_have_the_log_that_hydra_is_asked_for(tmp_path: Path) -> None:
    sweep(tmp_path, "mutspec", *DRY, "plan.seed=1,2", "hydra/job_logging=default", "hydra.job.chdir=true")
    assert (tmp_path / "seed=1" / "dense_noise.log").exists()


def test_under_our_launcher_memory_does_not_grow_with_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "MOST_KEPT", 2)
    alive = {}
    job = Task.__call__

    def counted(task: Task, config: DictConfig) -> Any:
        if config.plan.seed in (5, 11):
            gc.collect()
            alive[config.plan.seed] = sum(isinstance(each, DictConfig) for each in gc.get_objects())
        return job(task, config)

    monkeypatch.setattr(Task, "__call__", counted)
    overrides = (*DRY, "plan.seed=range(12)", f"hydra.sweep.dir={tmp_path}", "hydra/launcher=mutspec")
    run(ApplicationCall(overrides, is_sweep=True))
    assert alive[11] == alive[5]


def test_our_launcher_goes_on_after_an_unforeseen_error_and_gives_it_to_the_sweeper(tmp_path: Path) -> None:
    def broken(config: DictConfig) -> float:
        if config.plan.seed == 1:
            raise ZeroDivisionError("broken")
        return 2.5

    call = ApplicationCall((*DRY, "plan.seed=1,2", f"hydra.sweep.dir={tmp_path}"), is_sweep=True)
    with _application(call) as application:
        given = [*application.overrides, "hydra.mode=MULTIRUN"]
        config = application.hydra.compose_config(call.config_name, given, RunMode.MULTIRUN)
        launcher = Launcher()
        launcher.setup(hydra_context=HydraContext(application.loader, Callbacks()), task_function=broken, config=config)
        first, second = launcher.launch([(*DRY, "plan.seed=1"), (*DRY, "plan.seed=2")], initial_job_idx=0)
    assert (first.status, second.return_value) == (JobStatus.FAILED, 2.5)
    with pytest.raises(ZeroDivisionError, match="broken"):
        _ = first.return_value


def test_a_worker_in_another_folder_finds_and_leaves_files_where_the_call_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "elsewhere"):
        (tmp_path / name).mkdir()
    shutil.copy(resource_folder("conf") / "model" / "digits.keras", tmp_path / "here" / "own.keras")
    monkeypatch.chdir(tmp_path / "here")
    call = ApplicationCall((*DRY, "plan.seed=1,2", "model.path=own.keras", "hydra.sweep.dir=sweep"), is_sweep=True)
    with _application(call) as application:
        given = [*application.overrides, "hydra.mode=MULTIRUN"]
        master = application.hydra.compose_config(call.config_name, given, RunMode.MULTIRUN)
        job = application.loader.load_sweep_config(master, [*DRY, "plan.seed=1", "model.path=own.keras"])
        monkeypatch.chdir(tmp_path / "elsewhere")
        context = HydraContext(application.loader, Callbacks())
        done = run_job(Task(application.loader.composer), job, "hydra.sweep.dir", "hydra.sweep.subdir", context)
    assert not isinstance(done.return_value, FailedJob)
    assert (tmp_path / "here/sweep/seed=1/result.json").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_sweep_whose_processes_die_says_how_it_goes_on(tmp_path: Path, workers: None) -> None:
    pytest.importorskip("joblib")
    (tmp_path / "deadly.py").write_text("import os\nos._exit(9)\n")
    overrides = (*DRY, "hydra.sweep.dir=sweep", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "plan.seed=2,3")
    with chdir(tmp_path):
        sweep(Path("sweep"), "mutspec", *DRY, "plan.seed=1")
        with pytest.raises(EnvironmentProblem, match="the launcher cannot run the jobs: a worker process") as caught:
            run(ApplicationCall(overrides, is_sweep=True, modules=("deadly",)))
    assert caught.value.problems[0].hint == "1 job is done; the same call with resume=sweep goes on with the others"


def test_what_a_launcher_says_is_told_to_the_end_of_the_sentence() -> None:
    errors = pytest.importorskip("submitit.core.utils")
    error = errors.UncompletedJobError("Job 1 with path x\nhas not produced any output\nNo error stream produced.")
    told = error_of_package(error, ())
    assert isinstance(told, EnvironmentProblem)
    assert told.problems[0].message.endswith("the jobs: job 1 with path x has not produced any output")


def test_a_sweep_whose_results_are_out_of_sight_says_so(tmp_path: Path) -> None:
    for folder in ("near", "far"):
        (tmp_path / folder).mkdir()
    (tmp_path / "near" / "link").symlink_to(tmp_path / "far")  # a report follows no links
    far = "hydra.sweep.subdir=link/${hydra.job.num}"
    with pytest.raises(EnvironmentProblem, match=r"left no results here.*have to share this folder"):
        run(ApplicationCall((*DRY, "plan.seed=1,2", f"hydra.sweep.dir={tmp_path}/near", far), is_sweep=True))
