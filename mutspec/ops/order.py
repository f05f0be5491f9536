"""Order: weights whose values stay and whose places change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from mutspec.errors import PlanError, Problem
from mutspec.graph.choice import Listed, Run
from mutspec.graph.expression import Expression, joined
from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import uniform_64_bits
from mutspec.language.types import OF_AMOUNT, Per, Target
from mutspec.lowering.base import Op, WeightOp
from mutspec.lowering.context import LoweringContext, TensorWrite
from mutspec.lowering.tensor_context import TensorContext
from mutspec.model.spec import TensorSpec


class Shuffle(WeightOp, tag="shuffle", frozen=True, kw_only=True):
    """Shuffle: the chosen entries of each tensor are permuted among themselves; all of them by default.

    The same values stay in the tensor. With `unit: row`, `column` or `neuron`, the entries of the chosen ones are mixed
    together; to mix each neuron's own weights is `shuffle_neurons`. The tensor is in memory while it is shuffled.

    Literature: WS without its neurons (DeepMutation); shuffle_params (TF-Injector); scramble (PyGAD).
    """

    accepts_integers: ClassVar[bool] = True

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.given("rank"):  # its entries must be known before any value is read
            yield Problem(
                "the op does not take `rank`", path=("rank",), hint="leave it out, or name the units by `indices`"
            )

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return weight.whole("shuffle", choice=ctx.choice, key=ctx.key("order"))


class Rearrangement(StrEnum):
    """The ways in which genes change places."""

    SWAP = "swap"
    INVERSION = "inversion"
    SCRAMBLE = "scramble"


class PermuteGenes(Op, tag="permute_genes", frozen=True, kw_only=True):
    """Rearrange genes: two weights of a genome change places, or a random run of them is reversed or shuffled.

    The genome is all of the target's weights in model order, one after the other (`per: all`), or each tensor
    or layer has one of its own. A genome is in memory while it is rearranged, and its weights must have one dtype.

    Literature: swap, inversion and scramble mutation (PyGAD).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"kind": "scramble"})

    target: Annotated[Target, Meta(description="The layers and weights that are the genome.")]
    kind: Annotated[
        Rearrangement,
        Meta(description="`swap` two genes, or take a random run: `inversion` reverses it, `scramble` shuffles it."),
    ]
    per: Annotated[
        Per, OF_AMOUNT, Meta(description="What has a genome: each tensor, each layer, or all targets together.")
    ] = Per.ALL

    def apply(self, context: LoweringContext) -> Sequence[TensorWrite]:
        tensors = [tensor for tensor in context.select(self.target, "target").tensors if tensor.size]
        genomes: dict[str, list[TensorSpec]] = {}
        for tensor in tensors:
            key = {Per.ALL: "", Per.LAYER: tensor.layer, Per.TENSOR: tensor.path}[self.per]
            genomes.setdefault(key, []).append(tensor)
        return [write for genome in genomes.values() for write in self._rearranged(context, genome)]

    def _rearranged(self, context: LoweringContext, genome: list[TensorSpec]) -> Iterable[TensorWrite]:
        unlike = next((each for each in genome if each.dtype != genome[0].dtype), None)
        if unlike is not None:
            raise PlanError(
                f"`{genome[0].path}` is {genome[0].dtype} and `{unlike.path}` {unlike.dtype}; a genome has one",
                path=("target",),
                hint="choose weights of one dtype, or say `per: tensor`",
            )
        size = sum(tensor.size for tensor in genome)
        if size < 2:
            return
        origin = "" if self.per is Per.ALL else genome[0].origin
        start, stop = self._run(context, origin, size)
        genes = joined(
            [context.read(tensor) for tensor in genome],
            start=start,
            stop=stop,
            kind=self.kind.value,
            key=context.key(origin, "order"),
        )
        offset = 0
        for tensor in genome:
            places = self._places(start - offset, stop - offset, tensor.size)
            if places is not None:
                yield context.bind(tensor, genes.run(offset, context.read(tensor).shape), places)
            offset += tensor.size

    def _run(self, context: LoweringContext, origin: str, size: int) -> tuple[int, int]:
        """Draws two distinct genes, or the ends of a run of at least two."""
        if self.kind is Rearrangement.SWAP:
            one, other = sorted(Permutation(size, context.key(origin, "choose")).chosen(2))
            return one, other
        drawn = [uniform_64_bits(context.key(origin, name)) for name in ("start", "stop")]
        ends = sorted(value * (size + 1) >> 64 for value in drawn)
        return (ends[0], ends[1]) if ends[1] - ends[0] > 1 else (min(ends[0], size - 2), min(ends[0], size - 2) + 2)

    def _places(self, start: int, stop: int, size: int) -> Listed | Run | None:
        """Returns the entries of one tensor that take part; `start` and `stop` count from its first."""
        if self.kind is Rearrangement.SWAP:
            inside = tuple(place for place in (start, stop) if 0 <= place < size)
            return Listed(inside) if inside else None
        first, last = max(0, start), min(stop, size)
        return Run(first, last) if first < last else None
