"""The table of all mutants, a row for each job and seed, which a reader can sort and filter."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mutspec.experiment.metric_kinds import is_share
from mutspec.experiment.reports.aggregate import first_line, metric_names
from mutspec.experiment.reports.groups import SAMPLE_AGREEMENT, Summary
from mutspec.experiment.reports.page.markup import Markup, element, join, table
from mutspec.experiment.reports.table import CHANGED_NOTHING, decimals, metric_label, places, worse_by, worsening
from mutspec.experiment.result import BREAKING_POINT, FIDELITY, Result, Row
from mutspec.experiment.result_settings import as_number, labels, varying
from mutspec.text import words

_MOST_DIGITS = 4
"""Behind the point; results.csv has all."""


@dataclass(frozen=True)
class _Column:
    """A column: its cells, and whether they are numbers."""

    title: str
    cells: list[object]
    is_number: bool = True


def mutants(summary: Summary) -> Markup:
    """The table. Columns that would be empty are left out."""
    pairs: list[tuple[Result, Row | None]] = [
        (result, row) for result in summary.results for row in (result.rows or (None,))
    ]
    columns = [column for column in _columns(summary, pairs) if any(cell != "" for cell in column.cells)]
    made = table(
        [column.title for column in columns],
        zip(*(column.cells for column in columns), strict=True),
        numbers=[column.is_number for column in columns],
        caption="All mutants",
        class_="sortable",
    )
    note = "A row for each job and seed, as in results.csv, which has all digits."
    return join([element("p", note, class_="note"), made])


def _columns(summary: Summary, pairs: Sequence[tuple[Result, Row | None]]) -> Iterator[_Column]:
    if summary.has_job_numbers:
        yield _Column("Job", ["" if result.job.number is None else result.job.number for result, _ in pairs])
    else:
        yield _Column("Job", [result.job.directory for result, _ in pairs], is_number=False)
    given = {id(result): each for result, each in zip(summary.results, summary.given, strict=True)}
    names = varying(summary.results, summary.given)  # also what the tables of means average over
    for name, label in zip(names, labels(names), strict=True):
        values = [given[id(result)].get(name) for result, _ in pairs]
        is_number = all(as_number(value) is not None for value in values if value not in (None, ""))
        yield _Column(label, [summary.written(name, value) for value in values], is_number)
    yield _Column("Seed", ["" if row is None else row.seed for _, row in pairs])
    for name in metric_names(summary.results):
        measured = [None if row is None else row.metrics.get(name) for _, row in pairs]
        drops = [None if row is None else worse_by(row.drop.get(name), summary) for _, row in pairs]
        write = _writer(name, measured, summary)
        yield _Column(metric_label(name), list(map(write, measured)))
        if name == summary.metric:
            is_percent = is_share(name, _known(measured))
            yield _Column(*_drops(drops, summary) if is_percent else (worsening(summary), list(map(write, drops))))
    fidelity = [name for name in FIDELITY if name != SAMPLE_AGREEMENT or summary.tells_samples]
    for name in (BREAKING_POINT, "holds_at", *fidelity):
        values = [None if row is None else getattr(row, name) for _, row in pairs]
        yield _Column(metric_label(name), list(map(_writer(name, values, summary), values)))
    if any(row is not None and row.non_finite_outputs for _, row in pairs):
        yield _Column("Non-finite outputs", [_count(row, "non_finite_outputs") for _, row in pairs])
    if any(row is not None and row.evaluations is not None for _, row in pairs):
        yield _Column("Scales tried", [_count(row, "evaluations") for _, row in pairs])
    for name in summary.varying_costs:
        yield _Column(metric_label(name), [_count(row, name) for _, row in pairs])
    yield _Column("Touched", [_count(row, "touched") for _, row in pairs])
    yield _Column("Changed", [_count(row, "changed") for _, row in pairs])
    if any(row is not None and row.is_unchanged for _, row in pairs):
        yield _Column(CHANGED_NOTHING, ["yes" if row and row.is_unchanged else "" for _, row in pairs], is_number=False)
    yield _Column("Seconds", ["" if row is None else f"{row.seconds:.2f}" for _, row in pairs])
    yield _Column("Failed", [_wrong(result) for result, _ in pairs], is_number=False)


def _drops(drops: Sequence[float | None], summary: Summary) -> tuple[str, list[object]]:
    """Drops of shares, in points of a percentage."""
    digits = decimals(summary.results)
    cells: list[object] = ["" if each is None else f"{round(100 * each, digits) + 0.0:.{digits}f}" for each in drops]
    return f"{worsening(summary)}, points", cells


def _writer(name: str, values: Sequence[float | None], summary: Summary) -> Callable[[float | None], str]:
    """Returns the format of a column's numbers, so that their digits align."""
    known = _known(values)
    if is_share(name, known):
        digits = decimals(summary.results)
        return lambda value: "" if value is None else f"{value:.{digits}%}"
    digits_behind = places([abs(each) for each in known if each and math.isfinite(each)])
    if digits_behind is None:
        return lambda value: "" if value is None else f"{value:.4g}"
    digits_behind = min(digits_behind, _MOST_DIGITS)
    return lambda value: "" if value is None else f"{round(value, digits_behind) + 0.0:.{digits_behind}f}"


def _known(values: Sequence[Any]) -> list[float]:
    return [value for value in values if value is not None]


def _count(row: Row | None, name: str) -> str:
    number = None if row is None else getattr(row, name)
    return "" if number is None else words.count(number)


def _wrong(result: Result) -> str:
    """Returns the reason why a job or a gate failed. Another table says by how much."""
    measures = dict.fromkeys(verdict.metric for verdict in result.failed_gates)
    return first_line(result.error) or (f"gate of {', '.join(measures)}" if measures else "")
