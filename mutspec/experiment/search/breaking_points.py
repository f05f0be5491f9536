"""Breaking points: for each seed of a plan, the scale at which its mutant begins to break."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from time import perf_counter
from typing import Any

from msgspec.structs import replace

from mutspec.errors import CallError, PlanError
from mutspec.experiment.gates import Gate, Verdict, verdicts
from mutspec.experiment.job_settings import Search
from mutspec.experiment.metric_kinds import is_share
from mutspec.experiment.result import Breaking, Result, Row
from mutspec.experiment.result_settings import PARAMETER
from mutspec.experiment.search.bisection import BrokenAtLow, ScaleGrid, crossing
from mutspec.experiment.search.scaled_number import ScaledNumber, greatest, scaled_number, searched_effect
from mutspec.experiment.trial import Trials, measures, result_of
from mutspec.language import Plan
from mutspec.lowering.base import Op
from mutspec.show.report import Report
from mutspec.text import words

MAX_DROP = 0.1
"""The greatest drop of a share of the samples, if the call sets no bound."""

Progress = Callable[[int, int], None]
"""Told about the seeds that are done, and the seeds in all."""


def breaking_points(
    trials: Trials,
    plans: Sequence[Plan[Op]],
    inputs: Mapping[str, Any],
    search: Search,
    model: str,
    on_progress: Progress | None = None,
) -> Result:
    """Searches for the breaking point of each seed.

    Arguments:
        trials: of the base.
        plans: a plan for each seed.
        inputs: the plans' other models, or their files, by name.
        search: what to look for.
        model: what the call names the base.
        on_progress: told about the seeds that are done.

    Raises:
        CallError: the search makes no sense for plan, base or data, or a mutant is broken where it should hold yet.
    """
    turned, gate = scaled_number(plans[0], search), _gate(trials, search)
    limit = greatest(turned, plans[0], search)
    grid = ScaleGrid(search.low, search.high, limit, search.tolerance, turned.is_whole)
    rows: list[Row] = []
    warnings: list[str] = []
    for plan in plans:
        row, report = _found(trials, plan, inputs, turned, gate, grid)
        rows.append(row)
        warnings += [str(problem) for problem in report.warnings]
        if on_progress is not None:
            on_progress(len(rows), len(plans))
    if never := sum(row.breaking_point == inf for row in rows):
        said = f"{never} of {words.plural(len(rows), 'mutant')} did not break up to {turned.key}={limit:g}"
        warnings.append(f"{said}, the greatest scale, which counts as infinity")
    made = result_of(plans[0], model, report.structure_digest, rows, warnings)
    parameters = {name: value for name, value in made.parameters.items() if PARAMETER + name != turned.key}
    breaking = Breaking(turned.key, gate.metric, gate.bounds, search.tolerance)
    effect = searched_effect(plans[0], search)
    known = replace(made.plan, effect_digest=effect)
    found = replace(made, mode="breaking_point", parameters=parameters, breaking=breaking, plan=known)
    return trials.judged(found)


def _gate(trials: Trials, search: Search) -> Gate:
    """Returns the gate that a mutant passes if it is not broken. The base must pass it, too."""
    metric = trials.measured(search.metric or next(iter(trials.base)))
    gate = search.gate(metric)
    if not gate.bounds:
        if not is_share(metric, [trials.base[metric]]):
            hint = "give `max`, `min` or `max_drop`"
            raise CallError(f"nothing says when `{metric}` breaks", path=("mode", "metric"), hint=hint)
        gate = Gate(metric, max_drop=MAX_DROP)
    if failed := _failed(gate, trials, 0, trials.base):
        message = f"the base itself is broken: {failed[0]}"
        raise CallError(message, path=("mode", "metric"), hint="set a bound that it holds to")
    return gate


def _failed(gate: Gate, trials: Trials, seed: int, measured: Mapping[str, float]) -> list[Verdict]:
    return [verdict for verdict in verdicts([gate], trials.base, {seed: measured}) if not verdict.holds]


def _found(
    trials: Trials, plan: Plan[Op], inputs: Mapping[str, Any], turned: ScaledNumber, gate: Gate, grid: ScaleGrid
) -> tuple[Row, Report]:
    """Returns the mutant at the breaking point of a plan's seed, and what the plan did to it."""
    start = perf_counter()
    tried: dict[float, tuple[Row, Report]] = {}

    def breaks(scale: float) -> bool:
        scaled = turned.at(plan, scale) if scale >= grid.high else turned.below(plan, scale)
        try:
            with trials.mutant(scaled, inputs) as trial:
                tried[scale] = trial.row, trial.report
        except PlanError as error:
            raise turned.misfit(error, scale) from None
        return bool(_failed(gate, trials, plan.seed, measures(trial.row)))

    try:
        bracket = crossing(breaks, grid)
    except BrokenAtLow:
        ((scale, (row, _)),) = tried.items()
        failed = _failed(gate, trials, plan.seed, measures(row))[0]
        message = f"with seed {plan.seed} the mutant is broken at {turned.key}={scale:g} already: {failed}"
        hint = "begin with a lower `low`" if scale else "something else in the plan breaks the model"
        raise CallError(message, path=("mode", "low"), hint=hint) from None
    row, report = tried[bracket.holds_at if bracket.breaks_at is None else bracket.breaks_at]
    point = inf if bracket.breaks_at is None else bracket.breaks_at
    found = replace(
        row,
        breaking_point=float(point),
        holds_at=float(bracket.holds_at),
        evaluations=len(tried),
        seconds=perf_counter() - start,
    )
    return found, report
