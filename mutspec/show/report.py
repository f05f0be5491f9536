"""Reports as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from mutspec.errors import Problem
from mutspec.show.report import Report, StepReport
from mutspec.structure.layer_edit import EditKind, LayerEdit
from mutspec.text import words
from mutspec.text.layout import MOST_ROWS, Column, Page, Paint, paragraph, sentence, table
from mutspec.text.visible import in_one_line


def report_text(
    report: Report, *, width: int = 80, styled: bool = False, most_rows: int | None = MOST_ROWS, hint: str = ""
) -> str:
    """What a plan does to a model: a head, a table for each step, totals, warnings.

    Arguments:
        report: the report.
        width: of the page, in columns.
        styled: whether to use the colours of terminals.
        most_rows: how many rows of a table to show; None for all.
        hint: how to see the rows that are not shown.
    """
    page = Page(width, Paint(styled), most_rows, hint)
    steps = [_step(number, step, page) for number, step in enumerate(report.steps, start=1)]
    blocks = [_head(report, page), *steps, "\n".join(_totals(report, width))]
    if report.warnings:
        blocks.insert(-1, "\n".join(_warning(problem, page) for problem in report.warnings))
    return "\n\n".join(blocks)


def _head(report: Report, page: Page) -> str:
    title = sentence(f"{report.plan_name} on {report.model}", width=page.width)
    facts = [
        *(["dry-run"] if report.output is None else []),
        f"seed {report.seed}",
        words.plural(report.layers, "layer"),
        parameters(report),
        *(f"input {each.name}: {each.path}" for each in report.inputs),
    ]
    return "\n".join([*(page.paint(line, "bold") for line in title.splitlines()), paragraph(facts, width=page.width)])


def parameters(report: Report) -> str:
    """The number of parameters, and what becomes of it."""
    before, after = report.parameters_before, report.parameters_after
    return words.plural(before, "parameter") if before == after else f"{before:,} → {after:,} parameters"


def _step(number: int, step: StepReport, page: Page) -> str:
    indent = len(f"{number}  ")
    name = f" [{step.id}]" if step.id != step.op else ""
    lines = [page.paint(f"{number}  {step.op}", "bold") + name]
    if step.parameters:
        parts = [f"{key}: {words.flow(value)}" for key, value in step.parameters.items()]
        lines += [page.paint(line, "dim") for line in paragraph(parts, width=page.width, indent=indent).splitlines()]
    lines += [" " * indent + in_one_line(edit_sentence(edit)) for edit in step.edits]
    if not step.targets:
        return "\n".join([*lines, *([] if step.edits else [" " * indent + "touches nothing"])])
    header, rows = target_rows(step)
    columns = [Column(title, is_number=title in _NUMBERS, folds=title == "Weight") for title in header]
    lines.append(table(columns, rows[: page.most_rows], width=page.width, paint=page.paint, indent=indent))
    return "\n".join([*lines, *page.more(len(rows), indent)])


def edit_sentence(edit: LayerEdit) -> str:
    """What becomes of a layer, such as `+ adapter (Dense), 1,640 parameters`."""
    mark = {EditKind.ADDED: "+", EditKind.REMOVED: "-"}.get(edit.kind, "~")
    name = f"{edit.before} → {edit.layer}" if edit.before else edit.layer
    count = f", {words.plural(edit.parameters, 'parameter')}" if edit.parameters else ""
    return f"{mark} {name} ({edit.type}){count}"


_NUMBERS = frozenset({"Entries", "Touched", "Changed"})


def target_rows(step: StepReport) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of a step's table: one for each tensor."""
    is_applied = any(target.changed is not None for target in step.targets)
    header = ["Weight", "Shape", "Dtype", "Entries", "Touched", *(["Changed"] if is_applied else [])]
    rows = [
        [
            f"{target.layer}/{target.weight}",
            words.shape(target.shape),
            target.dtype,
            words.count(target.elements),
            words.count(target.touched),
            *([words.count(target.changed or 0)] if is_applied else []),
        ]
        for target in step.targets
    ]
    return header, rows


def _totals(report: Report, width: int) -> Iterator[str]:
    yield sentence(touched_sentence(report), width=width)
    yield "Nothing was written." if report.output is None else sentence(f"Wrote {report.output}", width=width)


def touched_sentence(report: Report) -> str:
    """How many entries are touched. What several steps touch counts once; where they may overlap, at most so many."""
    sizes: dict[tuple[str, str], int] = {}
    touched: dict[tuple[str, str], list[int]] = {}
    for step in report.steps:
        for target in step.targets:
            if target.touched:
                key = (target.layer, target.weight)
                sizes[key] = target.elements
                touched.setdefault(key, []).append(target.touched)
    least = sum(max(counts) for counts in touched.values())
    most = sum(min(sizes[key], sum(counts)) for key, counts in touched.items())
    if not touched:
        return layers_sentence(report) or "Touches nothing."
    bound = "" if least == most else "at most "
    entries = max(report.parameters_before, report.parameters_after)
    tense = "Touches" if report.output is None else "Touched"
    part, weights = words.share(most, entries), words.plural(len(touched), "weight")
    sentence = f"{tense} {bound}{most:,} of {words.plural(entries, 'entry')} ({part}), in {weights}."
    return " ".join(filter(None, (layers_sentence(report), sentence)))


def layers_sentence(report: Report) -> str:
    """How many layers are added, removed and changed; empty if none is."""
    structure = report.structure
    counts = {"adds": len(structure.added), "removes": len(structure.removed), "changes": len(structure.changed)}
    parts = [f"{verb} {words.plural(count, 'layer')}" for verb, count in counts.items() if count]
    return "" if not parts else f"{', '.join(parts)}.".capitalize()


def _warning(problem: Problem, page: Page) -> str:
    lines = sentence(f"warning: {problem}", width=page.width).splitlines()
    return "\n".join([page.paint(lines[0], "yellow"), *("  " + line for line in lines[1:])])
