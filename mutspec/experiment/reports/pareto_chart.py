"""The chart of Pareto fronts: the metric over what mutants cost, with the front as a staircase."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mutspec.experiment.metric_kinds import MULTIPLY_ADDS
from mutspec.experiment.reports.axes import TICK_CHARACTERS, log_ticks, shortened, ticks, value_axis, with_ticks
from mutspec.experiment.reports.colours import PALETTE, Colour, ramp
from mutspec.experiment.reports.curves import curves, is_ordered
from mutspec.experiment.reports.groups import ResultGroup, Summary
from mutspec.experiment.reports.marks import Axis, Chart, Dots, Entry, Mark, Panel, Point, Polyline
from mutspec.experiment.reports.pareto import Candidate, Front, fronts
from mutspec.experiment.reports.sweep_chart import label_of_row, teller
from mutspec.experiment.reports.table import Numbers, metric_label, title
from mutspec.text import words

LOG_RATIO = 30
"""The axis of a cost is logarithmic if the largest is at least this many times the smallest."""

MOST_LINES = 8
"""The lines that have colours of their own."""


def pareto_chart(summary: Summary) -> Chart | None:
    """The metric over each cost in which mutants differ, in a panel each; None if they do not."""
    found = fronts(summary)
    if not found:
        return None
    lines = _lines(summary)
    groups = [group for group in summary.groups if group.metric.mean is not None]
    y = value_axis(summary, groups)
    columns = len(found)
    panels = []
    for front in found:
        x = _axis(front, TICK_CHARACTERS[columns])
        panels.append(Panel("", tuple(_marks(summary, front, lines, x)), x))
    has_seeds = any(len(group.measured) > 1 for group in groups)
    labels = [Entry(shortened(line.label, 60), line.colour) for line in lines if line.label]
    base = f"base {Numbers(summary).number(summary.base)}" if summary.base is not None else "base"
    metric = metric_label(summary.metric or "")
    notes = [f"dots: mutants{', means over ' + summary.replicates if has_seeds else ''}"]
    notes += [f"pale line: mutants that differ by {lines[0].over} alone"] if lines[0].over else []
    notes += ["whisker: 95 % interval"] if any(group.metric.low is not None for group in groups) else []
    notes.append(f"Pareto front: the best {metric.lower()} for at most that cost")
    return Chart(
        title=f"{title(summary)}: {metric.lower()} and cost",
        notes=tuple(notes),
        x=panels[0].x or y,
        y=y,
        panels=tuple(panels),
        columns=columns,
        height=2.9,
        legend=(*(labels if len(labels) > 1 else []), Entry(base, None, "dot"), Entry("Pareto front", None)),
    )


@dataclass(frozen=True)
class _Line:
    """Groups of one colour.

    Arguments:
        label: what they share; empty for all groups together.
        groups: the groups.
        colour: their colour.
        over: what they differ by, if that is a number, so that they are joined; else empty.
    """

    label: str
    groups: tuple[ResultGroup, ...]
    colour: Colour
    over: str = ""


def _lines(summary: Summary) -> list[_Line]:
    """Returns the lines of the sweep over a number, or each group of a few by itself; else all groups together."""
    over = curves(summary)
    if over is not None and not over.is_scatter and len(over.lines) <= MOST_LINES:
        others = [index for index in range(len(summary.names)) if index != over.axis]
        colours = ramp(len(over.lines)) if is_ordered(summary, others, over.lines) else PALETTE
        lines = zip(over.lines, colours, strict=False)
        return [_Line(line.label, line.groups, colour, over.name) for line, colour in lines]
    if over is None and len(summary.groups) <= MOST_LINES:
        settings = range(len(summary.names))
        named = [(label_of_row(summary, settings, group), group) for group in summary.groups]
        return [_Line(name, (group,), colour) for (name, group), colour in zip(named, PALETTE, strict=False)]
    return [_Line("", summary.groups, PALETTE[0])]


def cost_label(name: str) -> str:
    """Returns the name of a cost at an axis."""
    return "Multiply–adds for one sample" if name == MULTIPLY_ADDS else metric_label(name)


def _axis(front: Front, characters: int) -> Axis:
    costs = [each.cost for each in front.candidates]
    low, high, label = min(costs), max(costs), cost_label(front.cost)
    if low > 0 and high / low >= LOG_RATIO:
        start, end = math.log10(low), math.log10(high)
        axis = Axis(f"{label} (log scale)", start - 0.06 * (end - start), end + 0.06 * (end - start), (), "log")
        return with_ticks(axis, lambda most: log_ticks(low, high, most), _amount, characters)
    margin = 0.06 * (high - low) or 0.1 * high or 1.0
    axis = Axis(label, low - margin, high + margin)
    return with_ticks(axis, lambda most: ticks(low, high, most) if high > low else [high], _amount, characters)


def _amount(value: float) -> str:
    """A cost at an axis: `80 k`."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.6g} {prefix}"
    return f"{value:.6g}"


def _marks(summary: Summary, front: Front, lines: Sequence[_Line], x: Axis) -> Iterator[Mark]:
    """Lines at the bottom, whiskers and the front on them, dots at the top."""
    by_group = {id(each.group): each for each in front.candidates if each.group is not None}
    drawn = [(line, [by_group[id(group)] for group in line.groups if id(group) in by_group]) for line in lines]
    for line, members in drawn:
        if line.over and len(members) > 1:
            yield Polyline(tuple((each.cost, each.value) for each in members), line.colour, opacity=0.35)
    for line, members in drawn:
        yield from (_whisker(each.cost, each.group, line.colour) for each in members if _has_whisker(each))
    yield Polyline(tuple(_stairs(front, x)), None, "interval")
    tell = teller(summary)
    on_front = set(map(id, front.members))
    for line, members in drawn:
        for each in members:
            assert each.group is not None
            said = f"{tell(each.group)}\n{_told(front.cost, each)}"
            yield Dots(((each.cost, each.value),), line.colour, said, is_strong=id(each) in on_front)
    for each in front.candidates:
        if each.group is None:
            yield Dots(((each.cost, each.value),), None, f"base\n{_told(front.cost, each)}", is_strong=True)


def _told(cost: str, candidate: Candidate) -> str:
    return f"{cost_label(cost)}: {words.count(round(candidate.cost))}"


def _has_whisker(candidate: Candidate) -> bool:
    group = candidate.group
    return group is not None and group.metric.low is not None and group.metric.high is not None


def _whisker(cost: float, group: ResultGroup | None, colour: Colour) -> Polyline:
    assert group is not None
    assert group.metric.low is not None
    assert group.metric.high is not None
    return Polyline(((cost, group.metric.low), (cost, group.metric.high)), colour, "interval", 0.5)


def _stairs(front: Front, x: Axis) -> Iterator[Point]:
    """The best value that is had for at most a cost, up to the end of the axis."""
    value = front.members[0].value
    for each in front.members:
        yield each.cost, value
        value = each.value
        yield each.cost, value
    yield (10**x.end if x.spacing == "log" else x.end), value
