"""Text that comes from plans, models and calls, made safe to print: it moves no cursor and colours nothing."""

from __future__ import annotations

import re

_CONTROLS = "\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
"""C0, DEL and C1; separators of lines; and what turns the direction of writing."""
_ALL = re.compile(f"[{_CONTROLS}]")
_BUT_LAYOUT = re.compile(f"(?![\t\n])[{_CONTROLS}]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def in_one_line(text: str) -> str:
    r"""The text with every control character written out: an escape becomes `\x1b`, a line's end `\n`."""
    return _ALL.sub(_written_out, text)


def in_lines(text: str) -> str:
    """The same, but ends of lines and tabs stay."""
    return _BUT_LAYOUT.sub(_written_out, text)


def in_place(text: str) -> str:
    """The text with a character of the same width for every control character, so that columns stay."""
    return _ALL.sub("\ufffd", text)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
