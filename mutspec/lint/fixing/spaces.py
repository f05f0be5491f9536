"""Spaces at the ends of lines, and the end of the file."""

from __future__ import annotations

import re
from bisect import bisect_right

from mutspec.lint.fixing.edits import Edit, edited, newline_of
from mutspec.lint.fixing.outline import outline

_TRAILING = re.compile(r"[ \t]+(?=\r?\n|\Z)")
_BLANK_END = re.compile(r"(?<=\n)(?:[ \t]*\r?\n)+\Z")


def without_trailing_spaces(text: str) -> tuple[str, int]:
    """Returns a document without spaces at the ends of lines, and with one line end at its end; and how many changed.

    In texts of several lines spaces may have a meaning, so they stay.
    """
    texts = [value for value in outline(text).all() if not value.below and not value.is_plain]
    meant = [(value.start, value.stop) for value in texts if "\n" in text[value.start : value.stop]]
    starts = [start for start, _ in meant]
    lines = []
    for spaces in _TRAILING.finditer(text):
        before = bisect_right(starts, spaces.start()) - 1
        if before < 0 or meant[before][1] <= spaces.start():
            lines.append(Edit(*spaces.span(), ""))
    tidy = edited(text, lines)
    ended = tidy if any(stop == len(text) for _, stop in meant) else _ended(tidy)
    return ended, len(lines) + (ended != tidy)


def _ended(text: str) -> str:
    """Returns a text that ends with one line end, of the kind that it has."""
    ended = _BLANK_END.sub("", text)
    return ended if ended.endswith("\n") else ended + newline_of(text)
