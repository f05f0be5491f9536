"""Text of a given width: tables whose long cells fold, wrapped paragraphs, the few styles that terminals show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mutspec.text.visible import cells, in_one_line

Style = Literal["", "bold", "dim", "red", "green", "yellow"]

_CODES: dict[Style, str] = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_GAP = 2
_LEAST_FOLDED = 18
"""How narrow a folding column may become; a narrower page than that is overrun."""


@dataclass(frozen=True, slots=True)
class Paint:
    """Puts styles on text, or leaves it as it is.

    Arguments:
        is_on: whether to write the escape codes of terminals.
    """

    is_on: bool

    def __call__(self, text: str, style: Style) -> str:
        """The text in a style."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.is_on and style and text.strip() else text


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Arguments:
        title: its head.
        is_number: whether it is set to the right.
        folds: whether its cells may take several lines if the table is too wide.
        style: the style of its cells.
    """

    title: str
    is_number: bool = False
    folds: bool = False
    style: Style = ""


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    width: int,
    paint: Paint,
    indent: int = 0,
    styles: Sequence[Style] = (),
) -> str:
    """A table that is as narrow as its content; if that is wider than the page, heads wrap and long cells fold.

    Arguments:
        columns: its columns.
        rows: the cells of each row.
        width: of the page.
        paint: puts the styles on.
        indent: spaces before each line.
        styles: for each row, the style of its first cell.
    """
    rows = [[in_one_line(cell) for cell in row] for row in rows]  # a name may hold anything, ends of lines too
    widths, is_wrapped = _widths(columns, rows, width - indent)
    lines = _row_lines(
        [column.title.split(" ") if is_wrapped else [column.title] for column in columns], columns, widths
    )
    text = [paint(line, "bold") for line in lines]
    for number, row in enumerate(rows):
        folded = [
            fold(cell, size) if column.folds else [cell]
            for cell, column, size in zip(row, columns, widths, strict=True)
        ]
        own = [column.style for column in columns]
        if styles:
            own[0] = styles[number]
        text += _row_lines(folded, columns, widths, paint, own)
    return "\n".join(" " * indent + line for line in text)


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], room: int) -> tuple[list[int], bool]:
    """The width of each column, and whether heads of several words are wrapped."""
    content = [max((cells(row[index]) for row in rows), default=0) for index in range(len(columns))]
    gaps = _GAP * (len(columns) - 1)
    widths = [max(size, cells(column.title)) for size, column in zip(content, columns, strict=True)]
    if sum(widths) + gaps <= room:
        return widths, False
    heads = [max(cells(word) for word in column.title.split(" ")) for column in columns]
    widths = [max(size, head) for size, head in zip(content, heads, strict=True)]
    while sum(widths) + gaps > room:
        foldable = [index for index, column in enumerate(columns) if column.folds and widths[index] > _LEAST_FOLDED]
        if not foldable:
            break
        widest = max(foldable, key=lambda index: widths[index])
        excess = sum(widths) + gaps - room
        others = max((widths[index] for index in foldable if index != widest), default=_LEAST_FOLDED)
        widths[widest] = max(_LEAST_FOLDED, widths[widest] - excess, min(others, widths[widest] - 1))
    return widths, True


def _row_lines(
    row: Sequence[Sequence[str]],
    columns: Sequence[Column],
    widths: Sequence[int],
    paint: Paint | None = None,
    styles: Sequence[Style] = (),
) -> Iterator[str]:
    for number in range(max(len(cell) for cell in row)):
        parts = []
        for index, (cell, column, size) in enumerate(zip(row, columns, widths, strict=True)):
            text = cell[number] if number < len(cell) else ""
            padding = " " * (size - cells(text))
            if index == len(row) - 1 and not column.is_number:
                padding = ""
            shown = paint(text, styles[index]) if paint is not None else text
            parts.append(padding + shown if column.is_number else shown + padding)
        yield (" " * _GAP).join(parts).rstrip()


_PARTS = re.compile(r"(?<=[/ ])|(?<=[a-z])(?=[A-Z])")
"""Where a path, or the name of a class, may be broken."""


def fold(text: str, width: int) -> list[str]:
    """A path or name in lines of a width, broken between its parts where that is possible; later lines are indented."""
    lines, line = [], ""
    for part in _PARTS.split(text):
        rest = part
        # Only what fits is measured: a name may be as long as its file allows.
        while len(taken := prefix(rest, width - cells(line))) < len(rest):
            if line.strip() and (not taken or len(prefix(rest, width - _GAP)) == len(rest)):
                lines.append(line)
            else:
                taken = taken or rest[0]
                lines.append(line + taken)
                rest = rest[len(taken) :]
            line = " " * _GAP
        line += rest
    return [*lines, line] if line.strip() or not lines else lines


def prefix(text: str, width: int) -> str:
    """Returns as much of a text as a width takes."""
    taken = 0
    for place, character in enumerate(text):
        taken += cells(character)
        if taken > width:
            return text[:place]
    return text


def paragraph(parts: Sequence[str], *, width: int, indent: int = 0, separator: str = ", ") -> str:
    """Parts that follow one another, in lines of a width; a part is broken only if it is wider than a line."""
    lines, line = [], ""
    for number, part in enumerate(parts):
        piece = in_one_line(part) + (separator.rstrip() if number < len(parts) - 1 else "")
        joined = f"{line} {piece}" if line else piece
        if line and cells(joined) > width - indent:
            lines.append(line)
            joined = piece
        line = joined
    lines.append(line)
    folded = [
        piece for each in lines for piece in (_words(each, width - indent) if cells(each) > width - indent else [each])
    ]
    return "\n".join(" " * indent + each for each in folded)


def _words(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if line and cells(joined) > width:
            lines.append(line)
            joined = word
        while cells(joined) > width:
            taken = prefix(joined, width) or joined[0]
            lines.append(taken)
            joined = joined[len(taken) :]
        line = joined
    return [*lines, line]


def sentence(text: str, *, width: int, indent: int = 0) -> str:
    """A sentence in lines of a width."""
    return "\n".join(" " * indent + line for line in _words(in_one_line(text), width - indent))


def prose(text: str, *, width: int, indent: int = 0) -> str:
    """Returns a text in lines of a width; blank lines keep its paragraphs apart."""
    parts = (" ".join(part.split()) for part in text.split("\n\n"))
    return "\n\n".join(sentence(part, width=width, indent=indent) for part in parts)


def terms(rows: Sequence[tuple[str, str]], *, width: int, paint: Paint, indent: int = 2) -> str:
    """Returns terms on the left, their explanations in lines on the right."""
    column = indent + max((cells(term) for term, _ in rows), default=0) + 2
    lines = []
    for term, text in rows:
        body = prose(text, width=max(width, column + 20), indent=column)
        lines.append(" " * indent + paint(term, "bold") + " " * (column - indent - cells(term)) + body[column:])
    return "\n".join(lines)


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
