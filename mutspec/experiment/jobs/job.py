"""A job: compose its plan, mutate, evaluate, leave a result."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, chdir, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from msgspec import structs
from omegaconf import DictConfig, OmegaConf

from mutspec.documents import as_json
from mutspec.errors import CallError, CheckError, MutspecError, Problem
from mutspec.execute import files
from mutspec.execute.both_outputs import OutputProvenance
from mutspec.execute.keras_2 import will_be_of_keras_3
from mutspec.execute.output import refuse_inputs
from mutspec.execute.output_kind import kind_of_name
from mutspec.execute.provenance import output_provenance
from mutspec.execute.saving import save_model
from mutspec.experiment.costs import costs_in
from mutspec.experiment.job_inputs import has_same_data, inputs_digest, load_data_once, model_content, texts
from mutspec.experiment.job_settings import Settings, objective_names
from mutspec.experiment.jobs.configuration import Composer, register_resolvers, task_overrides
from mutspec.experiment.jobs.earlier import InTheWayError, Wanted, check_job
from mutspec.experiment.jobs.failures import FailedJob, as_error, forget_failure, in_short, write_failure
from mutspec.experiment.jobs.objectives import directions_of, returned
from mutspec.experiment.jobs.recipes import shown
from mutspec.experiment.jobs.resume import finished, labelled, without_resume
from mutspec.experiment.model_files import check_bound, check_file
from mutspec.experiment.result import (
    BREAKING_POINT,
    FILE_NAME,
    DataInfo,
    JobInfo,
    ModelInfo,
    PlanInfo,
    Result,
    Row,
    write_whole,
)
from mutspec.experiment.search.breaking_points import breaking_points
from mutspec.experiment.session import session
from mutspec.experiment.trial import Trials, result_of, touched
from mutspec.language import Plan
from mutspec.language.types import NonFinite
from mutspec.lowering.base import Op, is_structural
from mutspec.model.files.keras_zip import date_saved_of
from mutspec.model.files.opening import open_archive
from mutspec.model.limits import limits
from mutspec.model.live import quiet_imports
from mutspec.own_modules import allow_modules, in_folder_of_the_call, processes_start_as_usual
from mutspec.version import engine

DRY_RUN_FILE = "dry_run.json"
"""A dry-run's report, besides the result: a document as `mutspec apply --dry-run --json` prints it."""
DIFF_FILE = "diff.json"
"""The difference of base and mutant: a document as `mutspec diff --json` prints it."""


class _InputInPlaceError(CallError):
    """A file that the job reads is where it would write, so that nothing may be left in its folder."""


@dataclass(frozen=True)
class Task:
    """The task that Hydra runs for each job. It is sent to the processes of launchers, so it holds nothing but values.

    Arguments:
        composer: makes settings and plan of the job's configuration.
        modules: what the call imports, for layers of the user's own.
        limits: the limits on what files may declare that the call changes.
        began: the time at which the call began, in UTC.
    """

    composer: Composer
    modules: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    began: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"))

    def __call__(self, config: DictConfig) -> float | tuple[float, ...] | None:
        """Runs the job that Hydra has composed, and returns its objective, or several, to the sweeper.

        What a user is meant to see does not end a sweep: it is left in the job's folder, and returned as a `FailedJob`.
        """
        here = str(HydraConfig.get().runtime.cwd)
        with _folder_of_the_call(), in_folder_of_the_call(here), limits(**self.limits):
            return self._job(config)

    def _job(self, config: DictConfig) -> float | tuple[float, ...] | None:
        register_resolvers()
        hydra = cast(DictConfig, HydraConfig.get())
        folder = Path(hydra.runtime.output_dir)
        number = OmegaConf.select(hydra, "job.num", throw_on_missing=False)
        info = JobInfo(number, without_resume(task_overrides(hydra)), shown(folder), self.began)
        forget_failure(folder)
        try:
            processes_start_as_usual()
            allow_modules(self.modules)
            with quiet_imports():
                for module in self.modules:
                    import_module(module)
                result = self._run(config, hydra, info, folder)
        except _InputInPlaceError as refusal:
            return FailedJob(refusal)
        except InTheWayError as refusal:  # where nobody could refuse it before it was launched
            write_failure(folder, refusal)
            return FailedJob(refusal)
        except (MutspecError, OSError, MemoryError) as exception:
            error = as_error(exception)
            if hydra.job.chdir:
                error = _sought_in_the_folder_of_the_call(error, Path(hydra.runtime.cwd))
            failed(info, str(OmegaConf.select(hydra, "runtime.choices.plan")), error).write(folder)
            write_failure(folder, error)
            return FailedJob(error)
        return returned(result)

    def _run(self, config: DictConfig, hydra: DictConfig, info: JobInfo, folder: Path) -> Result:
        settings = self.composer.settings(config, hydra)
        composed = self.composer.plan(config, hydra)
        digest = inputs_digest(settings, composed.plan, self.modules)
        known = finished(folder, digest, _files(settings)) if settings.resume else None
        if known is not None and not has_same_data(known.data.digest, settings.data):
            known = None
        if known is not None:
            result = labelled(known, info, folder)
        else:
            try:
                for name in (FILE_NAME, *_files(settings)):
                    refuse_inputs(folder / name, _files_read(settings, composed.plan))
            except CallError as error:
                raise _InputInPlaceError(error.problems) from None
            check_job(Wanted(folder, settings, composed, self.modules))
            # If the job is killed, its folder must not have the result of another one.
            (folder / FILE_NAME).unlink(missing_ok=True)
            try:
                done = run_job(settings, composed.plan, info, folder)
                result = structs.replace(
                    done,
                    inputs_digest=digest,
                    plan=structs.replace(done.plan, recipe=composed.recipe, recipe_digest=composed.recipe_digest),
                    directions=directions_of(hydra, done.objectives),
                )
            except MutspecError as error:
                raise self.composer.placed(composed.placed(error), hydra) from None
            result.write(folder)
        if settings.strict_gates and result.failed_gates:
            write_failure(folder, CheckError([Problem(str(verdict)) for verdict in result.failed_gates]))
        return result


def _files_read(settings: Settings, plan: Plan[Op]) -> list[Path]:
    """Returns the files that a job reads, as far as its settings name them."""
    bound = {name: Path(path) for name, path in settings.inputs.items()}
    read = files.files_read(plan, Path(settings.model.path), bound)
    return [Path(path) for path in (*read, *texts(settings.data)) if path is not None and os.path.isfile(path)]


def _files(settings: Settings) -> list[str]:
    """Returns the names of the files that a job writes besides its result and its mutant."""
    if not settings.mode.evaluates:
        return [DRY_RUN_FILE]
    return [DIFF_FILE] if settings.mode.compares else []


def _folder_of_the_call() -> AbstractContextManager[Any]:
    """The working folder for paths that the call names: the workers of a cluster that runs already have their own."""
    hydra = HydraConfig.get()
    is_elsewhere = not hydra.job.chdir and hydra.runtime.cwd != os.getcwd()
    return chdir(hydra.runtime.cwd) if is_elsewhere and Path(hydra.runtime.cwd).is_dir() else nullcontext()


def _sought_in_the_folder_of_the_call(error: MutspecError, folder: Path) -> MutspecError:
    """An error of a job in a folder of its own, with a word about files that are not there, and are where the call is.

    Hydra leaves what relative paths mean to the application; a data function of the user's own is given them as they
    are written, so they mean the same to all: what is in the job's folder.
    """

    def explained(problem: Problem) -> Problem:
        path = Path(problem.place.file) if problem.place is not None else Path()
        if path.exists() or not (folder / path).exists():
            return problem
        hint = f"hydra.job.chdir has it looked for in the job's folder; give its whole path, {folder / path}"
        return replace(problem, hint=hint, candidates=())

    return type(error)([explained(problem) for problem in error.problems])


def run_job(settings: Settings, plan: Plan[Op], info: JobInfo, folder: Path) -> Result:
    """Runs the job that settings describe.

    Arguments:
        settings: of the job.
        plan: of the job; with several seeds, the first one.
        info: which job it is.
        folder: where its files go.

    Raises:
        PlanError: the plan does not fit the model.
        CallError, ModelError: the settings are wrong.
        CheckError: entries become infinite or NaN, and the plan does not allow it.
    """
    inputs, unused = _inputs(settings, plan)
    job = _RunningJob(settings, plan, inputs, folder)
    mode = settings.mode
    result = job.broken() if mode.bisects else job.evaluated() if mode.evaluates else job.dry_run()
    warnings = tuple(dict.fromkeys([*unused, *result.warnings]))
    model = structs.replace(result.model, weights_digest=model_content(settings.model.path).weights)
    given = {name: model_content(str(path)).weights for name, path in inputs.items()}
    return structs.replace(result, job=info, warnings=warnings, model=model, inputs=given)


def _inputs(settings: Settings, plan: Plan[Op]) -> tuple[dict[str, Path], list[str]]:
    """The inputs that the plan declares, and a warning for each that it does not: a sweep over plans binds for all."""
    check_bound(plan, settings.inputs)
    unused = [name for name in settings.inputs if name not in plan.inputs]
    warnings = [f"the plan `{plan.name}` declares no input `{name}`, so inputs.{name} is not used" for name in unused]
    return {name: Path(settings.inputs[name]) for name in plan.inputs}, warnings


def failed(info: JobInfo, plan_name: str, error: MutspecError) -> Result:
    """Returns the result of a job that failed."""
    return Result(
        engine=engine(),
        job=info,
        plan=PlanInfo(plan_name, ""),
        parameters={},
        mode="",
        model=ModelInfo("", ""),
        data=DataInfo("", 0),
        objective="",
        value=None,
        base={},
        rows=(),
        output=None,
        warnings=(),
        error=in_short(error),
    )


@dataclass(frozen=True)
class _RunningJob:
    """A job on its way."""

    settings: Settings
    plan: Plan[Op]
    inputs: Mapping[str, Path]
    folder: Path

    def dry_run(self) -> Result:
        """Returns what the plan would touch, for each seed."""
        check_file(self.settings.model.path)
        rows: list[Row] = []
        warnings: list[str] = []
        for plan in self._plans():
            start = perf_counter()
            model = self.settings.model
            report = files.dry_run(
                plan, Path(model.path), inputs=self.inputs, unsafe=model.unsafe, data=self._data_for(plan)
            )
            if not rows:
                self._write(DRY_RUN_FILE, report.to_json())
            warnings += [str(problem) for problem in report.warnings]
            row = Row(plan.seed, {}, {}, None, 0, touched(report), None, perf_counter() - start)
            costs = costs_in(report, is_after=True)
            rows.append(structs.replace(row, changed_nothing=report.changes_nothing, **costs))
        result = self._result(report.structure_digest, rows, warnings)
        return structs.replace(result, model=structs.replace(result.model, **costs_in(report, is_after=False)))

    def evaluated(self) -> Result:
        """Mutate and evaluate, for each seed."""
        settings = self.settings
        objectives = objective_names(settings.objective)
        trials = Trials(session(settings), settings.require, objectives, verify=settings.model.verify)
        rows, warnings, output = [], [], None
        for plan in self._plans():
            with trials.mutant(plan, self.inputs) as trial:
                warnings += [str(problem) for problem in trial.report.warnings]
                rows.append(trial.row)
                if self.settings.mode.compares:
                    self._compare(trial.model)
                if self.settings.save:
                    if all(verdict.holds for verdict in trials.verdicts(rows)):
                        output = self._save(plan, trial.model)
                        warnings += self._told_of_saved(plan)
                    else:
                        warnings.append("the mutant is not saved, as it does not hold to what is required")
        result = self._result(trial.report.structure_digest, rows, warnings)
        return structs.replace(trials.judged(result), output=output)

    def broken(self) -> Result:
        """Searches for the breaking point, for each seed."""
        settings = self.settings
        objectives = objective_names(settings.objective)
        trials = Trials(session(settings), settings.require, objectives, [BREAKING_POINT], settings.model.verify)
        found = breaking_points(trials, list(self._plans()), self.inputs, settings.mode, settings.model.path)
        return structs.replace(found, mode=settings.mode.name)

    def _plans(self) -> Iterator[Plan[Op]]:
        yield self.plan
        for offset in range(1, self.settings.seeds):
            yield self.plan.with_(seed=self.plan.seed + offset)

    def _compare(self, mutant: Any) -> None:
        from mutspec.compare.diff import diff
        from mutspec.model.live import read_live

        difference = diff(open_archive(Path(self.settings.model.path)), read_live(mutant))
        self._write(DIFF_FILE, difference.to_json())

    def _save(self, plan: Plan[Op], mutant: Any) -> str:
        """Saves the mutant, and returns its path. Weight-only plans are applied to the file, which keeps all else."""
        wanted, base = self.settings.save, Path(self.settings.model.path)
        path = self.folder / (wanted if isinstance(wanted, str) else f"mutant{base.suffix}")
        refuse_inputs(path, _files_read(self.settings, plan))
        if is_structural(plan):
            sources, record = [base, *self.inputs.values()], self._provenance(plan, path)
            save_model(mutant, path, force=True, date_saved=date_saved_of(base), inputs=sources, provenance=record)
        else:
            allowed = plan if plan.non_finite else replace(plan, non_finite=NonFinite.REPORT)
            options: dict[str, Any] = {"inputs": self.inputs, "verify": self.settings.model.verify}
            options["provenance"] = self.settings.provenance
            files.apply(allowed, base, path, force=True, data=self._data_for(plan), **options)
        return shown(path)

    def _provenance(self, plan: Plan[Op], path: Path) -> OutputProvenance:
        """Returns the provenance of a mutant that Keras has built, and that is about to be saved."""
        base = open_archive(Path(self.settings.model.path))
        others = {name: open_archive(each) for name, each in self.inputs.items()}
        options: dict[str, Any] = {"is_wanted": self.settings.provenance, "data": self._data_for(plan)}
        return output_provenance(plan, base, others, kind_of_name(path), is_by_keras=True, **options)

    def _data_for(self, plan: Plan[Op]) -> Any:
        """Returns what the model is called on to compile a plan; None if no step needs it."""
        return load_data_once(self.settings.data).x if any(step.reads_data for step in plan.steps) else None

    def _told_of_saved(self, plan: Plan[Op]) -> list[str]:
        """Returns warnings about a saved mutant: Keras 3 writes what it builds, even where Keras 2 wrote the base."""
        if not is_structural(plan):
            return []
        return [str(problem) for problem in will_be_of_keras_3(open_archive(Path(self.settings.model.path)))]

    def _result(self, structure_digest: str, rows: list[Row], warnings: list[str]) -> Result:
        settings = self.settings
        found = result_of(self.plan, settings.model.path, structure_digest, rows, warnings)
        return structs.replace(found, mode=settings.mode.name)

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        write_whole(self.folder / name, (json.dumps(as_json(document), indent=2) + "\n").encode())
