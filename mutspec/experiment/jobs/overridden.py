"""From a composed configuration back to a plan: what differs from the recipe becomes overrides of it.

The overrides go to the compiler that `--set` goes to, with the values that Hydra read. Messages about them show what
the call has: `override 2` is the call's second one, with its `plan.` in front.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from mutspec.errors import MutspecError, Place, PlanError, Problem
from mutspec.experiment.jobs.recipes import Recipe, as_in_a_plan, for_hydra
from mutspec.language import Plan, load_text
from mutspec.language.document import parse
from mutspec.language.load import form_digest
from mutspec.language.overrides import OVERRIDABLE, Override
from mutspec.lowering.base import Op
from mutspec.ops import catalogue

PREFIX = "plan."
CONFIGURATION = "configuration"
"""The source of values that no override of the call gives, such as an experiment's file."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class Given:
    """An override of the job.

    Arguments:
        key: what it sets, dotted, without `+` or `~`.
        line: as it is written.
        position: which of the call's overrides it is, from 1; 0 for one that a sweeper made up.
    """

    key: str
    line: str
    position: int

    @classmethod
    def of(cls, line: str, position: int) -> Given:
        """Returns an override from its line."""
        return cls(line.lstrip("~+").partition("=")[0].partition("@")[0].strip(), line, position)

    @property
    def source(self) -> str:
        """Returns its name in messages."""
        return f"override {self.position}" if self.position else "sweep"


@dataclass(frozen=True)
class _Change:
    """A value that differs from the recipe's: the text that the plan's compiler sees, and who gave it."""

    text: str
    value: Any
    given: Given | None

    @property
    def shown(self) -> str:
        """Returns the text that messages show."""
        return self.given.line if self.given else PREFIX + self.text


@dataclass(frozen=True)
class Composed:
    """A plan that came out of a configuration.

    Arguments:
        plan: the plan.
        changes: how it differs from its recipe, in the order of the call.
        recipe: what the call chose the recipe by.
        recipe_digest: the `form_digest` of the recipe, before the call overrides anything.
    """

    plan: Plan[Op]
    changes: tuple[_Change, ...]
    recipe: str = ""
    recipe_digest: str = ""

    def placed(self, error: MutspecError) -> MutspecError:
        """An error of the plan with places as the call has them."""
        return type(error)([_placed(problem, self.changes) for problem in error.problems])


def compile_recipe(recipe: Recipe, composed: Mapping[str, Any], given: Sequence[Given]) -> Composed:
    """The plan that a recipe has become.

    Arguments:
        recipe: the recipe.
        composed: what Hydra made of `for_hydra(recipe)`, its interpolations resolved but for those of the plan.
        given: the job's overrides.

    Raises:
        PlanError: with every problem of the plan.
    """
    registered = for_hydra(recipe)
    if gone := [_undeletable(path, given) for path in _deletions(registered, composed)]:
        raise PlanError(gone)
    if not isinstance(composed.get("steps", {}), Mapping) and isinstance(registered.get("steps"), dict):
        raise PlanError(_steps_replaced(registered["steps"], given))
    found = [_change(path, value, given) for path, value in _differences(registered, composed)]
    changes = tuple(sorted(found, key=lambda change: change.given.position if change.given else 0))
    overrides = [Override(change.text, number, change.value) for number, change in enumerate(changes, start=1)]
    try:
        plan = load_text(recipe.text, catalogue(), file=recipe.file, overrides=overrides, recipes=recipe.source)
        return Composed(plan, changes, recipe.name, _form_digest(recipe, tuple(plan.files.items())))
    except PlanError as error:
        raise PlanError([_placed(problem, changes) for problem in error.problems]) from None


@lru_cache
def _form_digest(recipe: Recipe, files: tuple[tuple[str, str], ...]) -> str:
    return form_digest(parse(recipe.text, recipe.file).root, catalogue(), dict(files))


def _differences(before: Any, after: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The values that are new or other, by their paths."""
    if isinstance(before, dict) and isinstance(after, Mapping):
        for key, value in after.items():
            if key in before:
                yield from _differences(before[key], value, (*path, str(key)))
            elif path[:1] == ("steps",) and len(path) == 2 and key == "steps" and "use" in before:
                yield from _of_used_steps(value, (*path, str(key)))
            else:
                yield (*path, str(key)), as_in_a_plan(value)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differences(one, other, (*path, str(index)))
    elif type(before) is not type(after) or repr(before) != repr(after):  # the texts, as NaN is unlike itself
        yield path, as_in_a_plan(after)


def _of_used_steps(steps: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """The values that are set in steps of a recipe that a step uses, which only its compiler knows."""
    if not isinstance(steps, Mapping):
        yield path, as_in_a_plan(steps)
        return
    for name, step in steps.items():
        for key, value in step.items() if isinstance(step, Mapping) else ():
            if key == "steps":
                yield from _of_used_steps(value, (*path, str(name), key))
            else:
                yield from _leaves(value, (*path, str(name), str(key)))
        if not isinstance(step, Mapping):
            yield (*path, str(name)), as_in_a_plan(step)


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """The values below a key, by their paths: `target.type=Dense` leaves the other keys of the target."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():
            yield from _leaves(each, (*path, str(key)))
    else:
        yield path, as_in_a_plan(value)


def _deletions(before: Any, after: Any, path: Path = ()) -> Iterator[Path]:
    """The paths of what is there no more."""
    if isinstance(before, dict) and isinstance(after, Mapping):
        for key, value in before.items():
            if key in after:
                yield from _deletions(value, after[key], (*path, str(key)))
            else:
                yield (*path, str(key))


def _undeletable(path: Path, given: Sequence[Given]) -> Problem:
    key = ".".join(path)
    source = next((each for each in given if each.line.startswith("~") and _covers(each.key, PREFIX + key)), None)
    place = Place(source.source, 1, 1, len(source.line) + 1, source.line) if source else None
    return Problem(f"`{key}` cannot be taken out of a plan by an override", place, hint="write a recipe without it")


def _steps_replaced(steps: Mapping[str, Any], given: Sequence[Given]) -> Problem:
    source = next((each for each in given if each.key == "plan.steps"), None)
    place = Place(source.source, 1, 1, len(source.key) + 1, source.line) if source else None
    candidates = tuple(f"plan.steps.{name}" for name in list(steps)[:3])
    return Problem("the steps of a plan are overridden one by one", place, (), "plan.steps.<id>.<key>=…", candidates)


def _change(path: Path, value: Any, given: Sequence[Given]) -> _Change:
    key = ".".join(path)
    inside = [each for each in given if each.key.startswith(PREFIX)]  # and not `plan=…`, which chooses the recipe
    source = next((each for each in reversed(inside) if _covers(each.key, PREFIX + key)), None)
    if source is not None and source.key == PREFIX + key:
        return _Change(source.line.lstrip("+").removeprefix(PREFIX), value, source)
    return _Change(f"{key}={value}", value, source)


def _covers(key: str, other: str) -> bool:
    """Tells whether one key is the other, within it, or around it."""
    return f"{other}.".startswith(f"{key}.") or f"{key}.".startswith(f"{other}.")


def _placed(problem: Problem, changes: Sequence[_Change]) -> Problem:
    """A problem in an override, seen in the call."""
    place = problem.place
    number = re.fullmatch(r"override (\d+)", place.file) if place else None
    if place is None or number is None or int(number[1]) > len(changes):
        return problem
    change = changes[int(number[1]) - 1]
    line, source = change.shown, change.given.source if change.given else CONFIGURATION
    is_of_key = place.column == 1
    if line.endswith(change.text):
        offset = len(line) - len(change.text)
        span = (1 if is_of_key else place.column + offset, place.end_column + offset)
    else:
        span = (1, len(line) + 1)
    candidates = tuple(
        PREFIX + name if is_of_key and name.partition(".")[0] in OVERRIDABLE else name for name in problem.candidates
    )
    hint = problem.hint.replace("by --input name=MODEL", "by inputs.name=MODEL")
    hint = re.sub(r"(?<=override it as a whole: )", PREFIX, hint)
    return replace(problem, place=Place(source, 1, *span, line), candidates=candidates, hint=hint)
