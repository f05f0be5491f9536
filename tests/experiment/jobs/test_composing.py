"""What Hydra makes of a call: the plan and the settings of its job."""

from __future__ import annotations

import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from hydra.types import RunMode

from mutspec.errors import CallError, MutspecError
from mutspec.experiment.job_settings import Settings
from mutspec.experiment.jobs.application import ApplicationCall, _application, composed, run
from mutspec.experiment.jobs.job_folders import folder_name
from mutspec.language import Plan

JITTER = """
mutspec: 1
params: {std: 0.1}
steps:
  - id: jitter
    op: gaussian_noise
    target: {type: Dense}
    std: ${params.std}
  - id: graded
    op: gaussian_noise
    target: {weights: kernels}
    std:
      - {target: conv_1, value: 0.01}
      - {value: 0.03}
"""
STRONG = """
# @package _global_
defaults:
  - override /plan: jitter
scale: 0.7
plan:
  params: {std: "${scale}"}
  seed: 5
seeds: 2
"""


@dataclass(frozen=True)
class Job:
    plan: Plan[Any]
    settings: Settings

    def step(self, name: str) -> Any:
        return next(step for step in self.plan.steps if step.id == name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a user's own configurations in `my`."""
    for name, text in {
        "my/recipes/jitter.yaml": JITTER,
        "my/experiment/strong.yaml": STRONG,
        "my/experiment/wrong.yaml": "# @package _global_\nplan:\n  params: {sdt: 3}\n",
        "my/data/own.yaml": "_target_: own.make\nsize: 3\n",
        "elsewhere/other.yaml": JITTER.replace("0.1", "0.2"),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text.lstrip())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job(*overrides: str, config_dir: str | None = "my") -> Job:
    """The job of a single run."""
    call = ApplicationCall(overrides, config_dir=Path(config_dir) if config_dir else None)
    with _application(call, checks=False) as application:
        config = application.hydra.compose_config(call.config_name, application.overrides, RunMode.RUN)
        composer = application.loader.composer
        return Job(composer.plan(config, config.hydra).plan, composer.settings(config, config.hydra))


def test_a_recipe_without_overrides_is_the_plan_in_its_file(folder: Path) -> None:
    from mutspec.api.mutation import load_plan

    assert job("plan=jitter").plan.digest == load_plan("my/recipes/jitter.yaml").digest


def test_a_recipe_that_is_shipped_needs_no_folder(folder: Path) -> None:
    assert job("plan=dense_noise", config_dir=None).plan.name == "dense_noise"


def test_a_recipe_can_be_any_file(folder: Path) -> None:
    plan = job("plan_file=elsewhere/other.yaml", config_dir=None).plan
    assert (plan.name, plan.params) == ("other", {"std": 0.2})


def test_a_parameter_reaches_the_step_that_uses_it(folder: Path) -> None:
    made = job("plan=jitter", "plan.params.std=1e-3")
    assert made.plan.params == {"std": 0.001}
    assert made.step("jitter").std == 0.001


def test_the_seed_can_be_set_in_a_recipe_that_has_none(folder: Path) -> None:
    assert job("plan=jitter", "plan.seed=7").plan.seed == 7


def test_steps_go_by_their_ids_and_stay_in_order(folder: Path) -> None:
    made = job("plan=jitter", "plan.steps.graded.std=0.5")
    assert made.step("graded").std == 0.5
    assert [step.id for step in made.plan.steps] == ["jitter", "graded"]


def test_an_override_reaches_into_lists(folder: Path) -> None:
    graded = job("plan=jitter", "plan.steps.graded.std.0.value=0.5").step("graded")
    assert [each.value for each in graded.std] == [0.5, 0.03]


@pytest.mark.parametrize("plus", ["", "+", "++"])
def test_keys_that_the_recipe_does_not_have_need_no_plus_and_may_have_one(folder: Path, plus: str) -> None:
    assert job("plan=jitter", f"{plus}plan.steps.jitter.fraction=1%").step("jitter").fraction == "1%"
    assert job("plan=jitter", f"{plus}plan.steps.jitter.target.pick.first=1").step("jitter").target.pick.first == 1


def test_a_value_may_refer_to_a_parameter(folder: Path) -> None:
    for written in ("${plan.params.std}", "${params.std}"):
        assert job("plan=jitter", f"plan.steps.graded.std='{written}'").step("graded").std == 0.1


def test_a_value_may_refer_to_the_users_own_keys(folder: Path) -> None:
    assert job("plan=jitter", "+scale=0.3", "plan.params.std=${scale}").plan.params == {"std": 0.3}


def test_an_experiment_chooses_the_recipe_and_overrides_it(folder: Path) -> None:
    made = job("experiment=strong")
    assert (made.plan.name, made.plan.params, made.plan.seed) == ("jitter", {"std": 0.7}, 5)
    assert made.settings.seeds == 2


def test_the_call_has_the_last_word_over_an_experiment(folder: Path) -> None:
    assert job("experiment=strong", "plan.seed=9").plan.seed == 9


def test_same_overrides_make_the_plan_that_set_makes(folder: Path) -> None:
    from mutspec.api.mutation import load_plan

    texts = ["params.std=0.5", "seed=3", "steps.graded.std=0.25", "steps.jitter.target.type=[Dense, Conv2D]"]
    by_set = load_plan("my/recipes/jitter.yaml", overrides=texts)
    assert job("plan=jitter", *(f"plan.{text}" for text in texts)).plan.digest == by_set.digest


def test_what_a_job_is_told_besides_its_plan(folder: Path) -> None:
    settings = job("plan=jitter", "model.path=a.keras", "inputs.teacher=t.keras", "data=own", "data.size=4").settings
    assert settings.model.path == "a.keras"
    assert settings.inputs == {"teacher": "t.keras"}
    assert settings.data == {"_target_": "own.make", "size": 4}


def test_a_data_function_takes_arguments_that_no_option_knows(folder: Path) -> None:
    assert job("plan=jitter", "data._target_=own.make", "data.size=4").settings.data["size"] == 4


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["plan=jitter", "plan.params.sdt=1"], "override 2:1:1: the plan declares no parameter `sdt`"),
        (["plan=jitter", "+plan.params.sdt=1"], "override 2:1:1: the plan declares no parameter `sdt`"),
        (["plan=jitter", "seeds=2", "plan.sed=1"], "override 3:1:1: an override cannot begin with `sed`"),
        (["plan=jitter", "plan.steps.jiter.std=1"], "override 2:1:1: the plan has no step `jiter`"),
        (["plan=jitter", "plan.steps.jitter.sdt=1"], "override 2:1:1: `gaussian_noise` has no key `sdt`"),
        (["plan=jitter", "plan.params.std=-1"], "override 2:1:17: `std` takes a number of at least 0, not -1"),
        (["plan=jitter", "~plan.steps.jitter"], "override 2:1:1: `steps.jitter` cannot be taken out of a plan"),
        (["plan=jitter", "plan.steps=1"], "override 2:1:1: the steps of a plan are overridden one by one"),
        (["plan=jitter", "plan.mutspec=2"], "override 2:1:1: `mutspec` cannot be overridden"),
        (["plan=jitter", "experiment=wrong"], "configuration:1:1: the plan declares no parameter `sdt`"),
        (["plan=jitter", "plan.params.std=${nope}"], "override 2:1:17: `plan.params.std: ${nope}` cannot be resolved"),
        (["plan=jitter", "seeds=0"], "override 2:1:7: `seeds`: expected a whole number of at least 1"),
        (["plan=[jitter,dense_noise]"], "override 1:1:6: `plan` is one recipe, not a list"),
    ],
)
def test_a_wrong_override_is_shown_as_the_call_has_it(folder: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(MutspecError) as caught:
        job(*overrides)
    assert str(caught.value).startswith(message)
    place = caught.value.problems[0].place
    assert place is None or place.file == "configuration" or place.text in overrides


@pytest.mark.parametrize("key", ["defaults: [dense_noise]", "hydra: {run: {dir: /tmp}}"])
def test_a_recipe_cannot_change_hydras_settings(folder: Path, key: str) -> None:
    (folder / "my/recipes/bad.yaml").write_text(f"{JITTER.lstrip()}{key}\n")
    with pytest.raises(MutspecError) as caught:
        job("plan=bad")
    assert f"a plan cannot have the key `{key.partition(':')[0]}`" in str(caught.value)


def test_two_recipes_of_one_name_are_refused(folder: Path) -> None:
    (folder / "my/plan").mkdir()
    (folder / "my/plan/jitter.yaml").write_text(JITTER)
    with pytest.raises(MutspecError, match="two recipes are called `jitter`"):
        job("plan=jitter")


def test_the_configuration_can_be_resolved_by_others(folder: Path) -> None:
    from omegaconf import OmegaConf

    config = OmegaConf.create(composed(ApplicationCall(("plan=jitter", "plan.params.std=0.4"), config_dir=Path("my"))))
    assert config.plan.steps.jitter.std == 0.4


def test_composing_leaves_nothing_in_hydras_store(folder: Path) -> None:
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra

    before = set(ConfigStore.instance().repo)
    job("plan=jitter")
    assert set(ConfigStore.instance().repo) == before
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize(
    ("fixed", "overrides", "name"),
    [
        (
            ["plan=a", "plan.params.std=0.1,0.2", "plan.seed=range(2)"],
            ["plan=a", "plan.params.std=0.1", "plan.seed=1"],
            "std=0.1,seed=1",
        ),
        (["plan=a,b"], ["plan=a"], "plan=a"),
        (["plan=a"], ["plan=a"], "job"),
        (["plan=a"], ["plan=a", "plan.steps.jitter.std=0.5"], "jitter.std=0.5"),
        (
            ["data.path=x,y", "model.path=x,y"],
            ["data.path=x", "model.path=y"],
            "data.path=x,model.path=y",
        ),
        (["plan.seed=5", "plan.seed=1,2"], ["plan.seed=1"], "seed=1"),
        (["plan.seed=1,2", "++plan.seed=5"], ["plan.seed=1", "++plan.seed=5"], "job"),
        (["plan.seed=5", "++plan.seed=1,2"], ["plan.seed=5", "++plan.seed=2"], "seed=2"),
    ],
)
def test_a_jobs_folder_is_called_by_what_varies(fixed: list[str], overrides: list[str], name: str) -> None:
    assert folder_name(fixed, overrides) == name


def test_jobs_whose_values_cannot_be_names_of_files_have_folders_of_their_own() -> None:
    names = {folder_name(["model.path=a/b,a_b"], [f"model.path={path}"]) for path in ("a/b", "a_b", "a/" + "b" * 300)}
    assert len(names) == 3
    assert all("/" not in name and len(name) < 200 for name in names)


EMPTY = {
    "model.path": "model.path=",
    "inputs.teacher": "inputs.teacher=''",
    "data.path": "data=npz data.path=''",
    "data._target_": "data._target_=",
    "evaluate.loss": "evaluate.loss=''",
    "evaluate.metrics[1]": "evaluate.metrics=[accuracy,'']",
    "objective": "objective=''",
    "objective[0]": "objective=['',loss]",
    "require[0].metric": "require=[{metric:'',min:1}]",
    "mode.key": "mode=breaking_point mode.key=''",
    "mode.metric": "mode=breaking_point mode.metric=''",
    "save": "save=''",
    "resume": "resume=''",
}


@pytest.mark.parametrize("key", EMPTY)
def test_a_setting_that_is_empty_is_told_as_such_and_nothing_begins(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CallError) as caught:
        run(ApplicationCall(("plan=dense_noise", *EMPTY[key].split())))
    (problem,) = caught.value.problems
    assert problem.message == f"`{key}` is empty"
    assert problem.place is not None
    assert not list(tmp_path.iterdir())


WITHOUT_AN_END = ("plan=", "plan=''", "data=", "seeds=glob(x)", "model=null", "plan=dense_noise data=null")


@pytest.mark.parametrize("call", WITHOUT_AN_END)
def test_no_message_or_hint_ends_where_a_value_is_missing(call: str) -> None:
    plan = () if call.startswith("plan") else ("plan=dense_noise",)
    with pytest.raises(CallError) as caught:
        run(ApplicationCall((*plan, *call.split()), is_sweep=True))
    for problem in caught.value.problems:
        assert "``" not in problem.message
        assert not re.search(r"( has|one of|there are|takes) ?$|^$", problem.hint)


# -- recipes that use others


NOISY = """
mutspec: 1
params: {s: 0.2}
steps:
  - {use: parts/noise, id: more, with: {std: "${params.s}"}}
  - {op: zero, id: last, target: dense_1}
"""


@pytest.fixture
def using(folder: Path) -> Path:
    """The same with a recipe that uses one in a folder below."""
    for name, text in {"noisy": NOISY, "parts/noise": JITTER, "out": "mutspec: 1\nsteps: [{use: ../data/own}]"}.items():
        path = folder / "my/recipes" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.lstrip())
    return folder


def test_a_recipe_uses_others_in_the_folder_of_recipes(using: Path) -> None:
    made = job("plan=noisy", "plan.params.s=0.7")
    assert [step.id for step in made.plan.steps] == ["more/jitter", "more/graded", "last"]
    assert made.step("more/jitter").std == 0.7
    assert list(made.plan.files) == ["parts/noise.yaml"]
    assert job("plan=parts/noise").step("jitter").std == 0.1


@pytest.mark.parametrize(
    ("override", "step", "key", "value"),
    [
        ("plan.steps.more.with.std=0.9", "more/jitter", "std", 0.9),
        ("plan.steps.more.seed=3", "more/graded", "seed", 3),
        ("plan.steps.more.steps.jitter.std=0.8", "more/jitter", "std", 0.8),
        ("plan.steps.more.steps.jitter.std=${plan.params.s}", "more/jitter", "std", 0.2),
        ("plan.steps.more.steps.graded.non_finite=report", "more/graded", "non_finite", "report"),
    ],
)
def test_a_use_and_the_steps_in_its_place_are_overridden(
    using: Path, override: str, step: str, key: str, value: Any
) -> None:
    assert getattr(job("plan=noisy", override).step(step), key) == value


def test_a_wrong_value_of_a_used_step_is_placed_in_the_call(using: Path) -> None:
    for line in ("plan.steps.more.with.std=-1", "plan.steps.more.steps.jitter.std=-1", "plan.steps.more.with.sdt=1"):
        with pytest.raises(MutspecError) as caught:
            job("plan=noisy", line)
        (place,) = [problem.place for problem in caught.value.problems if not problem.is_warning]
        assert place is not None
        assert place.text == line


def test_a_recipe_uses_nothing_outside_of_the_folder_of_recipes(using: Path) -> None:
    with pytest.raises(MutspecError, match="leads out of `my/recipes`"):
        job("plan=out")


def test_a_launcher_in_another_folder_has_the_recipes_as_the_call_read_them(
    using: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ApplicationCall(("plan=noisy", "plan.steps.more.with.std=0.3"), config_dir=Path("my"))
    with _application(call, checks=False) as application:
        config = application.hydra.compose_config(call.config_name, application.overrides, RunMode.RUN)
        composer = application.loader.composer
        before = composer.plan(config, config.hydra)
        sent = pickle.loads(pickle.dumps(composer))
        rmtree(using / "my")
        monkeypatch.chdir(using / "elsewhere")
        after = sent.plan(config, config.hydra)
    assert (after.plan.digest, after.plan.files) == (before.plan.digest, before.plan.files)
    assert before.recipe_digest == after.recipe_digest


def test_a_plan_that_was_shown_is_overridden_as_the_one_before(using: Path) -> None:
    text = "mutspec: 1\nsteps: [{id: more/jitter, op: gaussian_noise, target: a, std: 1}]\n"
    (using / "my/recipes/shown.yaml").write_text(text)
    assert job("plan=shown", "plan.steps.more.steps.jitter.std=2").plan.steps[0].std == 2
