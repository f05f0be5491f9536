"""What can go wrong, as values: problems with a place, and the few kinds of error that carry them.

Inner code raises these with structured fields; only `mutspec.cli` renders them and maps them to exit codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice

DocumentPath = tuple[str | int, ...]
"""Keys and indices that lead to a value of a plan, such as `("steps", 0, "target")`."""


_MOST_COMPARED, _LONGEST_COMPARED = 5000, 200
"""How many names are compared with one that is unknown, and how long they may be."""


@dataclass(frozen=True, slots=True)
class Place:
    """A span of one line of a source: the file (or "override 1"), 1-based line and columns, and the line's text."""

    file: str
    line: int
    column: int
    end_column: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what, where, and how to mend it.

    Arguments:
        message: what is wrong, as one sentence without a full stop.
        place: where in the source; filled in from `path` by whoever knows the plan's source.
        path: where in the plan document, for code that knows no source positions.
        hint: how to mend it, as one sentence; empty if the message says it.
        candidates: the nearest known names, best first.
        is_warning: whether the work may go on.
    """

    message: str
    place: Place | None = None
    path: DocumentPath = ()
    hint: str = ""
    candidates: tuple[str, ...] = ()
    is_warning: bool = False

    def __str__(self) -> str:
        """One line: place, message, and what may help."""
        where = ""
        if self.place is not None:
            line = f":{self.place.line}:{self.place.column}" if self.place.line else ""
            where = f"{self.place.file}{line}: "
        elif self.path:
            where = (
                "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.path).removeprefix(".") + ": "
            )
        near = f" Did you mean {' or '.join(f'`{name}`' for name in self.candidates)}?" if self.candidates else ""
        return f"{where}{self.message}.{f' {self.hint}' if self.hint else ''}{near}"

    def below(self, *prefix: str | int) -> Problem:
        """The same problem, seen from further up the document."""
        return replace(self, path=(*prefix, *self.path))


class MutspecError(Exception):
    """The base of all errors that a user is meant to see. It carries one or more problems.

    Arguments:
        problems: the problems; or the message of the only one, whose further fields the other arguments give.
        place, path, hint, candidates: see `Problem`.
    """

    def __init__(
        self,
        problems: Problem | str | Iterable[Problem],
        *,
        place: Place | None = None,
        path: DocumentPath = (),
        hint: str = "",
        candidates: Iterable[str] = (),
    ) -> None:
        if isinstance(problems, str):
            problems = Problem(problems, place, path, hint, tuple(candidates))
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        errors = [problem for problem in self.problems if not problem.is_warning]
        super().__init__("\n".join(str(problem) for problem in errors or self.problems))

    def __reduce__(self) -> tuple[type[MutspecError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class PlanError(MutspecError):
    """A plan is wrong, by itself or for the model that it is put on."""


class ModelError(MutspecError):
    """A model file cannot be read, or holds what mutspec does not understand."""


class CallError(MutspecError):
    """The call is wrong: a missing file, an existing output, an unbound input."""


class CheckError(MutspecError):
    """The work was possible, and a check said no: a newly non-finite result, for instance."""


class EnvironmentProblem(MutspecError):
    """The machine does not allow it: a full disk, a missing package."""


def written_path(path: DocumentPath) -> str:
    """A path as messages write it: `std[0].value`, in backquotes."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")
    return f"`{text}`"


def nearest(name: str, known: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """The known names that are most like `name`, best first, for a "did you mean"."""
    # Comparing is quadratic in the length of names, and a model's may be of any length and number.
    few = (each for each in islice(known, _MOST_COMPARED) if len(each) <= _LONGEST_COMPARED)
    names = {known_name.lower(): known_name for known_name in few}
    if len(name) > _LONGEST_COMPARED:
        return ()
    return tuple(names[match] for match in get_close_matches(name.lower(), list(names), n=limit, cutoff=0.6))
