"""Neurons: output units, channels and heads, with their incoming weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta

from mutspec.errors import PlanError, Problem
from mutspec.graph.choice import Choice, ChosenSlices, Listed, Scattered
from mutspec.graph.expression import Expression
from mutspec.language.types import ByTarget, Per
from mutspec.lowering.amounts import Chosen
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.neuron_op import BiasedNeuronOp, NeuronOp
from mutspec.lowering.tensor_context import TensorContext
from mutspec.model.spec import TensorSpec


class ZeroNeurons(BiasedNeuronOp, tag="zero_neurons", frozen=True, kw_only=True):
    """Block neurons: set the incoming weights of each chosen neuron to zero, and its bias with `bias: true`.

    Neurons are output units, channels or heads; an amount is a number of them in each layer.

    Literature: NEB, neuron effect block (DeepMutation; DeepMutation++ with the bias; LEMON); neurons_freezing (PMT:
    `bias: true, at_least: 1`); filter pruning with `rank: smallest` (Li et al. 2017).
    """

    may_be_done: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"count": 1, "bias": True})

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return ctx.number(0.0)


class NegateNeurons(BiasedNeuronOp, tag="negate_neurons", frozen=True, kw_only=True):
    """Negate neurons: w becomes -w for the incoming weights of each chosen neuron, and its bias with `bias: true`.

    Neurons are output units, channels or heads; an amount is a number of them in each layer. Applied twice, it
    changes nothing.

    Literature: NAI, neuron activation inverse (DeepMutation; DeepMutation++ with the bias; LEMON).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"fraction": "1%", "at_least": 1})

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return -weight


class ScaleNeurons(BiasedNeuronOp, tag="scale_neurons", frozen=True, kw_only=True):
    """Scale neurons: multiply the incoming weights of each chosen neuron, and its bias with `bias: true`.

    Neurons are output units, channels or heads; an amount is a number of them in each layer.

    Literature: CW, change weights (DeepMAACC: 1.1, bias included, one neuron at a time); NI, neuron inhibitor (MuFF: a
    factor below 1).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"count": 1, "bias": True})

    factor: Annotated[ByTarget[float], Meta(description="The factor.", examples=[1.1])]

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return ctx.number(self.factor) * weight


class ShuffleNeurons(NeuronOp, tag="shuffle_neurons", frozen=True, kw_only=True):
    """Shuffle neurons: permute the incoming weights of each chosen neuron among themselves.

    Neurons are output units, channels or heads; an amount is a number of them in each layer. Each has
    a permutation of its own, and keeps its bias. The tensor is in memory while it is shuffled.

    Literature: WS, weight shuffling (DeepMutation, DeepMutation++, LEMON).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"count": 1})

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from self.refused("rank", "gates")

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        neurons = ctx.neurons()
        chosen = ctx.choice.chosen if isinstance(ctx.choice, ChosenSlices) else None
        return weight.whole(
            "shuffle_slices", length=neurons.length, stride=neurons.stride, choice=chosen, key=ctx.key("order")
        )


class SwapNeurons(BiasedNeuronOp, tag="swap_neurons", frozen=True, kw_only=True):
    """Swap neurons: disjoint pairs of neurons exchange their incoming weights, and their biases with `bias: true`.

    Neurons are output units, channels or heads; an amount is a number of them in each layer. Of an
    odd number one is left out. `indices: [0, 5, 2, 7]` swaps 0 with 5 and 2
    with 7. Applied twice with the same stream, it changes nothing.

    Literature: NS, neuron switch (DeepMutation, DeepMutation++: k pairs; LEMON).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"count": 2})

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from self.refused("rank", "gates")
        if not self.amount.given:
            yield Problem("it needs an amount of neurons", path=("op",), hint="add `count: 2`, for example")
        if self.per is Per.ALL:
            message = "neurons of different layers cannot change places"
            yield Problem(message, path=("per",), hint="leave `per` out: neurons are counted in each layer")
        if self.indices is not UNSET and len(self.indices) % 2:
            yield Problem("`indices` must name pairs", path=("indices",), hint="name an even number of neurons")

    def choices(self, context: LoweringContext, tensors: Sequence[TensorSpec]) -> list[Chosen]:
        """Returns the neurons that have a partner."""
        pairs = [(tensor, _paired(choice)) for tensor, choice in super().choices(context, tensors)]
        chosen: list[Chosen] = [(tensor, choice) for tensor, choice in pairs if _count(choice)]
        if pairs and not chosen and not self.allow_empty:
            raise PlanError(
                "the amount comes to fewer than two neurons in every target",
                path=self.amount.given[:1] or ("target",),
                hint="raise it, or add `at_least: 2`",
            )
        return chosen

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        return weight.swap(ctx.neurons(), **self._order(ctx))

    def _order(self, ctx: TensorContext) -> dict[str, Any]:
        """Returns the neurons in an order in which neighbours are pairs."""
        assert isinstance(ctx.choice, ChosenSlices)
        if isinstance(ctx.choice.chosen, Listed):
            assert self.indices is not UNSET
            order = tuple(index % ctx.choice.length for index in self.indices)
            return {"order": order, "count": len(order), "offset": 0}
        chosen = ctx.choice.chosen
        return {"order": chosen.pool, "count": chosen.count, "offset": chosen.offset}


def _paired(choice: Choice | None) -> ChosenSlices:
    """Returns the same choice, less its last neuron where their number is odd."""
    assert isinstance(choice, ChosenSlices)
    if isinstance(choice.chosen, Listed):
        return choice
    chosen = choice.chosen
    return choice.choose(Scattered(chosen.pool, chosen.count // 2 * 2, chosen.offset))


def _count(choice: ChosenSlices) -> int:
    return len(choice.chosen.indices) if isinstance(choice.chosen, Listed) else choice.chosen.count
