"""YAML's traps: lines that look right but do not parse, with the line that was meant.

A fix is offered only if it works: the parser must get past the error in the corrected text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import yaml

Fix = Callable[[str], str]

_TOKEN = r"[^\s,\[\]{}\"'#:]*"
_INTERPOLATION = re.compile(rf"(?<![\"'\w])({_TOKEN}\$\{{[^{{}}\"']*\}}{_TOKEN})(?![\"'])")
_GLOB = re.compile(r"(^\s*|[\[{,:\-?]\s+|[\[{,])((?:\*|&|%|@|`|!)[^\s,\[\]{}\"'#]*)")
_NESTED_COLON = re.compile(r"^(\s*(?:- )?[\w-]+:\s+)([^\"'\[{#\s][^#]*?:(?:\s[^#]*?)?)(\s*(?:#.*)?)$")


@dataclass(frozen=True, slots=True)
class Trap:
    """A known mistake: the message, the place (0-based), and the corrected line."""

    message: str
    line: str
    index: int
    column: int


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quote_interpolations(line: str) -> str:
    """Puts interpolations in quotes: `{std: ${params.std}}` → `{std: "${params.std}"}`."""
    return _INTERPOLATION.sub(lambda match: _quoted(match[1]), line)


def quote_special(line: str) -> str:
    """Puts values in quotes that begin with a character that YAML reserves: `{name: *_conv}` → `{name: "*_conv"}`."""
    return _GLOB.sub(lambda match: match[1] + _quoted(match[2]), line)


def quote_value(line: str) -> str:
    """Puts a value with a colon in quotes: `name: re: conv` → `name: "re: conv"`."""
    return _NESTED_COLON.sub(lambda match: match[1] + _quoted(match[2]) + match[3], line)


def spaces_for_tabs(line: str) -> str:
    """Replaces each tab of the indentation by two spaces."""
    body = line.lstrip(" \t")
    return line[: len(line) - len(body)].replace("\t", "  ") + body.replace("\t", " ")


_TRAPS: tuple[tuple[str, Fix], ...] = (
    ("within [ ] and { }, `${…}` must be in quotes, because { and } have a meaning in YAML", quote_interpolations),
    (
        "a value that begins with *, &, !, %, @ or ` must be in quotes, because these have a meaning in YAML",
        quote_special,
    ),
    ("YAML allows only spaces here, not a tab", spaces_for_tabs),
    ("a value that contains `: ` must be in quotes, because YAML reads it as another key", quote_value),
)


def find_trap(lines: list[str], suspects: list[int]) -> Trap | None:
    """Returns the mistake on one of the suspected lines (0-based, likeliest first) whose fix makes them parse."""
    before = _first_error(lines)
    for message, fix in _TRAPS:
        for suspect in suspects:
            if not 0 <= suspect < len(lines):
                continue
            fixed = fix(lines[suspect])
            if fixed == lines[suspect]:
                continue
            after = _first_error([*lines[:suspect], fixed, *lines[suspect + 1 :]])
            if after is None or (before is not None and after > before and after > suspect):
                return Trap(message, fixed, suspect, _first_difference(lines[suspect], fixed))
    return None


def _first_difference(one: str, other: str) -> int:
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _first_error(lines: list[str]) -> int | None:
    """Returns the 0-based line of the first syntax error, or None."""
    try:
        for _ in yaml.parse("\n".join(lines), Loader=LOADER):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return int(mark.line) if mark else 0
    except yaml.YAMLError:
        return 0
    return None


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser, about ten times as fast, where PyYAML was built with it."""
