"""Breaking points: what breaking means, and where the mutants of each group do, from the weakest group on."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from mutspec.experiment.reports.curves import ranked
from mutspec.experiment.reports.groups import ResultGroup, Summary, summarise
from mutspec.experiment.reports.page.markup import Markup, element, join, table
from mutspec.experiment.reports.table import BAND_NOTE, Numbers
from mutspec.experiment.result import BREAKING_POINT
from mutspec.experiment.result_settings import labels, shown
from mutspec.text import words


def breaking_points(summary: Summary) -> Markup:
    """Returns the search and a row for each group; nothing if there was no search."""
    searched = [result for result in summary.results if result.breaking is not None]
    if not searched:
        return Markup()
    points = summarise(searched, BREAKING_POINT)
    said = dict.fromkeys((each.key, str(each)) for result in searched if (each := result.breaking))
    meanings = (element("p", "The scale of ", element("code", key), f" from which {what}.") for key, what in said)
    titles = [*labels(points.names), "Seeds", "Mean", "±", "Least", "Greatest", "Never broken", "Scales tried"]
    numbers = Numbers(points)
    rows = [list(_row(group, numbers)) for group in ranked(points)]
    made = table(
        titles,
        rows,
        numbers=[*points.are_numbers, *[True] * (len(titles) - len(points.names))],
        caption="Breaking points, ranked",
    )
    return join([*meanings, made, element("p", BAND_NOTE, class_="note")])


def _row(group: ResultGroup, numbers: Numbers) -> Iterator[str]:
    yield from map(shown, group.values)
    yield words.count(len(group.rows))
    yield numbers.number(group.metric.mean)
    yield "" if group.metric.half_width is None else numbers.number(group.metric.half_width)
    yield numbers.number(min(group.measured))
    yield numbers.number(max(group.measured))
    yield words.count(sum(not isfinite(point) for point in group.measured))
    yield words.count(sum(row.evaluations or 0 for row in group.rows))
