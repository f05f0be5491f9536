"""Which units a step chooses: groups of coupled channels, counted in each layer or over all, at random or by rank."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import isnan

from msgspec import UNSET, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.graph.exact_counts import rounded_share
from mutspec.graph.permutation import Permutation
from mutspec.language.types import exact_share, or_default
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.layer_units import OnUnremovable, free_groups, layers_with_units, refusal, units_of
from mutspec.lowering.listed_places import places_of
from mutspec.lowering.unit_ranking import Measure, Pool, UnitRank, scores_of
from mutspec.lowering.widths import layer_origin
from mutspec.model.spec import LayerSpec
from mutspec.structure.coupling.coupling import Coupling
from mutspec.text.words import plural

AMOUNTS = ("fraction", "count", "indices")


class Over(StrEnum):
    """What an amount of units counts over."""

    LAYER = "layer"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class UnitChoice:
    """A step's keys that say which units it removes or masks.

    Arguments:
        fraction, count, indices: how many, or which.
        per: what an amount counts over: layers that share channels, or all targets together.
        rank: whether those that come first in a ranking are chosen, those that come last, or random ones.
        by: what ranks them.
        argument: the argument of the layers that counts their units; empty for the first.
        round_to: the number of units that stay is a multiple of it.
        outputs: whether outputs of the model may be chosen.
        on_unremovable: what to do about layers whose units must stay.
    """

    fraction: float | str | UnsetType
    count: int | UnsetType
    indices: tuple[int, ...] | UnsetType
    per: Over
    rank: UnitRank | UnsetType
    by: Measure | UnsetType
    argument: str
    round_to: int
    outputs: bool
    on_unremovable: OnUnremovable

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the amounts that the step has."""
        return tuple(name for name in AMOUNTS if getattr(self, name) is not UNSET)

    @property
    def is_ranked(self) -> bool:
        """Whether a ranking chooses the units."""
        return self.by is not UNSET if self.rank is UNSET else self.rank is not UnitRank.RANDOM

    def problems(self) -> Iterator[Problem]:
        """Yields the problems of the keys by themselves. Paths are relative to the step."""
        for name in self.given[1:]:
            message = f"`{self.given[0]}` and `{name}` cannot be used together"
            yield Problem(message, path=(name,), hint="keep one amount per step")
        if not self.given:
            yield Problem("it needs an amount of units", path=("op",), hint="add `count: 2`, for example")
        if self.indices is not UNSET:
            for key in [name for name in ("rank", "by") if getattr(self, name) is not UNSET]:
                message = f"`{key}` and `indices` cannot be used together"
                yield Problem(message, path=(key,), hint="keep one of them")
            if self.per is Over.ALL:
                message = "`indices` count within each layer, so `per` cannot be `all`"
                yield Problem(message, path=("per",), hint="leave `per` out")
            if self.round_to > 1:
                message = "`indices` say exactly which units, so there is nothing to round"
                yield Problem(message, path=("round_to",), hint="leave `round_to` out")

    def count_of(self, size: int) -> int:
        """Returns the number of units to choose among some. A share below 1 leaves one, however few there are."""
        if self.fraction is not UNSET:
            share = exact_share(self.fraction)
            return min(rounded_share(share, size), size if share == 1 else max(0, size - 1))
        assert self.count is not UNSET
        return self.count


def chosen_groups(
    context: LoweringContext, coupling: Coupling, layers: Sequence[LayerSpec], choice: UnitChoice
) -> tuple[int, ...]:
    """Returns the groups of channels that a step chooses, in no order that has a meaning.

    Raises:
        PlanError: units must stay, the amount does not fit, or no values can be read to rank them.
    """
    pools = _pools(context, coupling, layers, choice)
    if choice.indices is not UNSET:
        return _listed(coupling, pools, choice)
    chosen = _counted(context, coupling, pools, choice)
    if pools and not chosen and not context.step.allow_empty:
        (name,) = choice.given
        ways = ["raise it"]
        if choice.per is not Over.ALL:
            ways.append("add `per: all`")
        if choice.round_to > 1:
            ways.append("lower `round_to`")
        raise PlanError(
            f"the amount comes to 0 units{' after rounding' if choice.round_to > 1 else ''} in every target",
            path=(name,),
            hint=", ".join(ways) + ", or say `allow_empty: true`",
        )
    return chosen


def _pools(context: LoweringContext, coupling: Coupling, layers: Sequence[LayerSpec], choice: UnitChoice) -> list[Pool]:
    """Returns the layers of a target in pools of those that share channels."""
    pools: list[Pool] = []
    skipped: list[Problem] = []
    for layer in layers_with_units(coupling, layers):
        try:
            found, labels = units_of(coupling, layer, choice.argument)
            groups, free = free_groups(coupling, layer, labels, outputs=choice.outputs)
        except PlanError as error:
            if choice.on_unremovable is OnUnremovable.ERROR or error.problems[0].path != ("target",):
                raise
            skipped += error.problems
            continue
        shared = [pool for pool in pools if not set(pool.groups).isdisjoint(groups)]
        pools = [pool for pool in pools if pool not in shared]
        parts = [*shared, Pool(((found, labels),), groups, free)]
        pools.append(
            Pool(
                tuple(each for pool in parts for each in pool.layers),
                tuple(dict.fromkeys(group for pool in parts for group in pool.groups)),
                tuple(dict.fromkeys(group for pool in parts for group in pool.free)),
            )
        )
    if skipped and not pools and not context.step.allow_empty:
        hint = "this is so for all layers of the target; name others, or say `allow_empty: true`"
        raise PlanError([replace(problem, hint=hint) for problem in skipped])
    context.notes += [problem.message for problem in skipped]
    return pools


def _listed(coupling: Coupling, pools: Sequence[Pool], choice: UnitChoice) -> tuple[int, ...]:
    """Returns the groups of the units that a step lists, in each layer."""
    assert choice.indices is not UNSET
    chosen: dict[int, None] = {}
    for layer, labels in (each for pool in pools for each in pool.layers):
        for position, at in enumerate(places_of(choice.indices, len(labels), layer.path, "unit")):
            group = coupling.groups[labels[at]]
            if mark := refusal(coupling, group, outputs=choice.outputs):
                raise PlanError(
                    f"unit {choice.indices[position]} of `{layer.path}` must stay, because `{mark.layer}` {mark.why}",
                    path=("indices", position),
                    hint="leave it out",
                )
            chosen[group] = None
    for pool in pools:
        _refuse_all(pool, sum(group in chosen for group in pool.groups), "indices")
    return tuple(chosen)


def _refuse_all(pool: Pool, count: int, key: str) -> None:
    """Refuses to choose all units of a layer."""
    if count < len(pool.groups):
        return
    raise PlanError(
        f"`{pool.path}` has {plural(len(pool.groups), 'unit')}, and none would stay",
        path=(key,),
        hint="choose fewer units, or take the layer out with `remove_layer`",
    )


def _counted(
    context: LoweringContext, coupling: Coupling, pools: Sequence[Pool], choice: UnitChoice
) -> tuple[int, ...]:
    """Returns the groups of an amount of units: of each pool, or of all together."""
    if not pools:
        return ()
    (key,) = choice.given
    is_relative, measure = choice.per is Over.ALL, or_default(choice.by, Measure.L2)
    scores = scores_of(context, coupling, pools, measure, is_relative=is_relative) if choice.is_ranked else {}
    is_last = choice.rank is UnitRank.LARGEST
    together = [list(pools)] if choice.per is Over.ALL else [[pool] for pool in pools]
    chosen: list[int] = []
    for each in together:
        size, free = sum(len(pool.groups) for pool in each), [group for pool in each for group in pool.free]
        count = choice.count_of(size)
        if len(each) == 1:
            _refuse_all(each[0], count, key)
        if count > len(free):
            raise PlanError(
                f"`{key}` comes to {plural(count, 'unit')}, but of {size:,} only {len(free):,} may go",
                path=(key,),
                hint="lower it",
            )
        order: Iterable[int]
        if choice.is_ranked:
            order = sorted(free, key=lambda group: (isnan(scores[group]), -scores[group] if is_last else scores[group]))
        else:
            origin = "" if choice.per is Over.ALL else layer_origin(context, each[0].path)
            permutation = Permutation(len(free), context.key(origin, "choose"))
            order = (free[permutation.image(number, inverse=True)] for number in range(len(free)))
        chosen += _within(order, count, each, choice.round_to)
    return tuple(chosen)


def _within(order: Iterable[int], count: int, pools: Sequence[Pool], round_to: int) -> Iterator[int]:
    """Yields the first groups of an order, so that in each pool some stay, and as many as rounding asks for."""
    owner = {group: number for number, pool in enumerate(pools) for group in pool.groups}
    taken: dict[int, list[int]] = {number: [] for number in range(len(pools))}
    left = count
    for group in order:
        if not left:
            break
        own = taken[owner[group]]
        if len(own) < len(pools[owner[group]].groups) - 1:
            own.append(group)
            left -= 1
    for number, groups in taken.items():
        stay = len(pools[number].groups) - len(groups)
        more = -stay % round_to
        yield from groups[: max(0, len(groups) - more)]
