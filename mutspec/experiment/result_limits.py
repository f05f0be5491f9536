"""The sizes of what a result may hold. A file that exceeds them was not written by a run, and would stall a report."""

from __future__ import annotations

from typing import Any

LARGEST_FILE = 64 * 2**20
"""The bytes of a result. A row for each of 100,000 seeds takes half of it."""

TOO_DEEP = "its values are nested too deeply"

_DEEPEST = 65
"""The levels of a document, of which parameters have all but one. Plans are not nested deeper, and the functions that
show parameters call themselves for each level."""
_LARGEST = 2**1000
"""The largest whole number. Reports compare them with other numbers, which end before 2¹⁰²⁴."""
_LONGEST = 10_000
"""The characters of a text, such as a name or an error. Reports wrap, escape and compare each of them."""
_MOST_ENTRIES = 1_000
"""The entries of a mapping or a list: reports make columns and lines of them."""
_UNLIMITED = frozenset({"flips", "classes", "rows"})
"""The keys of what has an entry for each class, or for each seed."""


def excess(content: Any) -> str:
    """Returns the message on a document that holds more than any run leaves; empty if it does not."""
    pending = [("", content, 0)]
    while pending:
        key, value, depth = pending.pop()
        if depth > _DEEPEST:
            return TOO_DEEP
        if isinstance(value, int) and abs(value) > _LARGEST:
            return "a whole number is too large"
        if isinstance(value, str) and len(value) > _LONGEST:
            return f"a text has {len(value):,} characters, and at most {_LONGEST:,} are read"
        if isinstance(value, dict | list) and len(value) > _MOST_ENTRIES and key not in _UNLIMITED:
            return f"`{key}` has {len(value):,} entries, and at most {_MOST_ENTRIES:,} are read"
        if isinstance(value, dict):
            pending += [("", name, depth) for name in value]
            pending += [(name, each, depth + 1) for name, each in value.items()]
        elif isinstance(value, list):
            pending += [(key, each, depth + 1) for each in value]
    return ""
