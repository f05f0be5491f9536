"""The sensitive places of a model: a map as a table of shades, whose numbers can be read, and the ranking."""

from __future__ import annotations

import math

from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.interval import Estimate
from mutspec.experiment.reports.page.markup import Markup, element, intervals_apart, join, shaded, table
from mutspec.experiment.reports.ranking_chart import longest
from mutspec.experiment.reports.sensitivity import Sensitivity
from mutspec.experiment.reports.sensitivity import sensitivity as found_in
from mutspec.experiment.reports.table import Numbers, harm_label, ranking_note, ranking_table
from mutspec.text import words

_MOST_ROWS = 80


def sensitivity(summary: Summary) -> Markup:
    """The map, if a number varies, and the ranking, if there is one."""
    found = found_in(summary)
    if found is None:
        return Markup()
    return join(
        [
            _map(found, summary) if len(found.scales) > 1 else Markup(),
            _ranking(found, summary) if found.ranking else Markup(),
        ]
    )


def _map(found: Sensitivity, summary: Summary) -> Markup:
    numbers = Numbers(summary)
    ranks = {each.value: str(number) for number, each in enumerate(found.ranking, start=1) if each.is_ranked}
    rows = [
        [
            value,
            *(
                words.NOTHING if is_unchanged else _cell(harm, found.most, numbers)
                for harm, is_unchanged in zip(harms, found.unchanged[value], strict=True)
            ),
            ranks.get(value, ""),
        ]
        for value, harms in found.harms.items()
    ]
    over = summary.names[summary.are_numbers.index(True)]
    titles = [found.name, *(f"{found.over} {summary.written(over, scale)}" for scale in found.scales), "Rank"]
    label = harm_label(found, summary)
    made = table(
        titles,
        rows,
        numbers=[False, *[True] * (len(titles) - 1)],
        caption=f"{label} by {found.name} and {found.over}",
        most_rows=_MOST_ROWS,
        class_="map",
    )
    is_any = any(map(any, found.unchanged.values()))
    note = element("p", f"{words.NOTHING}: the plan changed nothing", class_="note") if is_any else Markup()
    return join([element("h3", f"{label}, means over the seeds"), made, note])


def _cell(harm: float | None, most: float, numbers: Numbers) -> object:
    return "" if harm is None else shaded(numbers.drop(harm), harm, most)


def _ranking(found: Sensitivity, summary: Summary) -> Markup:
    """The ranking, with a bar for each mean and a whisker for its interval."""
    columns, rows = ranking_table(found, summary)
    titles, numbers, cells = intervals_apart(
        [column.title for column in columns], [column.is_number for column in columns], rows
    )
    harms = [each.harm for each in found.ranking]
    most = longest(harms)
    made = table(
        [*titles, ""],
        [[*row, _bar(harm, most)] for row, harm in zip(cells, harms, strict=True)],
        numbers=[*numbers, False],
        caption=f"Ranking: {harm_label(found, summary)}",
        most_rows=_MOST_ROWS,
        class_="ranking",
    )
    return join([element("h3", "The most sensitive first"), made, element("p", ranking_note(found), class_="note")])


def _bar(harm: Estimate, most: float) -> Markup:
    """Returns a bar whose length is a mean, with its interval. The numbers next to it say the same."""

    def part(value: float) -> float:
        if not math.isfinite(value):
            return 1.0
        return min(max(value / most, 0.0), 1.0) if most > 0 else 0.0

    bar = element("span", class_="bar", style=f"--part:{part(harm.mean or 0.0):.3g}")
    if harm.low is None or harm.high is None:
        return element("span", bar, class_="track")
    ends = f"--low:{part(harm.low):.3g};--high:{part(harm.high):.3g}"
    return element("span", bar, element("span", class_="whisker", style=ends), class_="track")
