"""Text that comes from plans, models and calls, made safe to print: it moves no cursor, colours and hides nothing."""

from __future__ import annotations

import json
import re
import unicodedata

_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029\ufff9-\ufffb\ud800-\udfff"
"""C0, DEL and C1; separators of lines; annotations; and halves of characters, which no file can hold."""
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""What turns the direction of writing."""
_UNSEEN = "\u00ad\u115f\u1160\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\U000e0000-\U000e0fff"
"""What takes no room or shows nothing, so that two names look the same."""
_ALL = re.compile(f"[{_CONTROLS}{_DIRECTIONS}{_UNSEEN}]")
_BUT_LAYOUT = re.compile(f"(?![\t\n]){_ALL.pattern}")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def in_one_line(text: str) -> str:
    r"""The text with every character that is not seen written out: an escape becomes `\x1b`, a line's end `\n`."""
    return _ALL.sub(_written_out, text)


def in_lines(text: str) -> str:
    """The same, but ends of lines and tabs stay."""
    return _BUT_LAYOUT.sub(_written_out, text)


def in_place(text: str) -> str:
    """The text with a character of the same width for every one that is not seen, so that columns stay."""
    return _ALL.sub("\ufffd", text)


def in_json(text: str) -> str:
    """A JSON document that says the same, with every character that is not seen as JSON writes it out."""
    return _BUT_LAYOUT.sub(lambda match: json.dumps(match[0])[1:-1], text)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def cells(text: str) -> int:
    """Returns the columns that a text takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
