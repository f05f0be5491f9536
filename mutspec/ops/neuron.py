"""The shape of an op on neurons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta

from mutspec.language.errors import Problem
from mutspec.language.types import Unit
from mutspec.model.lanes import neurons_of
from mutspec.model.spec import Group, TensorSpec
from mutspec.ops.base import WeightOp
from mutspec.ops.bench import Bench

_LEARNED_BY_NEURONS = frozenset({Group.KERNELS, Group.BIASES})


class NeuronOp(WeightOp, frozen=True, kw_only=True):
    """An op whose amount is a number of neurons, counted in each layer. It touches their kernels, and biases if asked.

    A neuron is an output unit or channel with its incoming weights; of attention a head, of a recurrent layer a unit.
    """

    default_unit: ClassVar[Unit] = Unit.NEURON
    has_bias: ClassVar[bool] = True
    """Whether it has a meaning for biases."""

    bias: Annotated[bool, Meta(description="Whether the biases of the chosen neurons are touched too.")] = False

    def problems(self) -> Iterable[Problem]:
        """Another unit than neurons."""
        yield from super().problems()
        if self.unit not in (UNSET, Unit.NEURON):
            yield Problem("its amount is a number of neurons", path=("unit",), hint="leave `unit` out")

    def refused(self, *keys: str) -> Iterator[Problem]:
        """Keys that have no meaning for an op."""
        for key in keys:
            if getattr(self, key) not in (UNSET, False):
                yield Problem(f"it takes no `{key}`", path=(key,), hint="leave it out")

    def tensors(self, bench: Bench) -> Sequence[TensorSpec]:
        """The kernels of what the target chooses that have neurons, and the biases if asked."""
        groups = _LEARNED_BY_NEURONS if self.bias else frozenset({Group.KERNELS})
        chosen = bench.select(self.target, "target", groups=groups).tensors
        spec = bench.models[""]
        having = [tensor for tensor in chosen if neurons_of(spec, tensor) is not None]
        return having or chosen
