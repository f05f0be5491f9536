"""Whether a number is as a test expects it."""

from __future__ import annotations

from math import isclose
from typing import Any

from mutspec.language.types import or_default

_RELATIVE = 1e-6
"""How far a measured number may be from one that a test states, as numbers in tests are written with few digits."""


def missed(found: float, expected: Any) -> str:
    """Returns what was expected, in words, if a number is something else; an empty text if it is as expected.

    Arguments:
        found: the number.
        expected: a number, or a range with `min` and `max`.
    """
    if isinstance(expected, int | float):
        is_whole = isinstance(expected, int) and isinstance(found, int)
        is_same = found == expected or (not is_whole and isclose(found, expected, rel_tol=_RELATIVE))
        return "" if is_same else _number(expected)
    low: float | None = or_default(expected.min, None)
    high: float | None = or_default(expected.max, None)
    if (low is None or found >= low) and (high is None or found <= high) and found == found:
        return ""
    if low is not None and high is not None:
        return f"{_number(low)} to {_number(high)}"
    if low is not None:
        return f"at least {_number(low)}"
    return "a number" if high is None else f"at most {_number(high)}"


def _number(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"
