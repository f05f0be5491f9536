"""Matching many names against one pattern: exact names, globs, and regular expressions in RE2's syntax.

RE2 matches in linear time, so no pattern in a plan can hang the tool. Globs are translated to it.
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
"""What would mean another thing in a text of many lines: anchors of the text, unclosed quotes, changed flags."""


_MOST_MEMORY = 8 << 20
"""What RE2 may take to compile a pattern, and again to match with it; `(.{1000}){1000}` asks for more."""


class BadPattern(ValueError):
    """A pattern that is not valid. Its text says why."""


def has_wildcards(pattern: str) -> bool:
    """Whether a name is a glob rather than an exact name."""
    return any(sign in pattern for sign in "*?[")


_READ_AS_MORE = re.compile(r"re:|[ \t]|.*(?:\$\{|[ \t]\Z)|\?\?\?\Z", re.DOTALL)
"""Names that plans and Hydra read as more than names: expressions, interpolations, values that are missing; and blanks
at the ends, which get lost."""


def exact_pattern(name: str) -> str:
    """A pattern that fits a name alone, and that plans and Hydra read as nothing else: the name itself, or a glob."""
    return as_glob(name) if _READ_AS_MORE.match(name) else name


def as_glob(name: str) -> str:
    """The glob of a name alone: `[$]{x}` of what is called `${x}`, `[r]e:x` of `re:x`, `a[*]` of `a*`."""
    glob = re.sub(r"[*?\[]|\$(?=\{)|\A[ \t]|[ \t]\Z", lambda match: f"[{match[0]}]", name)
    return f"[r]{glob[1:]}" if name.startswith("re:") else glob


def glob_as_regex(glob: str) -> str:
    """The regular expression of a glob: `*` and `?` stay within one part of a path, `**` crosses `/`."""
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
    """Names, and for each a set of things as the bits of an integer; several names may stand for one thing.

    Arguments:
        masks: the set that each name stands for.
    """

    def __init__(self, masks: Mapping[str, int]) -> None:
        """Take the names as they are; what patterns need is built when the first one is asked for."""
        self._masks = masks

    @property
    def names(self) -> Iterable[str]:
        """All names, in the order given."""
        return self._masks.keys()

    def exact(self, name: str) -> int:
        """What the name stands for; 0 if it is unknown."""
        return self._masks.get(name, 0)

    def glob(self, pattern: str) -> int:
        """What the exact name or glob stands for.

        Raises:
            BadPattern: the glob is not valid.
        """
        exact = self.exact(pattern)
        return exact if exact or not has_wildcards(pattern) else self.regex(glob_as_regex(pattern))

    def regex(self, pattern: str) -> int:
        """What all names that the regular expression fits from end to end stand for.

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
        options.never_nl = True
        try:
            whole = re2.compile(pattern, options)
            # One scan of all names, a line each, is ten times faster than a match per name.
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
        """All names as lines of one text, and the mask of the line that starts at an offset."""
        if any("\n" in name for name in self._masks):
            return None
        lines, mask_at, offset = [], {}, 0
        for name, mask in self._masks.items():
            lines.append(name.encode(errors="backslashreplace"))
            mask_at[offset] = mask
            offset += len(lines[-1]) + 1
        return b"\n".join(lines), mask_at
