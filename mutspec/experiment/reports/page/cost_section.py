"""Tables of what mutants cost and how good they are: the members of the Pareto fronts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.page.markup import Markup, element, join, table
from mutspec.experiment.reports.pareto import Candidate, Front, fronts
from mutspec.experiment.reports.table import Numbers, drop_label, metric_label, worse_by
from mutspec.experiment.result_settings import labels
from mutspec.text import words

_NOTE = "Of the base and all mutants, no other one is at least as good in both and better in one. Means over the seeds."


def cost(summary: Summary) -> Markup:
    """Returns a table of the members of each front. Fronts of the same members share one."""
    tables: dict[tuple[int, ...], list[Front]] = {}
    for front in fronts(summary):
        tables.setdefault(tuple(id(each.group) for each in front.members), []).append(front)
    return join(_members(alike, summary) for alike in tables.values())


def _members(alike: Sequence[Front], summary: Summary) -> Markup:
    """Returns the table of some fronts with the same members."""
    metric = metric_label(summary.metric or "")
    names = [metric_label(front.cost) for front in alike]
    settings = list(labels(summary.names)) or [""]
    titles = [*settings, metric, "±", drop_label(summary)]
    for name in names:
        titles += [name, "Of the base"]
    rows = [list(_row(same, alike, summary)) for same in zip(*(front.members for front in alike), strict=True)]
    are_numbers = [*(summary.are_numbers or [False]), *[True] * (len(titles) - len(settings))]
    kept = [0, *(index for index in range(1, len(titles)) if any(row[index] for row in rows))]
    caption = f"Pareto front of {metric.lower()} over {', and over '.join(name.lower() for name in names)}"
    made = table(
        [titles[index] for index in kept],
        [[row[index] for index in kept] for row in rows],
        numbers=[are_numbers[index] for index in kept],
        caption=caption,
    )
    of_all = f" ({len(alike[0].members):,} of {len(alike[0].candidates):,})"
    return join([element("h3", caption + of_all), made, element("p", _NOTE, class_="note")])


def _row(same: Sequence[Candidate], alike: Sequence[Front], summary: Summary) -> Iterator[str]:
    """Yields the cells of one member, which is a candidate of each front."""
    numbers, group = Numbers(summary), same[0].group
    if group is None:
        yield from ("base", *[""] * (len(summary.names) - 1), numbers.number(same[0].value), "", "")
    else:
        written = [summary.written(*each) for each in zip(summary.names, group.values, strict=True)]
        half = group.metric.half_width
        yield from written or ["mutant"]
        yield numbers.number(same[0].value)
        yield "" if half is None else numbers.number(half)
        yield numbers.drop(worse_by(group.drop, summary))
    for each, front in zip(same, alike, strict=True):
        yield words.count(round(each.cost))
        yield f"{each.cost / front.base:.1%}" if front.base else ""
