"""The classes of Keras's initializers, regularizers and constraints, by any of their names."""

from __future__ import annotations

from functools import cache

from mutspec.keras_facts.classes import snake_case
from mutspec.keras_facts.object_defaults import INITIALIZER_ALIASES


@cache
def object_class(name: str, names: frozenset[str]) -> str:
    """Returns Keras's class for a name such as `glorot_uniform`, which is among the names of a kind of object."""
    classes = {snake_case(each): each for each in names if each[:1].isupper()}
    name = INITIALIZER_ALIASES.get(name, classes.get(name, name))
    return INITIALIZER_ALIASES.get(name, name)
