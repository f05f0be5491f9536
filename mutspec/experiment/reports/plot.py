"""The pictures of a sweep as files: its chart, and the map of where a model is sensitive.

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
from mutspec.experiment.reports.figure import DPI, STYLE, draw_chart, settled
from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.heat_map import draw_map
from mutspec.experiment.reports.ranking_chart import ranking_chart
from mutspec.experiment.reports.sensitivity import sensitivity
from mutspec.experiment.reports.study import study
from mutspec.experiment.reports.study_charts import study_charts
from mutspec.experiment.reports.sweep_chart import sweep_chart

SUFFIXES = ("png", "svg", "pdf")
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "mutspec"},
    "pdf": {"CreationDate": None, "Creator": "mutspec", "Producer": None},
}


class NoMatplotlib(EnvironmentProblem):
    """Matplotlib is not installed, or is broken: all but the picture can be had."""


def pictures(summary: Summary, facet: str | None = None) -> dict[str, bytes]:
    """The files of each picture by name, such as `plot.png`, `plot.svg` and `plot.pdf`.

    `plot` is there if there is something to see, `map` and `ranking` if the sweep has them, and `best`, `front` and
    `parallel` if its sweeper optimised.

    Arguments:
        summary: the sweep.
        facet: the setting whose values have a panel each; None to choose.

    Raises:
        CallError: no such setting varies between what would share a panel.
        NoMatplotlib: it is not installed.
    """
    chart = sweep_chart(summary, facet)
    if chart is None:
        return {}
    files = {}
    with our_style():
        figures = {"plot": draw_chart(chart)}
        if found := sensitivity(summary):
            if len(found.scales) > 1:
                figures["map"] = draw_map(found, summary)
            if ranking := ranking_chart(found, summary):
                figures["ranking"] = draw_chart(ranking)
        if optimised := study(summary):
            figures |= {name: draw_chart(each) for name, each in study_charts(optimised, summary).items()}
        for stem, figure in figures.items():
            settled(figure)
            for suffix in SUFFIXES:
                data = BytesIO()
                figure.savefig(data, format=suffix, dpi=DPI, metadata=METADATA[suffix])
                files[f"{stem}.{suffix}"] = data.getvalue()
    return files


@contextmanager
def our_style() -> Iterator[None]:
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
