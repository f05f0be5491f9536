"""Reports and diffs as text for people: in a given width, with styles or without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mutspec.execute import words
from mutspec.execute.diff import DiffReport, TensorDiff, TensorStatus
from mutspec.execute.layout import Column, Paint, Style, paragraph, sentence, table
from mutspec.execute.report import Report, StepReport
from mutspec.execute.structure import LayerChange, StructureDiff
from mutspec.language.errors import Problem

MOST_ROWS = 20
"""The rows of a table that are shown unless all are asked for."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is written on: how wide, how styled, how long.

    Arguments:
        width: in columns.
        paint: puts styles on text.
        most_rows: how many rows of a table to show; None for all.
        hint: how to see the rows that are not shown.
    """

    width: int
    paint: Paint
    most_rows: int | None
    hint: str

    def more(self, rows: int, indent: int) -> list[str]:
        """The line below a table of so many rows, if it does not show all of them."""
        if self.most_rows is None or rows <= self.most_rows:
            return []
        hint = f" ({self.hint})" if self.hint else ""
        return [" " * indent + self.paint(f"… and {rows - self.most_rows:,} more{hint}", "dim")]


GLYPHS: dict[TensorStatus, tuple[str, Style]] = {
    TensorStatus.ADDED: ("+", "green"),
    TensorStatus.REMOVED: ("-", "red"),
    TensorStatus.CHANGED: ("~", "yellow"),
    TensorStatus.RESHAPED: ("~", "yellow"),
}


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
    if not step.targets:
        return "\n".join([*lines, " " * indent + "touches nothing"])
    header, rows = target_rows(step)
    columns = [Column(title, is_number=title in _NUMBERS, folds=title == "Weight") for title in header]
    lines.append(table(columns, rows[: page.most_rows], width=page.width, paint=page.paint, indent=indent))
    return "\n".join([*lines, *page.more(len(rows), indent)])


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
        return "Touches nothing."
    bound = "" if least == most else "at most "
    entries = report.parameters_before
    tense = "Touches" if report.output is None else "Touched"
    part, weights = words.share(most, entries), words.plural(len(touched), "weight")
    return f"{tense} {bound}{most:,} of {words.plural(entries, 'entry')} ({part}), in {weights}."


def _warning(problem: Problem, page: Page) -> str:
    lines = sentence(f"warning: {problem}", width=page.width).splitlines()
    return "\n".join([page.paint(lines[0], "yellow"), *("  " + line for line in lines[1:])])


def diff_text(
    diff: DiffReport,
    *,
    before: str = "",
    after: str = "",
    width: int = 80,
    styled: bool = False,
    most_rows: int | None = MOST_ROWS,
    hint: str = "",
) -> str:
    """What differs between two models: layers with `+`, `-` and `~`, then a table of the weights.

    Arguments:
        diff: the diff.
        before: how to call the model before; left out, the models are not named.
        after: how to call the model after.
        width: of the page, in columns.
        styled: whether to use the colours of terminals.
        most_rows: how many rows of a table to show; None for all.
        hint: how to see the rows that are not shown.
    """
    page = Page(width, Paint(styled), most_rows, hint)
    blocks = []
    if before and after:
        names = [sentence(f"--- {before}", width=width), sentence(f"+++ {after}", width=width)]
        blocks.append("\n".join(page.paint(line, "bold") for name in names for line in name.splitlines()))
    if diff.identical:
        blocks.append(f"Identical, in structure and in {words.plural(diff.compared, 'entry')}.")
    if not diff.structure.is_empty:
        blocks.append(_structure(diff.structure, page))
    if diff.tensors:
        blocks += [_weights(diff.tensors, page), sentence(difference_sentence(diff), width=width)]
    elif not diff.identical:
        blocks.append(f"All {words.plural(diff.compared, 'entry')} are the same." if diff.compared else "No weights.")
    return "\n\n".join(blocks)


def difference_sentence(diff: DiffReport) -> str:
    """How many weights and entries differ."""
    weights = words.plural(len(diff.tensors), "weight")
    verb = "differs" if len(diff.tensors) == 1 else "differ"
    if all(tensor.changed is None for tensor in diff.tensors):
        return f"{weights} {verb}."
    changed = sum(tensor.changed or 0 for tensor in diff.tensors)
    part = words.share(changed, diff.compared)
    return f"{weights} {verb}; of {words.plural(diff.compared, 'entry')} compared, {changed:,} changed ({part})."


def _structure(structure: StructureDiff, page: Page) -> str:
    lines: list[tuple[str, Style, str]] = [
        *(("+", "green", _typed(layer.path, layer.class_name)) for layer in structure.added),
        *(("-", "red", _typed(layer.path, layer.class_name)) for layer in structure.removed),
        *(("~", "yellow", layer_change(change)) for change in structure.changed),
        *(("~", "yellow", f"the model's {ports}") for ports in structure.ports),
    ]
    text = [page.paint("Layers", "bold")]
    for glyph, style, line in lines[: page.most_rows]:
        first, *rest = sentence(line, width=page.width, indent=2).splitlines()
        text += [page.paint(glyph, style) + first[1:], *("  " + each for each in rest)]
    return "\n".join([*text, *page.more(len(lines), 2)])


def _typed(path: str, class_name: str) -> str:
    return f"{path} ({class_name})" if class_name else path


def layer_change(change: LayerChange) -> str:
    """What differs in a layer, on one line."""
    kind = change.type if change.type == change.type_before else f"{change.type_before} → {change.type}"
    parts = [f"{item.key} {words.flow(item.before)} → {words.flow(item.after)}" for item in change.config]
    parts += ["other inputs"] * change.calls + ["moved"] * change.moved + ["other sharing"] * change.sharing
    return f"{_typed(change.layer, kind)}: {', '.join(parts)}" if parts else _typed(change.layer, kind)


def _weights(tensors: Sequence[TensorDiff], page: Page) -> str:
    header, rows = tensor_rows(tensors)
    texts = ("", "Weight", "Shape")
    columns = [Column(title, is_number=title not in texts, folds=title in texts[1:]) for title in header]
    styles = [GLYPHS[tensor.status][1] for tensor in tensors[: page.most_rows]]
    text = table(columns, rows[: page.most_rows], width=page.width, paint=page.paint, styles=styles)
    return "\n".join([text, *page.more(len(rows), 3)])


def tensor_rows(tensors: Sequence[TensorDiff]) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of a table of tensors that differ; columns that say nothing are left out."""
    header = ["", "Weight", "Shape", "Changed", "%", "Relative l2", "Max abs", "Cosine", "Not finite"]
    rows = [_tensor_row(tensor) for tensor in tensors]
    if not any(tensor.non_finite for tensor in tensors):
        header, rows = header[:-1], [row[:-1] for row in rows]
    empty = [index for index in range(3, len(header)) if all(row[index] == words.NOTHING for row in rows)]
    kept = [index for index in range(len(header)) if index not in empty]
    return [header[index] for index in kept], [[row[index] for index in kept] for row in rows]


def _tensor_row(tensor: TensorDiff) -> list[str]:
    changed = tensor.changed
    return [
        GLYPHS[tensor.status][0],
        f"{tensor.layer}/{tensor.weight}",
        _forms(tensor),
        words.NOTHING if changed is None else words.count(changed),
        words.NOTHING if changed is None else words.share(changed, tensor.elements),
        words.number(tensor.relative_l2),
        words.number(tensor.max_abs),
        words.cosine(tensor.cosine),
        words.NOTHING if tensor.non_finite is None else words.count(tensor.non_finite),
    ]


def _forms(tensor: TensorDiff) -> str:
    """The shape, with what it was before, and the dtypes if they differ."""
    text = words.shape(tensor.shape)
    if tensor.shape_before != tensor.shape:
        text = f"{words.shape(tensor.shape_before)} → {text}"
    if tensor.dtype_before != tensor.dtype:
        text += f" ({tensor.dtype_before} → {tensor.dtype})"
    return text
