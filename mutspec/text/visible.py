"""Text from plans, models and calls, made safe to print: it cannot move the cursor, set colours or hide anything."""

from __future__ import annotations

import json
import re
import unicodedata

_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029\ufff9-\ufffb\ud800-\udfff"
"""C0, DEL and C1; line separators; annotations; and lone surrogates, which no file can hold."""
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""Characters that change the direction of writing."""
_UNSEEN = "\u00ad\u115f\u1160\u180e\u200b-\u200d\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\U000e0000-\U000e0fff"
"""Characters without width or shape, which make two names look the same."""
_ALL = re.compile(f"[{_CONTROLS}{_DIRECTIONS}{_UNSEEN}]")
_BUT_LAYOUT = re.compile(f"(?![\t\n]){_ALL.pattern}")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def in_one_line(text: str) -> str:
    r"""Writes out every invisible character of a text: an escape becomes `\x1b`, the end of a line `\n`."""
    return _ALL.sub(_written_out, text)


def in_lines(text: str) -> str:
    """Writes out every invisible character of a text, except newlines and tabs."""
    return _BUT_LAYOUT.sub(_written_out, text)


def in_place(text: str) -> str:
    """Replaces every invisible character of a text by a visible one, so that columns keep their numbers."""
    return _ALL.sub("\ufffd", text)


def in_json(text: str) -> str:
    """Writes out every invisible character of a JSON document as a JSON escape, which has the same meaning."""
    return _BUT_LAYOUT.sub(lambda match: json.dumps(match[0])[1:-1], text)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def cells(text: str) -> int:
    """Returns the columns that a text takes on a terminal."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
