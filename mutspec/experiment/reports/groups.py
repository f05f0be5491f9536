"""Results by what varies in a sweep: the seeds of one combination together, as means with their intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isclose, isnan
from statistics import fmean
from typing import Any, TypeVar

from mutspec.errors import CallError, nearest
from mutspec.experiment.labels import Given, labelled
from mutspec.experiment.metric_kinds import COSTS, DROP, is_rate_of_samples, is_share
from mutspec.experiment.reports.aggregate import metric_names
from mutspec.experiment.reports.averaging import SEED, by_seed, mean_rows
from mutspec.experiment.reports.interval import Estimate, estimate, rate
from mutspec.experiment.result import AGREEMENTS, BREAKING_POINT, FIDELITY, ModelInfo, Result, Row
from mutspec.experiment.result_settings import PERCENT, as_number, key, labels, shown, varying

T = TypeVar("T")

_OF_ROWS = (*FIDELITY, BREAKING_POINT)
"""The numbers of rows that are not metrics."""

NOT_AVERAGED = "none"
"""Asks for no means, over seeds either."""

_NON_FINITE = "non_finite_outputs"

AGREEMENT, SAMPLE_AGREEMENT = AGREEMENTS
"""The part of the choices in which mutant and base say the same, and of the samples in which they do so in all."""


@dataclass(frozen=True)
class ResultGroup:
    """The mutants that differ by their seed alone: of plan, model and data the digests are the same.

    Arguments:
        values: the values of the settings that vary, in the order of `Summary.names`.
        rows: a row for each seed; a seed that several jobs have counts once.
        measured: the metric's values, of the rows that have it, with their seeds' order.
        base: the base's value; None if it is not known, or if the jobs do not agree about it.
        metric, agreement, sample_agreement: means over the seeds, with their intervals.
        gates: for each job with gates, whether all of them hold.
        conflicts: a clause for each thing about which its jobs do not agree, so that not all that they say is shown.
        costs: the mutants' costs, the means over the seeds, by name as far as they are known.
        base_costs: the base's costs.
    """

    values: tuple[Any, ...]
    rows: tuple[Row, ...]
    measured: tuple[float, ...]
    base: float | None
    metric: Estimate
    agreement: Estimate
    sample_agreement: Estimate
    gates: tuple[bool, ...] = ()
    conflicts: tuple[str, ...] = ()
    costs: Mapping[str, float] = field(default_factory=dict)
    base_costs: Mapping[str, float] = field(default_factory=dict)

    @property
    def drop(self) -> float | None:
        """The base's value minus the mean."""
        return None if self.base is None or self.metric.mean is None else self.base - self.metric.mean

    @property
    def non_finite_outputs(self) -> int:
        """In the outputs of all seeds together."""
        return sum(row.non_finite_outputs for row in self.rows)

    @property
    def unchanged(self) -> int:
        """The number of seeds for which the plan changed nothing, so that the measurement says nothing about it."""
        return sum(row.is_unchanged for row in self.rows)

    @property
    def is_unchanged(self) -> bool:
        """True if the plan changed nothing with any seed."""
        return 0 < self.unchanged == len(self.rows)

    @property
    def output_numbers(self) -> int | None:
        """The numbers in the outputs of all seeds together; None if that is not known."""
        counts = _known(row.output_numbers for row in self.rows)
        return sum(counts) if len(counts) == len(self.rows) else None


@dataclass(frozen=True, eq=False)
class Summary:
    """A sweep by what varies in it. One is equal to itself alone, so that what is found in it can be kept.

    Arguments:
        results: all of its results, with labels in the place of names: what is not the same is called otherwise.
        names: the settings that vary.
        metric: the metric that is shown; None if nothing was evaluated.
        is_share: whether it is a part of the samples, to be written in percent.
        groups: a group for each combination of the settings' values, in the order of the jobs.
        base: the base's value, if all groups have the same; else None.
        base_varies: whether groups have different bases.
        given: the settings of each result, with labels.
        joined: the names of what is the same, where several are given: what it is, and the names.
        averaged: the settings over which means are taken for each seed.
        replicates: what the values of a group differ by, such as `seeds`.
        units: the units of settings, by name.
    """

    results: tuple[Result, ...]
    names: tuple[str, ...]
    metric: str | None
    is_share: bool
    groups: tuple[ResultGroup, ...]
    base: float | None
    base_varies: bool
    given: tuple[Mapping[str, Any], ...] = ()
    joined: tuple[tuple[str, tuple[str, ...]], ...] = ()
    averaged: tuple[str, ...] = ()
    replicates: str = "seeds"
    units: Mapping[str, str] = field(default_factory=dict)

    def is_fraction(self, index: int) -> bool:
        """Tells whether a setting is a part of something, to be written in percent."""
        return self.units.get(self.names[index]) == PERCENT

    def written(self, name: str, value: Any) -> str:
        """Returns the value of a setting for people: a part of something in percent, however the call wrote it."""
        number = as_number(value) if self.units.get(name) == PERCENT else None
        return shown(value) if number is None else f"{round(100 * number, 8):.6g}%"

    @cached_property
    def has_job_numbers(self) -> bool:
        """True if each job has a number of its own; jobs of several calls share numbers."""
        numbers = [result.job.number for result in self.results]
        return len(set(numbers)) == len(numbers)

    @cached_property
    def are_numbers(self) -> tuple[bool, ...]:
        """Whether all values are numbers, for each setting that varies."""
        return tuple(
            all(as_number(group.values[index]) is not None for group in self.groups) for index in range(len(self.names))
        )

    @cached_property
    def varying_costs(self) -> tuple[str, ...]:
        """The costs in which a mutant differs from its base."""
        return tuple(
            name for name in COSTS if any(each.costs.get(name) != each.base_costs.get(name) for each in self.groups)
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs of which something is known by itself: those of models with several."""
        return tuple(dict.fromkeys(name for group in self.groups for row in group.rows for name in row.by_output))

    @property
    def tells_samples(self) -> bool:
        """True if a sample has several choices, so that agreement on choices and on samples differ."""
        rows = [row for group in self.groups for row in group.rows if row.sample_agreement is not None]
        return bool(self.outputs) or any(row.sample_agreement != row.agreement for row in rows)

    @property
    def failed(self) -> tuple[Result, ...]:
        """The jobs that failed."""
        return tuple(result for result in self.results if result.error is not None)

    @property
    def refused(self) -> tuple[Result, ...]:
        """The jobs whose mutants do not hold to what is required."""
        return tuple(result for result in self.results if result.failed_gates)


def summarise(results: Sequence[Result], metric: str | None = None, average: Sequence[str] = ()) -> Summary:
    """A sweep by what varies in it.

    Arguments:
        results: its results.
        metric: the metric to show, or what else rows say, such as `agreement`; by default the objective.
        average: the settings over which means are taken, besides the seeds; `none` alone: not over the seeds either.

    Raises:
        CallError: no result has that metric, or no such setting varies.
    """
    metric = choose_metric(results, metric)
    is_by_seed = list(average) == [NOT_AVERAGED]
    told = labelled(results)
    known = list(zip(told.results, told.given, strict=True))
    known = by_seed(known) if is_by_seed else known
    names = varying([result for result, _ in known], [given for _, given in known])
    averaged = _named(names, () if is_by_seed else average)
    names = tuple(name for name in names if name not in averaged)
    members: dict[tuple[str, ...], list[tuple[Result, Given]]] = {}
    for result, given in known:
        if result.rows:
            members.setdefault(tuple(key(given.get(name)) for name in names), []).append((result, given))
    groups = tuple(_group(each, names, metric, averaged) for each in members.values())
    values = [value for group in groups for value in (*group.measured, *_known([group.base]))]
    bases = set(_known(group.base for group in groups))
    return Summary(
        told.results,
        names,
        metric,
        metric is not None and is_share(metric, values),
        groups,
        bases.pop() if len(bases) == 1 else None,
        len(bases) > 1,
        told.given,
        told.joined,
        tuple(labels(averaged)),
        _replicates(told.results, averaged),
        _units(results),
    )


def _units(results: Iterable[Result]) -> dict[str, str]:
    """The units of settings in which all results agree that have one."""
    known: dict[str, set[str]] = {}
    for result in results:
        for name, unit in result.units.items():
            known.setdefault(name, set()).add(unit)
    return {name: units.pop() for name, units in known.items() if len(units) == 1}


def _named(names: Sequence[str], asked: Iterable[str]) -> tuple[str, ...]:
    """The names of settings that are asked for by name or label; seeds are averaged without being asked for."""
    known = {**dict(zip(labels(names), names, strict=True)), **{name: name for name in names}}
    wanted = [each for each in asked if each != SEED]
    if unknown := [each for each in wanted if each not in known]:
        hint = f"there are {', '.join(f'`{each}`' for each in labels(names))}" if names else "nothing varies but seeds"
        message = f"no setting `{unknown[0]}` varies, so there is nothing to average"
        raise CallError(message, hint=hint, candidates=_meant(unknown[0], labels(names)))
    return tuple(dict.fromkeys(known[each] for each in wanted))


def _replicates(results: Sequence[Result], averaged: Sequence[str]) -> str:
    """The name of what the values of a group differ by."""
    has_one_seed = len({row.seed for result in results for row in result.rows}) == 1
    return " and ".join(labels(averaged)) if averaged and has_one_seed else "seeds"


def setting_index(summary: Summary, asked: str, among: Iterable[int]) -> int:
    """The index of a setting by its name or its label.

    Raises:
        CallError: none of those that it may be is called so.
    """
    names = labels(summary.names)
    known = {name: index for index in among for name in (summary.names[index], names[index])}
    if asked not in known:
        varies = dict.fromkeys(names[index] for index in known.values())
        hint = f"there are {', '.join(f'`{name}`' for name in varies)}" if varies else "nothing else varies"
        is_axis = asked in names or asked in summary.names
        said = f"`{asked}` is the axis of each line, and" if is_axis else f"no setting `{asked}`"
        does = "does not tell lines or rows apart" if is_axis else "tells lines or rows apart"
        raise CallError(f"{said} {does}", hint=hint, candidates=() if is_axis else _meant(asked, varies))
    return known[asked]


def _meant(asked: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that may have been meant: similar ones, or those that end with what is asked for, or with similar."""
    names = list(names)
    last = {name: name.rpartition(".")[2] for name in names}
    near = nearest(asked.rpartition(".")[2], list(last.values()))
    return nearest(asked, names) or tuple(name for name in names if last[name] in near)[:3]


def choose_metric(results: Sequence[Result], asked: str | None = None) -> str | None:
    """The metric to show: the one asked for, else the objective of most jobs, else the first there is.

    Every metric that can be an objective can be asked for. If the objective is a drop, its metric is shown, and next to
    it how far it fell.

    Raises:
        CallError: no result has the one that is asked for.
    """
    measured = metric_names(each for each in results if any(row.metrics for row in each.rows))
    rows = [row for each in results for row in each.rows]
    known = [*measured, *(name for name in _OF_ROWS if any(getattr(row, name) is not None for row in rows))]
    others = [_NON_FINITE, *(f"{DROP}{name}" for name in measured)] if known else []
    others += [name for name in COSTS if any(getattr(row, name) is not None for row in rows)]
    if asked is not None and asked not in (*known, *others):
        has = f"there are {', '.join(f'`{name}`' for name in (*known, *others))}" if known else "nothing was evaluated"
        raise CallError(
            f"no result has the metric `{asked}`", hint=has, candidates=nearest(asked, known) or nearest(asked, others)
        )
    named = Counter(result.objective.removeprefix(DROP) for result in results)
    objectives = Counter({name: count for name, count in named.items() if name in (*known, *others)})
    return asked or (objectives.most_common(1)[0][0] if objectives else known[0] if known else None)


def _group(
    known: Sequence[tuple[Result, Given]], names: Sequence[str], metric: str | None, averaged: Sequence[str] = ()
) -> ResultGroup:
    results, settings = [result for result, _ in known], known[0][1]
    by_value: dict[tuple[str, ...], dict[int, Row]] = {}
    for result, given in known:
        of_value = by_value.setdefault(tuple(key(given.get(name)) for name in averaged), {})
        for row in result.rows:
            if row.seed not in of_value or measure(of_value[row.seed], metric) is None:
                of_value[row.seed] = row
    rows = {row.seed: row for row in mean_rows(by_value)}
    conflicts = tuple(_conflicts(known, averaged))
    measured = tuple(_known(measure(row, metric) for row in rows.values()))
    bases = set(_known(base_measure(result, metric) for result in results))
    if averaged and bases:  # a mean of mutants is held against the mean of their bases
        bases = {fmean(_known(base_measure(result, metric) for result in results))}
    samples = 0 if averaged else results[0].data.samples
    return ResultGroup(
        tuple(settings.get(name) for name in names),
        tuple(rows.values()),
        measured,
        bases.pop() if len(bases) == 1 else None,
        rate(measured, samples) if metric is not None and is_rate_of_samples(metric) else estimate(measured),
        rate(_known(row.agreement for row in rows.values()), samples),
        rate(_known(row.sample_agreement for row in rows.values()), samples),
        tuple(not result.failed_gates for result in results if result.gates),
        conflicts,
        _costs(rows.values()),
        _costs(result.model for result in results),
    )


def _costs(models: Iterable[Row | ModelInfo]) -> dict[str, float]:
    """Returns the means of the costs that all of some models have."""
    models = list(models)
    found = {name: _known(getattr(model, name) for model in models) for name in COSTS}
    return {name: fmean(costs) for name, costs in found.items() if len(costs) == len(models)}


def _conflicts(known: Iterable[tuple[Result, Given]], averaged: Sequence[str]) -> Iterator[str]:
    """Yields contradictions between jobs: two values of a metric for one seed, or for one base."""
    first: dict[tuple[Any, ...], tuple[float, str]] = {}
    told: set[tuple[Any, ...]] = set()
    for result, given in known:
        value = tuple(key(given.get(name)) for name in averaged)
        said: dict[tuple[Any, ...], float] = {(value, None, name): number for name, number in result.base.items()}
        said |= {(value, row.seed, name): number for row in result.rows for name, number in row.metrics.items()}
        for what, number in said.items():
            other, directory = first.setdefault(what, (number, result.job.directory))
            if what not in told and not _agree(number, other):
                told.add(what)
                whose = "the base" if what[1] is None else f"seed {what[1]}"
                numbers = f"{other:.6g} in {directory} and {number:.6g} in {result.job.directory}"
                yield f"{what[2]} of {whose} is {numbers}"


def _agree(one: float, other: float) -> bool:
    """Tells whether two values can be of the same: processors do not round alike."""
    return one == other or (isnan(one) and isnan(other)) or isclose(one, other, rel_tol=1e-3, abs_tol=1e-6)


def measure(row: Row, metric: str | None) -> float | None:
    """Returns a measure of a mutant: a metric, its drop, or a measure of fidelity to the base."""
    if metric is None or metric in row.metrics:
        return None if metric is None else row.metrics[metric]
    if metric == _NON_FINITE:
        return float(row.non_finite_outputs)
    if metric in COSTS:
        cost: int | None = getattr(row, metric)
        return None if cost is None else float(cost)
    if metric.startswith(DROP):
        return row.drop.get(metric.removeprefix(DROP))
    measured: float | None = getattr(row, metric) if metric in _OF_ROWS else None
    return measured


def base_measure(result: Result, metric: str | None) -> float | None:
    """Returns the base's value of a metric, or its cost."""
    cost: int | None = getattr(result.model, metric) if metric in COSTS else None
    return result.base.get(metric or "") if cost is None else float(cost)


def _known(values: Iterable[T | None]) -> list[T]:
    return [value for value in values if value is not None]
