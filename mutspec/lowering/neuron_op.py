"""The base classes of ops on neurons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta

from mutspec.errors import Problem
from mutspec.keras_facts.roles import Group
from mutspec.language.types import Unit
from mutspec.lowering.base import WeightOp
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.neuron_slices import neurons_of
from mutspec.model.spec import TensorSpec


class NeuronOp(WeightOp, frozen=True, kw_only=True):
    """An op whose amount is a number of neurons, counted in each layer. It changes their kernels.

    A neuron is an output unit or channel with its incoming weights; of attention a head, of a recurrent layer a unit.
    """

    default_unit: ClassVar[Unit] = Unit.NEURON

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.unit not in (UNSET, Unit.NEURON):
            yield Problem(
                "the amount of this op counts neurons, so `unit` is `neuron`", path=("unit",), hint="leave `unit` out"
            )

    def refused(self, *keys: str) -> Iterator[Problem]:
        """Yields problems for those of some keys that the step has, and that have no meaning for the op."""
        for key in self.given(*keys):
            yield Problem(f"the op does not take `{key}`", path=(key,), hint="leave it out")

    @property
    def groups(self) -> frozenset[Group]:
        """The groups of weights that it changes."""
        return frozenset({Group.KERNELS})

    def tensors(self, context: LoweringContext) -> Sequence[TensorSpec]:
        """Returns the weights of these groups that the target chooses and that have neurons."""
        chosen = context.select(self.target, "target", groups=self.groups).tensors
        spec = context.models[""]
        having = [tensor for tensor in chosen if neurons_of(spec, tensor) is not None]
        return having or chosen


class BiasedNeuronOp(NeuronOp, frozen=True, kw_only=True):
    """An op on neurons that has a meaning for their biases as well, and changes them if asked."""

    bias: Annotated[bool, Meta(description="Whether the biases of the chosen neurons are touched too.")] = False

    @property
    def groups(self) -> frozenset[Group]:
        """Kernels, and biases if asked."""
        return frozenset({Group.KERNELS, Group.BIASES}) if self.bias else super().groups
