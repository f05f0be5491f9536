"""Amounts: from what a step says (`fraction`, `count`, `rate`, `indices`, `per`, `at_least`) to entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from msgspec import UNSET, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.graph.choice import Choice, Listed, Scattered
from mutspec.graph.exact_counts import binomial_quantile, rounded_share
from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import uniform_64_bits
from mutspec.language.types import Per, Unit, exact_share
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.listed_places import places_of
from mutspec.lowering.units import UnitPool, Units, ranked
from mutspec.model.spec import TensorSpec

AMOUNTS = ("fraction", "count", "rate", "indices")
_ONE_OF = f"add one of {', '.join(f'`{name}`' for name in AMOUNTS)}"

Chosen = tuple[TensorSpec, Choice | None]
"""A tensor, and the entries of it that a step touches; None stands for all."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A step's keys that say how much it changes. Without any, it changes all."""

    fraction: float | str | UnsetType
    count: int | UnsetType
    rate: float | str | UnsetType
    indices: tuple[int, ...] | UnsetType
    per: Per | UnsetType
    at_least: int
    units: Units

    @property
    def over(self) -> Per:
        """The scope in which the amount counts: a tensor, a layer, or all targets."""
        if self.per is not UNSET:
            return self.per
        return Per.LAYER if self.units.unit is Unit.NEURON else Per.TENSOR

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the amounts that the step has."""
        return tuple(name for name in AMOUNTS if getattr(self, name) is not UNSET)

    def problems(self) -> Iterator[Problem]:
        """Yields the problems of the amount by itself. Paths are relative to the step."""
        given = self.given
        yield from self.units.problems()
        for name in given[1:]:
            message = f"`{given[0]}` and `{name}` cannot be used together"
            yield Problem(message, path=(name,), hint="keep one amount per step")
        if not given and self.per not in (UNSET, Per.TENSOR):
            message = "`per` says what an amount counts over, but the step has no amount"
            yield Problem(message, path=("per",), hint=_ONE_OF)
        if not given and self.at_least:
            yield Problem("`at_least` needs an amount", path=("at_least",), hint=_ONE_OF)
        if not given and self.units.rank is not None:
            yield Problem("`rank` needs an amount", path=("rank",), hint=_ONE_OF)
        if "indices" in given and self.per not in (UNSET, Per.TENSOR):
            message = "`indices` count within each tensor, so `per` cannot be other than `tensor`"
            yield Problem(message, path=("per",), hint="leave `per` out")
        if self.units.rank is not None:
            yield from self._problems_of_rank(given)

    def _problems_of_rank(self, given: tuple[str, ...]) -> Iterator[Problem]:
        if "indices" in given:
            yield Problem("`rank` and `indices` cannot be used together", path=("rank",), hint="keep one of them")
        if self.over is Per.ALL or (self.over is Per.LAYER and self.units.unit is not Unit.NEURON):
            yield Problem(
                "with `rank`, the part of each tensor would depend on values, which a dry-run does not read",
                path=("per",),
                hint="leave `per` out: the amount is counted in each tensor, or for neurons in each layer",
            )

    def choices(self, context: LoweringContext, tensors: Sequence[TensorSpec]) -> list[Chosen]:
        """Returns the tensors of which the step changes at least one entry, in their order, each with the entries."""
        together = _together(self.over, self.units.unit, self.units.pools(context, tensors, self.over))
        chosen = [pair for pools in together for pair in self._of_pools(context, pools)]
        if tensors and not chosen and not context.step.allow_empty:
            raise PlanError(self._nothing())
        order = {tensor.path: number for number, tensor in enumerate(tensors)}
        return sorted(chosen, key=lambda pair: order[pair[0].path])

    def _of_pools(self, context: LoweringContext, pools: list[UnitPool]) -> Iterator[Chosen]:
        if not self.given:
            yield from ((part.tensor, part.choice(None)) for pool in pools for part in pool.parts)
        elif self.indices is not UNSET:
            if self.indices:
                for pool in pools:
                    listed = _listed(self.indices, pool, self.units)
                    yield from ((part.tensor, part.choice(listed)) for part in pool.parts)
        else:
            yield from self._scattered(context, pools)

    def _scattered(self, context: LoweringContext, pools: list[UnitPool]) -> Iterator[Chosen]:
        size = sum(pool.size for pool in pools)
        origin = "" if self.over is Per.ALL else pools[0].origin
        if self.over is Per.LAYER and self.units.unit is not Unit.NEURON:
            origin = origin.rpartition("/")[0]
        count = max(self._count(context, size, origin, pools), min(self.at_least, size))
        if count == 0:
            return
        if self.units.rank is not None:
            for pool in pools:
                yield from ranked(context, pool, count, self.units.rank)
            return
        permutation = Permutation(size, context.key(origin, "choose"))
        offset = 0
        for pool in pools:
            is_all = count == size and self.units.unit is not Unit.NEURON
            scattered = None if is_all else Scattered(permutation, count, offset)
            yield from ((part.tensor, part.choice(scattered)) for part in pool.parts)
            offset += pool.size

    def _nothing(self) -> Problem:
        """Returns the problem that the amount comes to nothing, with advice that fits it."""
        path = self.given[:1] or ("target",)
        allow = "or say `allow_empty: true`"
        if self.indices == ():
            return Problem(
                "`indices` is empty, so the step touches nothing",
                path=path,
                hint=f"list the {self.units.noun}, {allow}",
            )
        for name in ("fraction", "count", "rate"):
            share = getattr(self, name)
            if share is not UNSET and exact_share(share) == 0:
                message = f"`{name}` is 0, so the step touches nothing"
                return Problem(
                    message, path=path, hint=f"raise it, leave it out to touch all {self.units.noun}, {allow}"
                )
        message = f"the amount comes to 0 {self.units.noun} in every target"
        return Problem(message, path=path, hint=f"raise it, add `at_least: 1` or `per: all`, {allow}")

    def _count(self, context: LoweringContext, size: int, origin: str, pool: list[UnitPool]) -> int:
        if self.fraction is not UNSET:
            return rounded_share(exact_share(self.fraction), size)
        if self.rate is not UNSET:
            rate: Fraction = exact_share(self.rate)
            return binomial_quantile(size, rate, uniform_64_bits(context.key(origin, "rate")))
        assert self.count is not UNSET
        if self.count > size:
            has = f"`{_name(pool[0])}` has" if len(pool) == 1 else "the targets together have"
            raise PlanError(
                f"`count` is {self.count:,}, but {has} only {size:,} {self.units.noun}",
                path=("count",),
                hint="lower it, use `fraction`, or count over more with `per: layer` or `per: all`",
            )
        return self.count


def _name(pool: UnitPool) -> str:
    return pool.parts[0].tensor.path if len(pool.parts) == 1 else pool.layer


def _together(per: Per, unit: Unit, pools: Sequence[UnitPool]) -> Iterable[list[UnitPool]]:
    """Groups the pools over which one amount counts together."""
    if per is Per.ALL:
        return [list(pools)] if pools else []
    if per is Per.TENSOR or unit is Unit.NEURON:
        return [[pool] for pool in pools]
    by_layer: dict[str, list[UnitPool]] = {}
    for pool in pools:
        by_layer.setdefault(pool.layer, []).append(pool)
    return by_layer.values()


def _listed(indices: tuple[int, ...], pool: UnitPool, units: Units) -> Listed:
    return Listed(tuple(sorted(places_of(indices, pool.size, _name(pool), units.unit.value))))
