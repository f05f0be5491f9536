"""Amounts: from what a step says (`fraction`, `count`, `rate`, `indices`, `per`, `at_least`) to entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from msgspec import UNSET, UnsetType

from mutspec.graph.amounts import binomial_quantile, rounded_share
from mutspec.graph.choice import Choice, Listed, Scattered
from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import uniform_64_bits
from mutspec.language.errors import PlanError, Problem
from mutspec.language.types import Per, exact_share
from mutspec.model.spec import TensorSpec
from mutspec.ops.bench import Bench

AMOUNTS = ("fraction", "count", "rate", "indices")
_ONE_OF = f"add one of {', '.join(f'`{name}`' for name in AMOUNTS)}"


@dataclass(frozen=True, slots=True)
class Amount:
    """What a step says about how many entries it touches: its keys of these names. Without any, all entries."""

    fraction: float | str | UnsetType
    count: int | UnsetType
    rate: float | str | UnsetType
    indices: tuple[int, ...] | UnsetType
    per: Per
    at_least: int

    @property
    def given(self) -> tuple[str, ...]:
        """The names of the amounts that the step has."""
        return tuple(name for name in AMOUNTS if getattr(self, name) is not UNSET)

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the amount by itself. Paths are relative to the step."""
        given = self.given
        for name in given[1:]:
            message = f"`{given[0]}` and `{name}` exclude one another"
            yield Problem(message, path=(name,), hint="keep one amount per step")
        if not given and self.per is not Per.TENSOR:
            message = "`per` says what an amount counts over, but the step has no amount"
            yield Problem(message, path=("per",), hint=_ONE_OF)
        if not given and self.at_least:
            yield Problem("`at_least` needs an amount", path=("at_least",), hint=_ONE_OF)
        if "indices" in given and self.per is not Per.TENSOR:
            message = "`indices` count within each tensor, so `per` cannot be other than `tensor`"
            yield Problem(message, path=("per",), hint="leave `per` out")

    def choices(self, bench: Bench, tensors: Sequence[TensorSpec]) -> list[tuple[TensorSpec, Choice | None]]:
        """The tensors of which the step touches at least one entry, each with the entries; None stands for all."""
        chosen: list[tuple[TensorSpec, Choice | None]]
        if not self.given:
            chosen = [(tensor, None) for tensor in tensors if tensor.size]
        elif not isinstance(self.indices, UnsetType):
            chosen = [(tensor, _listed(self.indices, tensor)) for tensor in tensors if self.indices]
        else:
            chosen = [pair for pool in _pools(self.per, tensors) for pair in _scattered(self, bench, pool)]
        if tensors and not chosen and not bench.step.allow_empty:
            raise PlanError(self._nothing())
        return chosen

    def _nothing(self) -> Problem:
        """Why the amount comes to no entry, with advice that fits it."""
        path = self.given[:1] or ("target",)
        allow = "or say `allow_empty: true`"
        if self.indices == ():
            return Problem(
                "`indices` is empty, so the step touches nothing", path=path, hint=f"list the entries, {allow}"
            )
        for name in ("fraction", "count", "rate"):
            share = getattr(self, name)
            if share is not UNSET and exact_share(share) == 0:
                message = f"`{name}` is 0, so the step touches nothing"
                return Problem(message, path=path, hint=f"raise it, leave it out to touch all entries, {allow}")
        message = "the amount comes to no entry in any of the targets"
        return Problem(message, path=path, hint=f"raise it, add `at_least: 1` or `per: all`, {allow}")


def _pools(per: Per, tensors: Sequence[TensorSpec]) -> Iterable[list[TensorSpec]]:
    """The tensors over which one amount counts together."""
    if per is Per.ALL:
        return [list(tensors)]
    if per is Per.TENSOR:
        return [[tensor] for tensor in tensors]
    by_layer: dict[str, list[TensorSpec]] = {}
    for tensor in tensors:
        by_layer.setdefault(tensor.layer, []).append(tensor)
    return by_layer.values()


def _scattered(amount: Amount, bench: Bench, pool: list[TensorSpec]) -> Iterator[tuple[TensorSpec, Choice | None]]:
    size = sum(tensor.size for tensor in pool)
    origin = _origin(amount.per, pool)
    count = max(_count(amount, bench, size, origin, pool), min(amount.at_least, size))
    if count == 0:
        return
    permutation = Permutation(size, bench.key(origin, "choose"))
    offset = 0
    for tensor in pool:
        if tensor.size:
            yield tensor, None if count == size else Scattered(permutation, count, offset)
        offset += tensor.size


def _origin(per: Per, pool: list[TensorSpec]) -> str:
    if per is Per.ALL:
        return ""
    origin = pool[0].origin
    return origin if per is Per.TENSOR else origin.rpartition("/")[0]


def _count(amount: Amount, bench: Bench, size: int, origin: str, pool: list[TensorSpec]) -> int:
    if not isinstance(amount.fraction, UnsetType):
        return rounded_share(exact_share(amount.fraction), size)
    if not isinstance(amount.rate, UnsetType):
        rate: Fraction = exact_share(amount.rate)
        return binomial_quantile(size, rate, uniform_64_bits(bench.key(origin, "rate")))
    assert not isinstance(amount.count, UnsetType)
    if amount.count > size:
        what = f"`{pool[0].path}` has" if len(pool) == 1 else "the targets together have"
        raise PlanError(
            Problem(
                f"`count` is {amount.count:,}, but {what} only {size:,} entries",
                path=("count",),
                hint="lower it, use `fraction`, or count over more with `per: layer` or `per: all`",
            )
        )
    return amount.count


def _listed(indices: tuple[int, ...], tensor: TensorSpec) -> Listed:
    size = tensor.size
    for position, index in enumerate(indices):
        if not -size <= index < size:
            raise PlanError(
                Problem(
                    f"index {index:,} is outside `{tensor.path}`, which has {size:,} entries",
                    path=("indices", position),
                    hint=f"indices run from 0 to {size - 1:,}, or from -1 down to {-size:,}",
                )
            )
    entries = sorted({index % size for index in indices})
    if len(entries) < len(indices):
        places = [index % size for index in indices]
        again = next(position for position, place in enumerate(places) if place in places[:position])
        first = indices[places.index(places[again])]
        raise PlanError(
            Problem(
                f"the indices {first} and {indices[again]} name the same entry of `{tensor.path}`",
                path=("indices", again),
                hint="name each entry once",
            )
        )
    return Listed(tuple(entries))
