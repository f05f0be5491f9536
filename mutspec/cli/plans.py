"""Reads the plan that a call names, and what it is compiled for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mutspec.cli.options import RECIPES
from mutspec.language import Plan, load_plan, load_text
from mutspec.resources import shipped_recipe

if TYPE_CHECKING:
    from mutspec.language.recipe_files import RecipeSource


def read_plan(
    path: str,
    overrides: tuple[str, ...] = (),
    seed: int | None = None,
    *,
    uses_schema: bool = False,
    standard_input: bytes | None = None,
) -> Plan[Any]:
    """Returns the plan in a file, or the recipe of that name that ships with mutspec; `-` reads standard input.

    It may use the recipes in the folder that the call names by `--recipes`.

    Arguments:
        path: the file, the name or `-`.
        overrides: `key=value` texts.
        seed: the plan's seed.
        uses_schema: whether the JSON schema also checks values that fit their types.
        standard_input: the bytes of standard input, if the call has read it.

    Raises:
        PlanError: with every problem of the plan.
    """
    from mutspec.ops import catalogue

    options: dict[str, Any] = {"overrides": overrides, "seed": seed, "uses_schema": uses_schema}
    if path != "-":
        file = recipe_meant(path) or path
        return load_plan(file, catalogue(), recipes=source_of(file), **options)
    from mutspec.language.files import decode

    name = "<stdin>"
    text = decode(sys.stdin.buffer.read() if standard_input is None else standard_input, name)
    return load_text(text, catalogue(), file=name, recipes=source_of(path), **options)


def source_of(path: str | Path) -> RecipeSource:
    """Returns where the recipes are that a plan may use: its file, or `-` for a plan that is not a file."""
    from mutspec.language.recipe_files import RecipeSource

    root = recipe_root()
    return RecipeSource(root=root) if path == "-" else RecipeSource.of_file(path, root)


def recipe_root() -> Path | None:
    """Returns the folder that the call names by `--recipes`; None if it names none."""
    context = click.get_current_context(silent=True)
    root: Path | None = None if context is None else context.meta.get(RECIPES)
    return root


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


def recipe_meant(name: str) -> Path | None:
    """Returns the shipped recipe of a name; None if there is none, or if there is a file of that name."""
    return None if Path(name).exists() else shipped_recipe(name)
