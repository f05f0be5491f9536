"""How Matplotlib draws all of our pictures: their size, their ink, and what stands above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mutspec.experiment.reports.axes import shortened
from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.table import title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 6.4
LEAST_INCHES, MOST_INCHES = 2.4, 16.0
"""How high a picture may be."""
DPI = 150

INK, FAINT, GRID = "#222222", "#6B6B6B", "#E4E4E4"

STYLE: dict[str, Any] = {
    "svg.hashsalt": "mutspec",  # else every file has other ids
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


def new_figure(height: float) -> tuple[Figure, Axes]:
    """An empty picture of a height in inches, that belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    size = (WIDTH_INCHES, min(max(height, LEAST_INCHES), MOST_INCHES))
    figure = Figure(figsize=size, dpi=DPI, layout=ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.07))
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def put_heading(axes: Axes, summary: Summary, notes: Sequence[str]) -> None:
    """Plan and model above a picture, and below them what its marks mean."""
    axes.set_title(shortened(title(summary), 62), loc="left", fontsize=12, fontweight="bold", pad=22)
    axes.annotate(
        " · ".join(notes), (0, 1), (0, 7), "axes fraction", "offset points", fontsize=8.5, color=FAINT, va="bottom"
    )
