"""Watching a sweep: what is seen while it runs is what its results say."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutspec.experiment.jobs.application import ApplicationCall, run
from mutspec.experiment.jobs.sweep_progress import SweepMonitor, SweepProgress
from tests.experiment.made_up import failed, result, row


@pytest.fixture(autouse=True)
def _room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def watched(*overrides: str) -> SweepMonitor:
    """What looks at a sweep of the digits, which is over."""
    watches: list[SweepMonitor] = []
    run(ApplicationCall(("hydra.sweep.dir=sweep", *overrides), is_sweep=True), watches.append)
    return watches[0]


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_sweep_that_is_over_is_done_with_the_extremes_of_its_jobs(launcher: str) -> None:
    options = ("hydra.launcher.n_jobs=2",) if launcher == "joblib" else ()
    found = watched("plan=dense_noise", "plan.params.std=0.01,1,0.1", f"hydra/launcher={launcher}", *options).progress()
    assert (found.jobs, found.done, found.failed, found.refused, found.objective) == (3, 3, 0, 0, "accuracy")
    assert found.highest is not None
    assert found.lowest is not None
    assert (found.highest.folder, found.lowest.folder) == ("std=0.01", "std=1")
    assert found.highest.value > 0.9 > found.lowest.value


def test_jobs_that_fail_and_mutants_that_are_refused_are_counted() -> None:
    gates = "require=[{metric: accuracy, min: 0.9}]"
    found = watched("plan=dense_noise", "plan.params.std=0.01,1", "data=npz,digits", "+data.path=none.npz", gates)
    assert found.progress().jobs == 4
    assert (found.progress().done, found.progress().failed, found.progress().refused) == (4, 4, 0)
    found = watched("plan=dense_noise", "plan.params.std=0.01,1", gates)
    assert (found.progress().done, found.progress().failed, found.progress().refused) == (2, 0, 1)


def test_what_is_there_from_before_counts_when_the_sweep_comes_to_it() -> None:
    call = ("plan=dense_noise", "plan.params.std=0.01,1")
    run(ApplicationCall(("hydra.sweep.dir=sweep", *call), is_sweep=True))
    seen: list[SweepProgress] = []
    run(
        ApplicationCall(("hydra.sweep.dir=sweep", *call, "resume=true"), is_sweep=True),
        lambda watch: seen.append(watch.progress()),
    )
    assert seen[0].done == 0
    assert watched(*call, "resume=true").progress().done == 2


def test_numbers_that_are_none_are_no_extremes() -> None:
    standing = SweepProgress(jobs=3)
    for each in (failed(0, [], "no"), result(1, value=float("nan")), result(2, rows=[row(0)], value=0.5)):
        standing = standing.with_result(each, str(each.job.number))
    assert (standing.done, standing.failed) == (3, 1)
    assert standing.lowest == standing.highest
    assert standing.lowest is not None
    assert (standing.lowest.value, standing.lowest.folder) == (0.5, "2")
