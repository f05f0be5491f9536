"""What a rule is, and what it looks at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from inspect import cleandoc
from typing import TYPE_CHECKING

from mutspec.errors import Problem
from mutspec.language.plan import Plan
from mutspec.lowering.base import Op
from mutspec.model.select import SelectorIndex
from mutspec.model.spec import ModelSpec

if TYPE_CHECKING:  # to read the names of rules takes neither
    from mutspec.lint.trial import Trial
    from mutspec.lowering.compile import Program

MOST_TRIALS = 1000
"""The most different steps of a plan that are tried. One trial takes some milliseconds."""


@dataclass
class Subject:
    """The plan that rules look at.

    Arguments:
        plan: the plan.
        program: the plan compiled for a model; None without a model. Steps that need what the call does not give do
            nothing in it.
        rules: the rules that a plan may allow to be broken.
    """

    plan: Plan[Op]
    program: Program | None = None
    rules: tuple[Rule, ...] = ()
    _trials: dict[tuple[str, ...], Trial | None] = field(default_factory=dict)
    _indexes: dict[int, SelectorIndex] = field(default_factory=dict)

    def steps(self) -> Iterator[tuple[int, Op]]:
        """Yields the steps with their numbers, from 0."""
        yield from enumerate(self.plan.steps)

    def trial(self, *numbers: int) -> Trial | None:
        """Returns what some steps do to the weights of any layer; None if that depends on the model.

        Steps that differ only in their targets and names are tried once. In a plan with very many others, those after
        the first `MOST_TRIALS` are not.
        """
        from mutspec.lint.trial import tried

        steps = [self.plan.steps[number] for number in numbers]
        key = tuple(self._deed(number) for number in numbers)
        if key not in self._trials:
            self._trials[key] = tried(steps, self.plan.seed) if len(self._trials) < MOST_TRIALS else None
        return self._trials[key]

    def _deed(self, number: int) -> str:
        """Returns what a step does, without the weights that it does it to."""
        step = self.plan.document["steps"][number]
        return json.dumps({key: value for key, value in step.items() if key not in ("id", "stream", "target")})

    def told(self, rule: str) -> Iterator[Problem]:
        """Yields what reading the plan has found already."""
        yield from (problem for problem in (*self.plan.warnings, *self.plan.silenced) if problem.rule == rule)

    def model_at(self, step: int) -> ModelSpec | None:
        """Returns a spec in which the target of a step finds its layers, unless other steps rename them again."""
        if self.program is None:
            return None
        return self.program.before if step <= self._first_edit else self.program.after

    def index(self, spec: ModelSpec) -> SelectorIndex:
        """Returns the selector index of a spec that `model_at` gave."""
        if id(spec) not in self._indexes:
            self._indexes[id(spec)] = SelectorIndex(spec)
        return self._indexes[id(spec)]

    @cached_property
    def _first_edit(self) -> int:
        """The number of the first step that changes the architecture."""
        records = self.program.steps if self.program else ()
        return next((number for number, record in enumerate(records) if record.edits), len(records))


@dataclass(frozen=True)
class Rule:
    """A rule of the linter.

    Arguments:
        check: finds what breaks the rule. Its name is the rule's, its documentation says what is found and why.
        sees_more: whether it may find more with a model than without one, so that nobody can say of a plan alone that
            it keeps the rule.
    """

    check: Callable[[Subject], Iterable[Problem]]
    sees_more: bool = False

    @property
    def name(self) -> str:
        """The name, as plans and messages write it."""
        return self.check.__name__.replace("_", "-")

    @property
    def documentation(self) -> str:
        """What is found, why it is rarely meant, and what to do."""
        return cleandoc(self.check.__doc__ or "")

    @property
    def summary(self) -> str:
        """The first paragraph of the documentation, on one line."""
        return " ".join(self.documentation.split("\n\n")[0].split())

    def findings(self, subject: Subject) -> tuple[Problem, ...]:
        """Returns what breaks the rule, with its name and the places, without steps whose recipe allows it."""
        plan = subject.plan
        found = (
            each if each.place else plan.placed(each)
            for each in self.check(subject)
            if each.place or not plan.recipe_allows(self.name, each.path)  # reading has asked the recipes already
        )
        return tuple(replace(each, rule=self.name, is_warning=False) for each in found)
