"""A sweep as lines over a number, or as the categories that it compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite, log10
from statistics import fmean, pstdev

from mutspec.experiment.reports.averaging import SEED
from mutspec.experiment.reports.groups import ResultGroup, Summary
from mutspec.experiment.reports.marks import Spacing
from mutspec.experiment.reports.sensitivity import sensitivity
from mutspec.experiment.result import BREAKING_POINT
from mutspec.experiment.result_settings import PARAMETER, as_number, is_percentage, is_position, labels, shown

LOG_DECADES = 1.5
"""The powers of ten that numbers must span for an axis to become logarithmic."""
MANY_POSITIONS = 6
"""The number of consecutive whole numbers from which on they are positions, whatever their name is."""


@dataclass(frozen=True)
class Line:
    """The groups that share all but what is on the x-axis, from left to right.

    Arguments:
        label: what they share; empty if there is only one line.
        groups: the groups, by x.
        x: where they are.
    """

    label: str
    groups: tuple[ResultGroup, ...]
    x: tuple[float, ...]


@dataclass(frozen=True)
class Curves:
    """Lines over a number.

    Arguments:
        name: what is on the x-axis.
        axis: the index of that setting.
        lines: the lines, in the order of the sweep; by their number if one number tells them apart.
        is_percentage: whether x is written in percent.
        ranks: the rank of each line's label, if the lines are what a ranking ranks.
    """

    name: str
    axis: int
    lines: tuple[Line, ...]
    is_percentage: bool
    ranks: dict[str, int]

    @property
    def values(self) -> list[float]:
        """Every x, ascending."""
        return sorted({x for line in self.lines for x in line.x})

    @property
    def is_scatter(self) -> bool:
        """True if no two points share all settings except x, so that lines would mean nothing."""
        return len(self.lines) > 1 and all(len(line.groups) == 1 for line in self.lines)

    @property
    def is_discrete(self) -> bool:
        """Tells whether x numbers things, such as the bits of a weight, so that nothing lies between two of them."""
        values = self.values
        if any(value != int(value) for value in values):
            return False
        is_consecutive = all(right - left == 1 for left, right in pairwise(values))
        return is_position(self.name) or (is_consecutive and len(values) >= MANY_POSITIONS)

    @property
    def spacing(self) -> Spacing:
        """The spacing of x: `symlog` if a zero is among numbers that ask for `log`."""
        positive = [x for x in self.values if x > 0]
        decades = log10(max(positive)) - log10(min(positive)) if len(positive) > 1 else 0.0
        is_wide = decades >= LOG_DECADES or (decades >= 1 and _are_ratios_even(positive))
        if not is_wide or min(self.values) < 0 or (self.is_discrete and not self.is_scatter):
            return "linear"
        return "symlog" if 0 in self.values else "log"


def _are_ratios_even(values: Sequence[float]) -> bool:
    """Tells whether numbers were chosen by their ratios, as 0.1, 0.3, 1, 3, and not by their differences."""

    def unevenness(places: Sequence[float]) -> float:
        gaps = [right - left for left, right in pairwise(places)]
        return pstdev(gaps) / fmean(gaps)

    return unevenness([log10(value) for value in values]) < 0.5 * unevenness(values)


def curves(summary: Summary) -> Curves | None:
    """A sweep as lines over the number that takes most values; None if no number varies."""
    groups = [group for group in summary.groups if group.measured]
    numbers = {
        index: {as_number(group.values[index]) for group in groups}
        for index, name in enumerate(summary.names)
        if name != PARAMETER + SEED and _is_axis([group.values[index] for group in groups])
    }
    if not numbers:
        return None
    axis = max(numbers, key=lambda index: len(numbers[index]))  # the first of several
    others = [index for index in range(len(summary.names)) if index != axis]
    members: dict[str, list[tuple[float, ResultGroup]]] = {}
    for group in groups:
        x = as_number(group.values[axis])
        if x is not None:
            members.setdefault(label_of(summary, others, group), []).append((x, group))
    lines = ordered(summary, others, [_line(label, each) for label, each in members.items()])
    percent = all(is_percentage(group.values[axis]) for group in groups if group.values[axis] is not None)
    return Curves(labels(summary.names)[axis], axis, lines, percent, _ranks(summary))


def is_ordered(summary: Summary, settings: Sequence[int], lines: Sequence[Line]) -> bool:
    """Tells whether one number distinguishes lines."""
    return (
        len(settings) == 1
        and len(lines) > 1
        and all(as_number(line.groups[0].values[settings[0]]) is not None for line in lines)
    )


def ordered(summary: Summary, settings: Sequence[int], lines: Sequence[Line]) -> tuple[Line, ...]:
    """Lines from low to high if one number tells them apart; else as they are."""
    if not is_ordered(summary, settings, lines):
        return tuple(lines)
    return tuple(sorted(lines, key=lambda line: as_number(line.groups[0].values[settings[0]]) or 0.0))


def _ranks(summary: Summary) -> dict[str, int]:
    found = sensitivity(summary)
    return {each.value: rank for rank, each in enumerate(found.ranking)} if found else {}


def _is_axis(values: Sequence[object]) -> bool:
    """Returns whether a setting's values are at least two numbers; some jobs may not have it."""
    numbers = [as_number(value) for value in values if value is not None]
    return None not in numbers and len(set(numbers)) > 1


def label_of(summary: Summary, settings: Sequence[int], group: ResultGroup) -> str:
    """The label of a group by some settings: a number is given with the name of its setting."""
    names = labels(summary.names)
    return ", ".join(
        f"{names[index]} = {summary.written(summary.names[index], group.values[index])}"
        if as_number(group.values[index]) is not None
        else shown(group.values[index])
        for index in settings
    )


def _line(label: str, members: Sequence[tuple[float, ResultGroup]]) -> Line:
    ordered = sorted(members, key=lambda member: member[0])
    return Line(label, tuple(group for _, group in ordered), tuple(x for x, _ in ordered))


def ranked(summary: Summary) -> list[ResultGroup]:
    """The groups in which something was measured, in the order of the jobs; breaking points from the least one on.

    Where mutants hold at the greatest scale the mean is infinite: there, of how many seeds they do so counts first.
    """
    groups = [group for group in summary.groups if group.measured]
    if summary.metric == BREAKING_POINT:
        groups.sort(key=_strength)
    return groups


def _strength(group: ResultGroup) -> tuple[float, float]:
    found = [point for point in group.measured if isfinite(point)]
    return 1 - len(found) / len(group.measured), fmean(found or [0.0])
