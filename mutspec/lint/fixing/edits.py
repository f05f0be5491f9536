"""Edits of a text: replacements of parts that do not overlap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Edit(NamedTuple):
    """A part of a text, from `start` to the offset `stop`, and what it becomes."""

    start: int
    stop: int
    text: str


def newline_of(text: str) -> str:
    """Returns what the first line of a text ends with."""
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Returns a text after some edits, which are in the order of the text."""
    parts, place = [], 0
    for edit in edits:
        parts += [text[place : edit.start], edit.text]
        place = edit.stop
    return "".join([*parts, text[place:]])
