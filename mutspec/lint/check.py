"""Runs the rules over a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from mutspec.errors import Problem, nearest
from mutspec.language.findings import in_order
from mutspec.language.plan import Plan
from mutspec.lint.rule import Subject
from mutspec.lint.table import RULES
from mutspec.lowering.base import Op

if TYPE_CHECKING:
    from mutspec.lowering.compile import Program


def findings(plan: Plan[Op], program: Program | None = None) -> tuple[Problem, ...]:
    """Returns what breaks the rules of the linter, by place, without the rules that the plan allows to be broken.

    Arguments:
        plan: the plan.
        program: the plan compiled for a model, with which rules see more.
    """
    subject = Subject(plan, program, RULES)
    found = [each for rule in RULES if rule.name not in plan.allowed for each in rule.findings(subject)]
    return tuple(sorted(dict.fromkeys(found), key=lambda each: (in_order(each), each.rule)))


def unknown_rules(plan: Plan[Op]) -> Iterator[Problem]:
    """Yields an error for each name of a rule in a plan that there is not."""
    names = [rule.name for rule in RULES]
    for index, name in enumerate(plan.allowed):
        if name not in names:
            near = nearest(name, names)
            hint = "" if near else f"the rules are {', '.join(names)}"
            problem = Problem(f"there is no lint rule `{name}`", path=("lint", "allow", index), hint=hint)
            yield plan.placed(replace(problem, candidates=near))
