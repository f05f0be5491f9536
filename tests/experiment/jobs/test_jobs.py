"""Jobs, run by Hydra: their numbers are those of a plain script, and the base is what it was."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from hydra.types import RunMode

import mutspec
from mutspec.errors import CallError, CheckError, MutspecError, PlanError
from mutspec.experiment.data import digits
from mutspec.experiment.jobs.application import ApplicationCall, _application, run
from mutspec.experiment.reports.aggregate import collect
from mutspec.experiment.result import Result, Row, read
from mutspec.experiment.session import _made, session
from mutspec.resources import resource_folder

MODEL = resource_folder("conf") / "model" / "digits.keras"
RECIPE = resource_folder("conf") / "plan" / "dense_noise.yaml"
SWEEP = ("plan=dense_noise", "plan.params.std=0.1,1", "plan.seed=range(2)")


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plain_script(file: Path) -> dict[str, float]:
    """Loss and accuracy of a model file on the digits, by Keras's `predict` and NumPy."""
    import keras

    images, labels = digits()
    logits = keras.saving.load_model(file).predict(images, batch_size=64, verbose=0).astype(np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    losses = -log_probabilities[np.arange(len(labels)), labels]
    return {"accuracy": float(np.mean(logits.argmax(axis=-1) == labels)), "loss": float(losses.mean())}


def sweep(*overrides: str, **options: Any) -> tuple[Result, ...]:
    """The results of a sweep none of whose jobs fails."""
    outcome = run(ApplicationCall(overrides, is_sweep=True, **options))
    assert not outcome.failures
    return collect(outcome.folder)


def single(*overrides: str, **options: Any) -> tuple[Result, Path]:
    """The result of a single run, and its folder."""
    outcome = run(ApplicationCall(overrides, **options))
    assert outcome.result is not None
    return outcome.result, outcome.folder


def base_model(*overrides: str) -> Any:
    """The base model that this process's jobs with such overrides share; it has been loaded."""
    call = ApplicationCall(overrides)
    with _application(call, checks=False) as application:
        config = application.hydra.compose_config(call.config_name, application.overrides, RunMode.RUN)
        settings = application.loader.composer.settings(config, config.hydra)
    misses = _made.cache_info().misses
    model = session(settings).model
    assert _made.cache_info().misses == misses
    return model


def bits(model: Any) -> list[bytes]:
    """The bits of all variables."""
    return [np.asarray(variable).tobytes() for variable in model.variables]


def test_a_sweeps_numbers_are_those_of_a_plain_script_job_by_job(room: Path) -> None:
    """The mutants are by mutspec, which tests/execute/test_every_op.py holds against formulas; the numbers are not."""
    plan = mutspec.load_plan(RECIPE)
    base = plain_script(MODEL)
    results = sweep(*SWEEP)
    assert len(results) == 4
    for number, result in enumerate(results):
        (row,) = result.rows
        file = room / f"{number}.keras"
        mutspec.apply(plan.with_(seed=row.seed, params=result.parameters), MODEL, file)
        expected = plain_script(file)
        assert row.metrics == pytest.approx(expected, abs=1e-6)
        assert result.base == pytest.approx(base, abs=1e-6)
        assert row.drop == pytest.approx({name: base[name] - expected[name] for name in base}, abs=2e-6)
        assert result.value == row.metrics["accuracy"]


def test_accuracy_falls_with_the_scale() -> None:
    results = sweep("plan=dense_noise", "plan.params.std=0.1,0.7,3")
    accuracies = [result.rows[0].metrics["accuracy"] for result in results]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] > accuracies[-1] + 0.5


def test_the_folders_of_jobs_are_the_same_when_a_sweep_is_run_again() -> None:
    names = []
    for _ in range(2):
        outcome = run(ApplicationCall((*SWEEP, "hydra.sweep.dir=fixed"), is_sweep=True))
        names.append(sorted(path.name for path in outcome.folder.iterdir() if path.is_dir()))
    assert names[0] == names[1] == sorted(f"std={std},seed={seed}" for std in ("0.1", "1") for seed in range(2))


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own() -> None:
    folders = [single("plan=dense_noise", "mode=dry_run")[1] for _ in range(3)]
    assert len(set(folders)) == 3


def test_jobs_of_one_process_do_not_influence_each_other() -> None:
    results = {(each.parameters["std"], each.rows[0].seed): each for each in sweep(*SWEEP)}
    for std, seed in [(1, 1), (0.1, 0)]:
        alone, _ = single("plan=dense_noise", f"plan.params.std={std}", f"plan.seed={seed}")
        assert results[std, seed].rows[0].metrics == alone.rows[0].metrics


def test_after_jobs_the_base_is_what_it_was_to_the_bit() -> None:
    single("plan=dense_noise", "mode=dry_run")
    sweep("plan=dense_noise")
    before = bits(base_model("plan=dense_noise"))
    sweep(*SWEEP)
    assert bits(base_model("plan=dense_noise")) == before


FAILS_WHEN_TOLD = """
import keras

class Fails(keras.metrics.Metric):
    is_told = False

    def update_state(self, y_true, y_pred, sample_weight=None):
        if Fails.is_told:
            raise RuntimeError("not this one")

    def result(self):
        return 0.0
"""


def test_after_a_job_that_fails_while_mutated_the_base_is_what_it_was_to_the_bit(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (room / "fails_when_told.py").write_text(FAILS_WHEN_TOLD)
    monkeypatch.syspath_prepend(str(room))
    from fails_when_told import Fails

    arguments = ("plan=dense_noise", "evaluate.metrics=[{_target_:fails_when_told.Fails}]")
    single(*arguments)
    before = bits(base_model(*arguments))
    monkeypatch.setattr(Fails, "is_told", True)
    with pytest.raises(CallError, match="not this one"):
        run(ApplicationCall(arguments))
    assert bits(base_model(*arguments)) == before


COUNTS_TRACES = """
import keras

@keras.saving.register_keras_serializable()
class Counts(keras.layers.Layer):
    traces = 0

    def call(self, x):
        Counts.traces += 1
        return x
"""


def test_jobs_share_the_bases_compiled_function(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    (room / "counts_traces.py").write_text(COUNTS_TRACES)
    monkeypatch.syspath_prepend(str(room))
    from counts_traces import Counts

    layers = keras.layers
    keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), Counts(), layers.Dense(10)]).save("m.keras")
    arguments = ("plan=dense_noise", "model.path=m.keras", "evaluate.batch_size=400")
    single(*arguments)
    traces = Counts.traces
    sweep(*arguments, "plan.seed=range(4)", modules=("counts_traces",))
    assert Counts.traces == traces > 0


def test_a_model_file_that_is_written_again_is_loaded_again(room: Path) -> None:
    shutil.copy(MODEL, "m.keras")
    arguments = ("plan=dense_noise", "plan.params.std=0", "model.path=m.keras")
    first, _ = single(*arguments)
    mutspec.apply(mutspec.load_plan(RECIPE).with_(std=3), MODEL, "m.keras", force=True)
    second, _ = single(*arguments)
    assert first.base["accuracy"] > second.base["accuracy"]


def test_several_seeds_are_several_rows_and_their_mean() -> None:
    rows = [each.rows[0] for each in sweep("plan=dense_noise", "plan.params.std=1", "plan.seed=4,5,6")]
    result, _ = single("plan=dense_noise", "plan.params.std=1", "plan.seed=4", "seeds=3")
    assert [row.seed for row in result.rows] == [4, 5, 6]
    assert [row.metrics for row in result.rows] == [row.metrics for row in rows]
    assert result.value == pytest.approx(np.mean([row.metrics["accuracy"] for row in rows]), abs=1e-12)


@pytest.mark.parametrize(
    ("objective", "measured"),
    [
        ("loss", lambda row: row.metrics["loss"]),
        ("drop.accuracy", lambda row: row.drop["accuracy"]),
        ("agreement", lambda row: row.agreement),
        ("non_finite_outputs", lambda row: row.non_finite_outputs),
    ],
)
def test_the_objective_is_what_the_job_returns(objective: str, measured: Callable[[Row], float]) -> None:
    result, _ = single("plan=dense_noise", "plan.params.std=1", f"objective={objective}")
    assert (result.objective, result.value) == (objective, measured(result.rows[0]))


def test_an_objective_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(CallError, match=r"`acuracy`.*there are accuracy, loss, agreement"):
        run(ApplicationCall(("plan=dense_noise", "objective=acuracy")))


def test_agreement_is_the_part_of_equal_choices() -> None:
    import keras

    result, folder = single("plan=dense_noise", "plan.params.std=1", "save=mutant.keras")
    images, _ = digits()
    base, mutant = (
        keras.saving.load_model(file).predict(images, verbose=0).argmax(axis=-1)
        for file in (MODEL, folder / "mutant.keras")
    )
    assert result.rows[0].agreement == np.mean(base == mutant)
    assert 0 < np.mean(base == mutant) < 1


def test_a_dry_run_counts_and_evaluates_nothing() -> None:
    result, folder = single("plan=kernel_faults", "mode=dry_run", "seeds=2")
    report = mutspec.dry_run(mutspec.load_plan(RECIPE.with_name("kernel_faults.yaml")), MODEL)
    touched = sum(target.touched for step in report.steps for target in step.targets)
    assert [(row.touched, row.changed, row.metrics) for row in result.rows] == [(touched, None, {})] * 2
    assert (result.value, result.data.samples, result.base) == (None, 0, {})
    assert json.loads((folder / "dry_run.json").read_text())["steps"] == report.to_json()["steps"]


def test_a_saved_mutant_is_the_file_that_apply_writes() -> None:
    result, folder = single("plan=dense_noise", "plan.seed=3", "save=true")
    mutspec.apply(mutspec.load_plan(RECIPE).with_(seed=3), MODEL, "expected.keras")
    assert result.output == str(folder / "mutant.keras")
    assert (folder / "mutant.keras").read_bytes() == Path("expected.keras").read_bytes()


def test_a_saved_mutant_of_another_structure_is_the_file_that_apply_writes() -> None:
    result, folder = single("plan=insert_adapter", "save=true")
    mutspec.apply(mutspec.load_plan(RECIPE.with_name("insert_adapter.yaml")), MODEL, "expected.keras")
    assert result.output == str(folder / "mutant.keras")
    assert mutspec.diff("expected.keras", folder / "mutant.keras").identical
    made, expected = (mutspec.provenance(each).generations for each in (folder / "mutant.keras", "expected.keras"))
    assert [(each.plan, each.parent) for each in made] == [(each.plan, each.parent) for each in expected]
    with ZipFile(folder / "mutant.keras") as saved, ZipFile(MODEL) as base:
        dates = [json.loads(each.read("metadata.json")).get("date_saved") for each in (saved, base)]
    assert dates[0] == (dates[1] or "1980-01-01@00:00:00")


@pytest.mark.parametrize("link", [None, os.symlink, os.link])
def test_a_job_overwrites_none_of_the_files_that_it_reads(
    link: Callable[[Path, Path], None] | None, room: Path
) -> None:
    def placed(source: Path, name: str) -> None:
        Path("kept").write_bytes(source.read_bytes())
        Path(name).unlink(missing_ok=True)
        link(room / "kept", room / name) if link else Path("kept").rename(name)

    here = "hydra.run.dir=."
    placed(RECIPE, "mutant.keras")
    plan = Path("mutant.keras").read_bytes()
    with pytest.raises(CallError, match="is the same file as the input"):
        run(ApplicationCall(("plan_file=mutant.keras", "save=mutant.keras", here)))
    assert Path("mutant.keras").read_bytes() == plan
    placed(MODEL, "mutant.keras")
    with pytest.raises(CallError, match="is the same file as the input"):
        run(ApplicationCall(("plan=dense_noise", "model.path=mutant.keras", "save=true", here)))
    np.savez("data.npz", x=np.zeros((4, 8, 8, 1), np.float32), y=np.zeros(4, int))
    placed(Path("data.npz"), "result.json")
    data = Path("result.json").read_bytes()
    with pytest.raises(CallError, match="is the same file as the input"):
        run(ApplicationCall(("plan=dense_noise", "data=npz", "data.path=result.json", here)))
    assert Path("result.json").read_bytes() == data


def test_the_mode_diff_leaves_the_difference_that_diff_finds() -> None:
    _, folder = single("plan=dense_noise", "mode=diff", "save=true")
    expected = mutspec.diff(MODEL, folder / "mutant.keras").to_json()
    assert json.loads((folder / "diff.json").read_text()) == expected
    assert expected["tensors"]


def test_non_finite_weights_are_reported_and_the_job_goes_on() -> None:
    result, _ = single("plan=dense_noise", "plan.params.std=3e38", "plan.steps.gaussian_noise.relative_to=absolute")
    assert result.rows[0].non_finite_outputs > 0
    assert result.rows[0].agreement == 0
    assert any("infinite or NaN" in warning for warning in result.warnings)


def test_a_plan_that_forbids_non_finite_weights_is_obeyed(room: Path) -> None:
    arguments = ("plan=dense_noise", "plan.params.std=3e38", "plan.steps.gaussian_noise.relative_to=absolute")
    with pytest.raises(CheckError, match="infinite or NaN"):
        run(ApplicationCall((*arguments, "plan.non_finite=error")))
    assert not (room / "runs").exists()


def test_a_transfer_reads_the_input_that_the_call_binds(room: Path) -> None:
    mutspec.apply(mutspec.load_plan(RECIPE.with_name("conv_noise.yaml")).with_(std=2), MODEL, "teacher.keras")
    result, _ = single("plan=half_kernel_transfer", "inputs.teacher=teacher.keras")
    plan = mutspec.load_plan(RECIPE.with_name("half_kernel_transfer.yaml"))
    mutspec.apply(plan, MODEL, "expected.keras", inputs={"teacher": "teacher.keras"})
    assert result.rows[0].metrics == pytest.approx(plain_script(Path("expected.keras")), abs=1e-6)


def test_a_job_that_fails_does_not_end_the_sweep_and_says_why(room: Path) -> None:
    outcome = run(
        ApplicationCall(
            ("plan=dense_noise", "plan.steps.gaussian_noise.target.name=dense_1,dense_2,logits"), is_sweep=True
        )
    )
    results = collect(outcome.folder)
    assert [bool(result.error) for result in results] == [False, True, False]
    ((folder, error),) = outcome.failures
    assert folder == "gaussian_noise.target.name=dense_2"
    assert isinstance(error, PlanError)
    assert error.problems[0].place is not None
    assert error.problems[0].place.text == "plan.steps.gaussian_noise.target.name=dense_2"


def test_a_job_that_succeeds_in_the_folder_of_one_that_failed_leaves_no_error(room: Path) -> None:
    arguments = ("plan=half_kernel_transfer,dense_noise", "hydra.sweep.dir=fixed")
    assert len(run(ApplicationCall(arguments, is_sweep=True)).failures) == 1
    assert not run(ApplicationCall((*arguments, f"inputs.teacher={MODEL}"), is_sweep=True)).failures


def test_a_mistake_in_a_sweep_is_found_before_its_first_job(room: Path) -> None:
    with pytest.raises(PlanError, match="at least 0"):
        run(ApplicationCall(("plan=dense_noise", "plan.params.std=0.1,-1"), is_sweep=True))
    assert not (room / "runs").exists()


def test_a_sweep_over_recipes_takes_overrides_that_all_of_them_have() -> None:
    results = sweep("plan=glob([conv_n*,dense_n*])", "plan.params.std=0.2")
    assert [(each.plan.name, each.parameters["std"]) for each in results] == [("conv_noise", 0.2), ("dense_noise", 0.2)]


def test_a_call_that_fails_leaves_what_others_left(room: Path) -> None:
    _, folder = single("plan=dense_noise", "mode=dry_run")
    with pytest.raises(MutspecError):
        run(ApplicationCall(("plan=dense_noise", "data=npz", "data.path=nope.npz")))
    assert [str(path) for path in Path("runs").glob("*/*")] == [str(folder)]


def test_the_result_file_is_the_result() -> None:
    result, folder = single("plan=dense_noise", "mode=dry_run")
    assert read(folder / "result.json") == result
    assert result.job.overrides == ("plan=dense_noise", "mode=dry_run")


def test_a_result_says_what_it_ran_in() -> None:
    import keras

    result, _ = single("plan=dense_noise")
    assert result.environment["python"] == ".".join(map(str, sys.version_info[:3]))
    for package in (np, keras):
        assert result.environment[package.__name__] == package.__version__
