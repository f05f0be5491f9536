"""Finds custom objects that a plan names but that no import of the call has registered with Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mutspec.errors import Problem
from mutspec.lowering.compile import Program
from mutspec.model.live import is_registered

_WRITTEN_IN = ("layer", "set")
"""The keys of structural steps whose values may name objects of Keras."""


def unregistered(program: Program) -> list[Problem]:
    """Returns a problem for each name of a step that Keras's registry does not have."""
    problems = []
    for number, step in enumerate(program.plan.steps):
        for key in _WRITTEN_IN:
            for name in dict.fromkeys(_names(getattr(step, key, None))):
                if not is_registered(name):
                    problem = Problem(
                        f"step `{step.id}` names `{name}`, which nothing registers that the call imports",
                        path=("steps", number, key),
                        hint="import the module that registers it: --import my_package.layers",
                    )
                    problems.append(program.plan.placed(problem))
    return problems


def _names(value: Any) -> Iterator[str]:
    """Yields the texts of the form `package>name` in a value, at any depth."""
    if isinstance(value, str) and ">" in value.strip(">"):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _names(each)
