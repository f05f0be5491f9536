"""Standard output: its width, its colours, and the characters that its encoding has."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from typing import Any

import click

from mutspec.cli.boundary import is_unicode, wants_color
from mutspec.text.visible import in_json, in_lines

ASCII = {"…": "...", "×": "x", "→": "->", "–": "-", "±": "+-", "·": "*", "ε": "e", "≥": ">=", "≤": "<="}
"""Replacements for our own characters, if the encoding does not have them."""


MIN_WIDTH, MAX_WIDTH = 40, 140
"""The bounds on the width of a page on a terminal."""
PIPED_WIDTH = 100
"""The width of a page in a pipe or a file."""


def width() -> int:
    """Returns the width of a page in columns: what COLUMNS says, or that of the terminal."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return max(MIN_WIDTH, int(columns))
    if not sys.stdout.isatty():
        return PIPED_WIDTH
    return max(MIN_WIDTH, min(MAX_WIDTH, shutil.get_terminal_size((80, 24)).columns))


def is_styled() -> bool:
    """Returns whether standard output takes colours."""
    return wants_color(sys.stdout)


_OUR_STYLES = re.compile(r"(\x1b\[(?:[0-2]|3[0-7])m)")
"""The styles that our own pages use; no other control character reaches a terminal."""


def write(text: str) -> None:
    """Prints a text on standard output, with control characters spelt out except for ends of lines and our styles."""
    styled = is_styled()
    if styled:
        parts = _OUR_STYLES.split(text)
        text = "".join(part if number % 2 else in_lines(part) for number, part in enumerate(parts))
    else:
        text = in_lines(text)
    click.echo(_encodable(text, getattr(sys.stdout, "encoding", None) or "utf-8"), color=styled)


def write_file(text: str) -> None:
    """Prints the content of a file on standard output, in UTF-8 and with its own ends of lines."""
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:  # a text in memory
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    binary.write(text.encode())
    binary.flush()


def write_json(document: Mapping[str, Any]) -> None:
    """Prints the JSON document of a call on standard output."""
    text = json.dumps(document, indent=2, ensure_ascii=not is_unicode(sys.stdout), allow_nan=False)
    write(in_json(text))


def _encodable(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        for character, plain in ASCII.items():
            text = text.replace(character, plain)
        return text.encode(encoding, errors="backslashreplace").decode(encoding)
    return text
