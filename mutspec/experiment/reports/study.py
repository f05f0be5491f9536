"""A sweep that optimised: its trials, the best one so far, and those that no other one beats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mutspec.experiment.reports.aggregate import rounds_of
from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.result import Result
from mutspec.experiment.result_settings import labels

MAXIMIZE = "maximize"


@dataclass(frozen=True)
class StudyTrial:
    """A job that has a value of each objective.

    Arguments:
        number: its place among all trials of the study, from 0, of which some may have failed.
        result: what the job found.
        values: the objectives, in their order.
        given: what the sweeper chose, by label.
    """

    number: int
    result: Result
    values: tuple[float, ...]
    given: Mapping[str, Any]


@dataclass(frozen=True)
class Study:
    """The trials of a sweeper that optimises.

    Arguments:
        directions: `minimize` or `maximize` for each objective, by name.
        trials: in the order of the calls and of their jobs.
        front: the trials that no other one beats: none is as good in all objectives and better in one.
        names: the labels of what the sweeper chose.
        left_out: how many jobs failed, or have a value that is not finite.
    """

    directions: dict[str, str]
    trials: tuple[StudyTrial, ...]
    front: tuple[StudyTrial, ...]
    names: tuple[str, ...]
    left_out: int

    def best_so_far(self, objective: int) -> list[float]:
        """After each trial the best value of an objective that was found until then."""
        better = max if list(self.directions.values())[objective] == MAXIMIZE else min
        best: list[float] = []
        for trial in self.trials:
            value = trial.values[objective]
            best.append(better(best[-1], value) if best else value)
        return best


def study(summary: Summary) -> Study | None:
    """The trials of a sweep; None if its sweeper did not optimise, or if there are less than two."""
    directions = next((result.directions for result in summary.results if result.directions), {})
    if not directions:
        return None
    names = summary.names
    trials: list[StudyTrial] = []
    places = _places(summary.results, directions)
    for number, result, given in zip(places, summary.results, summary.given, strict=True):
        values = tuple(result.objectives.get(name, math.nan) for name in directions)
        if result.directions == directions and all(map(math.isfinite, values)):
            chosen = {label: given.get(name) for name, label in zip(names, labels(names), strict=True)}
            trials.append(StudyTrial(number, result, values, chosen))
    if len(trials) < 2:
        return None
    left_out = len(summary.results) - len(trials)
    return Study(dict(directions), tuple(trials), _front(trials, directions), tuple(labels(names)), left_out)


def _places(results: Sequence[Result], directions: Mapping[str, str]) -> list[int]:
    """The number of each job among the trials of a study that several calls may have gone on with.

    Within a call it is the job's number, so that what left no value leaves a gap. Where a number is there twice, as in
    results of older versions, which do not know their calls, the jobs are counted.
    """
    rounds = rounds_of(results)
    of_study = {rounds.get(result.job.call, 0) for result in results if result.directions == directions}
    known = [(rounds.get(result.job.call, 0), result.job.number) for result in results]
    counted = [each for each in known if each[0] in of_study]
    if len(set(counted)) < len(counted) or any(number is None for _, number in counted):
        return list(range(len(results)))
    begins, next_one = {}, 0
    for one in sorted(of_study):
        begins[one] = next_one
        next_one += 1 + max(number or 0 for other, number in counted if other == one)
    return [begins.get(one, 0) + (number or 0) for one, number in known]


def _front(trials: Sequence[StudyTrial], directions: Mapping[str, str]) -> tuple[StudyTrial, ...]:
    """The trials that no other one beats, the best in the first objective first."""
    signs = [-1 if direction == MAXIMIZE else 1 for direction in directions.values()]

    def costs(trial: StudyTrial) -> tuple[float, ...]:
        return tuple(sign * value for sign, value in zip(signs, trial.values, strict=True))

    front: list[StudyTrial] = []
    for trial in sorted(trials, key=costs):  # what comes later beats nothing before it
        mine = costs(trial)
        is_beaten = any(
            costs(other) != mine and all(one <= two for one, two in zip(costs(other), mine, strict=True))
            for other in front
        )
        if not is_beaten:
            front.append(trial)
    return tuple(front)
