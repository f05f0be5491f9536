"""Numbers, shapes and values of plans as text for people."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mutspec.text.visible import in_one_line

NOTHING = "–"
"""The text for a number that has no meaning, such as the mean of nothing."""


def count(number: int) -> str:
    """Formats a number of things: 25,778."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """Formats a number of things with its noun: `1 weight`, `1,200 weights`, `3 entries`."""
    return f"{number:,} {noun if number == 1 else plural_of(noun)}"


def plural_of(noun: str) -> str:
    """Returns the plural of a noun: `weights`, `entries`, `classes`."""
    return {"entry": "entries", "class": "classes"}.get(noun, f"{noun}s")


def listed(names: Sequence[str], most: int = 4, *, is_quoted: bool = True) -> str:
    """Returns the first of some names, in back-quotes or without, and the number of the others."""
    shown = ", ".join(f"`{name}`" if is_quoted else name for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most:,} more"


def listed_plainly(texts: Sequence[str]) -> str:
    """Returns some texts as a sentence has them: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(texts[:-1]), *texts[-1:])))


def share(part: int, whole: int) -> str:
    """Formats a part of a whole in percent: 0% only if it is nothing, and 100% only if it is all."""
    if part in (0, whole):
        return "0%" if part == 0 else "100%"
    percent = 100 * part / whole
    if percent < 0.01:
        return "<0.01%"
    if percent > 99.9:
        return ">99.9%"
    return f"{percent:.2f}%" if percent < 1 else f"{percent:.1f}%"


def si(number: int) -> str:
    """Formats a large number of things with three digits and a prefix: `3.86 G`; below a million, in full."""
    if number < 1_000_000:
        return count(number)
    exponent = min(int(math.log10(float(f"{number:.2e}"))) // 3, 1 + len(_PREFIXES))
    scaled = f"{number / 1000**exponent:#.3g}".rstrip(".")
    return f"{scaled} {_PREFIXES[exponent - 2]}"


_PREFIXES = "MGTPE"


def from_to(before: int, after: int) -> str:
    """Formats two large numbers of things that differ, and by how much: `3.86 G → 1.93 G (−50%)`."""
    texts = si(before), si(after)
    one, other = texts if texts[0] != texts[1] else (count(before), count(after))
    if not before:
        return f"{one} → {other}"
    ratio, sign = after / before, "−" if after < before else "+"
    return f"{one} → {other} ({f'× {ratio:,.0f}' if ratio > 10 else f'{sign}{100 * abs(ratio - 1):.3g}%'})"


def number(value: float | None) -> str:
    """Formats a measured number with three digits."""
    if value is None:
        return NOTHING
    return f"{value:.3g}"


def part_of(part: int, whole: int | None) -> str:
    """Formats a number of things among all: `12 of 5,000`; or `12` if the number of all is not known."""
    return count(part) if whole is None else f"{count(part)} of {count(whole)}"


_ROUNDING = 1e-12
"""The rounding error of a cosine that is computed from sums in float64."""


def cosine(value: float | None) -> str:
    """Formats a cosine with six digits, and shows 1 only if it is 1."""
    if value is None:
        return NOTHING
    text = f"{value:.6f}"
    if abs(float(text)) == 1 and abs(value) < 1 - _ROUNDING:
        text = f"{'-' if value < 0 else ''}0.999999"
    return text


def shape(extents: Sequence[int]) -> str:
    """Formats a shape: 3×3×1×16; that of a single number is `scalar`."""
    return "×".join(str(extent) for extent in extents) or "scalar"


_PLAIN = re.compile(r"[A-Za-z_][\w./+-]*( [\w./+-]+)*|[0-9.]+%|re:[\w./+-]+")


def flow(value: Any) -> str:
    """Formats a value of a plan on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        shown = [flow(each) for each in value[:12]]
        return "[" + ", ".join([*shown, "…"] if len(value) > len(shown) else shown) + "]"
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and value.lower() not in {"true", "false", "null", "yes", "no", "on", "off"}
        return value if is_plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def got(value: Any) -> str:
    """Describes a value for an error message: `the text "abc"`, `a list`, `nothing`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value}" if len(f"{value}") < 30 else f"{f'{value}'[:29]}…"
    if isinstance(value, str):
        shown = value if len(value) <= 40 else value[:39] + "…"
        return f'the text "{in_one_line(shown)}"'
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return "a mapping"


def json_number(value: float | None) -> float | str | None:
    """Returns a number for JSON. Those that are not finite become `"inf"`, `"-inf"` and `"nan"`."""
    return value if value is None or math.isfinite(value) else str(float(value))
