"""Indices that a step lists: the places that they stand for, or what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

from mutspec.errors import PlanError
from mutspec.text.words import plural


def places_of(
    indices: Sequence[int], size: int, name: str, noun: str, *, key: str = "indices", may_repeat: bool = False
) -> tuple[int, ...]:
    """Returns the place of each index, counted from 0.

    Arguments:
        indices: the indices; negative ones count from the end.
        size: the number of places.
        name: what has them, for messages.
        noun: what one of them is.
        key: the key of the step that lists the indices.
        may_repeat: whether a place may be listed several times.

    Raises:
        PlanError: there is no such place, or one is listed again.
    """
    found: dict[int, int] = {}
    for position, index in enumerate(indices):
        if not -size <= index < size:
            raise PlanError(
                f"index {index:,} is outside `{name}`, which has {plural(size, noun)}",
                path=(key, position),
                hint=f"indices run from 0 to {size - 1:,}, or from -1 down to {-size:,}",
            )
        first = found.setdefault(index % size, index)
        if not may_repeat and len(found) <= position:
            raise PlanError(
                f"the indices {first} and {index} name the same {noun} of `{name}`",
                path=(key, position),
                hint=f"name each {noun} once",
            )
    return tuple(index % size for index in indices)
