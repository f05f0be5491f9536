"""Jobs that are done: they are not run again, unless something that they depend on is another one."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

import mutspec
from mutspec.experiment.job_inputs import inputs_digest
from mutspec.experiment.jobs.application import ApplicationCall, _application, run
from mutspec.experiment.jobs.resume import Since, finished, written
from mutspec.experiment.reports.aggregate import collect
from mutspec.resources import resource_folder
from tests.experiment.made_up import result

CONF = resource_folder("conf")
OWN_DATA = """
import numpy as np

def make(path=None, labels=None):
    return np.ones((5, 8, 8, 1)), np.load(labels) if labels else np.arange(5)
"""
TRANSFERS = """
mutspec: 1
inputs: {teacher: {}}
steps:
  - {op: gaussian_noise, target: dense_1/kernel, std: 0.1}
  - {op: transfer_weights, source: "teacher:dense_1/kernel", target: dense_1/kernel}
"""
ONE = ("plan_file=own.yaml", "model.path=own.keras")
DRY = (*ONE, "plan.seed=1,2", "mode=dry_run", "hydra.sweep.dir=sweep")
OWN = ("data._target_=labelled_data.make", "data.path=images", "+data.labels=labels.npy")


def furnish() -> None:
    """Write a plan, a model, and data."""
    shutil.copy(CONF / "plan" / "dense_noise.yaml", "own.yaml")
    shutil.copy(CONF / "model" / "digits.keras", "own.keras")
    Path("labelled_data.py").write_text(OWN_DATA)
    np.save("labels.npy", np.arange(5))
    Path("images/cat").mkdir(parents=True)
    Path("images/cat/1.png").write_bytes(b"one")


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A furnished working folder."""
    monkeypatch.chdir(tmp_path)
    furnish()
    return tmp_path


def sweep(*overrides: str, resume: str = "resume=true", modules: tuple[str, ...] = ()) -> Since:
    """What a sweep did that goes on where it was."""
    outcome = run(ApplicationCall((*overrides, resume), is_sweep=True, modules=modules))
    assert not outcome.failures
    return outcome.since


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep that is done."""
    room = tmp_path_factory.mktemp("made")
    with chdir(room):
        furnish()
        assert sweep(*DRY).kept == 0
    return room / "sweep"


@pytest.fixture
def _done(made: Path, room: Path) -> None:
    """Places the folder of a sweep that is done in the room."""
    shutil.copytree(made, room / "sweep")


@pytest.mark.usefixtures("_done")
def test_a_sweep_that_is_done_runs_no_job_again() -> None:
    before = {path: path.read_bytes() for path in Path("sweep").glob("**/result.json")}
    assert (sweep(*DRY).kept, len(before)) == (2, 2)
    assert {path: path.read_bytes() for path in Path("sweep").glob("**/result.json")} == before


@pytest.mark.usefixtures("_done")
def test_without_resume_all_jobs_are_run_again() -> None:
    assert sweep(*DRY, resume="resume=false").kept == 0


@pytest.mark.usefixtures("_done")
def test_a_sweep_goes_on_where_it_was_moved_to() -> None:
    shutil.move("sweep", "moved")
    assert sweep(*DRY, resume="resume=moved").kept == 2
    assert [
        json.loads(path.read_text())["job"]["directory"] for path in sorted(Path("moved").glob("*/result.json"))
    ] == [
        "moved/seed=1",
        "moved/seed=2",
    ]


# -- what a job depends on


def digest(*overrides: str, modules: tuple[str, ...] = ()) -> str:
    """Of the inputs of a job."""
    call = ApplicationCall((*ONE, *overrides))
    with _application(call) as application:
        config = application.hydra.compose_config(call.config_name, application.overrides, RunMode.RUN)
        composer = application.loader.composer
        return inputs_digest(composer.settings(config, config.hydra), composer.plan(config, config.hydra).plan, modules)


def another_model() -> None:
    """Write a model of the same architecture, with other weights, over the job's."""
    mutspec.apply(mutspec.load_plan(CONF / "plan" / "dense_noise.yaml"), "own.keras", "other.keras")
    shutil.move("other.keras", "own.keras")


CHANGES: dict[str, Callable[[], object]] = {
    "the model": another_model,
    "the plan": lambda: Path("own.yaml").write_text(Path("own.yaml").read_text().replace("std: 0.1", "std: 0.2")),
    "a file of the data": lambda: np.save("labels.npy", np.zeros(5, int)),
    "a folder of the data": lambda: Path("images/cat/2.png").write_bytes(b"two"),
    "a file in a folder of the data": lambda: Path("images/cat/1.png").write_bytes(b"three"),
    "the data function": lambda: Path("labelled_data.py").write_text(OWN_DATA.replace("ones", "zeros")),
    "a model that the plan takes from": lambda: shutil.copy("own.keras", "teacher.keras"),
}


def test_a_job_of_other_inputs_has_another_digest() -> None:
    shutil.copy("own.keras", "teacher.keras")
    another_model()
    Path("own.yaml").write_text(TRANSFERS)
    settings = (*OWN, "inputs.teacher=teacher.keras")
    before = digest(*settings)
    assert digest(*settings) == before
    for what, change in CHANGES.items():
        change()
        before, earlier = digest(*settings), before
        assert before != earlier, what


def test_a_job_of_another_setting_has_another_digest() -> None:
    plain = digest()
    settings = ("plan.params.std=0.3", "plan.seed=7", "seeds=2", "evaluate.batch_size=7", "objective=loss", "mode=diff")
    for setting in settings:
        assert digest(setting) != plain, setting


def test_what_no_result_depends_on_is_not_in_the_digest() -> None:
    plain = digest("hydra.run.dir=here")
    for setting in (
        "strict_gates=true",
        "resume=true",
        "force=true",
        "provenance=false",
        "hydra.job.name=another",
        "plan.params.std=0.1",
    ):
        assert digest(setting, "hydra.run.dir=here") == plain, setting


def test_how_a_plan_is_laid_out_is_not_in_the_digest() -> None:
    before = digest()
    Path("own.yaml").write_text("# Looked over by a colleague.\n" + Path("own.yaml").read_text())
    assert digest() == before


def test_a_job_of_another_mutspec_has_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest()
    monkeypatch.setattr("mutspec.version.__version__", "99.0")
    assert digest() != before


def test_modules_that_the_call_imports_are_in_the_digest(room: Path) -> None:
    (room / "own_layers.py").write_text("")
    before = digest(modules=("own_layers",))
    (room / "own_layers.py").write_text("# better")
    assert len({before, digest(modules=("own_layers",)), digest()}) == 3


def test_modules_are_looked_up_without_importing_the_packages_that_they_are_in(room: Path) -> None:
    (room / "costly").mkdir()
    (room / "costly/__init__.py").write_text("raise SystemExit('imported')")
    (room / "costly/metric.py").write_text("")
    metric = "evaluate.metrics=[{_target_: costly.metric.Precise}]"
    before = digest(metric)
    (room / "costly/metric.py").write_text("# better")
    assert digest(metric) != before


# -- a result that counts


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut off": lambda content: content[: len(content) // 2],
    "no JSON": lambda _: b"\xff\xfe{",
    "none of ours": lambda _: b"[1]",
    "of another format": lambda content: content.replace(b'"format_version": 2', b'"format_version": 3'),
    "of other inputs": lambda content: content.replace(b"0123", b"3210"),
    "of a mutspec that knew no digests": lambda content: content.replace(b"inputs_digest", b"digest"),
    "with an error": lambda content: content.replace(b'"error": null', b'"error": "boom"'),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_result_that_is_not_whole_does_not_count(room: Path, what: str) -> None:
    path = result(0, inputs_digest="0123").write(room)
    assert finished(room, "0123", []) is not None
    damaged = DAMAGES[what](path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    assert finished(room, "0123", []) is None


def test_no_result_and_a_folder_in_its_place_do_not_count(room: Path) -> None:
    assert finished(room / "nowhere", "0123", []) is None
    (room / "result.json").mkdir()
    assert finished(room, "0123", []) is None


@pytest.mark.usefixtures("_done")
def test_a_damaged_result_is_written_anew() -> None:
    Path("sweep/seed=2/result.json").write_bytes(b"{")
    assert sweep(*DRY).kept == 1
    assert [each.error for each in collect("sweep")] == [None, None]


@pytest.mark.parametrize(
    ("setting", "name"),
    [("mode=dry_run", "dry_run.json"), ("mode=diff", "diff.json"), ("save=kept.keras", "kept.keras")],
)
def test_a_job_with_a_missing_file_is_run_again(setting: str, name: str) -> None:
    job = (*ONE, "mode=apply", setting, "hydra.sweep.dir=sweep")
    sweep(*job)
    assert sweep(*job).kept == 1
    Path("sweep/job", name).unlink()
    assert sweep(*job).kept == 0
    assert Path("sweep/job", name).is_file()


# -- sweeps


@pytest.mark.usefixtures("_done")
def test_jobs_that_a_wider_sweep_counts_otherwise_are_not_run_again() -> None:
    seconds = {result.rows[0].seed: result.rows[0].seconds for result in collect("sweep")}
    assert sweep(*DRY, "plan.seed=0,1,2,3").kept == 2
    found = {result.rows[0].seed: result for result in collect("sweep")}
    assert [found[seed].job.number for seed in range(4)] == [0, 1, 2, 3]
    assert {seed: found[seed].rows[0].seconds for seed in seconds} == seconds


@pytest.mark.usefixtures("_done")
def test_a_job_that_is_killed_leaves_no_result_of_earlier_inputs(room: Path) -> None:
    (room / "quits.py").write_text("def make():\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        sweep(*DRY, "mode=apply", "data._target_=quits.make", "force=true")
    assert [path.parent.name for path in Path("sweep").glob("*/result.json")] == ["seed=2"]


def test_a_job_takes_away_what_it_left_half_written_when_it_was_killed(room: Path) -> None:
    half = room / "sweep/seed=1/.mutant.keras.4242-0a1b2c3d.mutspec-tmp"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half a mutant")
    sweep(*DRY)
    assert not half.exists()


def test_the_results_of_a_resumed_sweep_say_nothing_of_it() -> None:
    sweep(*DRY, resume="resume=true")
    assert all("resume" not in path.read_text() for path in Path("sweep").glob("*/result.json"))


def test_a_file_of_the_data_that_is_written_again_is_loaded_again() -> None:
    arguments = (*ONE, *OWN, "hydra.sweep.dir=sweep")
    sweep(*arguments)
    (first,) = collect("sweep")
    np.save("labels.npy", np.zeros(5, int))
    sweep(*arguments, "force=true")
    (second,) = collect("sweep")
    assert first.base["loss"] != second.base["loss"]


@pytest.mark.parametrize(
    "name", ["runs/a-b_c.1/2026-11-25_12-00-00", "a=b,c", "it's", 'say "so"', "ä", "2026", "a  b", "$x"]
)
def test_how_to_go_on_in_a_folder_is_read_back_from_a_shell(name: str) -> None:
    (override,) = shlex.split(written(Path(name)))
    parsed = OverridesParser.create().parse_override(override)
    assert (parsed.key_or_group, str(parsed.value()), parsed.is_sweep_override()) == ("resume", name, False)
