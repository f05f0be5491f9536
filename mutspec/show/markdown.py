"""Reports and diffs as GitHub's markdown, for pull requests."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mutspec.show.check import check_lines
from mutspec.show.copies import copy_lines
from mutspec.show.diff import DiffReport, difference_sentence, tensor_rows
from mutspec.show.groups import GROUPS_HEADER, HEADER, group_row, group_sentences, member_rows
from mutspec.show.layers import layer_change
from mutspec.show.origins import origins_sentence
from mutspec.show.report import (
    Report,
    StepReport,
    edit_sentence,
    keras_sentence,
    multiply_adds,
    parameters,
    target_rows,
    touched_sentence,
)
from mutspec.show.uses import use_sentence, uses_before
from mutspec.text import words
from mutspec.text.visible import in_one_line

MOST_OPEN_ROWS = 20
"""The most rows of a table that is open. Longer ones open when they are clicked."""

_TEXT_COLUMNS = frozenset(
    {"", "Weight", "Shape", "Dtype", "Origin", "Layer", "Change", "Class", "Part", "Units of", "Coupled by"}
)


def report_markdown(report: Report) -> str:
    """Formats a report with headings and tables."""
    verb = "Dry-run of" if report.output is None else "Applied"
    facts = [f"seed {report.seed}", words.plural(report.layers, "layer"), parameters(report), *multiply_adds(report)]
    blocks = [f"### {verb} {code(report.plan_name)} on {code(str(report.model))}", ", ".join(facts)]
    for number, step in enumerate(report.steps, start=1):
        blocks += [escape(use_sentence(use)) for use in uses_before(step.id, report.uses)]
        blocks.append(_step(number, step))
    if report.warnings:
        blocks.append("> [!WARNING]\n" + "\n".join(f"> - {escape(str(problem))}" for problem in report.warnings))
    beside = "" if report.sidecar is None else f", and {code(str(report.sidecar))}"
    written = "" if report.output is None else f" Wrote {code(str(report.output))}{beside}."
    checked = [] if report.check is None else ["\n".join(f"- {line}" for line in check_lines(report.check))]
    totals = filter(None, (touched_sentence(report), origins_sentence(report.origins), escape(keras_sentence(report))))
    return "\n\n".join([*blocks, *checked, " ".join(totals) + written])


def diff_markdown(diff: DiffReport, *, before: str = "", after: str = "", heading: str = "Difference") -> str:
    """Formats the difference of two models as tables.

    Arguments:
        diff: the difference.
        before: the name of the model before; if it is empty, the models are not named.
        after: the name of the model after.
        heading: the heading, before the names.
    """
    names = f" of {code(before)} and {code(after)}" if before and after else ""
    blocks = [f"### {heading}{names}"]
    if diff.identical:
        return "\n\n".join([*blocks, f"Identical, in structure and in {words.plural(diff.compared, 'entry')}."])
    structure = diff.structure
    rows = [
        *(["+", code(layer.path), escape(layer.class_name)] for layer in structure.added),
        *(["-", code(layer.path), escape(layer.class_name)] for layer in structure.removed),
        *(["~", code(change.layer), escape(in_one_line(layer_change(change)))] for change in structure.changed),
        *(["~", "", escape(f"the model's {ports}")] for ports in structure.ports),
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
    if step.other_edits:
        blocks.append("\n".join(f"- {escape(in_one_line(edit_sentence(edit)))}" for edit in step.other_edits))
    blocks += _groups(step)
    if not step.targets:
        return "\n\n".join([*blocks, *([] if step.edits else ["Touches nothing."])])
    header, rows = target_rows(step)
    blocks.append(_table(header, [[code(row[0]), *row[1:]] for row in rows]))
    if copies := copy_lines(step.targets, step.skipped):
        blocks.append("\n".join(f"- {escape(line)}" for line in copies))
    return "\n\n".join(blocks)


def _groups(step: StepReport) -> list[str]:
    """Returns the blocks about layers whose widths change together: a table of groups, or the layers of one."""
    if len(step.coupled) > 1:
        return [_table(GROUPS_HEADER, [list(map(escape, group_row(group))) for group in step.coupled])]
    blocks = []
    for group in step.coupled:
        blocks.append("\n".join(f"- {escape(text)}" for text in group_sentences(group)))
        blocks.append(_table(HEADER, [[code(row[0]), *map(escape, row[1:])] for row in member_rows(group)]))
    return blocks


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    marks = [":--" if title in _TEXT_COLUMNS else "--:" for title in header]
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, marks, *rows)]
    text = "\n".join(lines)
    if len(rows) <= MOST_OPEN_ROWS:
        return text
    return f"<details><summary>{len(rows):,} rows</summary>\n\n{text}\n\n</details>"


_PLAIN_CODE = re.compile(r"[^\s`|\\]([^`|\\]*[^\s`|\\])?")
_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]|^ | $|  +")


def code(text: str) -> str:
    """Formats any text as code, also in tables.

    In a table, backslashes and bars in code have a special meaning, and a text that ends with a backtick cannot be put
    between backticks. So such a text becomes a `<code>` element, with numbers for punctuation.
    """
    text = in_one_line(text)
    if _PLAIN_CODE.fullmatch(text) and "  " not in text:
        return f"`{text}`"
    numbered = _PUNCTUATION.sub(lambda match: "".join(f"&#{ord(sign)};" for sign in match[0]), text)
    return f"<code>{numbered}</code>"


_CODE = re.compile(r"(`[^`]+`)")
_MARKS = re.compile(
    r"""(?P<entity>[&<])
      | (?P<sign>[\\|*_\[`] | ~(?=\S) | ^[+>\#-] | (?<=^)[0-9]+(?=[.)]\s) )
      | (?P<link>(?<=:)// | (?<=www)\. | (?<=[@\#])(?=\w))""",
    re.VERBOSE | re.IGNORECASE,
)
"""Markup of markdown, and the links, mentions and references that GitHub makes of plain text."""


def escape(text: str) -> str:
    """Escapes text so that markdown shows it unchanged. Code in it stays code."""
    parts = _CODE.split(in_one_line(" ".join(text.split())))
    return "".join(code(part[1:-1]) if number % 2 else _MARKS.sub(_escaped, part) for number, part in enumerate(parts))


def _escaped(match: re.Match[str]) -> str:
    mark = match[0]
    if match["entity"]:
        return {"&": "&amp;", "<": "&lt;"}[mark]
    if match["sign"]:
        return f"\\{mark}" if not mark.isdecimal() else f"&#{ord(mark[0])};{mark[1:]}"
    return f"<!-- -->{mark}"
