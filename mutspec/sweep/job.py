"""A job: compose its plan, mutate, evaluate, leave a result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mutspec.execute import files
from mutspec.execute.report import Report, engine
from mutspec.language import CallError, CheckError, MutspecError, Plan, Problem
from mutspec.language.types import NonFinite
from mutspec.ops.base import Op
from mutspec.sweep.configuration import (
    Composer,
    Settings,
    check_bound,
    check_file,
    no_measure,
    register_resolvers,
    task_overrides,
)
from mutspec.sweep.evaluate import Evaluation
from mutspec.sweep.failures import FailedJob, as_error, forget_failure, in_short, write_failure
from mutspec.sweep.gates import verdicts
from mutspec.sweep.recipes import shown
from mutspec.sweep.result import FIDELITY, JobInfo, Result, Row, as_json, write_whole
from mutspec.sweep.session import Session, session

DRY_RUN_FILE = "dry_run.json"
"""What a dry-run says, beside the result: a document as `mutspec apply --dry-run --json` prints it."""
DIFF_FILE = "diff.json"
"""The difference of base and mutant: a document as `mutspec diff --json` prints it."""


@dataclass(frozen=True)
class Task:
    """What Hydra runs for each job. It travels to the processes of launchers, so it holds nothing but values.

    Arguments:
        composer: makes settings and plan of the job's configuration.
        modules: what the call imports, for layers of the user's own.
        on_done: told when a job of this process is done.
    """

    composer: Composer
    modules: tuple[str, ...] = ()
    on_done: Callable[[], None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what only this process can tell."""
        return {**self.__dict__, "on_done": None}

    def __call__(self, config: DictConfig) -> float | None:
        """Run the job that Hydra is about to run, and return its objective to the sweeper.

        What a user is meant to see does not end a sweep: it is left in the job's folder, and returned as a `FailedJob`.
        """
        try:
            return self._job(config)
        finally:
            if self.on_done is not None:
                self.on_done()

    def _job(self, config: DictConfig) -> float | None:
        register_resolvers()
        hydra = cast(DictConfig, HydraConfig.get())
        folder = Path(hydra.runtime.output_dir)
        number = OmegaConf.select(hydra, "job.num", throw_on_missing=False)
        info = JobInfo(number, tuple(task_overrides(hydra)), shown(folder))
        forget_failure(folder)
        try:
            for module in self.modules:
                import_module(module)
            result = self._run(config, hydra, info, folder)
        except (MutspecError, OSError, MemoryError) as exception:
            error = as_error(exception)
            failed(info, str(OmegaConf.select(hydra, "runtime.choices.plan")), error).write(folder)
            write_failure(folder, error)
            return FailedJob(error)
        result.write(folder)
        return result.value

    def _run(self, config: DictConfig, hydra: DictConfig, info: JobInfo, folder: Path) -> Result:
        settings = self.composer.settings(config, hydra)
        composed = self.composer.plan(config, hydra)
        try:
            result = run_job(settings, composed.plan, info, folder)
        except MutspecError as error:
            raise composed.placed(error) from None
        if settings.strict_gates and result.failed_gates:
            write_failure(folder, CheckError([Problem(str(verdict)) for verdict in result.failed_gates]))
        return result


def run_job(settings: Settings, plan: Plan[Op], info: JobInfo, folder: Path) -> Result:
    """Do what a job's settings say.

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
    job = _Job(settings, plan, inputs, folder)
    result = job.evaluated() if settings.mode.evaluates else job.dry_run()
    warnings = tuple(dict.fromkeys([*unused, *result.warnings]))
    return replace(result, job=info, warnings=warnings)


def _inputs(settings: Settings, plan: Plan[Op]) -> tuple[dict[str, Path], list[str]]:
    """The inputs that the plan declares, and a warning for each that it does not: a sweep over plans binds for all."""
    check_bound(plan, settings.inputs)
    unused = [name for name in settings.inputs if name not in plan.inputs]
    warnings = [f"the plan `{plan.name}` declares no input `{name}`, so inputs.{name} is not used" for name in unused]
    return {name: Path(settings.inputs[name]) for name in plan.inputs}, warnings


def failed(info: JobInfo, plan_name: str, error: MutspecError) -> Result:
    """The result of a job that failed."""
    return Result(engine(), info, plan_name, "", {}, "", "", "", "", 0, "", {}, (), None, error=in_short(error))


@dataclass(frozen=True)
class _Job:
    """A job on its way."""

    settings: Settings
    plan: Plan[Op]
    inputs: Mapping[str, Path]
    folder: Path

    def dry_run(self) -> Result:
        """Say what the plan would touch, for each seed."""
        check_file(self.settings.model.path)
        rows: list[Row] = []
        warnings: list[str] = []
        for plan in self._plans():
            start = perf_counter()
            report = files.dry_run(plan, Path(self.settings.model.path), inputs=self.inputs)
            if not rows:
                self._write(DRY_RUN_FILE, report.to_json())
            warnings += [str(problem) for problem in report.warnings]
            rows.append(Row(plan.seed, {}, {}, None, 0, _touched(report), None, perf_counter() - start))
        return self._result(report.structure_digest, rows, warnings)

    def evaluated(self) -> Result:
        """Mutate and evaluate, for each seed."""
        shared = session(self.settings)
        base = _measures(_row(0, shared.base, shared.base, None, 0.0))
        objective = self._checked(self.settings.objective or next(iter(base)), base, shared)
        gates = self.settings.require
        for gate in gates:
            self._checked(gate.metric, base, shared)
        rows, judged, warnings, output = [], {}, [], None
        for plan in self._plans():
            start = perf_counter()
            with self._mutant(plan, shared) as (model, report):
                mutant = shared.judge.evaluate(model, shared.base)
                row = _row(plan.seed, shared.base, mutant, report, perf_counter() - start)
                judged[plan.seed] = _measures(row)
                if self.settings.mode.compares:
                    self._compare(model)
                if self.settings.save:
                    if all(verdict.holds for verdict in verdicts(gates, base, judged)):
                        output = self._save(plan, model)
                    else:
                        warnings.append("the mutant is not saved, as it does not hold to what is required")
            warnings += [str(problem) for problem in report.warnings]
            rows.append(row)
        return replace(
            self._result(report.structure_digest, rows, warnings),
            data=shared.data.name,
            samples=shared.data.samples,
            objective=objective,
            base=shared.base.metrics,
            value=fmean(measured[objective] for measured in judged.values()),
            gates=tuple(verdicts(gates, base, judged)),
            output=output,
        )

    def _plans(self) -> Iterator[Plan[Op]]:
        yield self.plan
        for offset in range(1, self.settings.seeds):
            yield self.plan.with_(seed=self.plan.seed + offset)

    @contextmanager
    def _mutant(self, plan: Plan[Op], shared: Session) -> Iterator[tuple[Any, Report]]:
        """A mutant: the base itself for a while, unless the architecture changes."""
        from mutspec.execute.live import apply, mutated

        arguments = {"inputs": self.inputs, "non_finite": NonFinite.REPORT}
        if _is_structural(plan):
            applied = apply(plan, shared.live, **arguments)  # type: ignore[arg-type]
            yield applied.model, applied.report
        else:
            with mutated(plan, shared.live, **arguments) as report:  # type: ignore[arg-type]
                yield shared.model, report

    def _compare(self, mutant: Any) -> None:
        from mutspec.execute.diff import diff
        from mutspec.model.files import open_archive
        from mutspec.model.live import read_live

        difference = diff(open_archive(Path(self.settings.model.path)), read_live(mutant))
        self._write(DIFF_FILE, difference.to_json())

    def _save(self, plan: Plan[Op], mutant: Any) -> str:
        """Keep the mutant; its path. Weight-only plans are applied to the file, which keeps all else in it as it is."""
        wanted, base = self.settings.save, Path(self.settings.model.path)
        path = self.folder / (wanted if isinstance(wanted, str) else f"mutant{base.suffix}")
        if _is_structural(plan):
            mutant.save(path)
        else:
            allowed = plan if plan.non_finite else replace(plan, non_finite=NonFinite.REPORT)
            files.apply(allowed, base, path, inputs=self.inputs, force=True)
        return shown(path)

    def _checked(self, name: str, known: Mapping[str, float], shared: Session) -> str:
        """A name of what is measured, if it is one."""
        if name in known:
            return name
        why = "" if shared.base.metrics else f"; `{shared.data.name}` has no labels, or no metric is asked for"
        raise CallError(no_measure(name, list(known), why))

    def _result(self, structure_digest: str, rows: list[Row], warnings: list[str]) -> Result:
        return Result(
            engine=engine(),
            job=JobInfo(None, (), str(self.folder)),
            plan_name=self.plan.name,
            plan_digest=self.plan.digest,
            parameters=dict(self.plan.params),
            mode=self.settings.mode.name,
            model=self.settings.model.path,
            structure_digest=structure_digest,
            data="",
            samples=0,
            objective="",
            base={},
            rows=tuple(rows),
            value=None,
            warnings=tuple(warnings),
        )

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        write_whole(self.folder / name, (json.dumps(as_json(document), indent=2) + "\n").encode())


def _is_structural(plan: Plan[Op]) -> bool:
    return any(step.is_structural for step in plan.steps)


def _touched(report: Report) -> int:
    return sum(target.touched for step in report.steps for target in step.targets)


def _row(seed: int, base: Evaluation, mutant: Evaluation, report: Report | None, seconds: float) -> Row:
    changes = [target.changed for step in report.steps for target in step.targets] if report else []
    return Row(
        seed=seed,
        metrics=mutant.metrics,
        drop={name: base.metrics[name] - value for name, value in mutant.metrics.items()},
        agreement=mutant.fidelity.agreement,
        non_finite_outputs=mutant.non_finite,
        touched=_touched(report) if report else 0,
        changed=sum(change or 0 for change in changes),
        seconds=seconds,
        flips=dict(mutant.fidelity.flips) if mutant.fidelity.agreement is not None else None,
        divergence=mutant.fidelity.divergence,
        deviation=mutant.fidelity.deviation,
    )


def _measures(row: Row) -> dict[str, float]:
    """All that can be an objective, by name; the first one is the default."""
    fidelity = {name: getattr(row, name) for name in FIDELITY}
    known = {name: value for name, value in fidelity.items() if value is not None}
    drops = {f"drop.{name}": value for name, value in row.drop.items()}
    return {**row.metrics, **known, "non_finite_outputs": float(row.non_finite_outputs), **drops}
