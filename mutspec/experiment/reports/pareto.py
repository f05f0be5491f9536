"""Pareto fronts of a sweep: the mutants, and the base, that no other one beats in both the metric and a cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mutspec.experiment.metric_kinds import COSTS, MULTIPLY_ADDS, grows_when_worse
from mutspec.experiment.reports.groups import ResultGroup, Summary


@dataclass(frozen=True)
class Candidate:
    """A group of mutants, or the base.

    Arguments:
        group: the group; None for the base.
        cost: its cost, the mean over the seeds.
        value: its metric, the mean over the seeds.
    """

    group: ResultGroup | None
    cost: float
    value: float


@dataclass(frozen=True)
class Front:
    """The candidates by one cost.

    Arguments:
        cost: the name of the cost.
        candidates: all of them, the cheapest first.
        members: those of which no other one is at least as good in both, and better in one.
    """

    cost: str
    candidates: tuple[Candidate, ...]
    members: tuple[Candidate, ...]

    @property
    def base(self) -> float | None:
        """The cost of the base; None if there are several."""
        known = {each.cost for each in self.candidates if each.group is None}
        return known.pop() if len(known) == 1 else None


def fronts(summary: Summary) -> tuple[Front, ...]:
    """Returns the front of each cost in which mutants differ from their base; multiply–adds first."""
    if summary.metric is None or summary.metric in COSTS:
        return ()
    found = (_front(summary, name) for name in sorted(summary.varying_costs, key=MULTIPLY_ADDS.__ne__))
    return tuple(front for front in found if len(front.candidates) > 1)


def _front(summary: Summary, cost: str) -> Front:
    sign = 1 if grows_when_worse(summary.metric or "") else -1
    candidates = tuple(sorted(_candidates(summary, cost), key=lambda each: (each.cost, sign * each.value)))
    return Front(cost, candidates, tuple(_unbeaten(candidates, sign)))


def _candidates(summary: Summary, cost: str) -> Iterator[Candidate]:
    bases = {(group.base_costs.get(cost), group.base) for group in summary.groups}
    known: list[tuple[ResultGroup | None, float | None, float | None]] = [(None, *base) for base in bases]
    known += [(group, group.costs.get(cost), group.metric.mean) for group in summary.groups]
    for group, price, value in known:
        if price is not None and value is not None and math.isfinite(value):
            yield Candidate(group, price, value)


def _unbeaten(candidates: Iterable[Candidate], sign: int) -> Iterator[Candidate]:
    """Yields the candidates that none before them beats; what comes later costs as much or more."""
    best: Candidate | None = None
    for each in candidates:
        is_equal = best is not None and (each.cost, each.value) == (best.cost, best.value)
        if best is None or sign * each.value < sign * best.value or is_equal:
            best = each
            yield each
