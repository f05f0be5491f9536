"""Sweepers that optimise: what Optuna's is told of jobs, and what it keeps."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import yaml

from mutspec.errors import CallError, ModelError
from mutspec.experiment.jobs.application import ApplicationCall, Outcome, run
from mutspec.experiment.jobs.failures import FailedJob
from mutspec.experiment.jobs.objectives import NoNumber
from mutspec.experiment.reports.aggregate import collect
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.reports.study import study

optuna = pytest.importorskip("optuna")

SWEEPER = ("hydra/sweeper=optuna", "hydra.sweeper.sampler.seed=1", "hydra.sweep.dir=here")
STORAGE = "sqlite:///study.db"
BOTH = ("objective=[agreement,loss]", "hydra.sweeper.direction=[minimize,minimize]")


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def optimise(*overrides: str, trials: int = 4) -> Outcome:
    call = ("plan=dense_noise", *SWEEPER, f"hydra.sweeper.n_trials={trials}", *overrides)
    return run(ApplicationCall(call, is_sweep=True))


def best() -> Any:
    """What the sweeper says of the trials."""
    return yaml.safe_load(Path("here/optimization_results.yaml").read_text())


def test_the_sweeper_finds_the_job_with_the_best_value() -> None:
    optimise("plan.params.std=interval(0.1,2)", "hydra.sweeper.direction=minimize")
    values = [each.value for each in collect("here")]
    assert len(values) == 4
    assert best()["best_value"] == min(value for value in values if value is not None)


def test_several_objectives_give_the_jobs_that_no_other_one_beats_in_all() -> None:
    optimise("plan.params.std=interval(0.1,2)", *BOTH)
    points = [(each.objectives["agreement"], each.objectives["loss"]) for each in collect("here")]
    beaten = [any(a <= c and b <= d and (a, b) != (c, d) for a, b in points) for c, d in points]
    front = {point for point, is_beaten in zip(points, beaten, strict=True) if not is_beaten}
    assert {tuple(each.directions.items()) for each in collect("here")} == {
        (("agreement", "minimize"), ("loss", "minimize"))
    }
    found = study(summarise(collect("here")))
    assert found is not None
    assert {trial.values for trial in found.front} == front
    assert {tuple(each["values"]) for each in best()["solutions"]} == front
    assert len(front) > 1


def test_of_several_objectives_the_first_one_is_the_jobs_value() -> None:
    outcome = run(ApplicationCall(("plan=dense_noise", "objective=[loss,drop.accuracy]", "seeds=2")))
    assert outcome.result is not None
    rows = outcome.result.rows
    means = {
        "loss": sum(row.metrics["loss"] for row in rows) / 2,
        "drop.accuracy": sum(row.drop["accuracy"] for row in rows) / 2,
    }
    assert outcome.result.objectives == pytest.approx(means, abs=1e-12)
    assert (outcome.result.objective, outcome.result.value) == ("loss", outcome.result.objectives["loss"])


def test_other_sweeps_and_single_runs_have_no_directions() -> None:
    for call, is_sweep in (("plan.params.std=0.1,0.2", True), ("plan.params.std=0.1", False)):
        run(
            ApplicationCall(("plan=dense_noise", call, "hydra.sweep.dir=here", "hydra.run.dir=here"), is_sweep=is_sweep)
        )
        assert all(each.directions == {} for each in collect("here"))


def test_a_second_call_adds_its_trials_to_the_study_of_the_first() -> None:
    study = (f"hydra.sweeper.storage={STORAGE}", "hydra.sweeper.study_name=noise")
    for trials in (2, 3):
        optimise("plan.params.std=interval(0.1,2)", f"hydra.sweeper.sampler.seed={trials}", *study, trials=trials)
    kept = optuna.load_study("noise", STORAGE).trials
    assert [trial.number for trial in kept] == [0, 1, 2, 3, 4]
    assert sorted(trial.value for trial in kept) == sorted(each.value for each in collect("here"))


@pytest.mark.parametrize("settings", [(), BOTH], ids=["one objective", "several"])
def test_a_job_that_fails_is_a_trial_that_failed_and_the_study_goes_on(settings: tuple[str, ...]) -> None:
    study = (f"hydra.sweeper.storage={STORAGE}", "hydra.sweeper.study_name=layers")
    outcome = optimise("plan.steps.gaussian_noise.target.name=choice(dense_1,dense_3)", *study, *settings)
    failed = [trial.state.name == "FAIL" for trial in optuna.load_study("layers", STORAGE).trials]
    assert [name for name, _ in outcome.failures] == ["gaussian_noise.target.name=dense_3"]
    assert failed == [trial.params.popitem()[1] == "dense_3" for trial in optuna.load_study("layers", STORAGE).trials]
    assert set(failed) == {True, False}


OUTSIDE = {
    "a negative scale": (("plan=dense_noise", "plan.params.std=choice(0.1,-1)"), "-1"),
    "a fraction above 1": (("plan=kernel_faults", "plan.params.fraction=choice(0.1,1.5)"), "1.5"),
    "a choice that there is not": (
        ("plan=dense_noise", "plan.steps.gaussian_noise.relative_to=choice(std,mode)"),
        "mode",
    ),
    "a plan that needs another model": (("plan=choice(dense_noise,graft_and_jitter)",), "graft_and_jitter"),
}


@pytest.mark.parametrize(
    ("case", "launcher"), [("a negative scale", "basic"), *((each, "mutspec") for each in OUTSIDE)]
)
def test_a_trial_outside_of_what_the_plan_allows_is_a_job_that_fails_and_the_study_goes_on(
    case: str, launcher: str
) -> None:
    drawn, outside = OUTSIDE[case]
    few = ("hydra.sweeper.n_trials=4", "mode=dry_run", f"hydra/launcher={launcher}")
    ((folder, _),) = run(ApplicationCall((*SWEEPER, *drawn, *few), is_sweep=True)).failures
    assert folder.endswith(f"={outside}")
    errors = {each.job.directory: each.error is not None for each in collect("here")}
    assert len(errors) == 2
    assert [name for name, has_failed in errors.items() if has_failed] == [folder]


def test_the_sweeper_hears_that_a_trial_outside_of_what_the_plan_allows_has_failed() -> None:
    study = (f"hydra.sweeper.storage={STORAGE}", "hydra.sweeper.study_name=wide")
    optimise("plan.params.std=choice(0.1,-1)", *study)
    trials = optuna.load_study("wide", STORAGE).trials
    assert {(trial.params.popitem()[1], trial.state.name) for trial in trials} == {(0.1, "COMPLETE"), (-1, "FAIL")}


def test_a_study_kept_in_a_database_may_have_no_trial_that_is_done() -> None:
    study = (f"hydra.sweeper.storage={STORAGE}", "hydra.sweeper.study_name=none")
    assert optimise("plan.params.std=choice(-2,-1)", *study, trials=1).failures


def test_what_is_wrong_whatever_a_trial_draws_ends_the_sweep_before_its_first_trial(room: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.keras: there is no such model file"):
        optimise("plan.params.std=interval(0.1,2)", "model.path=no.keras")
    assert not list(room.glob("here/*"))


def test_a_value_that_is_not_a_number_is_a_failed_trial() -> None:
    study = (f"hydra.sweeper.storage={STORAGE}", "hydra.sweeper.study_name=large")
    scale = ("plan.params.std=choice(0.1,4e38)", "plan.steps.gaussian_noise.relative_to=absolute", "objective=loss")
    assert not optimise(*scale, *study).failures
    states = {trial.params["plan.params.std"]: trial.state.name for trial in optuna.load_study("large", STORAGE).trials}
    assert states == {0.1: "COMPLETE", 4e38: "FAIL"}


def test_a_sweep_in_which_all_jobs_fail_says_why_they_do() -> None:
    outcome = optimise("plan.steps.gaussian_noise.target.name=choice(dense_3,dense_4)")
    assert {str(error.problems[0].message) for _, error in outcome.failures} == {
        "no layer is called `dense_3`",
        "no layer is called `dense_4`",
    }


MISTAKES = [
    (("hydra.sweeper.direction=[minimize,maximize]",), "the sweeper has 2 in `hydra.sweeper.direction`"),
    (("objective=[loss,agreement]",), "`objective` names 2"),
    (("hydra.sweeper.direction=maximise",), "`hydra.sweeper.direction` is minimize or maximize, not `maximise`"),
    (("hydra.sweeper.storage=sqlite:///no/such/folder.db",), "unable to open database file"),
    (("hydra.sweeper.storage=study.db",), "override 7:1:23: the study cannot be kept there: could not parse"),
]


@pytest.mark.parametrize(("overrides", "words"), MISTAKES)
def test_a_mistake_about_the_study_is_told_in_our_words(overrides: tuple[str, ...], words: str) -> None:
    with pytest.raises(CallError) as caught:
        optimise("plan.params.std=interval(0.1,2)", *overrides)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("objective", "words"),
    [("[loss,acuracy]", "no measure is called `acuracy`"), ("[loss,loss]", "names a measure twice")],
)
def test_a_mistake_in_a_list_of_objectives_is_told(objective: str, words: str) -> None:
    with pytest.raises(CallError) as caught:
        run(ApplicationCall(("plan=dense_noise", f"objective={objective}")))
    assert words in str(caught.value)


def test_a_nan_stays_a_nan_on_its_way_from_other_processes() -> None:
    for value in (NoNumber(), FailedJob(CallError("wrong"))):
        arrived = pickle.loads(pickle.dumps(value))
        assert type(arrived) is type(value)
        assert math.isnan(arrived)
        with pytest.raises(ValueError, match="no value"):
            float(arrived)
