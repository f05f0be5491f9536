"""Checks of the model files that a job names, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mutspec.errors import CallError, ModelError, Place, Problem, nearest
from mutspec.language import Plan
from mutspec.language.files import called_like
from mutspec.lowering.base import Op


def check_file(path: str) -> None:
    """Checks that a model's file exists.

    Raises:
        ModelError: it does not.
    """
    file = Path(path)
    if not file.exists():
        place = Place(path, 0, 0, 0)
        raise ModelError("there is no such model file", place=place, candidates=called_like(file))


def check_bound(plan: Plan[Op], inputs: Mapping[str, str]) -> None:
    """Checks that each of a plan's inputs is bound to a file that exists.

    Raises:
        CallError, ModelError: some are not.
    """
    missing = [name for name in plan.inputs if name not in inputs]
    misspelt = {name: near for name in inputs if name not in plan.inputs and (near := nearest(name, missing))}
    problems = [
        Problem(
            f"the plan `{plan.name}` declares no input `{name}`", candidates=tuple(f"inputs.{each}" for each in near)
        )
        for name, near in misspelt.items()
    ]
    problems += [
        Problem(f"the input `{name}` of the plan `{plan.name}` is not bound", hint=f"add inputs.{name}=MODEL")
        for name in missing
        if not any(name in near for near in misspelt.values())
    ]
    if problems:
        raise CallError(problems)
    for name in plan.inputs:
        check_file(inputs[name])
