"""Text for terminals and pipes: headings, wrapped paragraphs, lists of terms."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence

from mutspec.cli.boundary import wants_color

MAX_WIDTH = 140
PIPED_WIDTH = 100


def page_width() -> int:
    """How wide to write: the terminal's width within reason; 100 columns into a pipe or file."""
    if not sys.stdout.isatty():
        return PIPED_WIDTH
    return max(40, min(MAX_WIDTH, shutil.get_terminal_size((80, 24)).columns))


def bold(text: str) -> str:
    """Bold on a terminal with colours; else as it is."""
    return f"\x1b[1m{text}\x1b[0m" if wants_color(sys.stdout) else text


def paragraph(text: str, width: int, indent: int = 0) -> str:
    """A text in lines of a width, each indented; blank lines keep paragraphs apart."""
    prefix = " " * indent
    parts = (" ".join(part.split()) for part in text.split("\n\n"))
    wrap = {"initial_indent": prefix, "subsequent_indent": prefix, "break_long_words": False, "break_on_hyphens": False}
    return "\n\n".join(textwrap.fill(part, width, **wrap) for part in parts)  # type: ignore[arg-type]


def terms(rows: Sequence[tuple[str, str]], width: int, indent: int = 2) -> str:
    """Terms on the left, their wrapped explanations on the right."""
    column = indent + max((len(term) for term, _ in rows), default=0) + 2
    lines = []
    for term, text in rows:
        body = paragraph(text, max(width, column + 20), column)
        lines.append(" " * indent + bold(term) + " " * (column - indent - len(term)) + body[column:])
    return "\n".join(lines)
