"""YAML's traps: lines that look right and do not parse, with the line that was meant.

A mend is offered only if it mends: the corrected text is parsed, and must get past the trouble.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import yaml

Mend = Callable[[str], str]

_TOKEN = r"[^\s,\[\]{}\"'#:]*"
_INTERPOLATION = re.compile(rf"(?<![\"'\w])({_TOKEN}\$\{{[^{{}}\"']*\}}{_TOKEN})(?![\"'])")
_GLOB = re.compile(r"(^\s*|[\[{,:\-?]\s+|[\[{,])((?:\*|&|%|@|`|!)[^\s,\[\]{}\"'#]*)")
_NESTED_COLON = re.compile(r"^(\s*(?:- )?[\w-]+:\s+)([^\"'\[{#\s][^#]*?:(?:\s[^#]*?)?)(\s*(?:#.*)?)$")


@dataclass(frozen=True, slots=True)
class Trap:
    """A known mistake: what to say about it, where (0-based), and the line as it was meant."""

    message: str
    line: str
    index: int
    column: int


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def quote_interpolations(line: str) -> str:
    """`{std: ${params.std}}` → `{std: "${params.std}"}`."""
    return _INTERPOLATION.sub(lambda match: _quoted(match[1]), line)


def quote_special(line: str) -> str:
    """`{name: *_conv}` → `{name: "*_conv"}`; so for the other characters that YAML keeps for itself."""
    return _GLOB.sub(lambda match: match[1] + _quoted(match[2]), line)


def quote_value(line: str) -> str:
    """`name: re: conv` → `name: "re: conv"`."""
    return _NESTED_COLON.sub(lambda match: match[1] + _quoted(match[2]) + match[3], line)


def spaces_for_tabs(line: str) -> str:
    """Two spaces for each tab of the indentation."""
    body = line.lstrip(" \t")
    return line[: len(line) - len(body)].replace("\t", "  ") + body.replace("\t", " ")


_TRAPS: tuple[tuple[str, Mend], ...] = (
    ("within [ ] and { }, `${…}` must be in quotes, because { and } mean something to YAML", quote_interpolations),
    (
        "a value that begins with *, &, !, %, @ or ` must be in quotes, because these mean something to YAML",
        quote_special,
    ),
    ("a tab stands where YAML allows only spaces", spaces_for_tabs),
    ("a value that holds `: ` must be in quotes, because YAML takes it for another key", quote_value),
)


def find_trap(lines: list[str], suspects: list[int]) -> Trap | None:
    """The mistake on one of the suspected lines (0-based, likeliest first) whose mend gets the parser past them."""
    before = _first_error(lines)
    for message, mend in _TRAPS:
        for suspect in suspects:
            if not 0 <= suspect < len(lines):
                continue
            mended = mend(lines[suspect])
            if mended == lines[suspect]:
                continue
            after = _first_error([*lines[:suspect], mended, *lines[suspect + 1 :]])
            if after is None or (before is not None and after > before and after > suspect):
                return Trap(message, mended, suspect, _first_difference(lines[suspect], mended))
    return None


def _first_difference(one: str, other: str) -> int:
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _first_error(lines: list[str]) -> int | None:
    """The 0-based line at which the parser gives up; None if it does not."""
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
"""libyaml's parser where PyYAML was built with it: about ten times as fast."""
