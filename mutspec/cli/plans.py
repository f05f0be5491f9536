"""Reads the plan that a call names, and what it is compiled for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mutspec.language import Plan, load_plan, load_text
from mutspec.resources import shipped_recipe


def read_plan(
    path: str, overrides: tuple[str, ...] = (), seed: int | None = None, *, uses_schema: bool = False
) -> Plan[Any]:
    """Returns the plan in a file, or the recipe of that name that ships with mutspec; `-` reads standard input.

    Raises:
        PlanError: with every problem of the plan.
    """
    from mutspec.ops import catalogue

    if path != "-":
        return load_plan(_shipped(path) or path, catalogue(), overrides=overrides, seed=seed, uses_schema=uses_schema)
    from mutspec.language.files import decode

    name = "<stdin>"
    text = decode(sys.stdin.buffer.read(), name)
    return load_text(text, catalogue(), file=name, overrides=overrides, seed=seed, uses_schema=uses_schema)


def paths(bound: dict[str, str]) -> dict[str, Path]:
    """Returns the bound inputs as paths."""
    return {name: Path(path) for name, path in bound.items()}


def arrays_of(data: Path, output: Path | None, *, force: bool) -> dict[str, Any]:
    """Returns the arrays of a file, by name, which must not be the output.

    Raises:
        CallError: it is the output, or cannot be read.
    """
    from mutspec.execute.output import check_output
    from mutspec.experiment.data import named_arrays

    if output is not None:
        check_output(output, [data], force=force)
    return named_arrays(data)


def _shipped(name: str) -> Path | None:
    """Returns the recipe of a name; None if there is none, or if there is a file of that name."""
    return None if Path(name).exists() else shipped_recipe(name)
