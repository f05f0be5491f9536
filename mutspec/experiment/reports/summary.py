"""The result of a single job, for people."""

from __future__ import annotations

from collections import Counter
from math import floor, inf, isfinite, log10
from pathlib import Path
from statistics import fmean

from mutspec.experiment.gates import Verdict
from mutspec.experiment.reports.interval import estimate
from mutspec.experiment.reports.table import BAND_NOTE, metric_label
from mutspec.experiment.result import AGREEMENTS, Breaking, Result, Row
from mutspec.text import words
from mutspec.text.layout import Column, Paint, paragraph, sentence, table

NEVER = "never"
"""The breaking point of a mutant that holds at the greatest scale."""


def result_text(result: Result, *, width: int = 80, styled: bool = False) -> str:
    """Returns the result of a job: base, mutant and their difference for each metric, and the changed entries.

    Arguments:
        result: of a job that did not fail.
        width: of the page, in columns.
        styled: whether to use the colours of terminals.
    """
    paint = Paint(styled)
    title = sentence(f"{result.plan.name} on {result.model.path}", width=width)
    blocks = [
        "\n".join([*(paint(line, "bold") for line in title.splitlines()), paragraph(_facts(result), width=width)])
    ]
    if result.breaking is not None:
        blocks.append(_breaking(result, result.breaking, width, paint))
    if any(row.metrics for row in result.rows):
        blocks.append(_metrics(result, width, paint))
    blocks.append("\n".join(sentence(line, width=width) for line in _lines(result)))
    blocks.append(_outputs(result.rows, width, paint))
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
    if result.data.samples:
        facts.append(f"{words.plural(result.data.samples, 'sample')} of {Path(result.data.name).name}")
    return [*facts, f"{sum(row.seconds for row in result.rows):.3g} s"]


def _breaking(result: Result, breaking: Breaking, width: int, paint: Paint) -> str:
    """Returns the breaking points of the mutants: the mean, and the bracket of each seed."""
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
    lines = [*_agreement(result), *_distances(result.rows)]
    non_finite = sum(row.non_finite_outputs for row in result.rows)
    if non_finite:
        counts = [row.output_numbers for row in result.rows]
        whole = sum(number or 0 for number in counts) if None not in counts else None
        lines.append(f"{words.part_of(non_finite, whole)} numbers in the outputs are infinite or NaN.")
    lines.append(_touched(result.rows))
    if result.output:
        lines.append(f"The mutant is {result.output}.")
    return lines


def _agreement(result: Result) -> list[str]:
    """On how much base and mutant agree, the mean over the seeds, and what flipped in all of them together."""
    agreement, samples = (_mean(result.rows, name) for name in AGREEMENTS)
    if agreement is None:
        return []
    outputs = len(result.rows[0].by_output)
    if samples is not None and samples == agreement and not outputs:
        said = f"Base and mutant agree on {agreement:.1%} of all samples."
    elif samples is None:
        said = f"Base and mutant agree on {agreement:.1%} of all choices."
    else:
        choices = f"the choices, the mean over {outputs} outputs" if outputs else "all choices"
        said = (
            f"Base and mutant agree on {agreement:.1%} of {choices}; on {samples:.1%} of all samples in every choice."
        )
    return [said + _flips(result)]


def _mean(rows: tuple[Row, ...], name: str) -> float | None:
    """The mean over the seeds of what was measured."""
    values = [value for row in rows if (value := getattr(row, name)) is not None]
    return fmean(values) if values else None


def _outputs(rows: tuple[Row, ...], width: int, paint: Paint) -> str:
    """Returns the measures of each of several outputs: means over the seeds; for counts, all seeds together."""
    names = list(dict.fromkeys(name for row in rows for name in row.by_output))
    if not names:
        return ""
    measures: tuple[tuple[str, str, str], ...] = (
        ("Agreement", "agreement", ".1%"),
        ("Divergence, nats", "divergence", ".3g"),
        ("Deviation", "deviation", ".3g"),
    )
    lines = []
    for name in names:
        found = [row.by_output[name] for row in rows if name in row.by_output]
        known = [[value for each in found if (value := getattr(each, key)) is not None] for _, key, _ in measures]
        said = [
            f"{fmean(values):{form}}" if values else "" for values, (_, _, form) in zip(known, measures, strict=True)
        ]
        bad = sum(each.non_finite for each in found)
        lines.append([name, *said, words.part_of(bad, sum(each.numbers for each in found)) if bad else ""])
    columns = [Column("Output", folds=True), *(Column(title, is_number=True) for title, _, _ in measures)]
    columns.append(Column("Non-finite", is_number=True))
    kept = [0, *(index for index in range(1, len(columns)) if any(line[index] for line in lines))]
    cells = [[line[index] for index in kept] for line in lines]
    return table([columns[index] for index in kept], cells, width=width, paint=paint)


_MOST_CLASSES = 4
"""The number of classes that are named for flipped choices."""


def _flips(result: Result) -> str:
    """From which classes most choices flipped, of how many that the base made in the comparisons of all seeds."""
    total = sum((Counter(row.flips) for row in result.rows), Counter())
    if not total:
        return ""
    seeds = len(result.rows)
    classes = {name: seeds * count for name, count in result.classes.items()}
    named = ", ".join(
        f"{name} ({words.part_of(count, classes.get(name))})" for name, count in total.most_common(_MOST_CLASSES)
    )
    more = f", and {len(total) - _MOST_CLASSES} more" if len(total) > _MOST_CLASSES else ""
    over = f" (choices of all {seeds} seeds)" if seeds > 1 else ""
    return f" It left the classes {named}{more}{over}." if len(total) > 1 else f" It left the class {named}{over}."


def _distances(rows: tuple[Row, ...]) -> list[str]:
    """Returns the distance of the outputs from the base's, in one line."""
    said = []
    for name, what in (("divergence", "diverge by {} nats (Kullback–Leibler)"), ("deviation", "deviate by {}")):
        if (value := _mean(rows, name)) is not None:
            said.append(what.format(f"{value:.3g}"))
    return [f"On average its outputs {' and '.join(said)}."] if said else []


def _gate(verdict: Verdict, width: int, paint: Paint) -> str:
    """Returns the verdict of a gate."""
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
