"""The result of a single job, for people."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from mutspec.execute import words
from mutspec.execute.layout import Column, Paint, paragraph, sentence, table
from mutspec.sweep.result import Result, Row
from mutspec.sweep.table import metric_label


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
    if any(row.metrics for row in result.rows):
        blocks.append(_metrics(result, width, paint))
    blocks.append("\n".join(sentence(line, width=width) for line in _lines(result)))
    if result.warnings:
        warnings = (sentence(f"warning: {text}", width=width) for text in result.warnings)
        blocks.append("\n".join(paint(line, "yellow") for text in warnings for line in text.splitlines()))
    return "\n\n".join(block for block in blocks if block)


def _facts(result: Result) -> list[str]:
    seeds = [row.seed for row in result.rows]
    facts = [f"{name} {words.flow(value)}" for name, value in result.parameters.items()]
    facts.append(f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}")
    if result.samples:
        facts.append(f"{words.plural(result.samples, 'sample')} of {Path(result.data).name}")
    return [*facts, f"{sum(row.seconds for row in result.rows):.3g} s"]


def _metrics(result: Result, width: int, paint: Paint) -> str:
    mean = " (mean)" if len(result.rows) > 1 else ""
    columns = [Column(""), *(Column(name, is_number=True) for name in ("Base", f"Mutant{mean}", "Drop"))]
    rows = []
    for name, base in result.base.items():
        values = [base, fmean(row.metrics[name] for row in result.rows), fmean(row.drop[name] for row in result.rows)]
        rows.append([metric_label(name), *(f"{value:.4f}" if abs(value) < 1e4 else f"{value:.4g}" for value in values)])
    return table(columns, rows, width=width, paint=paint)


def _lines(result: Result) -> list[str]:
    lines = []
    agreements = [row.agreement for row in result.rows if row.agreement is not None]
    if agreements:
        lines.append(f"Base and mutant agree on {100 * fmean(agreements):.1f}% of all samples.")
    non_finite = sum(row.non_finite_outputs for row in result.rows)
    if non_finite:
        lines.append(f"{words.count(non_finite)} numbers in the outputs are infinite or NaN.")
    lines.append(_touched(result.rows))
    if result.output:
        lines.append(f"The mutant is {result.output}.")
    return lines


def _touched(rows: tuple[Row, ...]) -> str:
    each = " for each seed" if len(rows) > 1 else ""
    touched = _extent([row.touched for row in rows])
    if any(row.changed is None for row in rows):
        return f"The plan touches {touched} entries{each}; nothing was applied."
    return f"Touched {touched} entries{each}, and changed {_extent([row.changed or 0 for row in rows])}."


def _extent(counts: list[int]) -> str:
    """One count, or the least and the greatest."""
    return " to ".join(words.count(number) for number in dict.fromkeys([min(counts), max(counts)]))
