"""The application: Hydra composes a call, its launchers and sweepers run it, and its errors become ours.

`hydra.main` ends the process and prints tracebacks; so its parts are used below it, where they raise.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from logging import CRITICAL, WARNING, getLogger
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, QuotedString
from hydra.types import RunMode
from omegaconf import OmegaConf, open_dict

from mutspec.errors import CallError, EnvironmentProblem, MutspecError, Place, Problem, nearest
from mutspec.experiment.job_inputs import forget_data
from mutspec.experiment.jobs.configuration import Composer, register_resolvers
from mutspec.experiment.jobs.failures import FailedJob, read_failures
from mutspec.experiment.jobs.globs import files_matching
from mutspec.experiment.jobs.hydra_errors import Context, translated
from mutspec.experiment.jobs.job import Task
from mutspec.experiment.jobs.launcher import register as register_launcher
from mutspec.experiment.jobs.loader import JOB_NAME, Loader
from mutspec.experiment.jobs.overridden import Given
from mutspec.experiment.jobs.recipes import Recipes, find_recipes, shown
from mutspec.experiment.jobs.resume import Since
from mutspec.experiment.jobs.sweep_progress import SweepMonitor
from mutspec.experiment.result import FILE_NAME, Result, read
from mutspec.language.files import is_plan_name, refuse_other_document
from mutspec.model.limits import changed_limits
from mutspec.own_modules import workers_start_safely
from mutspec.resources import resource_folder

CONFIG_NAME = "config"
VERSION_BASE = "1.3"
"""The behaviour of Hydra that is asked for."""


@dataclass(frozen=True)
class ApplicationCall:
    """A call of the application.

    Arguments:
        overrides: as Hydra takes them, and `plan_file=FILE`.
        is_sweep: whether to run a job for each combination of values.
        config_dir: a folder with recipes and groups of the user's own.
        config_name: the configuration to begin with.
        modules: what jobs import first.
    """

    overrides: tuple[str, ...]
    is_sweep: bool = False
    config_dir: Path | None = None
    config_name: str = CONFIG_NAME
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The outcome of a call.

    Arguments:
        folder: of the run or the sweep.
        result: of a single run.
        since: what became of the jobs that were there before.
        failures: the errors of a sweep's jobs, by their folders.
        warnings: what a sweep leaves out, and what Python's warnings said meanwhile.
    """

    folder: Path
    result: Result | None
    since: Since
    failures: tuple[tuple[str, MutspecError], ...] = ()
    warnings: tuple[Problem, ...] = ()


def run(call: ApplicationCall, on_sweep: Callable[[SweepMonitor], None] | None = None) -> Outcome:
    """Runs a job, or a sweep of them.

    Arguments:
        call: the call.
        on_sweep: called with the progress of a sweep, before it begins.

    Raises:
        MutspecError: the call is wrong, or the single job fails. A sweep goes on when a job fails.
    """
    forget_data()
    with _application(call) as application, _collected_warnings() as collected:
        if application.is_sweep:
            loader = application.loader
            if on_sweep is not None:
                on_sweep(SweepMonitor(lambda: loader.jobs, loader.since))
            folder = application.sweep()
            since = loader.since()
            failures = tuple(each for each in read_failures(folder) if each[0] not in since.foreign)
            return Outcome(folder, None, since, failures, (*loader.warnings, *collected(), *since.warnings))
        folder = application.run()
        return Outcome(folder, read(folder / FILE_NAME), application.loader.since(), (), tuple(collected()))


def composed(call: ApplicationCall, part: str = "job") -> str:
    """Returns the configuration of a call as YAML, unresolved and unchecked.

    Arguments:
        call: the call.
        part: "job", "hydra" or "all".

    Raises:
        MutspecError: the call is wrong.
    """
    with _application(call, checks=False) as application:
        config = application.hydra.compose_config(call.config_name, application.overrides, RunMode.RUN)
        with open_dict(config):
            if part == "job":
                del config["hydra"]
            elif part == "hydra":
                config = OmegaConf.create({"hydra": config.hydra})
        return str(OmegaConf.to_yaml(config))


@dataclass
class _Application:
    """Hydra, set up for a call."""

    call: ApplicationCall
    overrides: list[str]
    loader: Loader
    hydra: Hydra

    @property
    def is_sweep(self) -> bool:
        return self.call.is_sweep or "hydra.mode=MULTIRUN" in self.overrides

    def run(self) -> Path:
        """Runs the job, and returns its folder."""
        overrides = [*self.overrides, "hydra.mode=RUN"]
        task = Task(self.loader.composer, self.call.modules, changed_limits())
        done = self.hydra.run(self.call.config_name, task, overrides)
        if isinstance(done.return_value, FailedJob):
            self.loader.forget_run()
            raise done.return_value.error
        assert done.hydra_cfg is not None
        return Path(shown(Path(done.hydra_cfg.hydra.runtime.output_dir)))

    def sweep(self) -> Path:
        """Runs the sweep, and returns its folder."""
        task = Task(self.loader.composer, self.call.modules, changed_limits())
        _limit_logs(self.overrides)
        try:
            with _without_best_trial(), workers_start_safely():
                self.hydra.multirun(self.call.config_name, task, [*self.overrides, "hydra.mode=MULTIRUN"])
            folder = self.loader.folder
            assert folder is not None
            has_results = next(folder.glob(f"**/{FILE_NAME}"), None) is not None
            if not self.loader.jobs and (self.loader.knows_all_jobs or not has_results):
                raise CallError(_no_jobs(self))
        except BaseException as error:
            self.loader.forget_sweep()
            if how_to_go_on := self.loader.since().how_to_go_on:
                error.add_note(how_to_go_on)
            raise
        if not has_results:
            message = "the jobs have left no results here"
            hint = "the machines of a cluster have to share this folder: hydra.sweep.dir=/shared/…"
            raise EnvironmentProblem([Problem(message, Place(shown(folder), 0, 0, 0), hint=hint)])
        return Path(shown(folder))

    def keys(self) -> list[str]:
        """Returns the dotted keys that the call's configuration has, but for its plan's: for messages."""
        groups = "|".join({*self.loader.list_groups(""), r"hydra/\w+"} - {"hydra", "plan"})
        chosen = [line for line in self.overrides if re.fullmatch(rf"({groups})=[\w/]+", line)]
        recipe = "plan=" + self.loader.composer.recipes.names[0]  # any, as it adds no keys that are asked for here
        try:
            config = self.loader.unchecked(self.call.config_name, [recipe, *chosen])
        except Exception:  # the configuration is wrong in another way too
            return []
        return [key for key in _dotted(OmegaConf.to_container(config)) if not key.startswith("plan.")]


def _dotted(node: Any, above: str = "") -> Iterator[str]:
    """Yields the dotted keys of nested mappings."""
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{above}{key}"
        yield from _dotted(value, f"{above}{key}.")


@contextmanager
def _application(call: ApplicationCall, *, checks: bool = True) -> Iterator[_Application]:
    """Hydra for a call; its errors are ours from here on. Its process-wide state is as before at the end."""
    version.setbase(VERSION_BASE)
    register_resolvers()
    register_launcher()
    recipes, overrides = _with_plan_files(call)
    loader = Loader(_search_path(call.config_dir), Composer(recipes, call.overrides, call.modules), checks=checks)
    GlobalHydra.instance().clear()
    hydra = Hydra(task_name=JOB_NAME, config_loader=loader)
    GlobalHydra.instance().initialize(hydra)
    application = _Application(call, overrides, loader, hydra)
    try:
        yield application
    except Exception as error:
        given = tuple(Given.of(line, number) for number, line in enumerate(call.overrides, start=1))
        ours = translated(error, Context(given, loader, application.keys))
        notes = getattr(error, "__notes__", ())
        if isinstance(ours, EnvironmentProblem) and notes:  # once the environment is fixed, the sweep can go on
            ours = EnvironmentProblem([replace(each, hint="\n".join(notes)) for each in ours.problems])
        if ours is None or ours is error:
            raise
        raise ours from None
    finally:
        GlobalHydra.instance().clear()


def _search_path(config_dir: Path | None) -> ConfigSearchPath:
    path = create_config_search_path(f"file://{resource_folder('conf')}")
    if config_dir is not None:
        if not config_dir.is_dir():
            siblings = [str(each) for each in config_dir.parent.glob("*") if each.is_dir()]
            place = Place(str(config_dir), 0, 0, 0)
            raise CallError("there is no such folder", place=place, candidates=nearest(str(config_dir), siblings))
        path.prepend("command-line", f"file://{config_dir.absolute()}", SearchPathQuery(provider="schema"))
    return path


def _with_plan_files(call: ApplicationCall) -> tuple[Recipes, list[str]]:
    """The recipes, those of `plan_file=…` among them; and the overrides with `plan=…` in its place."""
    overrides, named = [], []
    for number, line in enumerate(call.overrides, start=1):
        if line.lstrip("+").startswith("plan_file="):
            start = line.index("=") + 2
            paths = _paths(line, Place(f"override {number}", 1, start, max(len(line), start) + 1, line))
            named += paths
            line = f"plan={','.join(_quoted(path.stem) for path in paths)}"
        overrides.append(line)
    if named and any(re.match(r"\+*plan=", line) for line in call.overrides):
        raise CallError("the call names a plan by plan=… and by plan_file=…", hint="leave one of them out")
    recipes = find_recipes(call.config_dir, named)
    for path in named:
        refuse_other_document(path)
        recipes.read(path.stem)
    return recipes, overrides


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][\w.-]*", name) else f"'{name}'"


def _paths(line: str, place: Place) -> list[Path]:
    """The files that `plan_file=…` names."""
    text = line.partition("=")[2]
    values: list[Any]
    try:
        parsed = OverridesParser.create().parse_override(line)
        pattern: object = parsed.value()
        if isinstance(pattern, Glob):
            return [Path(each) for each in files_matching(pattern) if is_plan_name(each)]
        values = list(parsed.sweep_iterator()) if parsed.is_sweep_override() else [parsed.value()]
    except CallError as error:
        raise CallError([replace(problem, place=place) for problem in error.problems]) from None
    except Exception:  # an odd path, such as one with brackets, is a path all the same
        values = [text]
    paths = [Path(value.text if isinstance(value, QuotedString) else str(value)) for value in values if value]
    if not paths:
        raise CallError("`plan_file` names no file", place=place, hint="write plan_file=path/to/plan.yaml")
    return paths


def _limit_logs(overrides: list[str]) -> None:
    """Limits Optuna's log to warnings: it writes to standard error, and ignores Hydra's logging.

    We report which trials have failed, and why.
    """
    if "hydra/sweeper=optuna" in overrides:
        getLogger("hydra_plugins.hydra_optuna_sweeper").setLevel(CRITICAL)
        with suppress(ImportError):
            import_module("optuna.logging").set_verbosity(WARNING)


@contextmanager
def _without_best_trial() -> Iterator[None]:
    """Lets a sweep end in which no job has a value: Optuna's sweeper raises, as it looks for the best trial."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith(_NO_TRIALS):
            raise


_NO_TRIALS = ("No trials are completed", "Record does not exist")
"""Optuna's messages about a study without a best trial, in memory and in a database."""


def _no_jobs(application: _Application) -> Problem:
    for number, line in enumerate(application.call.overrides, start=1):
        found = re.match(r"([^=]+)=glob\(", line)
        if found:
            place = Place(f"override {number}", 1, len(found[1]) + 2, len(line) + 1, line)
            options = ", ".join(application.loader.get_group_options(found[1]))
            hint = f"`{found[1]}` has {options}" if options else "glob lists files, or the options of a group"
            return Problem("nothing matches, so the sweep has no jobs", place, hint=hint)
    return Problem("the sweep has no jobs", hint="check the ranges and globs in its overrides")


@contextmanager
def _collected_warnings() -> Iterator[Callable[[], list[Problem]]]:
    """Collects Python's warnings, each once."""
    collected: dict[str, Problem] = {}

    def take(message: Any, category: type[Warning], *_: Any) -> None:
        text = " ".join(str(message).split())
        collected.setdefault(text, Problem(text[:1].lower() + text[1:].rstrip("."), is_warning=True))

    with warnings.catch_warnings():
        warnings.showwarning = take  # type: ignore[assignment]
        yield lambda: list(collected.values())
