"""Sparsity: weights that are pruned, and matrices of lower rank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.graph.choice import Computed
from mutspec.graph.expression import Expression
from mutspec.language.types import END, Rank, or_default
from mutspec.lowering.amounts import Chosen
from mutspec.lowering.base import WeightOp
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.tensor_context import TensorContext
from mutspec.model.spec import TensorSpec

Pattern = Annotated[str, Meta(pattern=rf"^[0-9]{{1,2}}:[0-9]{{1,2}}{END}", examples=["2:4"])]


class PruneWeights(WeightOp, tag="prune_weights", frozen=True, kw_only=True):
    """Prune: set the weights of the smallest magnitude to zero, an amount of them in each tensor.

    `keep: 2:4` keeps the 2 largest of every 4 neighbours along the input axis (the last but one) instead. Of equal
    magnitudes the first go first. A tensor is in memory while it is ranked. `rank: largest` prunes the largest.

    Literature: magnitude pruning (Han et al. 2015); N:M sparsity (Zhou et al. 2021; NVIDIA's 2:4); filter pruning with
    `unit: neuron` (Li et al. 2017).
    """

    may_be_done: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"fraction": "30%"})

    default_rank: ClassVar[Rank | None] = Rank.SMALLEST

    keep: Annotated[
        Pattern | UnsetType, Meta(description="n:m, to keep the n largest of every m neighbours. Excludes an amount.")
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        given = self.amount.given
        if self.keep is UNSET:
            if given:
                yield from super().problems()
            else:
                hint = "add `fraction: 30%`, for example, or `keep: 2:4`"
                yield Problem("it needs an amount, or a pattern to keep", path=("op",), hint=hint)
            return
        kept, group = _numbers(self.keep)
        narrowing = self.given("per", "unit", "block", "rank", "gates")
        for name in (*given, *narrowing, *(("at_least",) if self.at_least else ())):
            yield Problem(f"`keep` and `{name}` cannot be used together", path=(name,), hint="keep one of them")
        if not 0 < kept < group:
            message = f"`keep: {self.keep}` prunes nothing, or all"
            yield Problem(message, path=("keep",), hint="n:m with 0 < n < m, such as 2:4")

    def choices(self, context: LoweringContext, tensors: Sequence[TensorSpec]) -> list[Chosen]:
        if self.keep is UNSET:
            return super().choices(context, tensors)
        return [(tensor, _beyond_pattern(context, tensor, self.keep)) for tensor in tensors if tensor.size]

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return ctx.number(0.0)


def _numbers(pattern: str) -> tuple[int, int]:
    kept, _, group = pattern.partition(":")
    return int(kept), int(group)


def _beyond_pattern(context: LoweringContext, tensor: TensorSpec, pattern: str) -> Computed:
    kept, group = _numbers(pattern)
    shape = tensor.shape
    if len(shape) < 2 or shape[-2] % group:
        raise PlanError(
            f"`{tensor.path}` ({'×'.join(map(str, shape)) or 'a number'}) has no input axis of whole groups of {group}",
            path=("keep",),
            hint="choose kernels whose last axis but one is a multiple of it",
        )
    magnitude = abs(context.read(tensor).cast(context.compute_dtype(tensor)))
    dropped = group - kept
    truth = magnitude.whole(
        "ranked_in_groups", dtype="bool", length=shape[-2], stride=shape[-1], group=group, count=dropped
    )
    return Computed(truth.node, tensor.size // group * dropped)


class LowRank(WeightOp, tag="low_rank", frozen=True, kw_only=True):
    """Replace a kernel by the nearest one of lower rank, as a matrix whose columns its last axis runs over.

    The rank is given, or the least that keeps a part of the energy: the sum of squares. It is computed in float64 by a
    singular value decomposition, whose last bits depend on the machine, with the tensor in memory.

    Literature: low-rank factorisation (Denton et al. 2014); LoRA-style rank reduction, LASER (Sharma et al. 2023).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"target": "dense_1/kernel", "to_rank": 4})

    to_rank: Annotated[
        Annotated[int, Meta(ge=1)] | UnsetType,
        Meta(description="The rank of the result. Excludes `energy`.", examples=[4]),
    ] = UNSET
    energy: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | UnsetType,
        Meta(description="The part of the sum of squares to keep.", examples=[0.9]),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if (self.to_rank is UNSET) == (self.energy is UNSET):
            yield Problem("it takes either `to_rank` or `energy`", path=("op",), hint="give one of them")

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        shape = weight.shape
        columns = shape[-1]
        rows = ctx.tensor.size // columns
        rank = or_default(self.to_rank, None)
        if len(shape) < 2 or (rank is not None and rank > min(rows, columns)):
            raise PlanError(
                f"`{ctx.tensor.path}`, as a matrix of {rows}×{columns}, cannot be lowered to that rank",
                path=("to_rank",) if rank else ("target",),
                hint="choose kernels, with `weights: kernels`, and a rank of at most the smaller of the two",
            )
        energy = None if self.energy is UNSET else float(self.energy).hex()
        return weight.whole("low_rank", rows=rows, rank=rank, energy=energy)
