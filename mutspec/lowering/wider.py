"""Wider layers: the units that come, and those that they are copies of."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.graph.exact_counts import rounded_share
from mutspec.graph.permutation import Permutation
from mutspec.language.types import exact_share
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.layer_units import units_of, unpinned
from mutspec.lowering.limits_of_made import width_problem
from mutspec.lowering.listed_places import places_of
from mutspec.lowering.widths import layer_origin
from mutspec.model.spec import LayerSpec
from mutspec.structure.coupling.coupling import Coupling
from mutspec.structure.coupling.labels import Labels, MarkKind
from mutspec.structure.coupling.substitution import NEW, alike
from mutspec.text.words import plural

AMOUNTS = ("to", "factor", "copies")
_TOGETHER = frozenset({MarkKind.MIXED, MarkKind.SUMMED})


@dataclass(frozen=True, slots=True)
class Widening:
    """A step's keys that say how many units layers get, and of which these are copies.

    Arguments:
        to, factor, copies: how many units there are, or how many times as many, or the unit that each new one copies.
        argument: the argument of the layers that counts their units; empty for the first.
        has_values: whether new units are copies of old ones.
        keeps: whether predictions are to stay what they were.
    """

    to: int | UnsetType
    factor: float | UnsetType
    copies: tuple[int, ...] | UnsetType
    argument: str
    has_values: bool
    keeps: bool

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the amounts that the step has."""
        return tuple(name for name in AMOUNTS if getattr(self, name) is not UNSET)

    def problems(self) -> Iterator[Problem]:
        """Yields the problems of the amount. Paths are relative to the step."""
        for name in self.given[1:]:
            message = f"`{self.given[0]}` and `{name}` cannot be used together"
            yield Problem(message, path=(name,), hint="keep one of them")
        if not self.given:
            yield Problem("it needs a number of units", path=("op",), hint="add `to: 64` or `factor: 1.5`")
        if self.factor is not UNSET and self.factor <= 1:
            hint = "give a factor above 1; `remove_neurons` makes layers narrower"
            yield Problem("`factor` does not make a layer wider", path=("factor",), hint=hint)
        if self.factor == math.inf:
            yield Problem("`factor` is infinite", path=("factor",), hint="give a number, such as 1.5")
        if self.copies == ():
            yield Problem("`copies` names no unit", path=("copies",), hint="name the unit that each new one copies")


def wider(
    context: LoweringContext, coupling: Coupling, layers: Sequence[LayerSpec], step: Widening
) -> dict[int, tuple[int, ...]]:
    """Returns what comes in the place of groups of channels so that layers are wider: new ones after their last.

    Raises:
        PlanError: units of a layer must stay as they are, or the amount does not fit.
    """
    others: dict[int, tuple[int, ...]] = {}
    made: dict[int, tuple[LayerSpec, frozenset[int], int]] = {}
    for layer in layers:
        _, labels = units_of(coupling, layer, step.argument)
        groups = coupling.groups_of(labels)
        free = _free(coupling, layer, groups, step)
        count = _count_of_new(context, coupling, layer, labels, step)
        if (before := next((made[group] for group in groups if group in made), None)) is not None:
            _refuse_other(layer, before, frozenset(groups), count)
            continue
        if not count:
            continue
        _check_extent(layer, len(labels) + len(labels) // len(groups) * count, step)
        made |= dict.fromkeys(groups, (layer, frozenset(groups), count))
        last = free[-1]
        if not step.has_values:
            others[last] = (last, *(NEW,) * count)
            continue
        candidates = alike(coupling, last, free)
        chosen = _listed(coupling, layer, labels, candidates, step)
        if chosen is None:
            chosen = _drawn(context, layer, candidates, count)
        others[last] = (last, *chosen)
    return others


def _count_of_new(
    context: LoweringContext, coupling: Coupling, layer: LayerSpec, labels: Labels, step: Widening
) -> int:
    """Returns how many groups of channels a layer gets; 0 where it has them already and the step may do nothing."""
    counts = Counter(coupling.groups[label] for label in labels)
    size, each = len(labels), max(counts.values())
    if min(counts.values()) != each or (size > 1 and len(counts) == 1):
        why = "all hang together" if len(counts) == 1 else "do not hang together evenly"
        raise PlanError(
            f"the units of `{layer.path}` ({layer.class_name}) {why}, so that none can be added",
            path=("target",),
            hint="widen the layers before it",
        )
    if step.copies is not UNSET:
        return len(step.copies)
    if step.factor is not UNSET:
        found = rounded_share(exact_share(step.factor), len(counts)) - len(counts)
        if not found and not context.step.allow_empty:
            raise PlanError(
                f"{plural(len(counts), 'unit')} times {step.factor} is as many after rounding, in `{layer.path}`",
                path=("factor",),
                hint="raise it, or say `allow_empty: true`",
            )
        return found
    assert step.to is not UNSET
    if step.to <= size:
        if step.to == size and context.step.allow_empty:
            return 0
        raise PlanError(
            f"`{layer.path}` has {plural(size, 'unit')} already",
            path=("to",),
            hint="`remove_neurons` makes layers narrower" if step.to < size else "leave the step out, or the layer",
        )
    if (step.to - size) % each:
        least = size + (step.to - size) // each * each
        near = f"{least:,} or {least + each:,}" if least > size else f"{least + each:,}"
        raise PlanError(
            f"the units of `{layer.path}` ({layer.class_name}) are coupled in groups of {each}",
            path=("to",),
            hint=f"say {near}",
        )
    return (step.to - size) // each


def _check_extent(layer: LayerSpec, size: int, step: Widening) -> None:
    """Refuses a width above the limit, before each new unit is given something to copy."""
    if problem := width_problem(size, f"the new width of `{layer.path}`"):
        raise PlanError(replace(problem, path=(step.given[0],)))


def _refuse_other(
    layer: LayerSpec, before: tuple[LayerSpec, frozenset[int], int], groups: frozenset[int], count: int
) -> None:
    """Refuses a layer that is coupled to another target, but would not get the same units."""
    other, its, its_count = before
    if groups != its:
        raise PlanError(
            f"`{other.path}` and `{layer.path}` share only some of their units",
            path=("target",),
            hint="widen one of them; what is coupled follows",
        )
    if count not in (its_count, 0):
        raise PlanError(
            f"`{layer.path}` is coupled to `{other.path}`, and would get {plural(its_count, 'group')} of channels, not "
            f"{count:,}",
            path=("target",),
            hint="name one of them; the other follows",
        )


def _free(coupling: Coupling, layer: LayerSpec, groups: Sequence[int], step: Widening) -> tuple[int, ...]:
    """Returns the groups of a layer that may have others next to them.

    Raises:
        PlanError: there is none, or predictions would change.
    """
    free = unpinned(coupling, layer, groups, "must stay as they are", _HOW_TO_WIDEN, outputs=False)
    marks = (mark for mark in coupling.marks.get(free[-1], ()) if mark.kind in _TOGETHER)
    if step.keeps and (mark := next(marks, None)) is not None:
        raise PlanError(
            f"more of the units of `{layer.path}` ({layer.class_name}) would change predictions, because "
            f"`{mark.layer}` {mark.why}",
            path=("target",),
            hint="say `approximate: true` if they may change, or `method: random`, or leave the layer out",
        )
    return free


_HOW_TO_WIDEN = {
    MarkKind.OUTPUT: "`resize_output` gives a model more outputs; leave the layer out otherwise",
    MarkKind.INPUT: "leave the layer out, or change the input with `set_input`",
    MarkKind.BARRIER: "leave it out with `not:`, or declare the axes of a class of your own",
}
"""What to do if all units of a layer must stay as they are."""


def _listed(
    coupling: Coupling, layer: LayerSpec, labels: Labels, candidates: Sequence[int], step: Widening
) -> list[int] | None:
    """Returns the groups of the units that a step lists to be copied; None if it lists none."""
    if step.copies is UNSET:
        return None
    chosen = []
    places = places_of(step.copies, len(labels), layer.path, "unit", key="copies", may_repeat=True)
    for position, (index, at) in enumerate(zip(step.copies, places, strict=True)):
        group = coupling.groups[labels[at]]
        if group not in candidates:
            raise PlanError(
                f"unit {index} of `{layer.path}` cannot be copied after its last one, because they do not go to the "
                "same layers",
                path=("copies", position),
                hint="name another one, or leave `copies` out",
            )
        chosen.append(group)
    return chosen


def _drawn(context: LoweringContext, layer: LayerSpec, candidates: Sequence[int], count: int) -> list[int]:
    """Returns groups in random order, each as often as others: no unit is copied a second time before all are once.

    The first are the same for any number of them.
    """
    chosen: list[int] = []
    origin = layer_origin(context, layer.path)
    while len(chosen) < count:
        permutation = Permutation(len(candidates), context.key(origin, f"copies {len(chosen)}"))
        least = min(len(candidates), count - len(chosen))
        chosen += (candidates[permutation.image(number, inverse=True)] for number in range(least))
    return chosen
