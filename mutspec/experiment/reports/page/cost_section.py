"""What mutants cost, and what is had for it: the members of the Pareto fronts."""

from __future__ import annotations

from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.page.markup import Markup, element, join, table
from mutspec.experiment.reports.pareto import Candidate, Front, fronts
from mutspec.experiment.reports.table import Numbers, metric_label, worse_by, worsening
from mutspec.experiment.result_settings import labels
from mutspec.text import words


def cost(summary: Summary) -> Markup:
    """Returns a table of the members of each front."""
    return join(_members(front, summary) for front in fronts(summary))


def _members(front: Front, summary: Summary) -> Markup:
    numbers, name = Numbers(summary), metric_label(front.cost)
    bases = [each.cost for each in front.candidates if each.group is None]
    base = bases[0] if len(bases) == 1 else None
    titles = ["", *labels(summary.names), name, "Of the base", metric_label(summary.metric or ""), "±", _worse(summary)]
    rows = [_row(each, base, summary, numbers) for each in front.members]
    are_numbers = [False, *summary.are_numbers, *[True] * 5]
    kept = [index for index in range(len(titles)) if any(row[index] for row in rows)]
    caption = f"The Pareto front of {metric_label(summary.metric or '').lower()} and {name.lower()}"
    made = table(
        [titles[index] for index in kept],
        [[row[index] for index in kept] for row in rows],
        numbers=[are_numbers[index] for index in kept],
        caption=caption,
    )
    count = f" ({len(front.members):,} of {len(front.candidates):,})"
    note = "No other mutant, nor the base, is at least as good in both and better in one; means over the seeds."
    return join([element("h3", caption + count), made, element("p", note, class_="note")])


def _worse(summary: Summary) -> str:
    return f"{worsening(summary)}, points" if summary.is_share else worsening(summary)


def _row(each: Candidate, base: float | None, summary: Summary, numbers: Numbers) -> list[str]:
    group = each.group
    of_base = f"{each.cost / base:.1%}" if base else ""
    cost = words.count(round(each.cost))
    if group is None:
        return ["base", *[""] * len(summary.names), cost, of_base, numbers.number(each.value), "", ""]
    settings = [summary.written(*pair) for pair in zip(summary.names, group.values, strict=True)]
    half = group.metric.half_width
    spread = "" if half is None else numbers.number(half)
    drop = numbers.drop(worse_by(group.drop, summary))
    return ["", *settings, cost, of_base, numbers.number(each.value), spread, drop]
