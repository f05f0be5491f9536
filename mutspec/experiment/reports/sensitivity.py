"""The sensitivity of a model: its loss by place and scale, as a map, and the places in their order.

A place is a value of the one setting that is not a number, such as a layer. The scale is the one number that varies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import Any

from mutspec.experiment.metric_kinds import grows_when_worse
from mutspec.experiment.reports.groups import Summary, measure
from mutspec.experiment.reports.interval import Estimate, estimate, is_surely_above
from mutspec.experiment.result import AGREEMENTS, FIDELITY, Row
from mutspec.experiment.result_settings import as_number, labels, shown


@dataclass(frozen=True)
class Ranked:
    """A place in the ranking.

    Arguments:
        value: what it is called, such as the layer's name.
        harm: how much worse the metric gets: the mean over the scales for each seed, and of these the mean.
        ranks: the best and the worst rank that seeds leave open; None if there is one seed, or no rank.
        unchanged: at how many of the scales that are compared the plan changed nothing there, with any seed.
        is_ranked: whether it changed something at one of them; else the place comes last and has no rank.
    """

    value: str
    harm: Estimate
    ranks: tuple[int, int] | None
    unchanged: int = 0
    is_ranked: bool = True


@dataclass(frozen=True)
class Sensitivity:
    """The loss of a metric, by place and scale.

    Arguments:
        name: what the places are, such as `layer`.
        over: what the scales are, such as `std`; empty if no number varies.
        scales: the scales as they were written, ascending.
        harms: for each place, in the order of the sweep, the mean at each scale; None where nothing was measured.
        compared: how many of the scales count in the ranking: those at which all places were measured.
        ranking: the places, the most sensitive first, and last those where nothing was changed.
        is_rise: whether the metric grows when a model gets worse.
        unchanged: for each place, whether the plan changed nothing at each scale, with any seed.
    """

    name: str
    over: str
    scales: tuple[Any, ...]
    harms: dict[str, tuple[float | None, ...]]
    compared: int
    ranking: tuple[Ranked, ...]
    is_rise: bool
    unchanged: dict[str, tuple[bool, ...]]

    @property
    def word(self) -> str:
        """The word for what the metric does when a model gets worse."""
        return "Rise" if self.is_rise else "Drop"

    @property
    def most(self) -> float:
        """The largest harm of the map that is finite, at least 0."""
        every = [each for harms in self.harms.values() for each in harms if each is not None and math.isfinite(each)]
        return max([0.0, *every])


@lru_cache(maxsize=1)
def sensitivity(summary: Summary) -> Sensitivity | None:
    """Returns a sweep as a map and a ranking; None unless it varies one non-number and at most one number.

    Plans are not places, as their scales are in units of their own; nor are metrics. Breaking points are not compared
    by another measure, as each was found at a scale of its own.

    It is kept for the last summary: page, pictures and tables of a report all ask for it.
    """
    if any(result.breaking for result in summary.results):
        return None
    axes = _axes(summary)
    if axes is None or summary.metric is None:
        return None
    place, scale = axes
    found: dict[str, dict[float, dict[int, float]]] = {}
    still: dict[str, set[float]] = {}
    written: dict[float, Any] = {}
    for group in summary.groups:
        harms = {row.seed: harm for row in group.rows if (harm := _harm(row, summary.metric)) is not None}
        if harms:
            at = 0.0 if scale is None else as_number(group.values[scale]) or 0.0
            written.setdefault(at, "" if scale is None else group.values[scale])
            found.setdefault(shown(group.values[place]), {})[at] = harms
            if group.is_unchanged:
                still.setdefault(shown(group.values[place]), set()).add(at)
    if len(found) < 2:
        return None
    scales = sorted(written)
    compared = [at for at in scales if all(at in each for each in found.values())]
    names = labels(summary.names)
    return Sensitivity(
        name=names[place],
        over="" if scale is None else names[scale],
        scales=tuple(written[at] for at in scales),
        harms={
            value: tuple(fmean(each[at].values()) if at in each else None for at in scales)
            for value, each in found.items()
        },
        compared=len(compared),
        ranking=_ranking(found, still, compared) if compared else (),
        is_rise=grows_when_worse(summary.metric),
        unchanged={value: tuple(at in still.get(value, ()) for at in scales) for value in found},
    )


def _axes(summary: Summary) -> tuple[int, int | None] | None:
    """Returns the indices of the settings that are the places and the scale."""
    numbers = [index for index, is_one in enumerate(summary.are_numbers) if is_one]
    others = [index for index, is_one in enumerate(summary.are_numbers) if not is_one]
    if len(others) != 1 or len(numbers) > 1 or summary.names[others[0]] in ("plan", "evaluate"):
        return None
    return others[0], numbers[0] if numbers else None


def _harm(row: Row, metric: str) -> float | None:
    """Returns how much worse a mutant is than its base. A base agrees with its own outputs, at distance 0."""
    drop = row.drop.get(metric)
    if drop is None and metric in FIDELITY and (measured := measure(row, metric)) is not None:
        drop = (1.0 if metric in AGREEMENTS else 0.0) - measured
    return None if drop is None else -drop if grows_when_worse(metric) else drop


def _by_seed(harms: dict[float, dict[int, float]], scales: Sequence[float]) -> list[float]:
    """The mean over the scales for each seed that all of them have. One seed is one direction, so it is one value."""
    seeds = [seed for seed in harms[scales[0]] if all(seed in harms[at] for at in scales)]
    return [fmean(harms[at][seed] for at in scales) for seed in seeds]


def _ranking(
    harms: dict[str, dict[float, dict[int, float]]], still: dict[str, set[float]], compared: Sequence[float]
) -> tuple[Ranked, ...]:
    """The places by their harm. What is not finite is beyond all that is; where nothing was changed, there is no rank.

    Arguments:
        harms: by place, scale and seed.
        still: the scales at which nothing was changed, by place.
        compared: the scales that count.
    """
    known = {value: estimate(values) for value, each in harms.items() if (values := _by_seed(each, compared))}
    unchanged = {value: sum(at in still.get(value, ()) for at in compared) for value in known}
    ranked = {value: each for value, each in known.items() if unchanged[value] < len(compared)}

    def place(value: str) -> tuple[bool, float]:
        mean = known[value].mean
        return value in ranked, math.inf if mean is None or math.isnan(mean) else mean

    return tuple(
        Ranked(
            value,
            known[value],
            _ranks(known[value], ranked.values()) if value in ranked else None,
            unchanged[value],
            value in ranked,
        )
        for value in sorted(known, key=place, reverse=True)
    )


def _ranks(one: Estimate, all_of_them: Iterable[Estimate]) -> tuple[int, int] | None:
    """The ranks that are left open by comparing a place with each other one."""
    if one.half_width is None:
        return None
    others = list(all_of_them)
    above = sum(is_surely_above(other, one) for other in others)
    below = sum(is_surely_above(one, other) for other in others)
    return 1 + above, len(others) - below
