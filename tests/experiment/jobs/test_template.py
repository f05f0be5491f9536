"""A sweep's jobs come from templates, and are what Hydra alone would compose."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, Node

from mutspec.experiment.jobs import template
from mutspec.experiment.jobs.application import ApplicationCall, _application
from mutspec.experiment.jobs.loader import Loader

FIXED = ("plan=dense_noise", "hydra.sweep.dir=runs/here", "seeds=2", "plan.params.std=0.1,0.2")
EXPERIMENT = """
# @package _global_
defaults:
  - override /plan: conv_noise
scale: 0.7
plan:
  params: {std: "${scale}"}
"""


class Plain(Loader):
    """Composes each job as Hydra does."""

    _load_configuration_impl = ConfigLoaderImpl._load_configuration_impl


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with groups of the user's own in `my` and `more`."""
    for name, text in {
        "my/experiment/strong.yaml": EXPERIMENT,
        "my/colour/red.yaml": "# @package _global_\npaint: 5\n",
        "more/colour/blue.yaml": "# @package _global_\npaint: 7\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text.lstrip())
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Both:
    """The two ways to compose the jobs of a call."""

    def __init__(self, *overrides: str) -> None:
        call = ApplicationCall(overrides, is_sweep=True, config_dir=Path("my"))
        with _application(call, checks=False) as application:
            self.quick = application.loader
            given = [*application.overrides, "hydra.mode=MULTIRUN"]
            self.master = application.hydra.compose_config(call.config_name, given, RunMode.MULTIRUN)
            self.plain = Plain(self.quick.config_search_path, self.quick.composer, checks=False)

    def jobs(self, *overrides: str) -> tuple[Any, Any]:
        """The configuration of a job from a template, and as Hydra composes it."""
        return tuple(
            list(described(loader.load_sweep_config(self.master, list(overrides))))
            for loader in (self.quick, self.plain)
        )


def described(node: Any, key: str = "") -> Iterator[tuple[Any, ...]]:
    """Each node of a configuration with all that OmegaConf knows of it."""
    assert isinstance(node, Node)
    flags = {name: value for name, value in (node._metadata.flags or {}).items() if value is not None}
    kind = (type(node), node._metadata.ref_type, node._metadata.object_type, node._metadata.optional)
    is_full = isinstance(node, DictConfig | ListConfig) and not node._is_none() and not node._is_interpolation()
    yield key, kind, flags, None if is_full else node._value()
    if is_full:
        names = list(node.keys()) if isinstance(node, DictConfig) else range(len(node))
        for name in names:
            yield from described(node._get_node(name), f"{key}.{name}")


JOBS: list[tuple[str, ...]] = [
    ("plan=dense_noise", "seeds=2", "plan.params.std=0.1"),
    ("plan=dense_noise", "seeds=2", "plan.params.std=1e-3"),
    ("plan=dense_noise", "plan.params.std=null", "plan.seed='7'"),
    ("plan=dense_noise", "plan.seed=5", "plan.steps.gaussian_noise.target.pick.first=1"),
    ("plan=dense_noise", "+plan.steps.gaussian_noise.fraction=10%", "++plan.params.new={a: [1, 2.5, x]}"),
    ("plan=dense_noise", "~plan.params.std", "plan.metadata.owner=me"),
    ("plan=dense_noise", "plan.params.std=${plan.seed}", "model.path=${shipped:model/digits.keras}"),
    ("plan=dense_noise", "plan.params={std: 3}", "inputs.teacher=t.keras", "inputs={other: o.keras}"),
    ("plan=dense_noise", "model={path: a.keras}", "model.path=b.keras", "objective=loss"),
    ("plan=dense_noise", "require=[{metric: accuracy, max_drop: 0.02}]", "save='a b.keras'"),
    ("plan=dense_noise", "evaluate.metrics=[accuracy, {_target_: keras.metrics.TopK}]", "strict_gates=true"),
    ("plan=dense_noise", "data=npz", "data.path=a.npz", "+data.more=3", "mode=diff"),
    ("plan=conv_noise", "plan.params.std=0.1", "evaluate=agreement"),
    ("experiment=strong", "scale=2", "plan.seed=1"),
    ("plan=dense_noise", "+colour=red", "paint=6"),
]


def test_a_job_from_a_template_is_the_one_that_hydra_composes_whatever_others_it_has_made() -> None:
    both = Both(*FIXED)
    plainly = {}
    for job in JOBS:  # some of which make the template, and some are its copies
        quick, plainly[job] = both.jobs(*job)
        assert quick == plainly[job], job
    for job in JOBS[::-1]:
        assert list(described(both.quick.load_sweep_config(both.master, list(job)))) == plainly[job], job


def test_groups_of_a_search_path_that_the_call_adds_are_groups() -> None:
    both = Both(*FIXED, "hydra.searchpath=[file://more]")
    quick, plain = both.jobs("plan=dense_noise", "+colour=blue")
    assert (".paint", 7) in [(each[0], each[-1]) for each in quick]
    assert quick == plain


def test_variables_that_jobs_are_to_have_are_those_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUTSPEC_COLOUR", "red")
    both = Both(*FIXED, "hydra.job.env_copy=[MUTSPEC_COLOUR]")
    both.jobs("plan=dense_noise")
    monkeypatch.setenv("MUTSPEC_COLOUR", "blue")
    quick, plain = both.jobs("plan=dense_noise")
    assert quick == plain


@pytest.mark.parametrize("wrong", ["nothing=3", "mode.nme=x", "+seeds=3", "~nothing", "a@b=c", "mode=no", "x"])
def test_what_hydra_refuses_is_refused_with_the_same_words(wrong: str) -> None:
    both = Both(*FIXED)
    said = []
    for loader in (both.quick, both.plain):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            loader.load_sweep_config(both.master, ["plan=dense_noise", wrong])
        said.append((type(caught.value), str(caught.value)))
    assert said[0] == said[1]


def test_a_sweep_composes_as_often_as_its_choices_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Both(*FIXED)
    composed: list[list[str]] = []
    original = ConfigLoaderImpl._load_configuration_impl

    def count(self: Any, name: Any, overrides: list[str], *rest: Any) -> DictConfig:
        composed.append(overrides)
        return original(self, name, overrides, *rest)

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", count)
    for plan in ("dense_noise", "conv_noise"):
        for std in (0.1, 0.2, 0.3):
            both.quick.load_sweep_config(both.master, [f"plan={plan}", f"plan.params.std={std}"])
    assert [each[-1] for each in composed] == ["plan=dense_noise", "plan=conv_noise"]


def test_templates_travel_with_the_loader() -> None:
    both = Both(*FIXED)
    both.jobs(*JOBS[0])
    both.quick = pickle.loads(pickle.dumps(both.quick))
    assert both.quick._templates.pickled
    quick, plain = both.jobs(*JOBS[1])
    assert quick == plain


def test_the_number_of_templates_that_are_kept_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "MOST_KEPT", 2)
    both = Both(*FIXED)
    for plan in ("dense_noise", "conv_noise", "bit_flips", "dense_noise"):
        quick, plain = both.jobs(f"plan={plan}")
        assert quick == plain
        assert len(both.quick._templates.pickled) <= 2
