"""The chart of Pareto fronts: the metric over what mutants cost, with the front as a staircase."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from mutspec.experiment.metric_kinds import MULTIPLY_ADDS
from mutspec.experiment.reports.axes import TICK_CHARACTERS, log_ticks, shortened, ticks, value_axis, with_ticks
from mutspec.experiment.reports.colours import PALETTE, Colour, ramp
from mutspec.experiment.reports.curves import Curves, curves, is_ordered
from mutspec.experiment.reports.groups import ResultGroup, Summary
from mutspec.experiment.reports.marks import Axis, Chart, Dots, Entry, Mark, Panel, Point, Polyline
from mutspec.experiment.reports.pareto import Candidate, Front, fronts
from mutspec.experiment.reports.sweep_chart import teller
from mutspec.experiment.reports.table import Numbers, metric_label, title
from mutspec.text import words

LOG_RATIO = 30
"""How far apart costs are from which on their axis is logarithmic."""

MOST_LINES = 8
"""The lines that have colours of their own."""


def pareto_chart(summary: Summary) -> Chart | None:
    """The metric over each cost in which mutants differ, in a panel each; None if they do not."""
    found = fronts(summary)
    if not found:
        return None
    over = curves(summary)
    colours = _colours(summary, over)
    groups = [group for group in summary.groups if group.metric.mean is not None]
    y = value_axis(summary, groups)
    columns = len(found)
    panels = []
    for front in found:
        x = _axis(front, TICK_CHARACTERS[columns])
        panels.append(Panel("", tuple(_marks(summary, front, over, colours, x)), x))
    has_seeds = any(len(group.measured) > 1 for group in groups)
    labels = [Entry(shortened(label, 60), colour) for label, colour in colours.items() if label]
    base = f"base {Numbers(summary).number(summary.base)}" if summary.base is not None else "base"
    notes = [f"dots: mutants{', the mean over ' + summary.replicates if has_seeds else ''}"]
    notes += ["line: mutants of one setting"] if labels else []
    if any(group.metric.low is not None for group in groups):
        notes.append("whisker: 95 % interval")
    notes.append("staircase: the best that is had at a cost")
    return Chart(
        title=f"{title(summary)}: {metric_label(summary.metric or '').lower()} and cost",
        notes=tuple(notes),
        x=panels[0].x or y,
        y=y,
        panels=tuple(panels),
        columns=columns,
        height=2.9 if columns == 1 else 2.5,
        legend=(*(labels if len(labels) > 1 else []), Entry(base, None, "dot"), Entry("Pareto front", None)),
    )


def _colours(summary: Summary, over: Curves | None) -> Mapping[str, Colour]:
    """Returns the colour of each line by its label; of all together by an empty one, if lines would mean nothing."""
    lines = () if over is None or over.is_scatter else over.lines
    if over is None or not 0 < len(lines) <= MOST_LINES:
        return {"": PALETTE[0]}
    others = [index for index in range(len(summary.names)) if index != over.axis]
    colours = ramp(len(lines)) if is_ordered(summary, others, lines) else PALETTE
    return {line.label: colour for line, colour in zip(lines, colours, strict=False)}


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


def _marks(
    summary: Summary, front: Front, over: Curves | None, colours: Mapping[str, Colour], x: Axis
) -> Iterator[Mark]:
    """Lines at the bottom, whiskers and the front on them, dots at the top."""
    by_group = {id(each.group): each for each in front.candidates if each.group is not None}
    of_lines: dict[str, list[Candidate]] = {"": list(by_group.values())}
    if "" not in colours and over is not None:
        of_lines = {
            line.label: [by_group[id(group)] for group in line.groups if id(group) in by_group] for line in over.lines
        }
        for label, line in of_lines.items():
            if len(line) > 1:
                yield Polyline(tuple((each.cost, each.value) for each in line), colours[label], opacity=0.35)
    for label, line in of_lines.items():
        yield from (_whisker(each.cost, each.group, colours[label]) for each in line if _has_whisker(each))
    yield Polyline(tuple(_stairs(front, x)), None, "interval")
    tell = teller(summary)
    on_front = set(map(id, front.members))
    for label, line in of_lines.items():
        for each in line:
            assert each.group is not None
            said = f"{tell(each.group)}\n{cost_label(front.cost)}: {words.count(round(each.cost))}"
            yield Dots(((each.cost, each.value),), colours[label], said, is_strong=id(each) in on_front)
    for each in front.candidates:
        if each.group is None:
            said = f"base\n{cost_label(front.cost)}: {words.count(round(each.cost))}"
            yield Dots(((each.cost, each.value),), None, said, is_strong=True)


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
