"""Folders that have results already: nothing of another plan, model or data set gets there, or over them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import chdir
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import CallError
from mutspec.experiment.jobs.application import ApplicationCall, Outcome, run
from mutspec.experiment.jobs.loader import Loader
from mutspec.experiment.reports.aggregate import collect
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.result import read
from mutspec.resources import resource_folder
from tests.experiment.made_up import replace

CONF = resource_folder("conf")
NOISE = """
mutspec: 1
params: {std: 0.1}
steps: [{op: gaussian_noise, target: KERNEL, std: "${params.std}"}]
"""
OWN_DATA = """
import numpy as np

def make(limit=None):
    stored = np.load("stored.npz")
    return stored["x"][:limit], stored["y"][:limit]
"""
BASE = ("plan_file=own.yaml", "model.path=own.keras", "plan.seed=1,2")
DRY = (*BASE, "mode=dry_run")
DATA = (*BASE, "data._target_=data_of_a_sweep.make")


def noise(name: str, kernel: str) -> None:
    Path(name).write_text(NOISE.replace("KERNEL", kernel))


def furnish() -> None:
    """Write plans, a model, and data that a function of the user's own reads."""
    noise("own.yaml", "dense_1/kernel")
    noise("other.yaml", "logits/kernel")
    shutil.copy(CONF / "model" / "digits.keras", "own.keras")
    Path("data_of_a_sweep.py").write_text(OWN_DATA)
    np.savez("stored.npz", x=np.ones((5, 8, 8, 1)), y=np.arange(5))


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A furnished working folder."""
    monkeypatch.chdir(tmp_path)
    furnish()
    return tmp_path


def sweep(*overrides: str) -> Outcome:
    outcome = run(ApplicationCall((*overrides, "hydra.sweep.dir=sweep"), is_sweep=True))
    assert not outcome.failures
    return outcome


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], Path]:
    """The folder of a sweep that was made in a room as it is at first; each is made once."""

    @cache
    def make(overrides: tuple[str, ...]) -> Path:
        room = tmp_path_factory.mktemp("made")
        with chdir(room):
            furnish()
            sweep(*overrides)
        return room / "sweep"

    return make


@pytest.fixture
def swept(made: Callable[[tuple[str, ...]], Path]) -> Callable[..., None]:
    """Places the folder of a sweep, as the call would leave it."""

    def place(*overrides: str) -> None:
        shutil.copytree(made(overrides), "sweep")

    return place


def train_again() -> None:
    """Other weights at the path of the model."""
    mutspec.apply(mutspec.load_plan("own.yaml"), "own.keras", "again.keras", force=True)
    shutil.move("again.keras", "own.keras")


def edit_the_plan() -> None:
    noise("own.yaml", "conv_1/kernel")


def change_the_data() -> None:
    np.savez("stored.npz", x=np.ones((5, 8, 8, 1)), y=np.zeros(5, int))


def everything() -> dict[str, tuple[bytes, int]]:
    """What is in the sweep's folder, with the times of writing."""
    return {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in Path("sweep").glob("**/*") if path.is_file()
    }


def refused(*overrides: str) -> str:
    """What is said of a call that writes nothing."""
    before = everything()
    with pytest.raises(CallError) as caught:
        run(ApplicationCall((*overrides, "hydra.sweep.dir=sweep"), is_sweep=True))
    assert everything() == before
    (problem,) = caught.value.problems
    assert "force=true" in problem.hint
    return problem.message


OTHERS: dict[str, tuple[tuple[str, ...], Callable[[], None] | None, tuple[str, ...], str]] = {
    "a plan that was edited": (DRY, edit_the_plan, DRY, "the plan is another `own`, @"),
    "another plan": (DRY, None, ("plan_file=other.yaml", *DRY[1:]), "the plan is `own`, not `other`"),
    "a model that was trained again": (DRY, train_again, DRY, "the model is another `own.keras`, @"),
    "data that changed under their name": (DATA, change_the_data, DATA, "the data is another `data_of_a_sweep.make"),
    "other data": (
        DATA,
        None,
        BASE,
        "the data is `data_of_a_sweep.make data._target_=data_of_a_sweep.make`, not `digits`",
    ),
    "other seeds": (DRY, None, (*DRY, "seeds=3"), "its seeds are 1, not 1 to 3 (1 more job)"),
    "another parameter": (DRY, None, (*DRY, "plan.params.std=0.3"), "its params.std is 0.1, not 0.3 (1 more job)"),
    "another mode": (DRY, None, DATA, "its mode is dry_run, not apply"),
    "another setting": (DRY, None, (*DRY, "evaluate.batch_size=3"), "its settings, what they read, or the versions"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_sweep_into_a_folder_with_results_is_refused_with_what_differs(
    what: str, swept: Callable[..., None]
) -> None:
    first, change, second, said = OTHERS[what]
    swept(*first)
    if change is not None:
        change()
    assert said in refused(*second, "resume=true")


def test_a_call_that_does_not_resume_is_refused_too_and_one_that_names_the_folder(swept: Callable[..., None]) -> None:
    swept(*DRY)
    for call in ("resume=false", "resume=sweep"):
        assert "the plan is `own`, not `other`" in refused("plan_file=other.yaml", *DRY[1:], call)


@pytest.mark.parametrize("what", ["another plan", "a model that was trained again"])
def test_force_is_the_consent(what: str, swept: Callable[..., None]) -> None:
    first, change, second, _ = OTHERS[what]
    swept(*first)
    if change is not None:
        change()
    assert sweep(*second, "resume=true", "force=true").since.kept == 0
    assert all("force" not in line for each in collect("sweep") for line in each.job.overrides)
    assert sweep(*second, "resume=true").since.kept == 2
    assert len(collect("sweep")) == 2


def test_what_is_not_in_the_way_is_refused_too_where_it_is_of_another_plan(swept: Callable[..., None]) -> None:
    swept(*DRY)
    assert "the plan is `own`, not `other`" in refused("plan_file=other.yaml", *DRY[1:2], "plan.seed=7", "mode=dry_run")


def test_the_same_model_at_another_path_goes_on(swept: Callable[..., None]) -> None:
    swept(*DRY)
    shutil.move("own.keras", "moved.keras")
    assert sweep("plan_file=own.yaml", "model.path=moved.keras", *DRY[2:], "resume=true").since.kept == 2


def test_the_same_plan_in_another_file_goes_on(swept: Callable[..., None]) -> None:
    swept(*DRY)
    shutil.move("own.yaml", "moved.yaml")
    assert sweep("plan_file=moved.yaml", *DRY[1:], "resume=true").since.kept == 2


ONE = ("mode=dry_run", "plan.seed=1")
MODELS = "model.path=own.keras,second.keras"
GROWS = {
    "values": (DRY, (*DRY[:2], "plan.seed=1,2,3", "mode=dry_run")),
    "plans": (
        ("plan_file=own.yaml,other.yaml", DRY[1], *ONE),
        ("plan_file=own.yaml,other.yaml,third.yaml", DRY[1], *ONE),
    ),
    "models": ((DRY[0], MODELS, *ONE), (DRY[0], f"{MODELS},third.keras", *ONE)),
}


@pytest.mark.parametrize("what", GROWS)
def test_a_sweep_that_has_grown_goes_on(what: str) -> None:
    noise("third.yaml", "conv_2/kernel")
    for seed, name in enumerate(("second", "third")):
        mutspec.apply(mutspec.load_plan("own.yaml").with_(seed=seed), "own.keras", f"{name}.keras")
    first, second = GROWS[what]
    sweep(*first)
    assert sweep(*second, "resume=true").since.kept == 2
    assert len(collect("sweep")) == 3


def test_a_call_without_resume_runs_the_same_jobs_again(swept: Callable[..., None]) -> None:
    swept(*DRY)
    assert sweep(*DRY, "plan.seed=1,2,3").since.kept == 0
    assert len(collect("sweep")) == 3


def test_a_model_that_was_trained_again_does_not_grow_a_sweep() -> None:
    models = ("plan_file=own.yaml", "model.path=own.keras,second.keras", "mode=dry_run")
    mutspec.apply(mutspec.load_plan("own.yaml"), "own.keras", "second.keras")
    sweep(*models, "plan.seed=1,2")
    shutil.copy("own.keras", "kept.keras")
    train_again()
    shutil.move("own.keras", "second.keras")
    shutil.move("kept.keras", "own.keras")
    mutspec.apply(mutspec.load_plan("other.yaml"), "own.keras", "second.keras", force=True)
    assert "the model is another `second.keras`" in refused(*models, "plan.seed=3", "resume=true")


def test_results_of_jobs_that_failed_are_in_nobodys_way() -> None:
    run(ApplicationCall((*DATA, "data._target_=data_of_a_sweep.none", "hydra.sweep.dir=sweep"), is_sweep=True))
    assert [each.error is None for each in collect("sweep")] == [False, False]
    sweep("plan_file=other.yaml", *DRY[1:])
    assert [each.error for each in collect("sweep")] == [None, None]


def test_results_of_version_1_are_not_replaced(swept: Callable[..., None]) -> None:
    swept(*DRY)
    for path in Path("sweep").glob("*/result.json"):
        document = json.loads(path.read_text())
        document["format_version"] = 1
        for part, keys in {"plan": ["effect_digest", "recipe", "recipe_digest"], "model": ["weights_digest"]}.items():
            for key in keys:
                del document[part][key]
        path.write_text(json.dumps(document))
    assert "they are of format version 1" in refused(*DRY, "resume=true")


def test_a_result_of_a_later_version_is_not_replaced(swept: Callable[..., None]) -> None:
    swept(*DRY)
    for path in Path("sweep").glob("*/result.json"):
        path.write_text(path.read_text().replace('"format_version": 2', '"format_version": 3'))
    assert "format version 3" in refused(*DRY)


def test_a_job_looks_itself_where_nobody_could_before_it_was_launched(
    monkeypatch: pytest.MonkeyPatch, swept: Callable[..., None]
) -> None:
    swept(*DRY)
    monkeypatch.setattr(Loader, "_protect", lambda *_, **__: None)  # as in the process of a launcher
    before = everything()
    outcome = run(ApplicationCall((*DRY, "plan.params.std=0.3", "hydra.sweep.dir=sweep"), is_sweep=True))
    assert {name for name, _ in outcome.failures} == {"seed=1", "seed=2"}
    assert "its params.std is 0.1, not 0.3" in str(outcome.failures[0][1])
    assert {name: before[name] for name in before if name.endswith(".json")}.items() <= everything().items()


def test_force_cannot_be_swept_over() -> None:
    with pytest.raises(CallError, match="cannot be swept over"):
        run(ApplicationCall((*DRY, "force=true,false", "hydra.sweep.dir=sweep"), is_sweep=True))


# -- single runs

SINGLE = ("plan_file=own.yaml", "model.path=own.keras", "mode=dry_run", "hydra.run.dir=one")


@pytest.mark.parametrize(
    ("change", "call", "said", "resume"),
    [
        (edit_the_plan, SINGLE, "its plan is another `own`, @", "resume=true"),
        (train_again, SINGLE, "its model is another `own.keras`, @", "resume=false"),
        (None, (*SINGLE, "plan.seed=4"), "its seeds are 0, not 4", "resume=true"),
        (None, ("plan_file=other.yaml", *SINGLE[1:]), "its plan is `own`, not `other`", "resume=false"),
    ],
)
def test_a_run_replaces_no_result_of_another(
    change: Callable[[], None] | None, call: tuple[str, ...], said: str, resume: str
) -> None:
    run(ApplicationCall(SINGLE))
    if change is not None:
        change()
    before = {path: path.read_bytes() for path in Path("one").glob("**/*") if path.is_file()}
    with pytest.raises(CallError, match=said.partition("`")[0]) as caught:
        run(ApplicationCall((*call, resume)))
    assert said in str(caught.value)
    assert {path: path.read_bytes() for path in Path("one").glob("**/*") if path.is_file()} == before
    assert run(ApplicationCall((*call, "force=true"))).result is not None


def test_a_run_does_not_join_a_sweep_of_another_plan(swept: Callable[..., None]) -> None:
    swept(*DRY)
    with pytest.raises(CallError, match="the plan is `own`, not `other`"):
        run(ApplicationCall(("plan_file=other.yaml", *SINGLE[1:3], "hydra.run.dir=sweep")))


def test_a_run_that_is_the_same_may_be_run_again() -> None:
    assert run(ApplicationCall(SINGLE)).since.kept == 0
    assert run(ApplicationCall(SINGLE)).since.kept == 0
    assert run(ApplicationCall((*SINGLE, "resume=true"))).since.kept == 1


# -- sweepers that choose their jobs as they go

OPTUNA = (
    "mode=dry_run",
    "hydra/sweeper=optuna",
    "hydra.sweeper.n_trials=2",
    "plan.params.std=interval(0.1,2)",
    "model.path=own.keras",
)


def study(plan: str, seed: int, *overrides: str) -> Outcome:
    call = (f"plan_file={plan}.yaml", *OPTUNA, f"hydra.sweeper.sampler.seed={seed}", *overrides)
    return run(ApplicationCall((*call, "hydra.sweep.dir=sweep"), is_sweep=True))


def test_a_study_that_goes_on_keeps_the_results_of_the_first_call_and_shows_all() -> None:
    pytest.importorskip("optuna")
    study("own", 1)
    first = everything()
    study("own", 2)
    assert {name: first[name] for name in first if name.endswith("result.json")}.items() <= everything().items()
    found = collect("sweep")
    assert sorted(str(each.job.number) for each in found) == ["0", "0", "1", "1"]
    summary = summarise(found)
    assert {group.values for group in summary.groups} == {(each.parameters["std"],) for each in found}
    assert len(summary.groups) == 4
    before = everything()
    with pytest.raises(CallError, match="the plan is `own`, not `other`"):
        study("other", 3)
    train_again()
    with pytest.raises(CallError, match=r"the model is another `own\.keras`"):
        study("own", 4)
    assert everything() == before


def test_a_study_whose_jobs_are_called_by_numbers_replaces_none_of_an_earlier_call() -> None:
    pytest.importorskip("optuna")
    study("own", 1, "hydra.sweep.subdir=${hydra.job.num}")
    before = everything()
    with pytest.raises(CallError, match=r"sweep/0/result\.json: this has the result of another job: its params\.std"):
        study("own", 2, "hydra.sweep.subdir=${hydra.job.num}")
    assert everything() == before


# -- sweeps from Python


def test_a_sweep_from_python_is_not_written_over_another() -> None:
    data = (np.ones((5, 8, 8, 1), np.float32), np.arange(5))
    plan = mutspec.load_plan("own.yaml")
    one = mutspec.sweep(plan, "own.keras", data, {"params.std": [0.1, 1]})
    one.write("sweep")
    one.write("sweep")  # the same
    before = everything()
    other = mutspec.sweep(mutspec.load_plan("other.yaml"), "own.keras", data)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"data_digest": "1" * 32}, r"the data is another `data`, @\w{6} and not @111111 \(job 0 and 1 more job\)"),
        ({"weights_digest": "2" * 32}, r"the model is another `\w+`, @\w{6} and not @222222 "),
        ({"effect_digest": "3" * 32}, r"the plan is another `\w+`, @\w{6} and not @333333 "),
        ({"parameters": {"std": 9}, "effect_digest": "3" * 32}, r"params\.std is 0\.1, not 9 "),
        ({"rows": ()}, "the seeds are 0, not none "),
    ]
    others = [
        (replace(one, results=tuple(replace(each, **change) for each in one.results)), said) for change, said in changes
    ]
    for each, said in (
        (other, "the plan is `own`, not `other`"),
        (replace(one, results=()), "this sweep has no such job"),
        *others,
    ):
        with pytest.raises(CallError, match=f"the folder has the results of another sweep: {said}"):
            each.write("sweep")
    with pytest.raises(CallError, match="the folder is None, not the path of a folder"):
        one.write(None)  # type: ignore[arg-type]
    assert everything() == before
    other.write("sweep", force=True)
    assert read("sweep/0/result.json").plan.name == "other"


def test_a_sweep_from_python_and_one_from_the_command_line_know_the_same_by_the_same_digests() -> None:
    stored = np.load("stored.npz")
    sweep("plan_file=own.yaml", "model.path=own.keras", "plan.params.std=0.1,1", "data=npz", "data.path=stored.npz")
    plan = mutspec.load_plan("own.yaml")
    found = mutspec.sweep(plan, "own.keras", (stored["x"], stored["y"]), {"params.std": [0.1, 1]}).results
    for one, other in zip(found, collect("sweep"), strict=True):
        for name in ("plan.effect_digest", "plan.recipe_digest", "model.weights_digest", "data.digest"):
            assert attrgetter(name)(one) == attrgetter(name)(other) != ""
