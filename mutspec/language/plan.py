"""The plan: validated, resolved and frozen, with the source positions that error messages need."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from mutspec.errors import DocumentPath, Place, Problem
from mutspec.language.overrides import Override
from mutspec.language.types import NonFinite
from mutspec.text.digest import text_digest


class Step(Protocol):
    """The attributes that every step has, whatever its op."""

    @property
    def id(self) -> str: ...

    def problems(self) -> Iterable[Problem]: ...

    def inputs_used(self) -> Iterable[tuple[DocumentPath, str]]: ...


S = TypeVar("S", bound=Step)


@dataclass(frozen=True, slots=True)
class Use:
    """A use of another recipe, in whose place the recipe's steps stand.

    Arguments:
        id: the id of the step that uses it.
        recipe: the recipe's file, as `Plan.files` has it.
        params: the values that are passed to its parameters.
        seed: the seed of those of its steps that state none; None for the plan's.
        inputs: the inputs of the plan that stand for inputs of the recipe under other names.
        steps: the ids of its steps in the plan.
    """

    id: str
    recipe: str
    params: Mapping[str, Any]
    seed: int | None
    inputs: Mapping[str, str]
    steps: tuple[str, ...]


_OF_NO_EFFECT = ("name", "description", "metadata", "seed", "lint")
"""Keys of a plan that do not change what it does; the seed only chooses among random numbers."""


def digest_of(document: Mapping[str, Any]) -> str:
    """Returns a digest of a document of JSON values."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return text_digest(text)


def effect_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a plan's document without its labels and its seed."""
    return {key: value for key, value in document.items() if key not in _OF_NO_EFFECT}


@dataclass(frozen=True)
class Plan(Generic[S]):
    """A validated plan.

    Arguments:
        name: the plan's name; by default the file's stem, or "plan".
        description: what it is for.
        seed: the seed of all its random streams; a step may have its own.
        params: the parameters' resolved values.
        inputs: the names of the other models that a call must bind.
        metadata: whatever the user writes there.
        non_finite: what to do with newly non-finite entries, for steps that do not state it; None if the plan does not
            state it either.
        steps: the ops, in order.
        document: the resolved document as plain JSON values, without extension keys.
        source: the positions of the document's values, for error messages.
        warnings: problems that are not errors.
        files: the digests of the texts of all files that were read besides the plan itself, by their paths from the
            plan's folder; a recipe that ships with mutspec is `shipped:<name>`.
        uses: the uses of other recipes, in the order of their steps; those within a recipe come after its own.
        allowed: the names of the lint rules that the plan may break, as it states them.
        silenced: what would be warnings if the plan did not allow it.
    """

    name: str
    description: str
    seed: int
    params: Mapping[str, Any]
    inputs: tuple[str, ...]
    metadata: Mapping[str, Any]
    non_finite: NonFinite | None
    steps: tuple[S, ...]
    document: Mapping[str, Any] = field(repr=False)
    source: Any = field(repr=False, compare=False)
    warnings: tuple[Problem, ...] = field(default=(), compare=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    uses: tuple[Use, ...] = field(default=(), repr=False, compare=False)
    allowed: tuple[str, ...] = field(default=(), compare=False)
    silenced: tuple[Problem, ...] = field(default=(), compare=False)

    @cached_property
    def digest(self) -> str:
        """A digest of the resolved document: the same for plans that differ only in layout, comments or `x-` keys."""
        return digest_of(self.document)

    @cached_property
    def effect_digest(self) -> str:
        """A digest of what the plan does: the same where only seed, name, description or metadata differ."""
        return digest_of(effect_of(self.document))

    @property
    def form_digest(self) -> str:
        """A digest of what the plan does for any values of its parameters: the same for `with_(params=…)`."""
        digest: str = self.source.form_digest
        return digest

    def locate(self, path: DocumentPath) -> Place | None:
        """Returns the place of the value at a path, or of its nearest ancestor; None for a plan made in Python.

        For a value from `${params.…}` that is the parameter's place, for one from an override the override's.
        """
        place: Place | None = self.source.locate(path)
        return place

    def placed(self, problem: Problem) -> Problem:
        """Returns a problem with the place that its path leads to, and those at which its recipe is used."""
        placed: Problem = self.source.told(replace(problem, place=self.locate(problem.path)))
        return placed

    def recipe_allows(self, rule: str, path: DocumentPath) -> bool:
        """Returns whether a recipe that the plan uses for the step at a path may break a lint rule.

        What the plan itself allows is in `allowed`, and holds for all of its steps.
        """
        allows: bool = self.source.inlined.allows(rule, path)
        return allows

    def with_(self, *, seed: int | None = None, params: Mapping[str, Any] | None = None, **named: Any) -> Plan[S]:
        """Returns the same plan with another seed, or other values of its parameters.

        Arguments:
            seed: the new seed; by default it stays.
            params: values by parameter name, for names that are not Python identifiers.
            named: values as keywords: `plan.with_(std=0.05)`.

        Raises:
            PlanError: if a parameter is not declared, or its value does not fit.
        """
        changed: Plan[S] = self.source.again(params={**(params or {}), **named}, seed=seed)
        return changed

    def first(self, count: int) -> Plan[S]:
        """Returns the plan with only its first steps."""
        document = {**self.document, "steps": self.document["steps"][:count]}
        return replace(self, steps=self.steps[:count], document=document)

    def overridden(self, values: Mapping[str, Any]) -> Plan[S]:
        """Returns the same plan with other values at dotted keys, as in `--set`: `{"steps.jitter.std": 0.05}`.

        Raises:
            PlanError: if a key does not exist, or a value does not fit.
        """
        overrides = [Override(f"{key}={value}", number, value) for number, (key, value) in enumerate(values.items(), 1)]
        changed: Plan[S] = self.source.again(overrides)
        return changed
