"""The map of a sensitivity sweep: a cell for each place and scale, darker the worse the model gets, with its number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mutspec.experiment.reports.axes import shortened
from mutspec.experiment.reports.figure import INK, new_figure
from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.sensitivity import Sensitivity
from mutspec.experiment.reports.table import Numbers, harm_label, setting_label, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

MOST_PLACES = 80
MOST_NUMBERS = 12
"""The greatest number of scales for which cells show numbers."""
ROW_INCHES = 0.2
HALF_WAY = 0.214
"""The luminance of a ground on which white and our ink have the same contrast, by WCAG's formula."""
NOTHING = "#E4E4E4"
"""The colour of a cell without a measurement."""
HATCH = "#A8A8A8"
"""The colour of the hatching of a cell in which the plan changed nothing."""


@dataclass(frozen=True)
class HeatMap:
    """The map of a sweep over several scales, as a value that `draw_map` draws."""

    found: Sensitivity
    summary: Summary


def draw_map(found: Sensitivity, summary: Summary) -> Figure:
    """The map of a sweep over several scales, in the order of the sweep; of very many places the most sensitive."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    kept = {each.value for each in found.ranking[:MOST_PLACES]} or set(list(found.harms)[:MOST_PLACES])
    rows = [(place, harms) for place, harms in found.harms.items() if place in kept]
    figure = new_figure(0.8 + ROW_INCHES * len(rows), title(summary), _notes(found, summary, len(rows)))
    axes = figure.add_subplot()
    cells = [[_size(harm, found.most) for harm in harms] for _, harms in rows]
    colours = colormaps["Blues"].with_extremes(bad=NOTHING)
    image = axes.imshow(cells, cmap=colours, norm=Normalize(0, found.most or 1.0), aspect="auto")
    if len(found.scales) <= MOST_NUMBERS:
        _put_numbers(axes, found, summary, dict(rows), colours)
    else:
        factor = 100 if summary.is_share else 1
        bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, format=lambda size, _: f"{factor * size:g}")
        bar.outline.set_visible(False)
    for row, (place, _) in enumerate(rows):
        for column, is_unchanged in enumerate(found.unchanged[place]):
            if is_unchanged:
                axes.add_patch(_hatched(column, row))
    axes.set_yticks(range(len(rows)), [shortened(place, 36) for place, _ in rows], fontsize=8)
    scale = summary.are_numbers.index(True)
    axes.set_xticks(range(len(found.scales)), [summary.written(summary.names[scale], each) for each in found.scales])
    axes.set_xlabel(shortened(setting_label(summary, scale), 60))
    axes.tick_params(length=0)
    axes.set_xticks([column - 0.5 for column in range(1, len(found.scales))], minor=True)
    axes.set_yticks([row - 0.5 for row in range(1, len(rows))], minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    return figure


def _put_numbers(
    axes: Axes, found: Sensitivity, summary: Summary, rows: Mapping[str, Sequence[float | None]], colours: Colormap
) -> None:
    """Each cell's number, in ink that its ground leaves readable."""
    from matplotlib.colors import Normalize

    numbers = Numbers(summary)
    for row, (place, harms) in enumerate(rows.items()):
        for column, harm in enumerate(harms):
            if harm is not None and not found.unchanged[place][column]:
                ground = colours(Normalize(0, found.most or 1.0)(_size(harm, found.most)))
                colour = "white" if _luminance(ground) < HALF_WAY else INK
                axes.text(column, row, numbers.drop(harm), ha="center", va="center", fontsize=7.5, color=colour)


def _hatched(column: int, row: int) -> Rectangle:
    """The mark of a cell in which a harm of 0 was not measured of a mutant, as there was none."""
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="////", edgecolor=HATCH, linewidth=0)


def _luminance(colour: Sequence[float]) -> float:
    """The relative luminance of a colour, as WCAG defines it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _size(harm: float | None, most: float) -> float:
    """Returns the value that colours a cell: one that is not finite is as bad as the worst."""
    return math.nan if harm is None else harm if math.isfinite(harm) else most


def _notes(found: Sensitivity, summary: Summary, drawn: int) -> Sequence[str]:
    notes = [f"{harm_label(found, summary)}, means over the seeds"]
    if any(harm is None for harms in found.harms.values() for harm in harms):
        notes.append("grey: not measured")
    if any(map(any, found.unchanged.values())):
        notes.append("hatched: the plan changed nothing")
    if drawn < len(found.harms):
        notes.append(f"the most sensitive {drawn} of {len(found.harms)} rows")
    return notes
