"""Checks of the arguments of the Python API. The error names the function that accepts a value of that type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import index
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from mutspec.errors import CallError

_HOW_TO_MAKE_A_PLAN = (
    "mutspec.load_plan(FILE) reads a plan file, and mutspec.plan(MAPPING) makes a plan from Python values"
)


def check_plan(plan: object) -> None:
    """Checks that an argument is a plan.

    Raises:
        CallError: it is something else, for instance the mapping that a plan is made from.
    """
    from mutspec.language.plan import Plan

    if not isinstance(plan, Plan):
        raise CallError(f"the plan is {_kind(plan)}, not a Plan", hint=_how_to_make(plan))


def plan_path(path: object) -> Path:
    """Returns the path of a plan file.

    Raises:
        CallError: it is not a path.
    """
    if not isinstance(path, str | PathLike):
        raise CallError(f"load_plan takes the path of a file, not {_kind(path)}", hint=_how_to_make(path))
    return _path(path, "the plan file")


def plan_document(document: object) -> Mapping[str, Any]:
    """Returns the mapping that a plan is made from.

    Raises:
        CallError: it is not a mapping.
    """
    if not isinstance(document, Mapping):
        raise CallError(f"plan takes a mapping, not {_kind(document)}", hint=_how_to_make(document))
    return document


def texts(values: object, name: str) -> tuple[str, ...]:
    """Returns an argument that is a list of texts.

    Raises:
        CallError: it is one text, a mapping, or something else.
    """
    if isinstance(values, Iterable) and not isinstance(values, str | Mapping):
        listed = tuple(values)
        if all(isinstance(each, str) for each in listed):
            return listed
    raise CallError(f"`{name}` is {_kind(values)}, not a list of texts", hint=f'for instance `{name}=["seed=3"]`')


def mapping(value: object, name: str) -> Mapping[str, Any]:
    """Returns an argument that is a mapping.

    Raises:
        CallError: it is not.
    """
    if not isinstance(value, Mapping):
        raise CallError(f"`{name}` is {_kind(value)}, not a mapping by name")
    return value


def file_path(file: object, what: str, of: str = "a file") -> Path:
    """Returns the path of a file, or of a folder.

    Raises:
        CallError: it is not a path, or empty.
    """
    if not isinstance(file, str | PathLike):
        raise CallError(f"{what} is {_kind(file)}, not the path of {of}")
    return _path(file, what)


def recipe_folder(folder: object) -> Path:
    """Returns the folder outside of which a plan uses no recipes.

    Raises:
        CallError: it is not a path, or not that of a folder.
    """
    path = file_path(folder, "the folder of recipes", "a folder")
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise CallError(f"the folder of recipes {path} {what}", hint="name the folder that has the recipes")
    return path


def check_count(value: object, name: str) -> None:
    """Checks that an argument is a whole number, or None.

    Raises:
        CallError: it is not.
    """
    try:
        index(0 if value is None else value)  # type: ignore[arg-type]
    except TypeError:
        raise CallError(f"`{name}` is {value!r}, not a whole number") from None


def _path(path: str | PathLike[str], what: str) -> Path:
    if not fspath(path):
        raise CallError(f"the path of {what} is empty")
    return Path(path)


def _how_to_make(value: object) -> str:
    """Returns a hint on how to make a plan from a value."""
    from mutspec.language.plan import Plan

    if isinstance(value, Plan):
        return "it already is a plan"
    if isinstance(value, Mapping):
        return "mutspec.plan(MAPPING) makes a plan from a mapping"
    if isinstance(value, str | PathLike):
        return "mutspec.load_plan(FILE) reads a plan file"
    if isinstance(value, list | tuple):
        return 'mutspec.plan({"steps": [...]}) makes a plan from steps'
    return _HOW_TO_MAKE_A_PLAN


def _kind(value: object) -> str:
    name = type(value).__name__
    return "None" if value is None else f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
