"""Names of layers by a pattern, such as `{model}_{name}`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated

from msgspec import Meta

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.layer_names import name_problem
from mutspec.model.limits import current_limits

NamePattern = Annotated[
    str,
    Meta(
        description="The names that layers get: `{name}` stands for the layer's own, `{model}` for that of the model "
        "that it comes from.",
        examples=["{model}_{name}"],
    ),
]

NAME = "{name}"
"""The place in a pattern for a layer's own name."""

_PLACES = re.compile(r"\{([^{}]*)\}")


def name_problems(name: str, *at: str | int) -> Iterator[Problem]:
    """Yields what is wrong with a name that a step gives a layer or a model.

    Arguments:
        name: the name.
        at: where the step has it.
    """
    if wrong := name_problem(name):
        shown = f"the name `{name}`" if name else "the name"
        yield Problem(f"{shown} {wrong}", path=at, hint="use a `_`" if "/" in name else "give another name")
    elif len(name) > current_limits().name_characters:
        yield replace(current_limits().of_made("name_characters", len(name), f"the name `{name[:20]}…`"), path=at)


def has_places(pattern: str) -> bool:
    """Returns whether a name is a pattern."""
    return _PLACES.search(pattern) is not None


def place_problems(pattern: str, key: str, more: str = "") -> Iterator[Problem]:
    """Yields what a pattern holds that stands for nothing.

    Arguments:
        pattern: the pattern.
        key: the key of the step that has it.
        more: more about what to do.
    """
    unknown = next((each for each in _PLACES.findall(pattern) if each not in ("name", "model")), None)
    if unknown is not None:
        hint = f"it can hold `{{name}}` and `{{model}}`: `{{model}}_{{name}}`{more}"
        yield Problem(f"`{key}` knows no `{{{unknown}}}`", path=(key,), hint=hint)


def pattern_problems(pattern: str, key: str) -> Iterator[Problem]:
    """Yields what is wrong with a pattern, at the key of the step that has it."""
    unknown = list(place_problems(pattern, key))
    yield from unknown
    if not unknown and NAME not in pattern:
        yield Problem(
            f"`{key}: {pattern}` gives all layers one name", path=(key,), hint=f"add `{{name}}`: `{pattern}_{{name}}`"
        )
    if pattern:
        yield from name_problems(pattern, key)


def name_by(pattern: str, name: str, model: str) -> str:
    """Returns the name that a pattern gives a layer.

    Arguments:
        pattern: the pattern.
        name: the layer's own name.
        model: the name of the model that it comes from.
    """
    # The layer's name goes in last, so that it may hold `{model}` itself.
    return pattern.replace("{model}", model).replace(NAME, name)


def names_by(pattern: str, names: Iterable[str], model: str, taken: Iterable[str], key: str) -> dict[str, str]:
    """Returns the new name of each layer.

    Arguments:
        pattern: the pattern.
        names: the layers' own names.
        model: the name of the model that they come from.
        taken: the names that they cannot have.
        key: the key of the step that has the pattern, for errors.

    Raises:
        PlanError: a name is taken.
    """
    used = set(taken)
    found = {name: name_by(pattern, name, model) for name in names}
    clash = next((name for name in found if found[name] in used), None)
    if clash is not None:
        raise PlanError(
            f"`{clash}` would be called `{found[clash]}`, and the model has a layer of this name",
            path=(key,),
            hint='choose other names, such as `"{model}_{name}"` or `"x_{name}"`',
        )
    return found
