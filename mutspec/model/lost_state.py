"""What is said of an optimizer's state that a mutant loses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from mutspec.errors import Problem

NEW, RESHAPED = "are new", "have another shape"
FROZEN, OTHER = "were not trained in the base", "are kept in another way by the optimizer"
_SINGULAR = {
    NEW: "is new",
    RESHAPED: "has another shape",
    FROZEN: "was not trained in the base",
    OTHER: "is kept in another way by the optimizer",
}
"""The reasons why an optimizer has no state for a weight, for several weights and for one."""


def lost_state(lost: Mapping[int, str], trained: int) -> Problem:
    """Returns the warning that an optimizer has no state for some weights.

    Arguments:
        lost: the reason for each of these weights, by its number.
        trained: how many weights the mutant trains.
    """
    reasons = Counter(lost.values()).items()
    return Problem(
        f"the optimizer's state is reset for {len(lost)} of {trained} trainable weights",
        hint=", ".join(f"{number} {why if number > 1 else _SINGULAR[why]}" for why, number in reasons),
        is_warning=True,
    )


def why_lost(*, is_kept: bool, has_same_shape: bool, was_trained: bool) -> str:
    """Returns why an optimizer has no state for a weight.

    Arguments:
        is_kept: whether the weight is one of the base.
        has_same_shape: whether it has the shape that it has there.
        was_trained: whether the base trains it.
    """
    if not is_kept:
        return NEW
    if not has_same_shape:
        return RESHAPED
    return OTHER if was_trained else FROZEN
