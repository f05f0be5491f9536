"""The pictures of a sweep as files.

Drawn with Matplotlib's objects, so that neither a window nor a global figure is touched. Equal results give equal
files.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from mutspec.errors import EnvironmentProblem
from mutspec.experiment.reports.charts import all_pictures
from mutspec.experiment.reports.figure import DPI, STYLE, draw_chart, settled
from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.heat_map import HeatMap, draw_map

SUFFIXES = ("png", "svg", "pdf")
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "mutspec"},
    "pdf": {"CreationDate": None, "Creator": "mutspec", "Producer": None},
}


class NoMatplotlib(EnvironmentProblem):
    """Matplotlib is not installed, or is broken: all but the picture can be had."""


def pictures(summary: Summary, facet: str | None = None) -> dict[str, bytes]:
    """The files of every picture that the sweep has, by name: `plot.png`, `plot.svg`, `plot.pdf` and so on.

    Arguments:
        summary: the sweep.
        facet: the setting whose values have a panel each; None to choose.

    Raises:
        CallError: no such setting varies between what would share a panel.
        NoMatplotlib: it is not installed.
    """
    made = list(all_pictures(summary, facet))
    if not made:
        return {}
    files = {}
    with our_style():
        for picture in made:
            chart = picture.chart
            figure = draw_map(chart.found, chart.summary) if isinstance(chart, HeatMap) else draw_chart(chart)
            settled(figure)
            for suffix in SUFFIXES:
                data = BytesIO()
                figure.savefig(data, format=suffix, dpi=DPI, metadata=METADATA[suffix])
                files[f"{picture.name}.{suffix}"] = data.getvalue()
    return files


@contextmanager
def our_style() -> Iterator[None]:
    """Sets Matplotlib's defaults and our style inside the block, whatever the user has set for other pictures."""
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
