"""An optimizer's state in a file: what each stored variable is, and what becomes of it in a mutant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mutspec.errors import Problem
from mutspec.keras_facts.optimizer_slots import MORE_STATE, OPTIMIZERS, SlotBlock, blocks_of, counters_of
from mutspec.model.spec import TensorSpec
from mutspec.model.stored import Stored

NEW, RESHAPED = "are new", "have another shape"
FROZEN, OTHER = "were not trained in the base", "are kept in another way by the optimizer"
_SINGULAR = {
    NEW: "is new",
    RESHAPED: "has another shape",
    FROZEN: "was not trained in the base",
    OTHER: "is kept in another way by the optimizer",
}
"""The reasons why an optimizer has no state for a weight, for several weights and for one."""


@dataclass(frozen=True, slots=True)
class StateValue:
    """A variable of a mutant's optimizer.

    Arguments:
        shape, dtype: its shape and dtype.
        source: the number of the variable in the base that it is a copy of; None for a new one.
        initial: the number that a new one holds in each entry.
    """

    shape: tuple[int, ...]
    dtype: str
    source: int | None
    initial: float = 0.0


@dataclass(frozen=True)
class NewState:
    """The state of a mutant's optimizer, and why some trained weights lost theirs, by their number."""

    values: tuple[StateValue, ...]
    lost: Mapping[int, str]


def new_state(
    optimizer: Any, stored: Sequence[Stored], before: Sequence[TensorSpec], after: Sequence[TensorSpec]
) -> NewState | None:
    """Returns the state of a mutant's optimizer: kept for the weights that the base trained, else as Keras begins it.

    Arguments:
        optimizer: the serialised optimizer.
        stored: the shapes and dtypes of the variables in the base's file.
        before: the weights that the base trains, in Keras's order.
        after: those that the mutant trains.

    Returns:
        None if only Keras knows what the variables are.
    """
    config = optimizer.get("config") if isinstance(optimizer, Mapping) else None
    facts = OPTIMIZERS.get(str(optimizer.get("class_name"))) if isinstance(config, Mapping) else None
    if facts is None or not isinstance(config, Mapping) or any(config.get(key) for key in MORE_STATE):
        return None
    own, blocks = counters_of(config), blocks_of(facts, config)
    is_built = len(stored) > own  # if not, Keras begins the state of all weights when it loads the mutant
    known = _Known(tuple(before) if is_built else (), stored)
    slots = sum(len(block.names) for block in blocks) * len(known.weights)
    if len(stored) != own + slots + (facts.trailing if is_built else 0) or (facts.trailing and not is_built):
        return None
    values, start = [StateValue(*stored[number], number) for number in range(own)], own
    for block in blocks:
        if not known.has(block, start):
            return None
        values += known.kept(block, start, config, after)
        start += len(block.names) * len(known.weights)
    values += [StateValue(*stored[number], number) for number in range(start, start + facts.trailing)]
    reasons = {number: known.why_none(weight) for number, weight in enumerate(after)} if is_built and blocks else {}
    return NewState(tuple(values), {number: reason for number, reason in reasons.items() if reason})


class _Known:
    """The state in a base.

    Arguments:
        weights: the weights that it trains, in Keras's order; none if the optimizer was not built.
        stored: the shapes and dtypes of the optimizer's variables.
    """

    def __init__(self, weights: tuple[TensorSpec, ...], stored: Sequence[Stored]) -> None:
        self.weights = weights
        self._stored = stored
        self._numbers = {weight.origin: number for number, weight in enumerate(weights)}

    def has(self, block: SlotBlock, start: int) -> bool:
        """Tells whether the slots of a block, from a variable on, have the shapes of the weights."""
        count = len(block.names)
        shapes = (self._stored[start + number][0] for number in range(count * len(self.weights)))
        return all(shape == self.weights[number // count].shape for number, shape in enumerate(shapes))

    def why_none(self, weight: TensorSpec) -> str:
        """Returns why the base has no state for a weight of the mutant; empty if it has some."""
        number = self._numbers.get(weight.origin)
        return NEW if number is None else "" if self.weights[number].shape == weight.shape else RESHAPED

    def kept(
        self, block: SlotBlock, start: int, config: Mapping[str, Any], after: Sequence[TensorSpec]
    ) -> Iterator[StateValue]:
        """Yields the slots of a block in the mutant."""
        for weight in after:
            is_kept = not self.why_none(weight)
            first = start + self._numbers[weight.origin] * len(block.names) if is_kept else 0
            for slot, name in enumerate(block.names):
                initial = float(config.get((block.initial or {}).get(name, ""), 0.0))
                yield StateValue(weight.shape, weight.dtype, first + slot if is_kept else None, initial)


def why_lost(lost: Mapping[int, str], after: Sequence[TensorSpec], origins_before: frozenset[str]) -> Mapping[int, str]:
    """Returns the reasons for which weights lost their state, where a weight of the base was merely not trained."""
    return {
        number: FROZEN if reason == NEW and after[number].origin in origins_before else reason
        for number, reason in lost.items()
    }


def reset_warning(lost: Mapping[int, str], trained: int) -> Iterator[Problem]:
    """Yields a warning if state is lost, with the reasons.

    Arguments:
        lost: the reasons, by the number of the weight.
        trained: how many weights are trained.
    """
    if lost:
        reasons = Counter(lost.values()).items()
        yield Problem(
            f"the optimizer's state is reset for {len(lost)} of {trained} trainable weights",
            hint=", ".join(f"{number} {why if number > 1 else _SINGULAR[why]}" for why, number in reasons),
            is_warning=True,
        )
