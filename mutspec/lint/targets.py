"""The targets of a plan's steps, and the patterns in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from msgspec import UNSET

from mutspec.errors import DocumentPath
from mutspec.language.steps import holds_target
from mutspec.language.types import PLACES, Case, Patterns, Selector, Target, field_types
from mutspec.lint.rule import Subject
from mutspec.lowering.base import Op
from mutspec.model.select import has_wildcards

Kind = Literal["name", "regex", "type"]

_EVERYTHING = frozenset({"*", "**", ".*", ".+"})


@dataclass(frozen=True, slots=True)
class StepTarget:
    """A target of a step.

    Arguments:
        step: the number of the step.
        path: where it is in the plan.
        target: the target.
        selects: whether it chooses what the step changes, and not only which of several values is for what.
    """

    step: int
    path: DocumentPath
    target: Target
    selects: bool


@dataclass(frozen=True, slots=True)
class Pattern:
    """A name or pattern in a target.

    Arguments:
        step: the number of the step.
        path: where it is in the plan.
        kind: the key of a selector that it is a value of.
        text: the name or pattern.
        is_counted: whether the selector that it is in has `expect`.
    """

    step: int
    path: DocumentPath
    kind: Kind
    text: str
    is_counted: bool

    @property
    def is_exact(self) -> bool:
        """Whether it is one name, or one class."""
        return self.kind != "regex" and not has_wildcards(self.text)

    @property
    def is_everything(self) -> bool:
        """Whether it matches every name."""
        return self.text in _EVERYTHING


def step_targets(subject: Subject) -> Iterator[StepTarget]:
    """Yields all targets of all steps."""
    for number, step in subject.steps():
        yield from _targets_of(step, number)


def _targets_of(step: Op, number: int) -> Iterator[StepTarget]:
    for key, (name, annotation) in field_types(type(step)).items():
        value, path = getattr(step, name), ("steps", number, key)
        if value is UNSET or value is None:
            continue
        if holds_target(annotation):
            yield StepTarget(number, path, value, True)
        elif isinstance(value, tuple):
            cases = [(index, case) for index, case in enumerate(value) if isinstance(case, Case)]
            for index, case in cases:
                if case.target is not UNSET:
                    yield StepTarget(number, (*path, index, "target"), case.target, False)


def patterns(subject: Subject) -> Iterator[Pattern]:
    """Yields all names and patterns in all targets of all steps."""
    for each in step_targets(subject):
        yield from _patterns(each.target, each.step, each.path, False)


def _patterns(target: Target, step: int, path: DocumentPath, is_counted: bool) -> Iterator[Pattern]:
    if isinstance(target, str):
        yield from text_patterns(target, path, step, is_counted)
    elif isinstance(target, tuple):
        for index, item in enumerate(target):
            yield from _patterns(item, step, (*path, index), is_counted)
    elif isinstance(target, Selector):
        yield from own_patterns(target, step, path)
        for key, below in parts(target):
            yield from _patterns(below, step, (*path, *key), target.expect is not UNSET)


def text_patterns(target: str, path: DocumentPath, step: int = 0, is_counted: bool = False) -> Iterator[Pattern]:
    """Yields the pattern that a text stands for as a target."""
    kind: Kind = "regex" if target.startswith("re:") else "name"
    yield Pattern(step, path, kind, target.removeprefix("re:"), is_counted)


def own_patterns(selector: Selector, step: int = 0, path: DocumentPath = ()) -> Iterator[Pattern]:
    """Yields the patterns in a selector's own keys."""
    kinds: tuple[Kind, ...] = ("name", "regex", "type")
    for kind in kinds:
        value: Patterns | object = getattr(selector, kind)
        if isinstance(value, str):
            yield Pattern(step, (*path, kind), kind, value, selector.expect is not UNSET)
        elif isinstance(value, tuple):
            for index, text in enumerate(value):
                yield Pattern(step, (*path, kind, index), kind, text, selector.expect is not UNSET)


def parts(selector: Selector) -> Iterator[tuple[DocumentPath, Target]]:
    """Yields the targets within a selector, with their paths from the selector down."""
    for key, name in (("any", "any"), ("all", "all"), ("not", "not_"), *((place, place) for place in PLACES)):
        value = getattr(selector, name)
        if isinstance(value, tuple) and key in ("any", "all", "between"):
            for index, item in enumerate(value):
                yield (key, index), item
        elif value is not UNSET:
            yield (key,), value
