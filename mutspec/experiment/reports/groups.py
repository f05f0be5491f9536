"""Results by what varies in a sweep: the seeds of one combination together, as means with their intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from mutspec.experiment.labels import labelled
from mutspec.experiment.naming import is_share
from mutspec.experiment.reports.aggregate import metric_names
from mutspec.experiment.reports.interval import Estimate, estimate
from mutspec.experiment.result import AGREEMENTS, BREAKING_POINT, FIDELITY, Result, Row
from mutspec.experiment.settings import as_number, key, varying
from mutspec.language.errors import CallError, nearest

T = TypeVar("T")

_OF_ROWS = (*FIDELITY, BREAKING_POINT)
"""What rows say beside the metrics, in one number each."""

_NON_FINITE = "non_finite_outputs"
_DROP = "drop."
"""How the names of measures begin that say how far a metric fell."""

AGREEMENT, SAMPLE_AGREEMENT = AGREEMENTS
"""The part of the choices in which mutant and base say the same, and of the samples in which they do so in all."""


@dataclass(frozen=True)
class Group:
    """The mutants that differ by their seed alone: of plan, model and data the digests are the same.

    Arguments:
        values: the values of the settings that vary, in the order of `Summary.names`.
        rows: a row for each seed; a seed that several jobs have counts once.
        measured: the metric's values, of the rows that have it, with their seeds' order.
        base: the base's value; None if it is not known, or if the jobs do not agree about it.
        metric, agreement, sample_agreement: means over the seeds, with their intervals.
        gates: for each job with gates, whether all of them hold.
    """

    values: tuple[Any, ...]
    rows: tuple[Row, ...]
    measured: tuple[float, ...]
    base: float | None
    metric: Estimate
    agreement: Estimate
    sample_agreement: Estimate
    gates: tuple[bool, ...] = ()

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
        """Of how many seeds the plan changed nothing, so that what was measured says nothing of it."""
        return sum(row.is_unchanged for row in self.rows)

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
    """

    results: tuple[Result, ...]
    names: tuple[str, ...]
    metric: str | None
    is_share: bool
    groups: tuple[Group, ...]
    base: float | None
    base_varies: bool
    given: tuple[Mapping[str, Any], ...] = ()
    joined: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @cached_property
    def has_job_numbers(self) -> bool:
        """Whether each job has a number of its own: those of several calls share them."""
        numbers = [result.job.number for result in self.results]
        return len(set(numbers)) == len(numbers)

    @cached_property
    def are_numbers(self) -> tuple[bool, ...]:
        """Of each setting that varies, whether all its values are numbers."""
        return tuple(
            all(as_number(group.values[index]) is not None for group in self.groups) for index in range(len(self.names))
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs of which something is known by itself: those of models with several."""
        return tuple(dict.fromkeys(name for group in self.groups for row in group.rows for name in row.by_output))

    @property
    def tells_samples(self) -> bool:
        """Whether a sample has several choices, so that agreement on choices and on samples are two things."""
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


def summarise(results: Sequence[Result], metric: str | None = None) -> Summary:
    """A sweep by what varies in it.

    Arguments:
        results: its results.
        metric: the metric to show, or what else rows say, such as `agreement`; by default the objective.

    Raises:
        CallError: no result has that metric.
    """
    metric = choose_metric(results, metric)
    told = labelled(results)
    names = varying(told.results, told.given)
    members: dict[tuple[str, ...], list[Result]] = {}
    values_of: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for result, given in zip(told.results, told.given, strict=True):
        if result.rows:
            settings = tuple(given.get(name) for name in names)
            keys = tuple(map(key, settings))
            members.setdefault(keys, []).append(result)
            values_of.setdefault(keys, settings)
    groups = tuple(_group(each, values_of[keys], metric) for keys, each in members.items())
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
    )


def choose_metric(results: Sequence[Result], asked: str | None = None) -> str | None:
    """The metric to show: the one asked for, else the objective of most jobs, else the first there is.

    All that can be an objective can be asked for. Of a drop that is the objective the metric is shown: beside it stands
    how far it fell.

    Raises:
        CallError: no result has the one that is asked for.
    """
    measured = metric_names(each for each in results if any(row.metrics for row in each.rows))
    rows = [row for each in results for row in each.rows]
    known = [*measured, *(name for name in _OF_ROWS if any(getattr(row, name) is not None for row in rows))]
    others = [_NON_FINITE, *(f"{_DROP}{name}" for name in measured)] if known else []
    if asked is not None and asked not in (*known, *others):
        has = f"there are {', '.join(f'`{name}`' for name in (*known, *others))}" if known else "nothing was evaluated"
        raise CallError(
            f"no result has the metric `{asked}`", hint=has, candidates=nearest(asked, known) or nearest(asked, others)
        )
    named = Counter(result.objective.removeprefix(_DROP) for result in results)
    objectives = Counter({name: count for name, count in named.items() if name in (*known, *others)})
    return asked or (objectives.most_common(1)[0][0] if objectives else known[0] if known else None)


def _group(results: Sequence[Result], values: tuple[Any, ...], metric: str | None) -> Group:
    rows: dict[int, Row] = {}
    for row in (row for result in results for row in result.rows):
        if row.seed not in rows or measure(rows[row.seed], metric) is None:
            rows[row.seed] = row
    measured = tuple(_known(measure(row, metric) for row in rows.values()))
    bases = set(_known(result.base.get(metric) for result in results)) if metric is not None else set()
    return Group(
        values,
        tuple(rows.values()),
        measured,
        bases.pop() if len(bases) == 1 else None,
        estimate(measured),
        estimate(_known(row.agreement for row in rows.values())),
        estimate(_known(row.sample_agreement for row in rows.values())),
        tuple(not result.failed_gates for result in results if result.gates),
    )


def measure(row: Row, metric: str | None) -> float | None:
    """What a mutant measured of a metric, of how far that fell, or of how true the mutant is to its base."""
    if metric is None or metric in row.metrics:
        return None if metric is None else row.metrics[metric]
    if metric == _NON_FINITE:
        return float(row.non_finite_outputs)
    if metric.startswith(_DROP):
        return row.drop.get(metric.removeprefix(_DROP))
    measured: float | None = getattr(row, metric) if metric in _OF_ROWS else None
    return measured


def _known(values: Iterable[T | None]) -> list[T]:
    return [value for value in values if value is not None]
