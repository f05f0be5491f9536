"""Text of a given width: tables whose long cells are folded, wrapped paragraphs, and styles for terminals."""

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
"""The smallest width of a folded column. On a narrower page, lines are too long."""


@dataclass(frozen=True, slots=True)
class Paint:
    """Puts styles on text, or leaves it as it is.

    Arguments:
        is_on: whether to write the escape codes of terminals.
    """

    is_on: bool

    def __call__(self, text: str, style: Style) -> str:
        """Returns a text in a style."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.is_on and style and text.strip() else text


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Arguments:
        title: the text of its head.
        is_number: whether its cells are aligned to the right.
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
    """Formats a table as narrow as its content. If that is too wide for the page, heads wrap and long cells fold.

    Arguments:
        columns: its columns.
        rows: the cells of each row.
        width: the width of the page.
        paint: adds the styles.
        indent: the number of spaces before each line.
        styles: the style of the first cell of each row.
    """
    rows = [[in_one_line(cell) for cell in row] for row in rows]  # a name may hold any character, also newlines
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
    """Returns the width of each column, and whether heads of several words are wrapped."""
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
"""The positions at which a path or a class name may be broken."""


def fold(text: str, width: int) -> list[str]:
    """Breaks a path or name into lines of a width, between its parts where possible. Later lines are indented."""
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
    """Joins parts into lines of a width. A part is broken only if it is wider than a line."""
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
    """Breaks a sentence into lines of a width."""
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
"""The number of rows of a table that are shown by default."""


@dataclass(frozen=True, slots=True)
class Page:
    """The width, the styles and the length of output.

    Arguments:
        width: the number of columns.
        paint: adds styles to text.
        most_rows: the number of rows of a table to show; None for all.
        hint: how to see the rows that are not shown.
    """

    width: int
    paint: Paint
    most_rows: int | None
    hint: str

    def more(self, rows: int, indent: int) -> list[str]:
        """Returns the line below a table of `rows` rows, if it does not show all of them."""
        if self.most_rows is None or rows <= self.most_rows:
            return []
        hint = f" ({self.hint})" if self.hint else ""
        return [" " * indent + self.paint(f"… and {rows - self.most_rows:,} more{hint}", "dim")]
