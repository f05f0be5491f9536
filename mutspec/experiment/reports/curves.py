"""What a picture of a sweep shows, before anything is drawn: lines over a number, or categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log10
from statistics import fmean

from mutspec.experiment.reports.axes import MOST_LINES
from mutspec.experiment.reports.groups import Group, Summary
from mutspec.experiment.reports.sensitivity import sensitivity
from mutspec.experiment.result import BREAKING_POINT
from mutspec.experiment.settings import as_number, is_percentage, labels, shown

LOG_DECADES = 1.5
"""How many powers of ten numbers span before an axis becomes logarithmic."""


@dataclass(frozen=True)
class Line:
    """The groups that share all but what is on the x-axis, from left to right.

    Arguments:
        label: what they share; empty if there is only one line.
        groups: the groups, by x.
        x: where they are.
    """

    label: str
    groups: tuple[Group, ...]
    x: tuple[float, ...]


@dataclass(frozen=True)
class Curves:
    """Lines over a number.

    Arguments:
        name: what is on the x-axis.
        lines: the lines.
        is_ordered: whether the lines differ by one number, from low to high.
        is_percentage: whether x is written in percent.
        is_ranked: whether the lines are too many to draw, so that those where the model is most sensitive come first.
    """

    name: str
    lines: tuple[Line, ...]
    is_ordered: bool
    is_percentage: bool
    is_ranked: bool = False

    def cut(self, drawn: int) -> list[str]:
        """A note that not all lines are drawn, if so."""
        most = "the most sensitive " if self.is_ranked else ""
        return [f"{most}{drawn} of {len(self.lines)} lines"] if drawn < len(self.lines) else []

    @property
    def values(self) -> list[float]:
        """Every x, ascending."""
        return sorted({x for line in self.lines for x in line.x})

    @property
    def is_scatter(self) -> bool:
        """Whether no two points share all but x, so that lines would mean nothing."""
        return len(self.lines) > 1 and all(len(line.groups) == 1 for line in self.lines)

    @property
    def scale(self) -> str:
        """How x is spaced: `linear`, `log`, or `symlog` where a zero stands beside numbers that ask for `log`."""
        positive = [x for x in self.values if x > 0]
        is_wide = len(positive) > 1 and log10(max(positive)) - log10(min(positive)) >= LOG_DECADES
        if not is_wide or min(self.values) < 0:
            return "linear"
        return "symlog" if 0 in self.values else "log"


def curves(summary: Summary) -> Curves | None:
    """A sweep as lines over the number that takes most values; None if no number varies."""
    groups = [group for group in summary.groups if group.measured]
    numbers = {
        index: {as_number(group.values[index]) for group in groups}
        for index in range(len(summary.names))
        if _is_axis([group.values[index] for group in groups])
    }
    if not numbers:
        return None
    axis = max(numbers, key=lambda index: len(numbers[index]))  # the first of several
    others = [index for index in range(len(summary.names)) if index != axis]
    members: dict[str, list[tuple[float, Group]]] = {}
    by_value: dict[str, float | None] = {}
    for group in groups:
        x = as_number(group.values[axis])
        if x is not None:
            label = _label(summary, others, group)
            members.setdefault(label, []).append((x, group))
            by_value[label] = as_number(group.values[others[0]]) if len(others) == 1 else None
    is_ordered = len(members) > 1 and None not in by_value.values()
    ordered = sorted(members, key=lambda label: by_value[label] or 0.0) if is_ordered else list(members)
    lines = tuple(_line(label, members[label]) for label in ordered)
    percent = all(is_percentage(group.values[axis]) for group in groups if group.values[axis] is not None)
    ranks = _ranks(summary) if len(lines) > MOST_LINES and not is_ordered else {}
    lines = tuple(sorted(lines, key=lambda line: ranks.get(line.label, len(ranks))))
    return Curves(labels(summary.names)[axis], lines, is_ordered, percent, bool(ranks))


def _ranks(summary: Summary) -> dict[str, int]:
    """The rank of each line, if the lines are what a ranking ranks."""
    found = sensitivity(summary)
    return {each.value: rank for rank, each in enumerate(found.ranking)} if found else {}


def _is_axis(values: Sequence[object]) -> bool:
    """Whether settings are numbers, at least two of them; some jobs may lack it."""
    numbers = [as_number(value) for value in values if value is not None]
    return None not in numbers and len(set(numbers)) > 1


def _label(summary: Summary, others: Sequence[int], group: Group) -> str:
    """What tells a line from others: names of plans and the like say it themselves, numbers need their names."""
    names = labels(summary.names)
    return ", ".join(
        f"{names[index]} = {shown(group.values[index])}"
        if as_number(group.values[index]) is not None
        else shown(group.values[index])
        for index in others
    )


def _line(label: str, members: Sequence[tuple[float, Group]]) -> Line:
    ordered = sorted(members, key=lambda member: member[0])
    return Line(label, tuple(group for _, group in ordered), tuple(x for x, _ in ordered))


def ranked(summary: Summary) -> list[Group]:
    """The groups in which something was measured, in the order of the jobs; breaking points from the least one on.

    Where mutants hold at the greatest scale the mean is infinite: there, of how many seeds they do so counts first.
    """
    groups = [group for group in summary.groups if group.measured]
    if summary.metric == BREAKING_POINT:
        groups.sort(key=_strength)
    return groups


def _strength(group: Group) -> tuple[float, float]:
    found = [point for point in group.measured if isfinite(point)]
    return 1 - len(found) / len(group.measured), fmean(found or [0.0])


def category(group: Group) -> str:
    """What to call a group where no number is on an axis."""
    return ", ".join(shown(value) for value in group.values)
