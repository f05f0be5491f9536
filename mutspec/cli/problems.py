"""Problems as people and machines read them: `file:line:column: message`, as JSON, and as GitHub annotations."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

from mutspec.language.errors import Place, Problem

_RED, _YELLOW, _BOLD, _BLUE, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[36m", "\x1b[0m"

MAX_SHOWN = 100
"""The longest part of a source line that is shown."""


def as_text(problem: Problem, *, color: bool = False) -> str:
    """A problem for the terminal: place and message, the line with a caret, and what may help.

    ```
    plan.yaml:5:10: `std` takes a number of at least 0, not -1
      5 |     std: -1
        |          ^^
    ```
    """
    accent, bold, blue, plain = (
        (_YELLOW if problem.is_warning else _RED, _BOLD, _BLUE, _PLAIN) if color else ("", "", "", "")
    )
    where = _where(problem)
    kind = "warning: " if problem.is_warning else "" if where else "error: "
    lines = [f"{bold}{where}{plain}{accent}{kind}{problem.message}{plain}"]
    if problem.place is not None and problem.place.line and problem.place.text.strip():
        lines += _excerpt(problem.place, accent, blue, plain)
    lines += [f"  {blue}={plain} {text}" for text in _help(problem)]
    return "\n".join(lines)


def as_texts(problems: Iterable[Problem], *, color: bool = False) -> str:
    """Several problems, a blank line between those that have more than one line."""
    blocks = [as_text(problem, color=color) for problem in problems]
    separator = "\n\n" if any("\n" in block for block in blocks) else "\n"
    return separator.join(blocks)


def _where(problem: Problem) -> str:
    place = problem.place
    if place is not None:
        return f"{place.file}:{place.line}:{place.column}: " if place.line else f"{place.file}: "
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in problem.path).removeprefix(".")
    return f"{path}: " if path else ""


def _help(problem: Problem) -> list[str]:
    """The lines below a message: the remedy, and the nearest names."""
    lines = problem.hint.splitlines()
    if problem.candidates:
        names = [f"`{name}`" for name in problem.candidates]
        known = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
        lines.append(f"did you mean {known}?")
    return lines


def _excerpt(place: Place, accent: str, blue: str, plain: str) -> list[str]:
    """The source line and the carets; of a long line, the part around them."""
    text = place.text.replace("\t", " ").rstrip()
    start, end = place.column - 1, max(place.end_column - 1, place.column)
    first = max(0, start - MAX_SHOWN // 2) if len(text) > MAX_SHOWN else 0
    shown = text[first : first + MAX_SHOWN]
    before = "…" if first else ""
    after = "…" if first + MAX_SHOWN < len(text) else ""
    indent = _width(before + text[first:start])
    carets = max(1, _width(text[start : min(end, first + MAX_SHOWN)]))
    number = str(place.line)
    return [
        f"  {blue}{number} |{plain} {before}{shown}{after}",
        f"  {blue}{' ' * len(number)} |{plain} {' ' * indent}{accent}{'^' * carets}{plain}",
    ]


def _width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def as_json(problem: Problem) -> dict[str, Any]:
    """A problem as a JSON object; what is unknown is null."""
    place = problem.place
    has_line = place is not None and place.line > 0
    return {
        "severity": "warning" if problem.is_warning else "error",
        "message": problem.message,
        "file": place.file if place else None,
        "line": place.line if place and has_line else None,
        "column": place.column if place and has_line else None,
        "end_column": place.end_column if place and has_line else None,
        "hint": problem.hint or None,
        "candidates": list(problem.candidates),
    }


def as_github(problem: Problem) -> str:
    """A problem as a workflow command of GitHub Actions, which shows it beside the line of a pull request."""
    place = problem.place
    properties = {"file": place.file} if place else {}
    if place and place.line:
        properties |= {
            "line": str(place.line),
            "col": str(place.column),
            "endColumn": str(max(place.end_column, place.column)),
        }
    properties["title"] = "mutspec"
    stated = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    message = "\n".join([problem.message, *_help(problem)])
    return f"::{'warning' if problem.is_warning else 'error'} {stated}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
