"""A chart as SVG within a page: its colours are the page's, and dots say more under a pointer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from mutspec.experiment.reports.charts import Section, pictures_in
from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.marks import Area, Axis, Chart, Dots, Entry, Mark, Panel, Point, Words
from mutspec.experiment.reports.page.markup import Markup, element, join

WIDTH = 900
INCH = 110
"""The units of a panel's height for an inch of the printed picture."""
RIGHT, TOP, BOTTOM, TITLE, GAP = 20, 10, 58, 24, 26
CHARACTER = 7.3
"""About how wide a character of the axes' text is."""


@dataclass(frozen=True)
class Frame:
    """The position of a panel in the picture, and the axes that place marks in it."""

    left: float
    right: float
    top: float
    bottom: float
    x: Axis
    y: Axis

    def place(self, point: Point) -> tuple[float, float]:
        """Returns the position of a point in the picture."""
        across, up = self.x.part(point[0]), self.y.part(point[1])
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)


def drawn(chart: Chart, name: str) -> Markup:
    """A chart with its legend and the meaning of its marks.

    Arguments:
        chart: what to draw.
        name: what tells it from the other charts of the page: a word.
    """
    legend = element("ul", *map(_entry, chart.legend), class_="legend") if chart.legend else Markup()
    return element("figure", legend, _picture(chart, name), element("figcaption", " · ".join(chart.notes)))


def charts(section: Section, summary: Summary, facet: str | None = None) -> Markup:
    """Returns the charts of a section with headings, if any. Arguments and errors are those of `pictures_in`."""
    parts: list[object] = []
    for picture in pictures_in(section, summary, facet):
        if isinstance(picture.chart, Chart) and picture.is_on_page:
            parts += [element("h3", picture.heading)] if picture.heading else []
            parts.append(drawn(picture.chart, picture.name))
    return join(parts)


def _entry(entry: Entry) -> Markup:
    style = entry.colour.style if entry.colour is not None else None
    return element("li", entry.text, class_=None if entry.sign == "line" else entry.sign, style=style)


def _picture(chart: Chart, name: str) -> Markup:
    rows = ceil(len(chart.panels) / chart.columns)
    has_titles = any(panel.title for panel in chart.panels)
    title = TITLE if has_titles else 0
    every = [y for _, _, y, _, _ in chart.frames]
    label_room = 26 if any(y.label for y in every) else 0
    left = label_room + 14 + CHARACTER * max((len(tick.text) for y in every for tick in y.ticks), default=0)
    height = INCH * chart.height
    between = GAP if chart.shares_y else left + GAP / 2
    width = (WIDTH - RIGHT - left - between * (chart.columns - 1)) / chart.columns
    below = 0.6 * GAP if chart.shares_x else BOTTOM
    whole = TOP + rows * (title + height) + below * (rows - 1) + BOTTOM
    parts: list[Markup] = []
    for index, (panel, x, y, is_x_written, is_y_written) in enumerate(chart.frames):
        row, column = divmod(index, chart.columns)
        start = left + column * (width + between)
        top = TOP + title + row * (height + title + below)
        frame = Frame(start, start + width, top, top + height, x, y)
        parts.append(_panel(chart, panel, frame, f"{name}-{index}", is_lowest=is_x_written, is_first=is_y_written))
        if panel.x:
            parts.append(_words(x.label, (frame.left + frame.right) / 2, frame.bottom + BOTTOM - 10, "title"))
        if panel.y:
            parts.append(_turned(y.label, frame.left - left + 16, (frame.top + frame.bottom) / 2))
    if chart.shares_x and chart.x.label:
        parts.append(_words(chart.x.label, (left + WIDTH - RIGHT) / 2, whole - 10, "title"))
    if chart.shares_y and chart.y.label:
        parts.append(_turned(chart.y.label, 16, (TOP + title + whole - BOTTOM) / 2))
    picture = element(
        "svg",
        *parts,
        class_="many" if chart.crowding == 1 else None,
        viewBox=f"0 0 {WIDTH} {_n(whole)}",
        role="img",
        aria_label=f"{chart.title}: {chart.y.label or chart.x.label}; the tables of this page have the numbers",
    )
    return element("div", picture, class_="scroll", role="region", tabindex=0, aria_label="Picture")


def _panel(chart: Chart, panel: Panel, frame: Frame, name: str, *, is_lowest: bool, is_first: bool) -> Markup:
    area = element("clipPath", _rectangle(frame), id=name)
    marks = element("g", *(_mark(mark, frame) for mark in panel.marks), clip_path=f"url(#{name})")
    across, below = _across(chart, frame, is_written=is_first), _below(chart, frame, is_written=is_lowest)
    parts = [element("defs", area), *across, *below, marks]
    if panel.title:
        parts.append(_words(panel.title, frame.left, frame.top - 7, "start"))
    return element("g", *parts, class_="panel")


def _across(chart: Chart, frame: Frame, *, is_written: bool) -> Iterator[Markup]:
    """The ticks of the upright axis."""
    at = [(frame.bottom - frame.y.part(tick.at) * (frame.bottom - frame.top), tick.text) for tick in frame.y.ticks]
    if chart.grid == "y":
        yield element("path", d="".join(f"M{_n(frame.left)} {_n(y)}H{_n(frame.right)}" for y, _ in at), class_="grid")
    if is_written:
        for y, said in at:
            yield _words(said, frame.left - 10, y + 4.5, "end")


def _below(chart: Chart, frame: Frame, *, is_written: bool) -> Iterator[Markup]:
    """The ticks of the lower axis."""
    at = [(frame.left + frame.x.part(tick.at) * (frame.right - frame.left), tick.text) for tick in frame.x.ticks]
    if chart.grid == "x":
        yield element("path", d="".join(f"M{_n(x)} {_n(frame.top)}V{_n(frame.bottom)}" for x, _ in at), class_="grid")
    strokes = "".join(f"M{_n(x)} {_n(frame.bottom)}v5" for x, _ in at)
    yield element("path", d=f"M{_n(frame.left)} {_n(frame.bottom)}H{_n(frame.right)}{strokes}", class_="axis")
    if is_written:
        for x, said in at:
            yield _words(said, x, frame.bottom + 21)


def _mark(mark: Mark, frame: Frame) -> Markup:
    if isinstance(mark, Words):
        x, y = frame.place(mark.at)
        return _words(mark.text, x, y + 4.5)
    at = [frame.place(point) for point in mark.points]
    style = None if mark.colour is None else mark.colour.style
    if isinstance(mark, Dots):
        # One path of round ends: a thousand groups of five would be long as circles.
        path = "".join(f"M{_n(x)} {_n(y)}h0" for x, y in at)
        said = [element("title", mark.tells)] if mark.tells else []
        return element("path", *said, d=path, class_="dots strong" if mark.is_strong else "dots", style=style)
    line = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in at)
    if isinstance(mark, Area):
        return element("path", d=f"{line}Z", class_="band", style=f"{style};opacity:{mark.opacity:.2g}")
    if mark.opacity < 1:
        style = f"{style};opacity:{mark.opacity:.2g}"
    return element("path", d=line, class_=mark.kind, style=style)


def _rectangle(frame: Frame) -> Markup:
    width, height = frame.right - frame.left, frame.bottom - frame.top
    return element("rect", x=_n(frame.left), y=_n(frame.top), width=_n(width), height=_n(height))


def _words(said: str, x: float, y: float, class_: str | None = None) -> Markup:
    return element("text", said, x=_n(x), y=_n(y), class_=class_)


def _turned(said: str, x: float, y: float) -> Markup:
    return element("text", said, transform=f"translate({_n(x)} {_n(y)})rotate(-90)", class_="title")


def _n(value: float) -> str:
    """A length in the picture: a tenth of its unit is less than eyes see."""
    return f"{round(value, 1):g}"
