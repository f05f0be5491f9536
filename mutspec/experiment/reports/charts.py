"""The table of charts: Matplotlib makes files of them, and the page shows them in its sections.

A new picture is a function from a summary to a `Chart`, in a module of its own, and a row of `CHARTS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.heat_map import HeatMap
from mutspec.experiment.reports.marks import Chart
from mutspec.experiment.reports.pareto_chart import pareto_chart
from mutspec.experiment.reports.ranking_chart import ranking_chart
from mutspec.experiment.reports.sensitivity import sensitivity
from mutspec.experiment.reports.study import study
from mutspec.experiment.reports.study_charts import PAGE_HEADINGS, study_charts
from mutspec.experiment.reports.sweep_chart import sweep_chart

Section = Literal[
    "results", "cost", "optimisation", "breaking", "sensitivity", "gates", "failed", "fidelity", "mutants", "origin"
]
"""The sections of the page, by their anchors."""


@dataclass(frozen=True)
class Picture:
    """A chart with its name.

    Arguments:
        name: the name of its files, without a suffix.
        chart: the chart.
        heading: the heading above it on the page; empty for none.
        is_on_page: whether the page draws it. Where it does not, it shows the same numbers as a table.
    """

    name: str
    chart: Chart | HeatMap
    heading: str = ""
    is_on_page: bool = True


def pictures_in(section: Section, summary: Summary, facet: str | None = None) -> Iterator[Picture]:
    """The pictures that belong to a section of the page.

    Arguments:
        section: the section's anchor.
        summary: the sweep.
        facet: the setting whose values have a panel each; None to choose.

    Raises:
        CallError: no such setting varies between what would share a panel.
    """
    for own_section, make in CHARTS:
        if own_section == section:
            yield from make(summary, facet)


def all_pictures(summary: Summary, facet: str | None = None) -> Iterator[Picture]:
    """Yields every picture of a sweep. Arguments and errors are those of `pictures_in`."""
    for _, make in CHARTS:
        yield from make(summary, facet)


def _of_sweep(summary: Summary, facet: str | None) -> Iterator[Picture]:
    if chart := sweep_chart(summary, facet):
        yield Picture("plot", chart)


def _of_sensitivity(summary: Summary, _: str | None) -> Iterator[Picture]:
    found = sensitivity(summary)
    if found is None:
        return
    has_numbers = any(harm is not None and math.isfinite(harm) for harms in found.harms.values() for harm in harms)
    if len(found.scales) > 1 and has_numbers:
        yield Picture("map", HeatMap(found, summary), is_on_page=False)
    if chart := ranking_chart(found, summary):
        yield Picture("ranking", chart, is_on_page=False)


def _of_study(summary: Summary, _: str | None) -> Iterator[Picture]:
    if found := study(summary):
        for name, chart in study_charts(found, summary).items():
            yield Picture(name, chart, PAGE_HEADINGS[name])


def _of_cost(summary: Summary, _: str | None) -> Iterator[Picture]:
    if chart := pareto_chart(summary):
        yield Picture("pareto", chart)


CHARTS: tuple[tuple[Section, Callable[[Summary, str | None], Iterator[Picture]]], ...] = (
    ("results", _of_sweep),
    ("cost", _of_cost),
    ("sensitivity", _of_sensitivity),
    ("optimisation", _of_study),
)
"""The functions that make the pictures, each with its section of the page; files are listed in this order."""
