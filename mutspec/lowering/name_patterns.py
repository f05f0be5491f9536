"""Names of layers by a pattern, such as `{model}_{name}`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated

from msgspec import Meta

from mutspec.errors import PlanError, Problem

NamePattern = Annotated[
    str,
    Meta(
        description="The names that layers get: `{name}` stands for the layer's own, `{model}` for that of the model "
        "that it comes from.",
        examples=["{model}_{name}"],
    ),
]

NAME = "{name}"
"""What stands for a layer's own name in a pattern."""

_PLACES = re.compile(r"\{([^{}]*)\}")


def pattern_problems(pattern: str, key: str) -> Iterator[Problem]:
    """Yields what is wrong with a pattern, at the key of the step that has it."""
    unknown = next((each for each in _PLACES.findall(pattern) if each not in ("name", "model")), None)
    if unknown is not None:
        yield Problem(
            f"`{key}` knows no `{{{unknown}}}`",
            path=(key,),
            hint="it can hold `{name}` and `{model}`: `{model}_{name}`",
        )
    elif NAME not in pattern:
        yield Problem(
            f"`{key}: {pattern}` gives all layers one name", path=(key,), hint=f"add `{{name}}`: `{pattern}_{{name}}`"
        )
    if "/" in pattern:
        yield Problem(f"`{key}` holds a `/`, which names of layers cannot", path=(key,), hint="use a `_`")


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
