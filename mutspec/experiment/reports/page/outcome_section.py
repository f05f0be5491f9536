"""The outcome of a sweep: the head of the page, the groups, gates and failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from mutspec.experiment.gates import Verdict
from mutspec.experiment.metric_kinds import is_share
from mutspec.experiment.reports.aggregate import first_line, metric_names
from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.page.markup import Markup, element, intervals_apart, join, table
from mutspec.experiment.reports.table import (
    decimals,
    facts,
    group_table,
    interval_notes,
    job_name,
    metric_label,
    overrides,
)
from mutspec.text import words


def opening(summary: Summary, heading: str) -> Markup:
    """The name, facts, and the numbers that say most."""
    return join(
        [
            element("p", "mutspec report", class_="kind"),
            element("h1", heading),
            element("p", " · ".join(facts(summary)), class_="facts"),
            element("dl", *_tiles(summary), class_="tiles"),
        ]
    )


def _tiles(summary: Summary) -> Iterator[Markup]:
    for name in metric_names(summary.results):
        values = sorted({result.base[name] for result in summary.results if name in result.base})
        if values:
            ends = dict.fromkeys(_measured(name, value, summary) for value in (values[0], values[-1]))
            yield _tile(f"Base {name.replace('_', ' ')}", " – ".join(ends))
    gated = [result for result in summary.results if result.gates]
    if gated:
        held = len(gated) - len(summary.refused)
        yield _tile("Jobs that hold their gates", f"{held:,} of {len(gated):,}", "bad" if summary.refused else "good")
    if summary.failed:
        yield _tile("Failed jobs", f"{len(summary.failed):,} of {len(summary.results):,}", "bad")


def _tile(name: str, value: str, kind: str | None = None) -> Markup:
    return element("div", element("dt", name), element("dd", value, class_=kind))


def _measured(name: str, value: float, summary: Summary) -> str:
    return f"{value:.{decimals(summary.results)}%}" if is_share(name, [value]) else f"{value:.4g}"


def warned(warnings: Sequence[str]) -> Markup:
    """Returns the notes for the reader."""
    if not warnings:
        return Markup()
    items = (element("li", each) for each in warnings)
    return element("aside", element("ul", *items), aria_label="Warnings", class_="warnings")


def groups(summary: Summary) -> Markup:
    """The table of the terminal. Means stand apart from their intervals, so that both are aligned."""
    if not summary.groups:
        return Markup()
    columns, rows = group_table(summary)
    titles, numbers, rows = intervals_apart(
        [column.title for column in columns], [column.is_number for column in columns], rows
    )
    made = table(titles, rows, numbers=numbers, caption="Means over the seeds", bold_first=summary.base is not None)
    return join([made, *(element("p", note, class_="note") for note in interval_notes(summary))])


def gates(summary: Summary) -> Markup:
    """Returns a table of the gates: how many jobs pass each, and by how much the others miss it."""
    verdicts = [(result, verdict) for result in summary.results for verdict in result.gates]
    if not verdicts:
        return Markup()
    asked = Counter(_required(verdict) for _, verdict in verdicts)
    held = Counter(_required(verdict) for _, verdict in verdicts if verdict.holds)
    required = table(
        ["Required", "Held by", ""],
        [
            [each, f"{held[each]:,} of {words.plural(number, 'job')}", _mark(is_held=held[each] == number)]
            for each, number in asked.items()
        ],
        numbers=[False, True, False],
        caption="What is required",
    )
    missed = [(result, verdict) for result, verdict in verdicts if not verdict.holds]
    if not missed:
        return required
    rows = [
        [
            job_name(result, summary),
            overrides(result),
            _required(each),
            f"{each.value:.4g}",
            f"{abs(each.value - each.limit):.4g}",
            each.seed,
        ]
        for result, each in missed
    ]
    failed = table(
        ["Job", "Overrides", "Required", "Measured", "Missed by", "Worst seed"],
        rows,
        numbers=[summary.has_job_numbers, False, False, True, True, True],
        caption="Gates that failed",
    )
    return join([required, element("h3", f"{words.plural(len(missed), 'gate')} failed"), failed])


def _required(verdict: Verdict) -> str:
    said = {"min": "at least", "max": "at most", "max_drop": "may fall by at most"}[verdict.bound]
    return f"{metric_label(verdict.metric)} {said} {verdict.limit:.4g}"


def _mark(*, is_held: bool) -> Markup:
    return element("span", "holds" if is_held else "fails", class_="good" if is_held else "bad")


def failures(summary: Summary) -> Markup:
    """The jobs that failed, with all that they said."""
    if not summary.failed:
        return Markup()
    rows = [[job_name(result, summary), overrides(result), _error(result.error or "")] for result in summary.failed]
    return table(
        ["Job", "Overrides", "Error"],
        rows,
        numbers=[summary.has_job_numbers, False, False],
        caption="Jobs that failed",
    )


def _error(said: str) -> Markup:
    first = first_line(said) or ""
    if said.strip() == first:
        return element("span", first, class_="bad")
    return element("details", element("summary", first, class_="bad"), element("pre", said.strip("\n")))
