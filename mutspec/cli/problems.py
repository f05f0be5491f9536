"""Problems as people and machines read them: `file:line:column: message`, as JSON, and as GitHub annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from mutspec.errors import Place, Problem, dotted
from mutspec.text.visible import cells, in_lines, in_one_line, in_place

_RED, _YELLOW, _BOLD, _BLUE, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[36m", "\x1b[0m"

MAX_SHOWN = 100
"""The longest part of a source line that is shown."""

MOST_PROBLEMS = 200
"""The most problems of one file that are shown. JSON has all of them."""


def as_text(problem: Problem, *, color: bool = False) -> str:
    """Returns a problem for the terminal: place and message, the line with carets, and what may help.

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
    lines = [f"{bold}{where}{plain}{accent}{kind}{in_one_line(problem.sentence)}{plain}"]
    if problem.place is not None and problem.place.line and problem.place.text.strip():
        lines += _excerpt(problem.place, accent, blue, plain)
    lines += [f"  {blue}={plain} {text}" for text in _help(problem)]
    return "\n".join(lines)


def as_texts(problems: Iterable[Problem], *, color: bool = False) -> str:
    """Returns several problems, with blank lines between them if one has several lines."""
    blocks = [as_text(problem, color=color) for problem in capped(problems)]
    separator = "\n\n" if any("\n" in block for block in blocks) else "\n"
    return separator.join(blocks)


def capped(problems: Iterable[Problem]) -> list[Problem]:
    """Returns the problems; of a file with very many, the first ones and the number of the others."""
    shown, files = [], Counter[str]()
    for problem in problems:
        file = problem.place.file if problem.place else ""
        files[file] += 1
        if files[file] <= MOST_PROBLEMS:
            shown.append(problem)
    for file, number in files.items():
        if number > MOST_PROBLEMS:
            place = Place(file, 0, 0, 0) if file else None
            rest = number - MOST_PROBLEMS
            message = f"and {rest:,} more problem{'s' * (rest > 1)}"
            is_warning = all(problem.is_warning for problem in shown if problem.place and problem.place.file == file)
            shown.append(Problem(message, place, hint="`validate --json` lists all", is_warning=is_warning))
    return shown


def _where(problem: Problem) -> str:
    place = problem.place
    if place is not None:
        file = in_one_line(place.file)
        return f"{file}:{place.line}:{place.column}: " if place.line else f"{file}: "
    return f"{in_one_line(dotted(problem.path))}: " if problem.path else ""


def _help(problem: Problem) -> list[str]:
    """Returns the lines below a message: the remedy, and the nearest names."""
    lines = in_lines(problem.hint).split("\n") if problem.hint else []
    if problem.candidates:
        names = [f"`{in_one_line(name)}`" for name in problem.candidates]
        known = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
        lines.append(f"did you mean {known}?")
    return lines


def _excerpt(place: Place, accent: str, blue: str, plain: str) -> list[str]:
    """Returns the source line and the carets; of a long line, the part around them."""
    text = in_place(place.text.replace("\t", " ").rstrip())
    start, end = place.column - 1, max(place.end_column - 1, place.column)
    first = max(0, start - MAX_SHOWN // 2) if len(text) > MAX_SHOWN else 0
    shown = text[first : first + MAX_SHOWN]
    before = "…" if first else ""
    after = "…" if first + MAX_SHOWN < len(text) else ""
    indent = cells(before + text[first:start])
    carets = max(1, cells(text[start : min(end, first + MAX_SHOWN)]))
    number = str(place.line)
    return [
        f"  {blue}{number} |{plain} {before}{shown}{after}",
        f"  {blue}{' ' * len(number)} |{plain} {' ' * indent}{accent}{'^' * carets}{plain}",
    ]


def as_json(problem: Problem) -> dict[str, Any]:
    """Returns a problem as a JSON object; what is unknown is null."""
    place = problem.place
    has_line = place is not None and place.line > 0
    return {
        "severity": "warning" if problem.is_warning else "finding" if problem.rule else "error",
        "rule": problem.rule or None,
        "message": problem.message,
        "file": place.file if place else None,
        "line": place.line if place and has_line else None,
        "column": place.column if place and has_line else None,
        "end_column": place.end_column if place and has_line else None,
        "hint": problem.hint or None,
        "candidates": list(problem.candidates),
    }


def as_github(problem: Problem) -> str:
    """Returns a problem as a workflow command of GitHub Actions, which shows it at its line in a pull request."""
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
    message = "\n".join([in_lines(problem.sentence), *_help(problem)])
    return f"::{'warning' if problem.is_warning else 'error'} {stated}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(in_one_line(text)).replace(":", "%3A").replace(",", "%2C")
