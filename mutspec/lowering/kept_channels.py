"""Which channels stay where a layer gets another number of them, by number or by name, and how new ones begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from msgspec import UNSET, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.graph.expression import Expression
from mutspec.keras_facts.layer_axes import DIVISORS
from mutspec.lowering.changed_weight import ChangedWeight, Filling
from mutspec.lowering.limits_of_made import width_problem
from mutspec.lowering.mixtures import mixed
from mutspec.structure.coupling.axis_call import Use
from mutspec.structure.coupling.substitution import NEW
from mutspec.text.words import plural, plural_of


class FirstValues(StrEnum):
    """The values that new channels begin with."""

    DEFAULT = "default"
    ZERO = "zero"
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class KeptChannels:
    """A step's keys that say how many channels there are then, and which of the old ones stay.

    Arguments:
        size: the number.
        keep: those that stay, by number, in their new order; not set for the first.
        names: the names of all, in their new order.
        old_names: the names of the old ones.
        keys: what these four are called in the plan.
        noun: what one of them is.
    """

    size: int | UnsetType
    keep: tuple[int, ...] | UnsetType
    names: tuple[str, ...] | UnsetType
    old_names: tuple[str, ...] | UnsetType
    keys: tuple[str, str, str, str]
    noun: str

    def problems(self) -> Iterator[Problem]:
        """Yields the problems of the keys by themselves. Paths are relative to the step."""
        size, keep, names, old_names = self.keys
        if self.names is UNSET and self.old_names is UNSET:
            if self.size is UNSET and self.keep is UNSET:
                hint = f"say `{size}`, `{keep}`, or `{names}` with `{old_names}`"
                yield Problem(f"it needs a number of {plural_of(self.noun)}", path=("op",), hint=hint)
            if self.keep == ():
                yield Problem(f"`{keep}` is empty", path=(keep,), hint="name those that stay, or leave it out")
            return
        for key, value in ((size, self.size), (keep, self.keep)):
            if value is not UNSET:
                message = f"`{key}` and `{names}` cannot be used together"
                yield Problem(
                    message, path=(key,), hint=f"keep one of them; `{names}` lists all {plural_of(self.noun)}"
                )
        if self.names is UNSET or self.old_names is UNSET:
            missing, there = (names, old_names) if self.names is UNSET else (old_names, names)
            hint = (
                f"add `{missing}`, the names of all {plural_of(self.noun)} {'then' if missing == names else 'before'}"
            )
            yield Problem(f"`{there}` needs `{missing}`", path=(there,), hint=hint)
            return
        for key, listed in ((names, self.names), (old_names, self.old_names)):
            for at, name in enumerate(listed):
                if name in listed[:at]:
                    hint = "name each once"
                    yield Problem(f"`{name}` is there twice", path=(key, at), hint=hint)
        if not set(self.names) & set(self.old_names):
            hint = f"`replace_layer` makes all {plural_of(self.noun)} new"
            yield Problem(f"none of the {plural_of(self.noun)} is an old one", path=(names,), hint=hint)

    def sources(self, count: int, path: str) -> tuple[int, ...]:
        """Returns the old number of each channel, or `NEW`.

        Arguments:
            count: the number of channels before.
            path: the path of their layer, for messages.

        Raises:
            PlanError: the keys do not fit the layer, or change nothing.
        """
        size = self.keys[0]  # above the limit it is refused before each channel is given a source
        if self.size is not UNSET and (problem := width_problem(self.size, f"`{size}`")):
            raise PlanError(replace(problem, path=(size,)))
        found = self._named(count, path) if self.names is not UNSET else self._numbered(count, path)
        if found == tuple(range(count)):
            raise PlanError(
                f"`{path}` has these {plural(count, self.noun)} already",
                path=("op",),
                hint="leave the step out, or say how many there are to be",
            )
        return found

    def _named(self, count: int, path: str) -> tuple[int, ...]:
        assert self.names is not UNSET
        assert self.old_names is not UNSET
        if len(self.old_names) != count:
            key = self.keys[3]
            raise PlanError(
                f"`{key}` has {plural(len(self.old_names), 'name')}, but `{path}` has {plural(count, self.noun)}",
                path=(key,),
                hint="name all of them, in their order",
            )
        numbers = {name: number for number, name in enumerate(self.old_names)}
        return tuple(numbers.get(name, NEW) for name in self.names)

    def _numbered(self, count: int, path: str) -> tuple[int, ...]:
        size, keep, *_ = self.keys
        if self.keep is UNSET:
            assert self.size is not UNSET
            return tuple(at if at < count else NEW for at in range(self.size))
        kept: list[int] = []
        for position, index in enumerate(self.keep):
            if not -count <= index < count or index % count in kept:
                why = "is there twice" if -count <= index < count else f"is outside `{path}`, which has"
                has = "" if why == "is there twice" else f" {plural(count, self.noun)}"
                raise PlanError(f"index {index:,} {why}{has}", path=(keep, position), hint="name each of them once")
            kept.append(index % count)
        more = 0 if self.size is UNSET else self.size - len(kept)
        if more < 0:
            raise PlanError(
                f"`{keep}` names {plural(len(kept), self.noun)}, and `{size}` is less",
                path=(size,),
                hint="raise it, or leave it out",
            )
        return (*kept, *(NEW,) * more)


def first_values(kind: FirstValues, groups: Sequence[int], target: str) -> Filling | None:
    """Returns what gives new channels their first values; None for the initializers.

    Arguments:
        kind: how they begin.
        groups: the old channels.
        target: the path of the layer that has them. Of layers around it that only scale or read the channels, zeros
            are not meant, and neither are they of weights that a layer divides by.
    """
    if kind is FirstValues.MEAN:
        return lambda weight: mixed(weight, groups, [1 / len(groups)] * len(groups))

    def zeros(weight: ChangedWeight) -> Expression | None:
        is_made = any(axis.use is Use.PRODUCES for axes in weight.layer.weights.values() for axis in axes)
        is_meant = is_made or weight.layer.path == target
        return weight.zeros() if is_meant and weight.new.tensor.role not in DIVISORS else None

    return zeros if kind is FirstValues.ZERO else None
