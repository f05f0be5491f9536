"""Charts as Matplotlib draws them: size, ink, and the words above the panels.

Heading, notes and legend stand above the panels in room of their own, so they cannot lie on data.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from math import ceil, nan
from typing import TYPE_CHECKING, Any

from mutspec.experiment.reports.axes import shortened
from mutspec.experiment.reports.colours import Colour
from mutspec.experiment.reports.marks import Area, Axis, Chart, Dots, Entry, Mark, Panel, Polyline, Words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 6.4
MOST_INCHES = 16.0
"""The greatest height of a picture."""
DPI = 150

INK, FAINT, GRID, CONTEXT = "#222222", "#6B6B6B", "#E4E4E4", "#C9C9C9"

STYLE: dict[str, Any] = {
    "svg.hashsalt": "mutspec",  # else every file has other ids
    "svg.fonttype": "none",  # text stays text, which can be found, copied and set in another font
    "pdf.fonttype": 42,  # the same
    "text.parse_math": False,  # a `$` in a plan's name is a dollar
    "font.size": 10.0,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}

_SIDE = 0.1
"""The margin of a picture, in inches."""
_TITLE, _NOTE, _ENTRY = 0.3, 0.17, 0.175
"""The heights of a line of the heading, of the notes and of the legend, in inches."""
_CHARACTER = 0.082
"""The width of a character of the axes' labels, in inches."""
_NOTE_CHARACTERS, _ENTRY_CHARACTERS = 92, 82
"""The characters that a line of notes and of the legend has room for."""


def new_figure(height: float, heading: str, notes: Sequence[str], legend: Sequence[Entry] = ()) -> Figure:
    """A picture with its heading and without panels, that belongs to no window.

    Arguments:
        height: of all that is below the heading, in inches.
        heading: plan and model.
        notes: the meaning of the marks.
        legend: what colours and dashes stand for.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    lines = textwrap.wrap(" · ".join(notes), _NOTE_CHARACTERS)
    columns = _legend_columns(legend)
    top = 0.12 + _TITLE + _NOTE * len(lines) + _ENTRY * ceil(len(legend) / columns) + 0.06
    whole = min(height + top, MOST_INCHES)
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05, rect=(0, 0, 1, 1 - top / whole))
    figure = Figure(figsize=(WIDTH_INCHES, whole), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)

    def put(inches: float, text: str, **style: Any) -> None:
        said = figure.text(_SIDE / WIDTH_INCHES, 1 - inches / whole, text, va="top", **style)
        said.set_in_layout(False)

    put(0.12, shortened(heading, 62), fontsize=12, fontweight="bold")
    for number, line in enumerate(lines):
        put(0.12 + _TITLE + _NOTE * number, line, fontsize=8.5, color=FAINT)
    if legend:
        _put_legend(figure, legend, columns, 1 - (0.12 + _TITLE + _NOTE * len(lines)) / whole)
    return figure


def _legend_columns(legend: Sequence[Entry]) -> int:
    """The greatest number of columns of which the widest entries fit side by side."""
    for columns in range(len(legend), 1, -1):
        widths = [max(len(entry.text) for entry in legend[at::columns]) + 6 for at in range(columns)]
        if sum(widths) <= _ENTRY_CHARACTERS:
            return columns
    return 1


def _put_legend(figure: Figure, legend: Sequence[Entry], columns: int, top: float) -> None:
    from matplotlib.lines import Line2D

    styles: dict[str, dict[str, Any]] = {
        "line": {"linestyle": "-", "linewidth": 2},
        "base": {"linestyle": (0, (4, 3)), "linewidth": 1},
        "dot": {"linestyle": "none", "marker": "o", "markersize": 5, "markeredgewidth": 0},
    }
    # Matplotlib fills columns, and people read rows.
    legend = [entry for at in range(columns) for entry in legend[at::columns]]
    handles = [Line2D([], [], color=_hex(entry.colour), **styles[entry.sign]) for entry in legend]
    # Matplotlib leaves names out that begin with `_`.
    made = figure.legend(
        handles,
        [f"\u200b{entry.text}" if entry.text.startswith("_") else entry.text for entry in legend],
        loc="upper left",
        bbox_to_anchor=(_SIDE / WIDTH_INCHES, top),
        ncols=columns,
        fontsize=9,
        handlelength=2.0,
        columnspacing=1.6,
        labelspacing=0.3,
        borderpad=0,
        borderaxespad=0.1,
    )
    made.set_in_layout(False)


def draw_chart(chart: Chart) -> Figure:
    """A chart as a picture."""
    rows = ceil(len(chart.panels) / chart.columns)
    has_titles = any(panel.title for panel in chart.panels)
    height = rows * (chart.height + 0.2 * has_titles + 0.1 + 0.45 * (not chart.shares_x)) + 0.5
    figure = new_figure(height, chart.title, chart.notes, chart.legend)
    made = list(figure.subplots(rows, chart.columns, squeeze=False).flat)
    size = 9.0 if chart.columns > 1 else 10.0
    for axes in made[len(chart.panels) :]:
        axes.remove()
    for axes, (panel, x, y, is_x_written, is_y_written) in zip(made, chart.frames, strict=False):
        _draw_panel(axes, chart, panel, x, y, size)
        _put_ticks(axes, "x", x, is_written=is_x_written, size=size)
        _put_ticks(axes, "y", y, is_written=is_y_written, size=size)
        if panel.x or len(chart.panels) == 1:
            axes.set_xlabel(_wrapped(x.label, 5 / chart.columns), fontsize=size)
        if panel.y or len(chart.panels) == 1:
            axes.set_ylabel(_wrapped(y.label, chart.height), fontsize=size)
    if chart.shares_x and len(chart.panels) > 1:
        figure.supxlabel(chart.x.label, fontsize=10)
    if chart.shares_y and len(chart.panels) > 1:
        figure.supylabel(_wrapped(chart.y.label, rows * chart.height), fontsize=10, multialignment="center")
    return figure


def _wrapped(label: str, inches: float) -> str:
    """The label of an axis in lines as long as the axis."""
    return "\n".join(textwrap.wrap(label, max(16, int(inches / _CHARACTER))))


def settled(figure: Figure) -> Figure:
    """A picture whose panels have their places, which would be worked out again for each file."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine(None)  # "none" would leave a placeholder, for which each file is drawn twice
    return figure


def _put_ticks(axes: Axes, along: str, axis: Axis, *, is_written: bool, size: float) -> None:
    places = [axis.part(tick.at) for tick in axis.ticks]
    words = [tick.text if is_written else "" for tick in axis.ticks]
    (axes.set_xticks if along == "x" else axes.set_yticks)(places, words, fontsize=size)


def _draw_panel(axes: Axes, chart: Chart, panel: Panel, x: Axis, y: Axis, size: float) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    if panel.title:
        axes.set_title(panel.title, loc="left", fontsize=9 if chart.columns < 3 else 8, pad=4)
    if chart.grid:
        axes.grid(axis=chart.grid)
    if chart.grid != "y":
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    for order, mark in enumerate(_merged(panel.marks)):
        _draw(axes, chart, mark, x, y, 2 + 0.01 * order)


def _merged(marks: Sequence[Mark]) -> Iterator[Mark]:
    """Marks with neighbours of one look as one: Matplotlib takes a millisecond for each, and there may be thousands."""
    for look, same in groupby(marks, _look):
        if look is None:
            yield from same
            continue
        alike = [mark for mark in same if isinstance(mark, Dots | Polyline)]
        gap = () if isinstance(alike[0], Dots) else ((nan, nan),)
        points = [point for mark in alike for point in (*mark.points, *gap)]
        yield replace(alike[0], points=tuple(points))


def _look(mark: Mark) -> tuple[Any, ...] | None:
    """A key that is the same for strokes and dots of one look."""
    if isinstance(mark, Dots):
        return Dots, mark.colour, mark.is_strong
    return (Polyline, mark.colour, mark.kind, mark.opacity) if isinstance(mark, Polyline) else None


def _draw(axes: Axes, chart: Chart, mark: Mark, across: Axis, up: Axis, order: float) -> None:
    if isinstance(mark, Words):
        at = (across.part(mark.at[0]), up.part(mark.at[1]))
        axes.text(*at, mark.text, ha="center", va="center", fontsize=8, color=FAINT, zorder=order)
        return
    x, y = [across.part(each) for each, _ in mark.points], [up.part(each) for _, each in mark.points]
    colour = _hex(mark.colour)
    if isinstance(mark, Area):
        axes.fill(x, y, color=colour, alpha=mark.opacity, linewidth=0, zorder=order)
    elif isinstance(mark, Dots):
        crowding = 0.0 if mark.is_strong else chart.crowding
        size, alpha = 4.5 - 2.3 * crowding, (0.9 if mark.is_strong else 0.45) - 0.2 * crowding
        axes.plot(x, y, "o", color=colour, alpha=alpha, markersize=size, markeredgewidth=0, zorder=order)
    else:
        is_small = chart.columns > 2
        style: dict[str, dict[str, Any]] = {
            "mean": {"linewidth": 1.5 if is_small else 1.8, "solid_capstyle": "round"},
            "interval": {"linewidth": 0.9},
            "context": {"linewidth": 0.7, "color": CONTEXT},
            "base": {"linewidth": 1, "linestyle": (0, (4, 3))},
        }
        axes.plot(x, y, **{"color": colour, "alpha": mark.opacity, "zorder": order, **style[mark.kind]})


def _hex(colour: Colour | None) -> str:
    return INK if colour is None else colour.light
