"""Problems as values with a place, and the six kinds of error that carry them.

All rooms raise these errors with structured fields. Only `mutspec.cli` renders them and maps them to exit codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice

DocumentPath = tuple[str | int, ...]
"""Keys and indices that lead to a value of a plan, such as `("steps", 0, "target")`."""


_MOST_COMPARED, _LONGEST_COMPARED = 5000, 200
"""The most names that an unknown name is compared with, and the length up to which names are compared."""


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
    """One thing that is wrong: what, where, and how to fix it.

    Arguments:
        message: what is wrong, as one sentence without a full stop.
        place: the place in the source. Code that has the plan's source fills it in from `path`.
        path: the place in the plan document, from code that does not have source positions.
        hint: how to fix it, as one sentence; empty if the message says it.
        candidates: the nearest known names, best first.
        is_warning: whether the work can continue.
        rule: the name of the lint rule that it breaks; empty if it breaks none. A plan can allow what a rule forbids.
    """

    message: str
    place: Place | None = None
    path: DocumentPath = ()
    hint: str = ""
    candidates: tuple[str, ...] = ()
    is_warning: bool = False
    rule: str = ""

    @property
    def sentence(self) -> str:
        """The message, with the name of the rule that it breaks."""
        return f"{self.message} [{self.rule}]" if self.rule else self.message

    def __str__(self) -> str:
        where = ""
        if self.place is not None:
            line = f":{self.place.line}:{self.place.column}" if self.place.line else ""
            where = f"{self.place.file}{line}: "
        elif self.path:
            where = f"{dotted(self.path)}: "
        near = f" Did you mean {' or '.join(f'`{name}`' for name in self.candidates)}?" if self.candidates else ""
        return f"{where}{self.sentence}.{f' {self.hint}' if self.hint else ''}{near}"

    def below(self, *prefix: str | int) -> Problem:
        """Returns the same problem with a path that begins further up in the document."""
        return replace(self, path=(*prefix, *self.path))


class MutspecError(Exception):
    """The base of all errors that are shown to users. It carries one or more problems.

    Arguments:
        problems: the problems; or the message of a single one, with its other fields in the other arguments.
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
    """The plan is invalid, by itself or for the model that it is applied to."""


class ModelError(MutspecError):
    """A model file cannot be read, or has content that mutspec does not support."""


class CallError(MutspecError):
    """The call is wrong: a missing file, an existing output, an unbound input."""


class CheckError(MutspecError):
    """The work was possible, but a check failed: a result became non-finite, for instance."""


class EnvironmentProblem(MutspecError):
    """The machine does not allow the work: a full disk, a missing package."""


class OpError(EnvironmentProblem):
    """An op has a bug: it fails, or makes what cannot be a weight's value. Neither the plan nor the call is wrong."""


def dotted(path: DocumentPath) -> str:
    """Returns a path as one writes it: `std[0].value`, without the back-quotes."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def written_path(path: DocumentPath) -> str:
    """Returns a path as messages show it: `std[0].value`, in back-quotes."""
    return f"`{dotted(path)}`"


def nearest(name: str, candidates: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """Returns the candidates that are most similar to `name`, best first, for a "did you mean"."""
    # The time is quadratic in the length of names, and a model may have names of any length and number.
    compared = (each for each in islice(candidates, _MOST_COMPARED) if len(each) <= _LONGEST_COMPARED)
    names = {candidate.lower(): candidate for candidate in compared}
    if len(name) > _LONGEST_COMPARED:
        return ()
    return tuple(names[match] for match in get_close_matches(name.lower(), list(names), n=limit, cutoff=0.6))
