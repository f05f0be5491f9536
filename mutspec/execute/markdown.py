"""Reports and diffs as GitHub's markdown, for pull requests."""

from __future__ import annotations

from collections.abc import Sequence

from mutspec.execute import words
from mutspec.execute.diff import DiffReport
from mutspec.execute.diff_text import difference_sentence, layer_change, tensor_rows
from mutspec.execute.report import Report, StepReport
from mutspec.execute.report_text import edit_sentence, parameters, target_rows, touched_sentence

MOST_OPEN_ROWS = 20
"""Longer tables are folded up, and open when they are clicked."""

_TEXT_COLUMNS = frozenset({"", "Weight", "Shape", "Dtype", "Layer", "Change"})


def report_markdown(report: Report) -> str:
    """What a plan does to a model, as headings and tables."""
    verb = "Dry-run of" if report.output is None else "Applied"
    facts = [f"seed {report.seed}", words.plural(report.layers, "layer"), parameters(report)]
    blocks = [f"### {verb} {code(report.plan_name)} on {code(str(report.model))}", ", ".join(facts)]
    blocks += [_step(number, step) for number, step in enumerate(report.steps, start=1)]
    if report.warnings:
        blocks.append("> [!WARNING]\n" + "\n".join(f"> - {escape(str(problem))}" for problem in report.warnings))
    written = "" if report.output is None else f" Wrote {code(str(report.output))}."
    return "\n\n".join([*blocks, touched_sentence(report) + written])


def diff_markdown(diff: DiffReport, *, before: str = "", after: str = "", heading: str = "Difference") -> str:
    """What differs between two models, as tables.

    Arguments:
        diff: the diff.
        before: how to call the model before; left out, the models are not named.
        after: how to call the model after.
        heading: the heading, before the names.
    """
    names = f" of {code(before)} and {code(after)}" if before and after else ""
    blocks = [f"### {heading}{names}"]
    if diff.identical:
        return "\n\n".join([*blocks, f"Identical, in structure and in {words.plural(diff.compared, 'entry')}."])
    structure = diff.structure
    rows = [
        *(["+", code(layer.path), layer.class_name] for layer in structure.added),
        *(["-", code(layer.path), layer.class_name] for layer in structure.removed),
        *(["~", code(change.layer), escape(layer_change(change))] for change in structure.changed),
        *(["~", "", f"the model's {ports}"] for ports in structure.ports),
    ]
    if rows:
        blocks.append(_table(["", "Layer", "Change"], rows))
    if diff.tensors:
        header, cells = tensor_rows(diff.tensors)
        blocks += [_table(header, [[row[0], code(row[1]), *map(escape, row[2:])] for row in cells])]
        blocks += [difference_sentence(diff)]
    return "\n\n".join(blocks)


def _step(number: int, step: StepReport) -> str:
    name = f" [{escape(step.id)}]" if step.id != step.op else ""
    blocks = [f"#### {number}. {code(step.op)}{name}"]
    if step.parameters:
        blocks.append(", ".join(code(f"{key}: {words.flow(value)}") for key, value in step.parameters.items()))
    if step.edits:
        blocks.append("\n".join(f"- {escape(edit_sentence(edit))}" for edit in step.edits))
    if not step.targets:
        return "\n\n".join([*blocks, *([] if step.edits else ["Touches nothing."])])
    header, rows = target_rows(step)
    return "\n\n".join([*blocks, _table(header, [[code(row[0]), *row[1:]] for row in rows])])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    marks = [":--" if title in _TEXT_COLUMNS else "--:" for title in header]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, marks, *rows)]
    text = "\n".join(lines)
    if len(rows) <= MOST_OPEN_ROWS:
        return text
    return f"<details><summary>{len(rows):,} rows</summary>\n\n{text}\n\n</details>"


def code(text: str) -> str:
    """Text as code, in tables too, whatever characters it holds."""
    text = " ".join(text.split()).replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def escape(text: str) -> str:
    """Text that markdown shows as it is. Code in it stays code."""
    text = " ".join(text.split())
    for character in "\\|<*_[":
        text = text.replace(character, f"\\{character}") if character != "<" else text.replace("<", "&lt;")
    return text
