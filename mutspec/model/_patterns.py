"""Matches many names against one pattern: an exact name, a glob, or a regular expression in RE2's syntax.

RE2 matches in linear time, so a pattern in a plan cannot hang the tool. Globs are translated to regular expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import chain

from mutspec.model.limits import current_limits

_PARTS_OF_A_GLOB = re.compile(
    r"""(?P<any_parents>(?:^|(?<=/))\*\*/)  # `**/` at the start of a part: no part, or any number of parts
      | (?P<any_path>\*\*+)                 # `**`: anything, `/` included
      | (?P<any>\*)
      | (?P<one>\?)
      | \[(?P<not>[!^])?(?P<class>\]?[^\]]*)\]
      | (?P<literal>.)""",
    re.VERBOSE | re.DOTALL,
)
_NOT_LINE_BY_LINE = re.compile(r"\\[AzZQ]|\(\?(?!:|P?<|i\))")
"""Parts of patterns that have another meaning in a text of many lines: text anchors, quotes, changed flags."""


_MOST_MEMORY = 8 << 20
"""The bytes that RE2 may use to compile a pattern, and again to match it; `(.{1000}){1000}` needs more."""


class BadPattern(ValueError):
    """A pattern is not valid, for the reason in its text."""


def has_wildcards(pattern: str) -> bool:
    """Returns whether a name is a glob rather than an exact name."""
    return any(sign in pattern for sign in "*?[")


_READ_AS_MORE = re.compile(r"re:|[ \t]|.*(?:\$\{|[ \t]\Z)|\?\?\?\Z", re.DOTALL)
"""Names with another meaning in plans or for Hydra: regular expressions, interpolations, missing values; and names with
blanks at the ends, which are stripped."""


def exact_pattern(name: str) -> str:
    """Returns a pattern that matches only one name, and has no other meaning in plans: the name itself, or a glob."""
    return as_glob(name) if _READ_AS_MORE.match(name) else name


def as_glob(name: str) -> str:
    """Returns a glob that matches only one name: `[$]{x}` for `${x}`, `[r]e:x` for `re:x`, `a[*]` for `a*`."""
    glob = re.sub(r"[*?\[]|\$(?=\{)|\A[ \t]|[ \t]\Z", lambda match: f"[{match[0]}]", name)
    return f"[r]{glob[1:]}" if name.startswith("re:") else glob


def glob_as_regex(glob: str) -> str:
    """Translates a glob: `*` and `?` stay within one part of a path, `**` crosses `/`."""
    return "".join(chain.from_iterable(_translate(part) for part in _PARTS_OF_A_GLOB.finditer(glob)))


def _translate(part: re.Match[str]) -> Iterator[str]:
    match part.lastgroup:
        case "any_parents":
            yield "(?:.*/)?"
        case "any_path":
            yield ".*"
        case "any":
            yield "[^/]*"
        case "one":
            yield "[^/]"
        case "literal":
            yield _escaped(part["literal"])
        case _:
            yield "[^/" if part["not"] else "["
            yield from (sign if sign == "-" else _escaped(sign) for sign in part["class"])
            yield "]"


def _escaped(sign: str) -> str:
    return "\\" + sign if sign.isascii() and not sign.isalnum() and sign != "_" else sign


class NameTable:
    """A table of names, each with a set as bits of an integer. A thing may have several names.

    Arguments:
        masks: the set for each name.
    """

    def __init__(self, masks: Mapping[str, int]) -> None:
        self._masks = masks

    @property
    def names(self) -> Iterable[str]:
        """All names, in the given order."""
        return self._masks.keys()

    def exact(self, name: str) -> int:
        """Returns the set for a name; 0 if it is unknown."""
        return self._masks.get(name, 0)

    def glob(self, pattern: str) -> int:
        """Returns the set for an exact name or a glob.

        Raises:
            BadPattern: the glob is not valid.
        """
        exact = self.exact(pattern)
        return exact if exact or not has_wildcards(pattern) else self.regex(glob_as_regex(pattern))

    def regex(self, pattern: str) -> int:
        """Returns the set for all names that match a regular expression from end to end.

        Raises:
            BadPattern: the expression is not valid.
        """
        import re2

        most = current_limits()
        if len(pattern) > most.pattern_characters:
            problem = most.problem("pattern_characters", len(pattern), "it is long")
            raise BadPattern(f"{problem.message}; {problem.hint}")
        options = re2.Options()
        options.max_mem = _MOST_MEMORY
        options.log_errors = False
        try:
            whole = re2.compile(pattern, options)
            options.never_nl = True
            # One scan of a text with a line for each name is ten times as fast as a match for each name.
            by_line = None if _NOT_LINE_BY_LINE.search(pattern) else re2.compile(f"(?m)^(?:{pattern})$", options)
        except (re2.error, UnicodeError) as error:
            reason = error.args[0]
            raise BadPattern(reason.decode(errors="replace") if isinstance(reason, bytes) else str(error)) from None
        found = 0
        if by_line is None or self._lines is None:
            for name, mask in self._masks.items():
                if whole.fullmatch(name):
                    found |= mask
            return found
        text, mask_at = self._lines
        for match in by_line.finditer(text):
            found |= mask_at[match.start()]
        return found

    @cached_property
    def _lines(self) -> tuple[bytes, dict[int, int]] | None:
        """All names as lines of one text, and the mask of each line by its offset."""
        if any("\n" in name for name in self._masks):
            return None
        lines, mask_at, offset = [], {}, 0
        for name, mask in self._masks.items():
            lines.append(name.encode(errors="backslashreplace"))
            mask_at[offset] = mask
            offset += len(lines[-1]) + 1
        return b"\n".join(lines), mask_at
