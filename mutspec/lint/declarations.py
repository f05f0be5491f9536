"""Rules about what a plan declares, or leaves to be implied."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from mutspec.errors import Problem
from mutspec.language.types import Selector, Target
from mutspec.lint.liveness import random_steps
from mutspec.lint.rule import Subject
from mutspec.lint.targets import parts, step_targets


def implied_seed(subject: Subject) -> Iterator[Problem]:
    """A plan that draws random numbers and does not state its seed.

    Without `seed` it is 0. So the plan is reproducible, but the file does not show that another seed would make another
    mutant, nor which one its results are for. Write `seed: 0` to keep what the plan makes. `--seed` in the call
    states one too, and so does a `seed` in each random step. With a model, it is also found for new layers whose first
    weights are drawn.
    """
    if "seed" in subject.plan.document:
        return
    picking = {each.step for each in step_targets(subject) if _picks_at_random(each.target)}
    drawing = picking if subject.program is None else picking | random_steps(subject.program)
    for number, step in subject.steps():
        if subject.plan.recipe_allows("implied-seed", ("steps", number)):
            continue
        trial = subject.trial(number) if step.seed is UNSET else None
        if step.seed is UNSET and (number in drawing or (trial and trial.is_random)):
            yield Problem(
                f"step `{step.id}` draws random numbers, and the plan does not state its seed",
                path=("steps", number),
                hint="write `seed: 0` at the top of the plan, which is what it means now",
            )
            return


def _picks_at_random(target: Target) -> bool:
    if isinstance(target, tuple):
        return any(_picks_at_random(item) for item in target)
    if not isinstance(target, Selector):
        return False
    is_random = target.pick is not UNSET and target.pick.random is not UNSET
    return is_random or any(_picks_at_random(below) for _, below in parts(target))


def unused_parameter(subject: Subject) -> Iterator[Problem]:
    """A parameter that no step uses.

    To set it, in a call or in a sweep, changes nothing, although the results are labelled with it. Use it as
    `${params.<name>}`, or remove it. Without `--strict` this is a warning.
    """
    return subject.told("unused-parameter")


def unused_input(subject: Subject) -> Iterator[Problem]:
    """An input that no step reads.

    Each call would have to bind a model that is not needed. Remove the declaration. Without `--strict` this is a
    warning.
    """
    return subject.told("unused-input")


def unused_block(subject: Subject) -> Iterator[Problem]:
    """A block of layers that no step uses.

    Remove it, or use it as `{block: <name>}`. Without `--strict` this is a warning.
    """
    return subject.told("unused-block")


def surprising_number(subject: Subject) -> Iterator[Problem]:
    """A number that YAML reads in base 8 or 60.

    `010` is 8 and `1:30` is 90 in YAML 1.1, which plans are written in, and something else in other readers, such as
    the one of an editor. `--fix` writes the number that it is. If it should be text, put it in quotes. Without
    `--strict` this is a warning.
    """
    return subject.told("surprising-number")


def unused_allow(subject: Subject) -> Iterator[Problem]:
    """A rule in `lint: {allow: […]}` that the plan does not break.

    It would hide what somebody adds to the plan later. Remove it. Rules that may find more with a model are left out.
    """
    plan, rules = subject.plan, {rule.name: rule for rule in subject.rules}
    for index, name in enumerate(plan.allowed):
        rule = rules.get(name)
        if name in plan.allowed[:index]:
            yield Problem(f"`{name}` is allowed twice", path=("lint", "allow", index))
        elif rule is not None and not rule.sees_more and not rule.findings(Subject(plan)):
            message = f"the plan allows `{name}`, and does not break it"
            yield Problem(message, path=("lint", "allow", index), hint="remove the name")
