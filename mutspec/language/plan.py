"""Plan: a validated, resolved plan as a frozen value, with the source positions that errors need."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, Generic, Protocol, TypeVar

from mutspec.errors import DocumentPath, Place, Problem
from mutspec.language.overrides import Override
from mutspec.language.types import NonFinite


class Step(Protocol):
    """What every step has, whatever its op."""

    @property
    def id(self) -> str: ...

    def problems(self) -> Iterable[Problem]: ...

    def inputs_used(self) -> Iterable[tuple[DocumentPath, str]]: ...


S = TypeVar("S", bound=Step)

_OF_NO_EFFECT = ("name", "description", "metadata", "seed")
"""Keys of a plan that say nothing about what it does; the seed says only which random numbers it takes."""


def digest_of(document: Mapping[str, Any]) -> str:
    """Returns a digest of a document of JSON values."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return blake2b(text.encode(), digest_size=16).hexdigest()


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
        metadata: free.
        non_finite: what newly non-finite entries mean, for steps that do not say; None if the plan does not say either.
        steps: the ops, in order.
        document: the resolved document that all of this came from, as plain JSON values (extension keys left out).
        source: the positions of the document's values, for error messages.
        warnings: what is odd about the plan, and no error.
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
        """Where the value at a path was written, or its nearest ancestor; None for a plan that came from Python.

        A value that came by `${params.…}` or by an override is located there.
        """
        place: Place | None = self.source.locate(path)
        return place

    def placed(self, problem: Problem) -> Problem:
        """A problem with the place that its path leads to."""
        return replace(problem, place=self.locate(problem.path))

    def with_(self, *, seed: int | None = None, params: Mapping[str, Any] | None = None, **named: Any) -> Plan[S]:
        """The same plan with another seed, or other values of its parameters.

        Arguments:
            seed: the plan's seed; by default it stays.
            params: values by the parameters' names, for names that are not Python's.
            named: the same, as keywords: `plan.with_(std=0.05)`.

        Raises:
            PlanError: if a parameter is not declared, or its value does not fit.
        """
        changed: Plan[S] = self.source.again(params={**(params or {}), **named}, seed=seed)
        return changed

    def overridden(self, values: Mapping[str, Any]) -> Plan[S]:
        """The same plan with other values at dotted keys, as `--set` names them: `{"steps.jitter.std": 0.05}`.

        Raises:
            PlanError: if there is no such key, or a value does not fit.
        """
        overrides = [Override(f"{key}={value}", number, value) for number, (key, value) in enumerate(values.items(), 1)]
        changed: Plan[S] = self.source.again(overrides)
        return changed
