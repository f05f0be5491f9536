"""Values without quotes that people and other readers of YAML may read differently."""

from __future__ import annotations

import re
from collections.abc import Callable

from mutspec.language.scalars import BOOLEAN_WORDS, UnreadableNumberError, scalar_value, surprising_number
from mutspec.lint.fixing.edits import Edit, edited
from mutspec.lint.fixing.outline import outline


def plain_words(text: str) -> tuple[str, int]:
    """Returns a document in which truth values and numbers are written as usual; and how many were not.

    `on` becomes `true`, `1_000` becomes `1000`, and `012`, which YAML reads in base 8, becomes `10`.
    """
    return _replaced(text, _usual)


def quotes(text: str) -> tuple[str, int]:
    """Returns a document in which regular expressions and words such as `y` are in quotes; and how many were not."""
    return _replaced(text, _quoted)


def _replaced(text: str, rule: Callable[[str], str]) -> tuple[str, int]:
    edits = []
    for value in outline(text).all():
        if value.is_plain and value.text:
            written = rule(value.text)
            if written != value.text:
                edits.append(Edit(value.stop - len(value.text), value.stop, written))
    return edited(text, edits), len(edits)


def _usual(text: str) -> str:
    try:
        value = scalar_value(text)
    except UnreadableNumberError:
        return text
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float) or not (surprising_number(text, value) or "_" in text):
        return text
    if re.match(r"[-+]?0[bx]", text):  # a base that shows
        return text
    written = str(value)
    again = scalar_value(written)
    return written if type(again) is type(value) and again == value else text


def _quoted(text: str) -> str:
    try:
        value = scalar_value(text)
    except UnreadableNumberError:
        return text
    if not isinstance(value, str) or not (text.startswith("re:") or text.lower() in BOOLEAN_WORDS):
        return text
    if re.search(r'[\\"]', text):
        return "'" + text.replace("'", "''") + "'"
    return f'"{text}"'
