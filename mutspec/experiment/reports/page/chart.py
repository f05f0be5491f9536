"""The picture of a sweep as SVG within a page: its colours are the page's, and marks say more under a pointer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mutspec.experiment.reports.axes import (
    MOST_CATEGORIES,
    MOST_LINES,
    SCALE_NOTES,
    TICK_ROOM,
    Extent,
    band_opacity,
    log_ticks,
    marks,
    shortened,
    ticks,
    value_extent,
    value_label,
)
from mutspec.experiment.reports.curves import Curves, Line, category, curves, ranked
from mutspec.experiment.reports.groups import Group, Summary, measure
from mutspec.experiment.reports.page.colours import PALETTE, Colour, ramp
from mutspec.experiment.reports.page.markup import Markup, element
from mutspec.experiment.reports.table import Numbers, title
from mutspec.experiment.settings import labels, shown

WIDTH, HEIGHT = 900, 420
LEFT, RIGHT, TOP, BOTTOM = 86, 24, 26, 66
ROW_HEIGHT = 32
CHARACTER = 7.3
"""About how wide a character of the axes' text is."""
MOST_SEEDS = 12
"""How many seeds a mark tells of under a pointer."""
MANY_DOTS = 300
"""Of more, dots are smaller."""

Place = Callable[[float], float]
"""From a value to where it is in the picture."""

Teller = Callable[[Group], str]
"""From a group to what its mark says."""


@dataclass(frozen=True)
class Frame:
    """Where the axes are, in the picture's units."""

    left: float
    right: float
    top: float
    bottom: float

    @property
    def middle(self) -> float:
        """Between left and right."""
        return (self.left + self.right) / 2


def chart(summary: Summary) -> Markup | None:
    """The metric over what varies, with a legend and what its marks mean; None if there is nothing to see."""
    groups = ranked(summary)
    unseen = sum(not math.isfinite(value) for group in groups for value in group.measured)
    if unseen == sum(len(group.measured) for group in groups):
        return None
    over = curves(summary)
    picture, legend, notes = _over_number(summary, over) if over else _over_categories(summary, groups)
    notes += ["dashed: base"] if summary.base_varies else []
    notes += [f"{unseen} not finite, not shown"] if unseen else []
    return element("figure", legend, picture, element("figcaption", " · ".join(notes)))


def _over_number(summary: Summary, over: Curves) -> tuple[Markup, Markup, list[str]]:
    lines = over.lines if over.is_scatter else over.lines[:MOST_LINES]
    groups = [group for line in lines for group in line.groups]
    extent = value_extent(summary, groups, is_upright=True)
    frame = Frame(LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM)
    x, y = _place_x(over, frame), _place(extent, frame.bottom, frame.top)
    count = len(lines)
    colours = ramp(count) if over.is_ordered and not over.is_scatter else PALETTE[: 1 if over.is_scatter else None]
    shown_lines = [(line, colours[index % len(colours)]) for index, line in enumerate(lines)]
    band = element("clipPath", _rectangle(frame), id="plot-area")
    tell = _teller(summary)

    def draw(line: Line, colour: Colour) -> Markup:
        kinds = {"is_scatter": over.is_scatter, "has_own_base": summary.base_varies}
        return _line(line, colour, x, y, tell, frame, **kinds, band_style=f"opacity:{band_opacity(count):.2g}")

    parts = [
        element("defs", band),
        *_value_grid(summary, extent, y, frame, is_upright=True),
        *_ticks_below(_x_ticks(over, frame, x), frame),
        _words(shortened(over.name, 60) + SCALE_NOTES[over.scale], frame.middle, HEIGHT - 12, "title"),
        _turned(value_label(summary, is_log=extent.is_log), 18, (frame.top + frame.bottom) / 2),
        *(draw(line, colour) for line, colour in shown_lines),
        *_base_across(summary, y, frame),
    ]
    notes = marks(groups, "" if over.is_scatter else "line")
    notes += over.cut(count)
    entries = shown_lines if count > 1 and not over.is_scatter else []
    return _svg(parts, HEIGHT, summary, groups), _legend(entries), notes


def _over_categories(summary: Summary, groups: Sequence[Group]) -> tuple[Markup, Markup, list[str]]:
    drawn = groups[:MOST_CATEGORIES]
    names = [shortened(category(group), 40) if summary.names else "" for group in drawn]
    left = max(24.0, 20 + CHARACTER * max(map(len, names)))
    frame = Frame(left, WIDTH - RIGHT - 8, TOP, TOP + ROW_HEIGHT * len(drawn) + 8)
    extent = value_extent(summary, drawn, is_upright=False)
    x = _place(extent, frame.left, frame.right)
    height = frame.bottom + BOTTOM
    parts = [
        *_value_grid(summary, extent, x, frame, is_upright=False),
        _words(value_label(summary, is_log=extent.is_log), frame.middle, height - 12, "title"),
        *_base_down(summary, x, frame),
    ]
    tell = _teller(summary)
    for index, (name, group) in enumerate(zip(names, drawn, strict=True)):
        middle = frame.top + ROW_HEIGHT * (index + 0.5) + 4
        parts.append(_words(name, frame.left - 12, middle + 4.5, "end"))
        parts.append(_category(group, x, middle, tell, frame, has_own_base=summary.base_varies))
    notes = marks(drawn, "bar")
    if len(drawn) < len(groups):
        notes.append(f"{len(drawn)} of {len(groups)} rows")
    return _svg(parts, height, summary, drawn), Markup(), notes


def _svg(parts: Iterable[Markup], height: float, summary: Summary, drawn: Sequence[Group]) -> Markup:
    label = f"{title(summary)}: {value_label(summary, is_log=False)}; the table below has the numbers"
    is_dense = sum(len(group.measured) for group in drawn) > MANY_DOTS
    picture = element(
        "svg",
        *parts,
        class_="many" if is_dense else None,
        viewBox=f"0 0 {WIDTH} {_n(height)}",
        role="img",
        aria_label=label,
    )
    return element("div", picture, class_="scroll", role="region", tabindex=0, aria_label="Picture")


def _legend(entries: Sequence[tuple[Line, Colour]]) -> Markup:
    """What the lines are, beside their colours."""
    if not entries:
        return Markup()
    items = (element("li", shortened(line.label, 60), style=colour.style) for line, colour in entries)
    return element("ul", *items, class_="legend")


def _place(extent: Extent, start: float, end: float) -> Place:
    """Where values of the metric are; what a logarithm has no place for is at the start."""
    if not extent.is_log:
        return lambda value: start + (end - start) * (value - extent.low) / (extent.high - extent.low)
    low, high = math.log10(extent.low), math.log10(extent.high)
    return lambda value: start if value <= 0 else start + (end - start) * (math.log10(value) - low) / (high - low)


def _place_x(over: Curves, frame: Frame) -> Place:
    values = over.values
    if over.scale == "linear":
        spread = values
    else:
        positive = [math.log10(value) for value in values if value > 0]
        zero = positive[0] - 0.6  # where a 0 stands beside a logarithmic axis
        spread = [zero, *positive] if over.scale == "symlog" else positive
    low, high = spread[0], spread[-1]
    inset = 0.04 * (frame.right - frame.left)
    unit = (frame.right - frame.left - 2 * inset) / (high - low)

    def place(value: float) -> float:
        along = value if over.scale == "linear" else math.log10(value) if value > 0 else zero
        return frame.left + inset + unit * (along - low)

    return place


def _x_ticks(over: Curves, frame: Frame, place: Place) -> list[tuple[float, str]]:
    """At the values where these have room, else at round numbers."""
    values = over.values
    room = TICK_ROOM * (frame.right - frame.left)
    if any(right - left < room for left, right in pairwise(map(place, values))):
        positive = [value for value in values if value > 0]
        if over.scale == "linear":
            values = ticks(values[0], values[-1], 9)
        else:
            values = [*([0.0] if over.scale == "symlog" else []), *log_ticks(positive[0], positive[-1])]
    return [(place(value), f"{100 * value:.6g}%" if over.is_percentage else f"{value:.6g}") for value in values]


def _value_grid(summary: Summary, extent: Extent, place: Place, frame: Frame, *, is_upright: bool) -> Iterator[Markup]:
    """Lines of the grid with their numbers."""
    most = 6 if is_upright else 8
    values = log_ticks(extent.low, extent.high) if extent.is_log else ticks(extent.low, extent.high, most)
    values = [value for value in values if not summary.is_share or value <= 1 + 1e-9]
    written = [f"{round(100 * value, 6):g}%" if summary.is_share else f"{value:.6g}" for value in values]
    at = [place(value) for value in values]
    if is_upright:
        path = "".join(f"M{_n(frame.left)} {_n(each)}H{_n(frame.right)}" for each in at)
        numbers = [_words(said, frame.left - 10, each + 4.5, "end") for said, each in zip(written, at, strict=True)]
    else:
        path = "".join(f"M{_n(each)} {_n(frame.top)}V{_n(frame.bottom)}" for each in at)
        numbers = [_words(said, each, frame.bottom + 20) for said, each in zip(written, at, strict=True)]
    yield element("path", d=path, class_="grid")
    yield from numbers


def _ticks_below(at: Sequence[tuple[float, str]], frame: Frame) -> Iterator[Markup]:
    strokes = "".join(f"M{_n(x)} {_n(frame.bottom)}v5" for x, _ in at)
    yield element("path", d=f"M{_n(frame.left)} {_n(frame.bottom)}H{_n(frame.right)}{strokes}", class_="axis")
    for x, said in at:
        yield _words(said, x, frame.bottom + 22)


def _line(
    line: Line,
    colour: Colour,
    x: Place,
    y: Place,
    tell: Teller,
    frame: Frame,
    *,
    is_scatter: bool,
    has_own_base: bool,
    band_style: str,
) -> Markup:
    means = [math.nan if group.metric.mean is None else group.metric.mean for group in line.groups]
    halves = [math.nan if group.metric.half_width is None else group.metric.half_width for group in line.groups]
    at = [x(value) for value in line.x]
    parts = []
    if not is_scatter:
        for run in _runs([math.isfinite(half) for half in halves]):
            over = [(at[index], y(means[index] + halves[index])) for index in run]
            under = [(at[index], y(means[index] - halves[index])) for index in reversed(run)]
            outline = f"{_polyline([*over, *under])}Z"
            parts.append(element("path", d=outline, class_="band", clip_path="url(#plot-area)", style=band_style))
        if has_own_base and line.groups[0].base is not None:
            height = _n(y(line.groups[0].base))
            parts.append(element("path", d=f"M{_n(frame.left)} {height}H{_n(frame.right)}", class_="own-base"))
        runs = _runs([math.isfinite(mean) for mean in means])
        path = "".join(_polyline([(at[index], y(means[index])) for index in run]) for run in runs)
        parts.append(element("path", d=path, class_="mean"))
    for place, group in zip(at, line.groups, strict=True):
        parts.append(_dots(group, [(place, y(value)) for value in group.measured if math.isfinite(value)], tell))
    return element("g", *parts, style=colour.style)


def _category(group: Group, x: Place, middle: float, tell: Teller, frame: Frame, *, has_own_base: bool) -> Markup:
    """The dots of a category, its band, and a bar at the mean."""
    mean, half = group.metric.mean, group.metric.half_width
    parts = []
    if half is not None and mean is not None:
        low, high = max(x(mean - half), frame.left), min(x(mean + half), frame.right)
        parts.append(_rectangle(Frame(low, max(high, low + 0.5), middle - 9, middle + 9), class_="band"))
    if has_own_base and group.base is not None:
        parts.append(element("path", d=f"M{_n(x(group.base))} {_n(middle - 13)}v26", class_="own-base"))
    if mean is not None and math.isfinite(mean) and len(group.measured) > 1:
        parts.append(element("path", d=f"M{_n(x(mean))} {_n(middle - 9)}v18", class_="mean"))
    parts.append(_dots(group, [(x(value), middle) for value in group.measured if math.isfinite(value)], tell))
    return element("g", *parts, style=PALETTE[0].style)


def _dots(group: Group, at: Sequence[tuple[float, float]], tell: Teller) -> Markup:
    """A group's seeds as one path of round ends: a thousand groups of five would be long as circles."""
    path = "".join(f"M{_n(x)} {_n(y)}h0" for x, y in at)
    return element("path", element("title", tell(group)), d=path, class_="dots")


def _teller(summary: Summary) -> Callable[[Group], str]:
    """What a group's mark says under a pointer."""
    names, numbers = labels(summary.names), Numbers(summary)

    def tell(group: Group) -> str:
        given = ", ".join(f"{name} = {shown(value)}" for name, value in zip(names, group.values, strict=True))
        mean = "" if group.metric.half_width is None else f"mean {' '.join(numbers.mean(group.metric).split())}"
        measured = ((row.seed, measure(row, summary.metric)) for row in group.rows)
        seeds = [f"seed {seed}: {numbers.number(value)}" for seed, value in measured if value is not None]
        more = [f"and {len(seeds) - MOST_SEEDS} more"] if len(seeds) > MOST_SEEDS else []
        return "\n".join(each for each in (given, mean, *seeds[:MOST_SEEDS], *more) if each)

    return tell


def _base_across(summary: Summary, y: Place, frame: Frame) -> Iterator[Markup]:
    if summary.base is not None and math.isfinite(summary.base):
        height = y(summary.base)
        yield element("path", d=f"M{_n(frame.left)} {_n(height)}H{_n(frame.right)}", class_="base")
        yield _words(f"base {Numbers(summary).number(summary.base)}", frame.right, height - 8, "end over")


def _base_down(summary: Summary, x: Place, frame: Frame) -> Iterator[Markup]:
    if summary.base is not None and math.isfinite(summary.base):
        place = x(summary.base)
        yield element("path", d=f"M{_n(place)} {_n(frame.top)}V{_n(frame.bottom)}", class_="base")
        is_near_end = place > frame.right - 50
        anchor, at = ("end over", frame.right + 8) if is_near_end else ("over", place)
        yield _words(f"base {Numbers(summary).number(summary.base)}", at, frame.top - 9, anchor)


def _runs(is_there: Sequence[bool]) -> list[list[int]]:
    """The stretches of indices without a gap."""
    runs: list[list[int]] = []
    for index, there in enumerate(is_there):
        if there and index and is_there[index - 1]:
            runs[-1].append(index)
        elif there:
            runs.append([index])
    return runs


def _polyline(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _rectangle(frame: Frame, **attributes: object) -> Markup:
    width, height = frame.right - frame.left, frame.bottom - frame.top
    return element("rect", x=_n(frame.left), y=_n(frame.top), width=_n(width), height=_n(height), rx=1, **attributes)


def _words(said: str, x: float, y: float, class_: str | None = None) -> Markup:
    return element("text", said, x=_n(x), y=_n(y), class_=class_)


def _turned(said: str, x: float, y: float) -> Markup:
    return element("text", said, transform=f"translate({_n(x)} {_n(y)})rotate(-90)", class_="title")


def _n(value: float) -> str:
    """A length in the picture: a tenth of its unit is less than eyes see."""
    return f"{round(value, 1):g}"
