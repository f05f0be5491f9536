"""The result of a single job, for people."""

from __future__ import annotations

from collections import Counter
from math import floor, inf, isfinite, log10
from pathlib import Path
from statistics import fmean

from mutspec.execute import words
from mutspec.execute.layout import Column, Paint, paragraph, sentence, table
from mutspec.experiment.gates import Verdict
from mutspec.experiment.reports.interval import estimate
from mutspec.experiment.reports.table import BAND_NOTE, metric_label
from mutspec.experiment.result import Breaking, Result, Row

NEVER = "never"
"""Where a mutant breaks that holds at the greatest scale."""


def result_text(result: Result, *, width: int = 80, styled: bool = False) -> str:
    """What a job found: base, mutant and their difference for each metric, and what was touched.

    Arguments:
        result: of a job that did not fail.
        width: of the page, in columns.
        styled: whether to use the colours of terminals.
    """
    paint = Paint(styled)
    title = sentence(f"{result.plan_name} on {result.model}", width=width)
    blocks = [
        "\n".join([*(paint(line, "bold") for line in title.splitlines()), paragraph(_facts(result), width=width)])
    ]
    if result.breaking is not None:
        blocks.append(_breaking(result, result.breaking, width, paint))
    if any(row.metrics for row in result.rows):
        blocks.append(_metrics(result, width, paint))
    blocks.append("\n".join(sentence(line, width=width) for line in _lines(result)))
    if result.gates:
        blocks.append("\n".join(_gate(verdict, width, paint) for verdict in result.gates))
    if result.warnings:
        warnings = (sentence(f"warning: {text}", width=width) for text in result.warnings)
        blocks.append("\n".join(paint(line, "yellow") for text in warnings for line in text.splitlines()))
    return "\n\n".join(block for block in blocks if block)


def _facts(result: Result) -> list[str]:
    seeds = sorted(row.seed for row in result.rows)
    facts = [f"{name} {words.flow(value)}" for name, value in result.parameters.items()]
    has_gaps = seeds[-1] - seeds[0] >= len(seeds)
    number = f"{len(seeds)} seeds from" if has_gaps else "seeds"
    facts.append(f"seed {seeds[0]}" if len(seeds) == 1 else f"{number} {seeds[0]} to {seeds[-1]}")
    if result.samples:
        facts.append(f"{words.plural(result.samples, 'sample')} of {Path(result.data).name}")
    return [*facts, f"{sum(row.seconds for row in result.rows):.3g} s"]


def _breaking(result: Result, breaking: Breaking, width: int, paint: Paint) -> str:
    """Where the mutants break: the mean, and the bracket of each seed."""
    points = [(row, row.breaking_point) for row in result.rows if row.breaking_point is not None]
    found = estimate(point for _, point in points)
    broken = sum(isfinite(point) for _, point in points)
    band = "" if found.half_width is None else f" ± {found.half_width:.2g}"
    line = f"{breaking.key} breaks the model at {found.mean:.4g}{band}: from there {breaking}."
    if not broken:
        line = f"No {breaking.key} that was tried breaks the model: nowhere {breaking}."
    elif broken < len(points):
        line = f"{breaking.key} breaks the model with {broken} of {len(points)} seeds: from there {breaking}."
    titles = ("Seed", "Holds at", "Breaks at", "Scales tried")
    digits = max(6, 2 - floor(log10(breaking.tolerance)))
    rows = [
        [
            str(row.seed),
            f"{row.holds_at:.{digits}g}",
            f"{point:.{digits}g}" if isfinite(point) else NEVER,
            f"{row.evaluations}",
        ]
        for row, point in points
    ]
    brackets = table([Column(name, is_number=True) for name in titles], rows, width=width, paint=paint)
    note = [] if found.half_width is None else [paint(BAND_NOTE, "dim")]
    return "\n".join([sentence(line, width=width), "", brackets, *note])


def _metrics(result: Result, width: int, paint: Paint) -> str:
    mean = " (mean)" if len(result.rows) > 1 else ""
    is_broken = bool(result.breaking) and all(row.breaking_point != inf for row in result.rows)
    mutant = "Broken mutant" if is_broken else "Mutant"
    columns = [Column(""), *(Column(name, is_number=True) for name in ("Base", f"{mutant}{mean}", "Change"))]
    rows = []
    for name, base in result.base.items():
        values = [base, fmean(row.metrics[name] for row in result.rows), -fmean(row.drop[name] for row in result.rows)]
        said = (f"{round(value, 4) + 0.0:.4f}" if abs(value) < 1e4 else f"{value:.4g}" for value in values)
        rows.append([metric_label(name), *said])
    return table(columns, rows, width=width, paint=paint)


def _lines(result: Result) -> list[str]:
    lines = []
    if agreements := [row.agreement for row in result.rows if row.agreement is not None]:
        lines.append(f"Base and mutant agree on {100 * fmean(agreements):.1f}% of all samples.{_flips(result.rows)}")
    lines += _distances(result.rows)
    non_finite = sum(row.non_finite_outputs for row in result.rows)
    if non_finite:
        lines.append(f"{words.count(non_finite)} numbers in the outputs are infinite or NaN.")
    lines.append(_touched(result.rows))
    if result.output:
        lines.append(f"The mutant is {result.output}.")
    return lines


_MOST_CLASSES = 4
"""How many classes are named from which choices flipped."""


def _flips(rows: tuple[Row, ...]) -> str:
    """From which classes most choices flipped."""
    total = sum((Counter(row.flips) for row in rows), Counter())
    if not total:
        return ""
    named = ", ".join(f"{name} ({count:,})" for name, count in total.most_common(_MOST_CLASSES))
    more = f", and {len(total) - _MOST_CLASSES} more" if len(total) > _MOST_CLASSES else ""
    return f" It left the classes {named}{more}." if len(total) > 1 else f" It left the class {named}."


def _distances(rows: tuple[Row, ...]) -> list[str]:
    """How far the outputs are from the base's, in one line."""
    said = []
    for name, what in (("divergence", "diverge by {} nats (Kullback–Leibler)"), ("deviation", "deviate by {}")):
        values = [value for row in rows if (value := getattr(row, name)) is not None]
        if values:
            said.append(what.format(f"{fmean(values):.3g}"))
    return [f"On average its outputs {' and '.join(said)}."] if said else []


def _gate(verdict: Verdict, width: int, paint: Paint) -> str:
    """Whether a gate holds."""
    first, *rest = sentence(f"{'held' if verdict.holds else 'FAILED':<6}  {verdict}", width=width).splitlines()
    head, tail = first[:6], first[6:]
    return "\n".join([paint(head, "green" if verdict.holds else "red") + tail, *(f"        {line}" for line in rest)])


def _touched(rows: tuple[Row, ...]) -> str:
    each = " for each seed" if len(rows) > 1 else ""
    touched = _extent([row.touched for row in rows])
    if any(row.changed is None for row in rows):
        return f"The plan touches {touched} entries{each}; nothing was applied."
    return f"Touched {touched} entries{each}, and changed {_extent([row.changed or 0 for row in rows])}."


def _extent(counts: list[int]) -> str:
    """One count, or the least and the greatest."""
    return " to ".join(words.count(number) for number in dict.fromkeys([min(counts), max(counts)]))
