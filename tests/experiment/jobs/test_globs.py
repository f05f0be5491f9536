"""Sweeps over what a glob matches: files in natural order, and plans that can run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mutspec.errors import CallError
from mutspec.experiment.jobs.application import ApplicationCall, Outcome, run
from mutspec.experiment.reports.aggregate import collect
from mutspec.resources import resource_folder

MODELS = ("m-1.keras", "m-2.keras", "m-10.keras")


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with models: three in a folder with a space in its name, and one that is named for another."""
    monkeypatch.chdir(tmp_path)
    for name in (*(f"a b/{each}" for each in MODELS), "deep/er/m-3.keras", "a b/m-1.h5", "a b/old.keras"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(resource_folder("conf") / "model" / "digits.keras", path)
    return tmp_path


def swept(*overrides: str, config_dir: Path | None = None, config_name: str = "config") -> Outcome:
    call = (*overrides, "mode=dry_run", "hydra.sweep.dir=here")
    return run(ApplicationCall(call, is_sweep=True, config_dir=config_dir, config_name=config_name))


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("'a b/m-*.keras'", [f"a b/{name}" for name in MODELS]),
        ("['a b/*.keras'],exclude=[old*,*-10*]", ["a b/m-1.keras", "a b/m-2.keras"]),
        ("**/m-3.keras", ["deep/er/m-3.keras"]),
    ],
)
def test_a_sweep_over_models_runs_on_all_files_that_match_in_natural_order(glob: str, expected: list[str]) -> None:
    assert not swept("plan=dense_noise", f"model.path=glob({glob})").failures
    assert [each.model.path for each in collect("here")] == expected


def test_a_file_of_the_callers_may_sweep_by_a_glob(room: Path) -> None:
    params = "{model.path: 'glob(deep/**/*.keras)', plan.seed: '1,2'}"
    (room / "mine.yaml").write_text(f"defaults: [config, _self_]\nhydra: {{sweeper: {{params: {params}}}}}\n")
    swept("plan=dense_noise", config_dir=room, config_name="mine")
    assert [(each.model.path, each.rows[0].seed) for each in collect("here")] == [
        ("deep/er/m-3.keras", n) for n in (1, 2)
    ]


def test_plan_files_may_be_named_by_a_glob(room: Path) -> None:
    for name in ("p-10", "p-9"):
        shutil.copyfile(resource_folder("conf") / "plan" / "dense_noise.yaml", room / f"{name}.yaml")
    swept("plan_file=glob(p-*.yaml)")
    assert [each.job.overrides[0] for each in collect("here")] == ["plan=p-9", "plan=p-10"]


def test_an_optimiser_takes_files_that_match() -> None:
    pytest.importorskip("optuna")
    swept("plan=dense_noise", "model.path=glob(deep/**/*.keras)", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1")
    assert [each.model.path for each in collect("here")] == ["deep/er/m-3.keras"]


@pytest.mark.parametrize("override", ["model.path=glob(no/*.keras)", "plan_file=glob(no/*.keras)"])
def test_a_glob_that_matches_no_file_is_an_error_at_its_place(override: str, room: Path) -> None:
    plan = () if override.startswith("plan_file") else ("plan=dense_noise",)
    with pytest.raises(CallError) as caught:
        swept(override, *plan)
    (problem,) = caught.value.problems
    assert problem.message == "no file matches `no/*.keras`"
    assert problem.place is not None
    assert problem.place.text[problem.place.column - 1 :] == "glob(no/*.keras)"
    assert not (room / "here").exists()


def test_a_sweep_over_plans_leaves_out_those_with_unbound_inputs_and_says_so() -> None:
    outcome = swept("plan=glob([*_noise,half*,graft*])")
    assert {each.plan.name for each in collect("here")} == {"conv_noise", "dense_noise", "weight_noise"}
    (warning,) = outcome.warnings
    assert warning.message == (
        "plans whose inputs are not bound are left out: `graft_and_jitter` (teacher), `half_kernel_transfer` (teacher)"
    )


@pytest.mark.parametrize("inputs", ["inputs.teacher='a b/m-1.keras'", "inputs.teacher=glob('a b/m-1.*')"])
def test_plans_whose_inputs_the_call_binds_are_not_left_out(inputs: str) -> None:
    outcome = swept("plan=glob([dense*,half*])", inputs)
    assert {each.plan.name for each in collect("here")} == {"dense_noise", "half_kernel_transfer"}
    assert not outcome.failures
    assert not [each for each in outcome.warnings if "left out" in each.message]


def test_a_sweep_over_plans_that_cannot_run_says_what_to_bind() -> None:
    with pytest.raises(CallError, match="all plans that match have inputs that are not bound") as caught:
        swept("plan=glob(half*)")
    assert caught.value.problems[0].hint == "add inputs.teacher=MODEL"
