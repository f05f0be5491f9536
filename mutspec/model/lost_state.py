"""What is said of an optimizer's state that a mutant loses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from mutspec.errors import Problem
from mutspec.text.words import plural

NEW, REMADE, RETYPED = "are new", "are made of other weights", "have another dtype"
RESHAPED, FROZEN = "have another shape", "were not trained in the base"
OTHER = "are kept in another way by the optimizer"
_SINGULAR = {
    NEW: "is new",
    REMADE: "is made of other weights",
    RETYPED: "has another dtype",
    RESHAPED: "has another shape",
    FROZEN: "was not trained in the base",
    OTHER: "is kept in another way by the optimizer",
}
"""The reasons why an optimizer has no state for a weight, for several weights and for one."""


def lost_state(lost: Mapping[int, str], trained: int, dropped: int) -> Iterator[Problem]:
    """Yields the warnings that an optimizer has no state for some weights, and that state of others is dropped.

    Arguments:
        lost: the reason for each weight without state, by its number.
        trained: how many weights the mutant trains.
        dropped: how many weights of the base with state the mutant has, and does not train.
    """
    if lost:
        counted = Counter(lost.values()).items()
        reasons = ", ".join(f"{number} {why if number > 1 else _SINGULAR[why]}" for why, number in counted)
        message = f"the optimizer's state is reset for {len(lost)} of {trained} trainable weights: {reasons}"
        yield Problem(message, is_warning=True)
    if dropped:
        weights = plural(dropped, "weight")
        message = f"the optimizer's state is dropped for {weights} that the mutant does not train"
        yield Problem(message, is_warning=True)


def why_lost(*, why_not_kept: str, has_same_shape: bool, was_trained: bool) -> str:
    """Returns why an optimizer has no state for a weight.

    Arguments:
        why_not_kept: why the weight is not one of the base; empty if it is.
        has_same_shape: whether it has the shape that it has there.
        was_trained: whether the base trains it.
    """
    if why_not_kept:
        return why_not_kept
    if not has_same_shape:
        return RESHAPED
    return OTHER if was_trained else FROZEN
