"""The chart of a sweep: a metric over a number, with its base, its seeds and intervals; or over categories."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from mutspec.experiment.reports.axes import (
    BEYOND,
    SPACING_NOTES,
    TICK_CHARACTERS,
    end_of,
    have_room,
    log_ticks,
    percent,
    plain,
    reaches_beyond,
    shortened,
    ticks,
    value_axis,
    value_extent,
    whole_ticks,
    with_ticks,
)
from mutspec.experiment.reports.colours import PALETTE, Colour, ramp
from mutspec.experiment.reports.curves import Curves, Line, curves, is_ordered, label_of, ranked
from mutspec.experiment.reports.facets import Facets, facets
from mutspec.experiment.reports.groups import ResultGroup, Summary, measure, setting_index
from mutspec.experiment.reports.marks import Area, Axis, Chart, Dots, Entry, Mark, Panel, Point, Polyline, Tick, runs
from mutspec.experiment.reports.table import Numbers, setting_label, title
from mutspec.experiment.result_settings import labels

MOST_CATEGORIES = 40
MOST_SEEDS = 12
"""The seeds that a mark tells of under a pointer."""
BAND_OPACITY = 0.2
ROW_INCHES = 0.3
TITLE_CHARACTERS = {1: 80, 2: 38, 3: 28, 4: 19}
"""The characters that a panel's title has room for, by the number of columns."""
PANEL_INCHES = {1: 2.9, 2: 1.9, 3: 1.35, 4: 1.2}

Teller = Callable[[ResultGroup], str]
"""Gives the words of a group's dots under a pointer."""


def sweep_chart(summary: Summary, facet: str | None = None) -> Chart | None:
    """The chart of a sweep whose metric is known; None if there is nothing to see.

    Arguments:
        summary: the sweep.
        facet: the setting whose values have a panel each; None to choose.

    Raises:
        CallError: no such setting varies between what would share a panel.
    """
    groups = ranked(summary)
    unseen = sum(not math.isfinite(value) for group in groups for value in group.measured)
    if unseen == sum(len(group.measured) for group in groups):
        return None
    over = curves(summary)
    made = _over_number(summary, over, facet) if over else _over_categories(summary, groups, facet)
    more = (f"{unseen} not finite, not shown",) if unseen else ()
    return replace(made, title=title(summary), notes=(*made.notes, *more))


# Over a number


def _over_number(summary: Summary, over: Curves, facet: str | None) -> Chart:
    parts = facets(summary, over, facet)
    drawn = [line for _, lines in parts.panels for line in lines]
    groups = [group for line in drawn for group in line.groups]
    names = [name for name, _ in parts.panels]
    columns = columns_of(names)
    colours = _colours(summary, over, parts)
    tell = teller(summary)
    y = value_axis(summary, groups)
    x = _number_axis(summary, over, TICK_CHARACTERS[columns])
    panels = []
    for name, lines in parts.panels:
        others = [line for line in drawn if line not in lines] if parts.are_small_multiples else []
        marks = [*_context(others), *_lines(summary, over, lines, colours, tell), *_bases(summary, lines, colours, x)]
        panels.append(Panel(_panel_title(summary, name, lines, columns), tuple(marks)))
    entries = [Entry(shortened(label, 60), colours[label]) for label in parts.labels]
    notes = [*_marks_said(groups, "" if over.is_scatter else "bar" if over.is_discrete else "line", summary)]
    notes += ["grey: the other panels"] if parts.are_small_multiples else []
    return Chart(
        title="",
        notes=(*notes, *parts.left_out),
        x=x,
        y=y,
        panels=tuple(panels),
        columns=columns,
        height=PANEL_INCHES[columns],
        legend=(
            *(entries if len(entries) > 1 and not over.is_scatter else []),
            *_base_entries(summary),
            *_unchanged_entries(groups),
        ),
    )


def columns_of(titles: Sequence[str]) -> int:
    """The number of panels side by side, at which their titles have room."""
    wished = 1 if len(titles) == 1 else 2 if len(titles) in (2, 4) else 3 if len(titles) <= 9 else 4
    return next(
        (each for each in range(wished, 1, -1) if max(map(len, titles)) <= TITLE_CHARACTERS[each]), min(wished, 2)
    )


def _panel_title(summary: Summary, name: str, lines: Sequence[Line], columns: int) -> str:
    """The title of a panel; with the base's value where panels have bases of their own."""
    room = TITLE_CHARACTERS[columns]
    known = {line.groups[0].base for line in lines}
    base = known.pop() if len(known) == 1 else None
    if not name or not summary.base_varies or base is None:
        return end_of(name, room)
    said = f" (base {Numbers(summary).number(base)})"
    return end_of(name, max(room - len(said), 8)) + said


def _colours(summary: Summary, over: Curves, parts: Facets) -> dict[str, Colour]:
    """The colour of each label: along a ramp if a number tells the lines of a panel apart."""
    found = parts.labels
    if over.is_scatter or parts.are_small_multiples:
        return dict.fromkeys(found, PALETTE[0])
    is_ramp = all(is_ordered(summary, parts.inner, lines) for _, lines in parts.panels)
    colours = ramp(len(found)) if is_ramp else PALETTE
    return {label: colours[index % len(colours)] for index, label in enumerate(found)}


def _number_axis(summary: Summary, over: Curves, characters: int) -> Axis:
    """The axis of what is swept over, with ticks at its values where these have room, else at round numbers."""
    label = shortened(setting_label(summary, over.axis), 60) + SPACING_NOTES[over.spacing]
    values = over.values
    axis = Axis(label, 0.0, 1.0, (), over.spacing, next((x for x in values if x > 0), 1.0))
    start, end = axis.unit(values[0]), axis.unit(values[-1])
    margin = 0.5 if over.is_discrete and not over.is_scatter else 0.05 * (end - start)
    axis = replace(axis, start=start - margin, end=end + margin)
    is_percent = over.is_percentage or summary.is_fraction(over.axis)
    written = percent if is_percent else plain
    exact = replace(axis, ticks=tuple(Tick(x, written(x)) for x in values))
    if have_room(exact, characters):
        return exact

    def chosen(most: int) -> list[float]:
        if over.is_discrete:
            return whole_ticks(values, 3 * most)
        if over.spacing == "linear":
            return ticks(values[0], values[-1], most)
        zero = [0.0] if over.spacing == "symlog" else []
        return zero + log_ticks(axis.threshold, values[-1], most)

    return with_ticks(axis, chosen, written, characters)


def _lines(
    summary: Summary, over: Curves, lines: Sequence[Line], colours: dict[str, Colour], tell: Teller
) -> Iterator[Mark]:
    """Dots at the bottom, intervals on them, means at the top: so a dense sweep shows its line and its band."""
    shifts = _shifts(over, len(lines))
    for line, shift in zip(lines, shifts, strict=True):
        for x, group in zip(line.x, line.groups, strict=True):
            points = tuple((x + shift, value) for value in group.measured if math.isfinite(value))
            yield Dots(points, _colour_of(group, colours[line.label]), tell(group))
    if over.is_scatter:
        return
    if over.is_discrete:
        for line, shift in zip(lines, shifts, strict=True):
            yield from _separate(line, shift, 0.25 / len(lines), colours[line.label])
        return
    for line in lines:
        yield from _band(line, colours[line.label], BAND_OPACITY * min(1.0, 3 / len(lines)))
    for line in lines:
        yield from (Polyline(points, colours[line.label]) for points in runs(_means(line)))


def _shifts(over: Curves, number: int) -> list[float]:
    """Offsets along x of the lines of a panel, where they would cover one another."""
    if not over.is_discrete or over.is_scatter:
        return [0.0] * number
    return [0.8 * ((index + 0.5) / number - 0.5) for index in range(number)]


def _means(line: Line) -> list[Point]:
    return [
        (x, math.nan if group.metric.mean is None else group.metric.mean)
        for x, group in zip(line.x, line.groups, strict=True)
    ]


def _band(line: Line, colour: Colour, opacity: float) -> Iterator[Mark]:
    """The band of a line, with thin edges that are seen on dots."""
    ends = [
        (x, math.nan if group.metric.low is None else group.metric.low, group.metric.high or 0.0)
        for x, group in zip(line.x, line.groups, strict=True)
    ]
    upper = {x: high for x, _, high in ends}
    for low in runs((x, low) for x, low, _ in ends):
        high = tuple((x, upper[x]) for x, _ in low)
        if len(low) == 1:
            yield Polyline((*low, *high), colour, "interval")
            continue
        yield Area((*low, *reversed(high)), colour, opacity)
        yield Polyline(low, colour, "interval", 0.45)
        yield Polyline(high, colour, "interval", 0.45)


def _separate(line: Line, shift: float, half: float, colour: Colour) -> Iterator[Mark]:
    """A bar at each mean with its interval: nothing lies between two positions, so nothing joins them."""
    for x, group in zip(line.x, line.groups, strict=True):
        at, estimate = x + shift, group.metric
        if estimate.low is not None and estimate.high is not None:
            yield Polyline(((at, estimate.low), (at, estimate.high)), colour, "interval")
        if estimate.mean is not None and math.isfinite(estimate.mean):
            yield Polyline(((at - half, estimate.mean), (at + half, estimate.mean)), colour)


def _context(lines: Sequence[Line]) -> Iterator[Mark]:
    for line in lines:
        yield from (Polyline(points, None, "context") for points in runs(_means(line)))


def _bases(summary: Summary, lines: Sequence[Line], colours: dict[str, Colour], x: Axis) -> Iterator[Mark]:
    """The base's value across the panel; in the colours of the lines where these have bases of their own."""
    ends = _ends(x)
    known = {line.groups[0].base for line in lines}
    for line in lines if len(known) > 1 else lines[:1]:
        base = line.groups[0].base if summary.base_varies else summary.base
        if base is not None and math.isfinite(base):
            yield Polyline(tuple((end, base) for end in ends), colours[line.label] if len(known) > 1 else None, "base")


def _ends(axis: Axis) -> tuple[float, float]:
    """The values at the ends of an axis."""

    def value(unit: float) -> float:
        if axis.spacing == "linear":
            return unit
        if axis.spacing == "log":
            return float(10**unit)
        return axis.threshold * (10 ** (unit - 0.6) if unit > 0.6 else unit / 0.6)

    return value(axis.start), value(axis.end)


def _base_entries(summary: Summary) -> Iterator[Entry]:
    if summary.base is not None and math.isfinite(summary.base):
        yield Entry(f"base {Numbers(summary).number(summary.base)}", None, "base")
    elif summary.base_varies:
        yield Entry("base", None, "base")


def _colour_of(group: ResultGroup, colour: Colour) -> Colour | None:
    """The colour of a group's dots; the ink of the base where the plan changed nothing, so that they are the base."""
    return None if group.is_unchanged else colour


def _unchanged_entries(groups: Iterable[ResultGroup]) -> Iterator[Entry]:
    if any(group.is_unchanged for group in groups):
        yield Entry("the plan changed nothing", None, "dot")


def teller(summary: Summary) -> Teller:
    """Returns the function that words what a group's dots say under a pointer."""
    names, numbers = labels(summary.names), Numbers(summary)

    def tell(group: ResultGroup) -> str:
        written = (summary.written(*each) for each in zip(summary.names, group.values, strict=True))
        given = ", ".join(f"{name} = {value}" for name, value in zip(names, written, strict=True))
        mean = "" if group.metric.half_width is None else f"mean {' '.join(numbers.mean(group.metric).split())}"
        interval = numbers.interval(group.metric)
        measured = ((row.seed, measure(row, summary.metric)) for row in group.rows)
        seeds = [f"seed {seed}: {numbers.number(value)}" for seed, value in measured if value is not None]
        more = [f"and {len(seeds) - MOST_SEEDS} more"] if len(seeds) > MOST_SEEDS else []
        spread = f"95 % interval {interval}" if interval else ""
        return "\n".join(each for each in (given, mean, *seeds[:MOST_SEEDS], *more, spread) if each)

    return tell


def _marks_said(groups: Sequence[ResultGroup], mean: str, summary: Summary) -> Iterator[str]:
    """The meaning of the marks."""
    has_seeds = any(len(group.measured) > 1 for group in groups)
    yield f"dots: {summary.replicates}" if has_seeds else "dots: mutants"
    if not mean:
        return
    all_of = [f"all values of {name}" for name in summary.averaged if summary.replicates == "seeds"]
    over = " and ".join([summary.replicates, *all_of])
    if has_seeds or summary.averaged:
        yield f"{mean}: mean over {over}"
    shape = "band" if mean == "line" else "whisker"
    if any(group.metric.half_width is not None for group in groups):
        yield f"{shape}: 95 % interval of the mean (Student)"
    if any(group.metric.binomial is not None for group in groups):
        yield f"{shape}: 95 % interval of the rate (Wilson)"
    extent = value_extent(summary, groups)
    if any(reaches_beyond(group.metric, extent.low, extent.high) for group in groups):
        yield BEYOND.format(f"{shape}s")


# Over categories


def _over_categories(summary: Summary, groups: Sequence[ResultGroup], facet: str | None) -> Chart:
    """A row for each category; names side by side would not fit."""
    outer = [] if facet is None else [setting_index(summary, facet, range(len(summary.names)))]
    inner = [index for index in range(len(summary.names)) if index not in outer]
    rows = list(dict.fromkeys(label_of_row(summary, inner, group) for group in groups))
    kept = rows[:MOST_CATEGORIES]
    by_panel: dict[str, list[ResultGroup]] = {}
    for group in groups:
        if label_of_row(summary, inner, group) in kept:
            by_panel.setdefault(label_of(summary, outer, group), []).append(group)
    columns = min(columns_of(list(by_panel)), 2) if len(by_panel) > 1 else 1
    drawn = [group for each in by_panel.values() for group in each]
    tell = teller(summary)
    panels = tuple(
        Panel(
            end_of(name, TITLE_CHARACTERS[columns]),
            tuple(
                mark
                for group in each
                for mark in _row(summary, group, kept.index(label_of_row(summary, inner, group)), tell)
            ),
        )
        for name, each in by_panel.items()
    )
    cut = [f"{len(kept)} of {len(rows)} rows"] if len(kept) < len(rows) else []
    names = tuple(Tick(place, end_of(name, 32)) for place, name in enumerate(kept))
    room = TICK_CHARACTERS[columns] - max(len(name.text) for name in names) // columns
    if summary.base is not None:
        span = ((summary.base, -0.5), (summary.base, len(kept) - 0.5))
        panels = tuple(Panel(each.title, (*each.marks, Polyline(span, None, "base"))) for each in panels)
    return Chart(
        title="",
        notes=(*_marks_said(drawn, "bar", summary), *cut),
        x=value_axis(summary, drawn, max(room, 10)),
        y=Axis("", len(kept) - 0.5, -0.5, names),
        panels=panels,
        columns=columns,
        height=ROW_INCHES * len(kept) + 0.15,
        grid="x",
        legend=(*_base_entries(summary), *_unchanged_entries(drawn)),
    )


def label_of_row(summary: Summary, settings: Sequence[int], group: ResultGroup) -> str:
    """The name of a group where no number is on an axis."""
    return ", ".join(summary.written(summary.names[index], group.values[index]) for index in settings)


def _row(summary: Summary, group: ResultGroup, place: int, tell: Teller) -> Iterator[Mark]:
    colour, estimate = _colour_of(group, PALETTE[0]), group.metric
    points = tuple((value, place) for value in group.measured if math.isfinite(value))
    yield Dots(points, colour, tell(group), is_strong=len(points) == 1)
    if estimate.low is not None and estimate.high is not None:
        yield Polyline(((estimate.low, place), (estimate.high, place)), colour, "interval")
    if estimate.mean is not None and math.isfinite(estimate.mean) and len(group.measured) > 1:
        yield Polyline(((estimate.mean, place - 0.24), (estimate.mean, place + 0.24)), colour)
    if summary.base_varies and group.base is not None:
        yield Polyline(((group.base, place - 0.4), (group.base, place + 0.4)), None, "base")
