"""Copies an optimizer's state to a model that was rebuilt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mutspec.errors import Problem
from mutspec.model.lost_state import NEW, lost_state, why_lost

Variable = Any
Model = Any


def carry_optimizer(
    base: Model,
    model: Model,
    kept: Sequence[tuple[Variable, Variable]],
    why_not_kept: Sequence[tuple[Variable, str]] = (),
) -> Iterator[Problem]:
    """Copies the optimizer's counters, and its state for each weight that keeps its shape.

    Arguments:
        base: the model with the state.
        model: the model that gets the state, compiled in the same way.
        kept: the variables of the base, each with its variable of the new model.
        why_not_kept: other variables of the new model, each with the reason why it is not one of the base. By default,
            they are new.

    Yields:
        Warnings if state is lost, with the reasons.
    """
    old, new = getattr(base, "optimizer", None), getattr(model, "optimizer", None)
    if old is None or not getattr(old, "built", False):
        return
    if new is None or type(new) is not type(old):
        yield Problem("the mutant is not compiled, although its base is", hint="compile it", is_warning=True)
        return
    if not new.built:
        new.build(model.trainable_variables)
    sources = {id(target): source for source, target in kept}
    reasons = {id(variable): why for variable, why in why_not_kept}
    trained = {id(variable) for variable in model.trainable_variables}
    still_trained = {id(source) for source, target in kept if id(target) in trained}
    frozen = {id(source) for source, _ in kept} - still_trained
    lost: Mapping[int, str] = {}
    dropped = 0
    for before, after in zip(_optimizers(old), _optimizers(new), strict=False):
        lost = _copy_slots(before, after, sources, reasons)
        dropped = sum(id(each) in frozen for each in before._trainable_variables) if _slots(before) else 0
    yield from lost_state(lost, len(model.trainable_variables), dropped)


def _optimizers(optimizer: Any) -> Iterator[Any]:
    """Yields an optimizer and those inside it (LossScaleOptimizer), innermost last."""
    while optimizer is not None:
        yield optimizer
        optimizer = getattr(optimizer, "inner_optimizer", None)


def _copy_slots(
    old: Any, new: Any, sources: Mapping[int, Variable], why_not_kept: Mapping[int, str]
) -> Mapping[int, str]:
    """Copies one optimizer's variables. Returns the reason for each weight without matching state, by its number."""
    positions = {id(variable): index for index, variable in enumerate(old._trainable_variables)}
    before, after = _slots(old), _slots(new)
    lost: dict[int, str] = {}
    for name, slots in after.items():
        for index, slot in enumerate(slots):
            variable = new._trainable_variables[index]
            source = sources.get(id(variable))
            position = positions.get(id(source)) if source is not None else None
            state = before[name][position] if position is not None and name in before else None
            if slot is None or (state is not None and tuple(state.shape) == tuple(slot.shape)):
                _copy(state, slot)
            else:
                why = why_lost(
                    why_not_kept="" if source is not None else why_not_kept.get(id(variable), NEW),
                    has_same_shape=source is not None and tuple(source.shape) == tuple(variable.shape),
                    was_trained=position is not None,
                )
                lost.setdefault(index, why)
    for one, other in zip(_counters(old, before), _counters(new, after), strict=False):
        _copy(one, other)
    return lost


def _slots(optimizer: Any) -> dict[str, list[Any]]:
    """Returns an optimizer's state for each weight: its attributes that are lists with one item for each weight."""
    weights = optimizer._trainable_variables
    return {
        name: list(value)
        for name, value in vars(optimizer).items()
        if name not in ("_trainable_variables", "_variables")
        and isinstance(value, Iterable)
        and not isinstance(value, str | bytes | dict)
        and len(list(value)) == len(weights)
        and all(item is None or hasattr(item, "assign") for item in value)
    }


def _counters(optimizer: Any, slots: Mapping[str, list[Any]]) -> list[Any]:
    own = {id(item) for values in slots.values() for item in values}
    inner = getattr(optimizer, "inner_optimizer", None)
    own |= {id(variable) for variable in getattr(inner, "variables", ())}
    return [variable for variable in optimizer.variables if id(variable) not in own]


def _copy(source: Any, target: Any) -> None:
    if source is not None and target is not None and tuple(source.shape) == tuple(target.shape):
        target.assign(source.numpy())
