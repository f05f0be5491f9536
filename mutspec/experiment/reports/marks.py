"""A chart as a value: axes, and the marks in each panel. It is made before anything is drawn.

Matplotlib draws it for papers and the page draws it as SVG; both place a mark by `Axis.part`, so they show the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from mutspec.experiment.reports.colours import Colour

Point = tuple[float, float]
Spacing = Literal["linear", "log", "symlog"]
PathKind = Literal["mean", "interval", "context", "base"]
Sign = Literal["line", "dot", "base"]

ZERO_DECADES = 0.6
"""The distance of 0 from the least positive number of a `symlog` axis, in decades."""

MANY_DOTS = 300
"""The number of dots in a panel from which on they are at their smallest and palest."""


@dataclass(frozen=True)
class Tick:
    """A number on an axis, as it is written."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """An axis: the ends are in the units of its spacing, such as decades.

    Arguments:
        label: the quantity with its unit; empty if the ticks say it.
        start, end: the ends, as `unit` gives them; the start is below or on the left. It may be the greater one.
        ticks: the numbers that are written.
        spacing: `linear`, `log`, or `symlog`: logarithmic, with a place for 0.
        threshold: of a `symlog` axis the least positive number.
    """

    label: str
    start: float
    end: float
    ticks: tuple[Tick, ...] = ()
    spacing: Spacing = "linear"
    threshold: float = 1.0

    def unit(self, value: float) -> float:
        """A value in the units of the spacing; minus infinity where a logarithm does not exist."""
        if self.spacing == "linear":
            return value
        if self.spacing == "log":
            return math.log10(value) if value > 0 else -math.inf
        if value >= self.threshold:
            return ZERO_DECADES + math.log10(value / self.threshold)
        return ZERO_DECADES * value / self.threshold

    def part(self, value: float) -> float:
        """The place of a value: 0 at the start of the axis, 1 at its end; 0 for a value without a logarithm."""
        unit = self.unit(value)
        return 0.0 if math.isinf(unit) else (unit - self.start) / (self.end - self.start)


@dataclass(frozen=True)
class Dots:
    """Measured values: those of one group.

    Arguments:
        points: x and y, in the units of the axes.
        colour: None is the ink of text.
        tells: what is said under a pointer.
        is_strong: whether they are drawn at full size and strength however many there are.
    """

    points: tuple[Point, ...]
    colour: Colour | None
    tells: str = ""
    is_strong: bool = False


@dataclass(frozen=True)
class Polyline:
    """A stroke through points.

    Arguments:
        points: x and y, in the units of the axes.
        colour: None is the ink of text.
        kind: `mean`; `interval`, thinner; `context`, pale; `base`, dashed.
        opacity: from 0 to 1.
    """

    points: tuple[Point, ...]
    colour: Colour | None
    kind: PathKind = "mean"
    opacity: float = 1.0


@dataclass(frozen=True)
class Area:
    """A tinted area within an outline, such as the band around a line.

    Arguments:
        points: the corners, in the units of the axes.
        colour: its tint.
        opacity: from 0 to 1.
    """

    points: tuple[Point, ...]
    colour: Colour
    opacity: float


@dataclass(frozen=True)
class Words:
    """A short text in a panel, centred at a point that no data can reach."""

    at: Point
    text: str


Mark = Dots | Polyline | Area | Words


@dataclass(frozen=True)
class Panel:
    """A part of a chart.

    Arguments:
        title: what it shows; may be empty.
        marks: from the lowest to the topmost.
        x, y: axes of its own, with labels; None for those of the chart.
    """

    title: str
    marks: tuple[Mark, ...]
    x: Axis | None = None
    y: Axis | None = None

    @property
    def dots(self) -> tuple[Point, ...]:
        """All measured values."""
        return tuple(chain.from_iterable(mark.points for mark in self.marks if isinstance(mark, Dots)))

    def paths(self, kind: PathKind) -> list[Polyline]:
        """The strokes of a kind."""
        return [mark for mark in self.marks if isinstance(mark, Polyline) and mark.kind == kind]

    @property
    def areas(self) -> list[Area]:
        """The tinted areas."""
        return [mark for mark in self.marks if isinstance(mark, Area)]


@dataclass(frozen=True)
class Entry:
    """A line of the legend."""

    text: str
    colour: Colour | None
    sign: Sign = "line"


@dataclass(frozen=True)
class Chart:
    """A chart of one or more panels. Panels share their axes unless they have their own.

    Arguments:
        title: its heading.
        notes: the meaning of the marks, and what is left out.
        x, y: the axes of the panels that have none of their own.
        panels: row by row.
        columns: the number of panels side by side.
        height: of a panel, in inches of the printed picture.
        grid: the axis whose ticks have lines across the panels; empty if none has.
        legend: what colours and dashes stand for.
    """

    title: str
    notes: tuple[str, ...]
    x: Axis
    y: Axis
    panels: tuple[Panel, ...]
    columns: int = 1
    height: float = 3.0
    grid: Literal["x", "y", ""] = "y"
    legend: tuple[Entry, ...] = ()

    @property
    def frames(self) -> Iterator[tuple[Panel, Axis, Axis, bool, bool]]:
        """Each panel with its axes, and whether the ticks of x and of y are written at it.

        Shared ticks are written at the lowest panels and at those on the left.
        """
        for index, panel in enumerate(self.panels):
            is_lowest = index + self.columns >= len(self.panels)
            is_first = index % self.columns == 0
            yield panel, panel.x or self.x, panel.y or self.y, bool(panel.x) or is_lowest, bool(panel.y) or is_first

    @property
    def shares_x(self) -> bool:
        """Tells whether the panels have one x-axis."""
        return all(panel.x is None for panel in self.panels)

    @property
    def shares_y(self) -> bool:
        """Tells whether the panels have one y-axis."""
        return all(panel.y is None for panel in self.panels)

    @property
    def crowding(self) -> float:
        """The number of dots in the fullest panel, as a part of `MANY_DOTS`, at most 1."""
        return min(1.0, max((len(panel.dots) for panel in self.panels), default=0) / MANY_DOTS)


def runs(points: Iterable[Point]) -> Iterator[tuple[Point, ...]]:
    """The stretches of points without one that is not finite."""
    run: list[Point] = []
    for point in points:
        if all(map(math.isfinite, point)):
            run.append(point)
        elif run:
            yield tuple(run)
            run = []
    if run:
        yield tuple(run)
