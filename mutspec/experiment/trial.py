"""Trials: a mutant is made, evaluated, compared with its base and with what is required, and undone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from time import perf_counter
from typing import Any

from msgspec.structs import replace

from mutspec.errors import CallError
from mutspec.experiment.axis_units import units
from mutspec.experiment.costs import Costs, costs_after
from mutspec.experiment.environment import environment
from mutspec.experiment.evaluation.evaluate import Evaluation
from mutspec.experiment.evaluation.fidelity import OutputFidelity, class_counts
from mutspec.experiment.evaluation.measure_names import no_measure
from mutspec.experiment.gates import Gate, Verdict, verdicts
from mutspec.experiment.job_inputs import evaluate_digest
from mutspec.experiment.metric_kinds import COSTS
from mutspec.experiment.result import (
    BREAKING_POINT,
    FIDELITY,
    DataInfo,
    JobInfo,
    ModelInfo,
    OutputRow,
    PlanInfo,
    Result,
    Row,
)
from mutspec.experiment.session import Session
from mutspec.language import Plan
from mutspec.language.types import NonFinite
from mutspec.lowering.base import Op, is_structural
from mutspec.show.report import Report
from mutspec.version import engine


@dataclass(frozen=True)
class Trial:
    """A mutant that has been evaluated.

    Arguments:
        model: the keras.Model.
        row: its measures.
        report: what the plan did.
    """

    model: Any
    row: Row
    report: Report


class Trials:
    """The trials of one base.

    Arguments:
        shared: the base, evaluated.
        require: the gates that mutants must pass.
        objectives: the measures that count; if there are none, the first one that is measured.
        found: measures of the mutants that are found by several trials, and that no base has.
        verify: whether the checksums of inputs that are files are checked.

    Raises:
        CallError: an objective, or what is required, is not measured.
    """

    def __init__(
        self,
        shared: Session,
        require: Iterable[Gate] = (),
        objectives: Sequence[str] = (),
        found: Sequence[str] = (),
        verify: bool = True,
    ) -> None:
        self.shared = shared
        self.verify = verify
        self.base = measures(_row(0, shared.base, shared.base, shared.costs, None, 0.0))
        known = [*found, *self.base]
        self.objectives = [self.measured(name, known) for name in objectives or known[:1]]
        self._gates = [gate for gate in require if self.measured(gate.metric, known)]
        for gate in self._gates:
            if gate.max_drop is not None and gate.metric in found:
                raise CallError(f"a base has no `{gate.metric}` to drop from", hint="require a `min`")

    @contextmanager
    def mutant(self, plan: Plan[Op], inputs: Mapping[str, Any]) -> Iterator[Trial]:
        """Evaluates a mutant, which is the base itself for as long as the block lasts, unless the architecture changes.

        Arguments:
            plan: what makes it.
            inputs: the plan's other models, or their files, by name.
        """
        start = perf_counter()
        with self._made(plan, inputs) as (model, report):
            forward = None
            if model is self.shared.model:
                paths = {target.path for step in report.steps for target in step.targets}
                forward = self.shared.shortcuts.forward(paths)
            evaluation = self.shared.evaluator.evaluate(model, self.shared.base, forward)
            costs, seconds = costs_after(report, self.shared.costs), perf_counter() - start
            yield Trial(model, _row(plan.seed, self.shared.base, evaluation, costs, report, seconds), report)

    @contextmanager
    def _made(self, plan: Plan[Op], inputs: Mapping[str, Any]) -> Iterator[tuple[Any, Report]]:
        from mutspec.execute.live import apply, mutated

        options: dict[str, Any] = {"inputs": inputs, "non_finite": NonFinite.REPORT, "verify": self.verify}
        options["data"] = self.shared.data.x
        if is_structural(plan):
            applied = apply(plan, self.shared.live, unsafe=self.shared.unsafe, **options)
            yield applied.model, applied.report
        else:
            with mutated(plan, self.shared.live, **options) as report:
                yield self.shared.model, report

    def verdicts(self, rows: Iterable[Row]) -> tuple[Verdict, ...]:
        """Returns the verdicts on mutants."""
        return tuple(verdicts(self._gates, self.base, {row.seed: measures(row) for row in rows}))

    def judged(self, result: Result) -> Result:
        """Returns a result of trials, completed with objectives, gates and the base's measures."""
        means = {name: fmean(measures(row)[name] for row in result.rows) for name in self.objectives}
        return replace(
            result,
            data=DataInfo(self.shared.data.name, self.shared.data.samples, self.shared.data.digest),
            evaluate_digest=evaluate_digest(self.shared.evaluator.settings),
            objective=self.objectives[0],
            model=replace(result.model, **self.shared.costs),
            base=self.shared.base.metrics,
            value=means[self.objectives[0]],
            objectives=means,
            gates=self.verdicts(result.rows),
            classes=class_counts(self.shared.base.classes),
            warnings=tuple(dict.fromkeys((*map(str, self.shared.warnings), *result.warnings))),
        )

    def measured(self, name: str, known: Sequence[str] = ()) -> str:
        """Returns a name, if a measure has it: one of the base, or another one that is known.

        Raises:
            CallError: no measure has it.
        """
        known = known or list(self.base)
        if name in known:
            return name
        data = self.shared.data.name
        why = "" if self.shared.base.metrics else f"; `{data}` has no labels, or no metric is asked for"
        raise CallError(no_measure(name, known, why))


def result_of(
    plan: Plan[Op],
    model: str,
    structure_digest: str,
    rows: Iterable[Row],
    warnings: Iterable[str],
    form: Plan[Op] | None = None,
) -> Result:
    """Returns a result with its plan, model and rows, which `judged` completes.

    Arguments:
        plan: of the rows; of several seeds, the first one's.
        form: the plan as it was before the sweep set anything, where that is known; by default `plan`.
        model: what the call names the base.
        structure_digest: the base's.
        rows: a row for each seed.
        warnings: what the user should know, each thing once.
    """
    return Result(
        engine=engine(),
        job=JobInfo(None, (), ""),
        plan=PlanInfo(plan.name, plan.digest, plan.effect_digest, recipe_digest=(form or plan).form_digest),
        parameters=dict(plan.params),
        mode="apply",
        model=ModelInfo(model, structure_digest),
        data=DataInfo("", 0),
        objective="",
        base={},
        rows=tuple(rows),
        value=None,
        output=None,
        warnings=tuple(dict.fromkeys(warnings)),
        error=None,
        environment=environment(),
        units=units(plan),
    )


def touched(report: Report) -> int:
    """Returns the number of entries that a plan chose."""
    return sum(target.touched for step in report.steps for target in step.targets)


def measures(row: Row) -> dict[str, float]:
    """Returns all that can be an objective, by name; the first one is the default."""
    fidelity = {name: getattr(row, name) for name in (*FIDELITY, BREAKING_POINT)}
    known = {name: value for name, value in fidelity.items() if value is not None}
    drops = {f"drop.{name}": value for name, value in row.drop.items()}
    costs = {name: float(cost) for name in COSTS if (cost := getattr(row, name)) is not None}
    return {**row.metrics, **known, "non_finite_outputs": float(row.non_finite_outputs), **drops, **costs}


def _row(seed: int, base: Evaluation, mutant: Evaluation, costs: Costs, report: Report | None, seconds: float) -> Row:
    changes = [target.changed for step in report.steps for target in step.targets] if report else []
    fidelity = mutant.fidelity
    return Row(
        seed=seed,
        metrics=mutant.metrics,
        drop={name: base.metrics[name] - value for name, value in mutant.metrics.items()},
        agreement=fidelity.agreement,
        non_finite_outputs=mutant.non_finite,
        touched=touched(report) if report else 0,
        changed=sum(change or 0 for change in changes),
        seconds=seconds,
        flips=dict(fidelity.flips) if fidelity.agreement is not None else None,
        divergence=fidelity.divergence,
        deviation=fidelity.deviation,
        sample_agreement=fidelity.sample_agreement,
        output_numbers=mutant.numbers,
        by_output=_by_output(mutant),
        changed_nothing=report.changes_nothing if report else None,
        **costs,
    )


def _by_output(mutant: Evaluation) -> dict[str, OutputRow]:
    """Returns the measures of each of several outputs."""
    if len(mutant.extents) == 1:
        return {}
    nothing = OutputFidelity(None, None, None)
    return {
        name: OutputRow(found.agreement, found.divergence, found.deviation, extent.non_finite, extent.numbers)
        for name, extent in mutant.extents.items()
        for found in (mutant.fidelity.by_output.get(name, nothing),)
    }
