"""The picture of a sweep: a metric over a scale, with its base, its seeds and a 95 % band; or over categories.

Drawn with Matplotlib's objects, so that neither a window nor a global figure is touched. Equal results give equal
files.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mutspec.experiment.reports.axes import (
    MOST_CATEGORIES,
    MOST_LINES,
    SCALE_NOTES,
    TICK_ROOM,
    band_opacity,
    marks,
    shortened,
    value_extent,
    value_label,
)
from mutspec.experiment.reports.curves import Curves, Line, category, curves, ranked
from mutspec.experiment.reports.figure import DPI, FAINT, INK, STYLE, WIDTH_INCHES, new_figure, put_heading
from mutspec.experiment.reports.groups import Group, Summary
from mutspec.experiment.reports.heat_map import draw_map
from mutspec.experiment.reports.sensitivity import sensitivity
from mutspec.language.errors import EnvironmentProblem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

SUFFIXES = ("png", "svg")
METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": "mutspec"}}
SIZE_INCHES = (WIDTH_INCHES, 4.0)

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B", "#8C6D1F")
"""Okabe and Ito's colours, which colour-blind people tell apart, without the yellow that white paper swallows."""


class NoMatplotlib(EnvironmentProblem):
    """Matplotlib is not installed, or is broken: all but the picture can be had."""


def pictures(summary: Summary) -> dict[str, bytes]:
    """The files `plot.png` and `plot.svg` by name, and `map.png` and `map.svg` of a sweep that has a map.

    There are none if there is nothing to see.

    Raises:
        NoMatplotlib: it is not installed.
    """
    if not any(math.isfinite(value) for group in summary.groups for value in group.measured):
        return {}
    files = {}
    with _style():
        figures = {"plot": draw(summary)}
        if (found := sensitivity(summary)) and len(found.scales) > 1:
            figures["map"] = draw_map(found, summary)
        for stem, figure in figures.items():
            for suffix in SUFFIXES:
                data = BytesIO()
                figure.savefig(data, format=suffix, dpi=DPI, metadata=METADATA[suffix])
                files[f"{stem}.{suffix}"] = data.getvalue()
    return files


@contextmanager
def _style() -> Iterator[None]:
    """For as long as it lasts, Matplotlib's defaults and our style, whatever the user has set for their pictures."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its caches
    try:
        import matplotlib.style
    except ImportError as error:
        raise NoMatplotlib(
            f"a picture needs Matplotlib, which cannot be imported: {error}", hint="pip install 'mutspec[plot]'"
        ) from error
    with matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a plan's name may hold anything
        yield


def draw(summary: Summary) -> Figure:
    """The picture of a sweep whose metric is known."""
    over = curves(summary)
    groups = ranked(summary)
    figure, axes = new_figure(SIZE_INCHES[1] if over else 1.7 + 0.38 * len(groups[:MOST_CATEGORIES]))
    notes = _draw_curves(axes, over, summary) if over else _draw_categories(axes, groups, summary)
    if summary.base_varies:
        notes.append("dashed: base")
    unseen = sum(not math.isfinite(value) for group in groups for value in group.measured)
    if unseen:
        notes.append(f"{unseen} not finite, not shown")
    put_heading(axes, summary, notes)
    return figure


def _draw_curves(axes: Axes, over: Curves, summary: Summary) -> list[str]:
    lines = over.lines if over.is_scatter else over.lines[:MOST_LINES]
    for line, colour in zip(lines, _colours(over, len(lines)), strict=True):
        _draw_line(axes, line, colour, summary, band_opacity(len(lines)), is_scatter=over.is_scatter)
    _space_x(axes, over)
    is_log = _space_values(axes, "y", summary, [group for line in lines for group in line.groups])
    _draw_base(axes, summary, "y")
    axes.set_xlabel(shortened(over.name, 60) + SCALE_NOTES[over.scale])
    axes.set_ylabel(value_label(summary, is_log=is_log))
    axes.grid(axis="y")
    if len(lines) > 1 and not over.is_scatter:
        axes.legend(fontsize=9, handlelength=1.4, labelspacing=0.35)
    notes = marks([group for line in lines for group in line.groups], "" if over.is_scatter else "line")
    return notes + over.cut(len(lines))


def _colours(over: Curves, number: int) -> list[Any]:
    if over.is_scatter:
        return [PALETTE[0]] * number
    if over.is_ordered and number > 1:
        from matplotlib import colormaps

        return [colormaps["viridis"](0.8 * index / (number - 1)) for index in range(number)]
    return list(PALETTE[:number])


def _draw_line(axes: Axes, line: Line, colour: Any, summary: Summary, opacity: float, *, is_scatter: bool) -> None:
    dots = [(x, y) for x, group in zip(line.x, line.groups, strict=True) for y in group.measured]
    axes.plot(*zip(*dots, strict=True), "o", color=colour, alpha=0.45, markersize=4.5, markeredgewidth=0, zorder=3)
    if is_scatter:
        return
    means = [math.nan if group.metric.mean is None else group.metric.mean for group in line.groups]
    label = f" {shortened(line.label, 40)}" if line.label else "_mean"  # Matplotlib hides names that begin with `_`
    axes.plot(line.x, means, "-", color=colour, linewidth=1.8, label=label, zorder=4, solid_capstyle="round")
    halves = [math.nan if group.metric.half_width is None else group.metric.half_width for group in line.groups]
    if any(math.isfinite(half) for half in halves):
        low = [mean - half for mean, half in zip(means, halves, strict=True)]
        high = [mean + half for mean, half in zip(means, halves, strict=True)]
        axes.fill_between(line.x, low, high, color=colour, alpha=opacity, linewidth=0, zorder=2)
    if summary.base_varies and line.groups[0].base is not None:
        axes.axhline(line.groups[0].base, color=colour, linestyle=(0, (4, 3)), linewidth=1, zorder=1)


def _draw_categories(axes: Axes, groups: Sequence[Group], summary: Summary) -> list[str]:
    """A row of dots for each category, with a bar at the mean; names beside each other would not fit."""
    shown = groups[:MOST_CATEGORIES]
    for place, group in enumerate(shown):
        colour = PALETTE[0]
        axes.plot(
            group.measured,
            [place] * len(group.measured),
            "o",
            color=colour,
            alpha=0.45,
            markersize=5,
            markeredgewidth=0,
        )
        mean, half = group.metric.mean, group.metric.half_width
        if half is not None and mean is not None:
            axes.fill_betweenx([place - 0.26, place + 0.26], mean - half, mean + half, color=colour, alpha=0.16, lw=0)
        if mean is not None and math.isfinite(mean) and len(group.measured) > 1:
            axes.plot([mean, mean], [place - 0.26, place + 0.26], "-", color=colour, linewidth=2.2)
        if summary.base_varies and group.base is not None:
            axes.plot([group.base] * 2, [place - 0.4, place + 0.4], color=FAINT, linestyle=(0, (3, 2)), linewidth=1)
    names = [shortened(category(group), 32) for group in shown]
    axes.set_yticks(range(len(shown)), names if summary.names else [""])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    is_log = _space_values(axes, "x", summary, shown)
    _draw_base(axes, summary, "x")
    axes.set_xlabel(value_label(summary, is_log=is_log))
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    notes = marks(shown, "bar")
    return [*notes, f"{len(shown)} of {len(groups)} rows"] if len(shown) < len(groups) else notes


def _draw_base(axes: Axes, summary: Summary, along: str) -> None:
    """The base's value as a dashed line with its number."""
    if summary.base is None or not math.isfinite(summary.base):
        return
    paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}  # no line of the grid in the number
    style: dict[str, Any] = {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1, "zorder": 1, "label": "_base"}
    text = f"base {summary.base:.1%}" if summary.is_share else f"base {summary.base:.3g}"
    if along == "y":
        axes.axhline(summary.base, **style)
        place, frame, ha = (1.0, summary.base), ("axes fraction", "data"), "right"
    else:
        axes.axvline(summary.base, **style)
        place, frame, ha = (summary.base, 1.0), ("data", "axes fraction"), "center"
    axes.annotate(text, place, (0, 4), frame, "offset points", ha=ha, fontsize=9, bbox=paper)


def _space_x(axes: Axes, over: Curves) -> None:
    """The scale of x, with ticks at its values where these have room."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    values = over.values
    if over.scale == "symlog":
        axes.set_xscale("symlog", linthresh=min(x for x in values if x > 0), linscale=0.6)
    else:
        axes.set_xscale(over.scale)
    axes.margins(x=0.04)
    places = axes.transAxes.inverted().transform(axes.transData.transform([(x, 0.5) for x in values]))[:, 0]
    if min(right - left for left, right in pairwise(places)) > TICK_ROOM:
        axes.set_xticks(values)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g}%" if over.is_percentage else f"{x:g}"))


def _space_values(axes: Axes, along: str, summary: Summary, groups: Sequence[Group]) -> bool:
    """The extent and scale of the metric's axis.

    Returns:
        Whether it is logarithmic.
    """
    from matplotlib.ticker import FuncFormatter, NullLocator

    axis: Axis = axes.yaxis if along == "y" else axes.xaxis
    extent = value_extent(summary, groups, is_upright=along == "y")
    if extent.is_log:
        (axes.set_yscale if along == "y" else axes.set_xscale)("log")
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    elif summary.is_share:
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{round(100 * value, 6):g}%"))
    (axes.set_ylim if along == "y" else axes.set_xlim)(extent.low, extent.high)
    return extent.is_log
