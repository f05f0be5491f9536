"""Rankings of units: by their incoming weights, the batch normalization that follows, or what flows out of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import sqrt

from mutspec.errors import PlanError
from mutspec.graph.choice import StridedSlices
from mutspec.graph.expression import Expression
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.widths import layer_weights
from mutspec.model.layer_output import LayerOutput
from mutspec.model.outline import join
from mutspec.model.spec import TensorSpec
from mutspec.structure.coupling.axis_call import Use
from mutspec.structure.coupling.coupling import CoupledLayer, Coupling
from mutspec.structure.coupling.labels import Labels
from mutspec.structure.edits import level


class Measure(StrEnum):
    """What units are ranked by."""

    L2 = "l2"
    L1 = "l1"
    GAMMA = "gamma"
    ACTIVATION = "activation"


class UnitRank(StrEnum):
    """The units that are chosen. At random can be said, too, so that a parameter of a plan may say it."""

    RANDOM = "random"
    SMALLEST = "smallest"
    LARGEST = "largest"


@dataclass(frozen=True, slots=True)
class Pool:
    """Layers of a target that share channels, over which an amount counts.

    Arguments:
        layers: the layers, each with its units.
        groups: the groups of channels that the units are, in order.
        free: those that may go.
    """

    layers: tuple[tuple[CoupledLayer, Labels], ...]
    groups: tuple[int, ...]
    free: tuple[int, ...]

    @property
    def path(self) -> str:
        """The path of the first layer, for messages."""
        return self.layers[0][0].path


def scores_of(
    context: LoweringContext, coupling: Coupling, pools: Sequence[Pool], measure: Measure, *, is_relative: bool
) -> Mapping[int, float]:
    """Returns the score of each group of some pools.

    Arguments:
        context: where the step is lowered.
        coupling: the channels of the model.
        pools: the pools.
        measure: what it is.
        is_relative: whether scores of different pools are compared, so that each is a multiple of its pool's mean.

    Raises:
        PlanError: no values can be read, no batch normalization follows a layer, or no axis of its output is its
            units.
        CallError: activations are measured, and the data of the call do not fit the model.
    """
    if not pools:
        return {}
    is_active = measure is Measure.ACTIVATION
    numbers = _activations(context, coupling, pools) if is_active else _values(context, coupling, pools, measure)
    scores: dict[int, float] = {}
    for pool, measured in zip(pools, numbers, strict=True):
        sums: defaultdict[int, float] = defaultdict(float)
        for labels, entries in measured:
            for label, entry in zip(labels, entries, strict=True):
                sums[coupling.groups[label]] += entry
        own = {group: sqrt(sums[group]) if measure is Measure.L2 else sums[group] for group in pool.groups}
        mean = sum(own.values()) / len(own) if is_relative else 1.0
        scores |= {group: score / mean if mean else score for group, score in own.items()}
    return scores


_Numbers = list[list[tuple[Labels, tuple[float, ...]]]]
"""For each pool some axes: their labels, with a number for each."""


def _values(context: LoweringContext, coupling: Coupling, pools: Sequence[Pool], measure: Measure) -> _Numbers:
    """Returns the numbers of the weights of some pools."""
    asked = [list(_measured(context, coupling, pool, measure)) for pool in pools]
    expressions = [expression for each in asked for _, expression in each]
    values = iter(context.values(expressions) if expressions else ())
    return [[(labels, next(values)) for labels, _ in each] for each in asked]


def _activations(context: LoweringContext, coupling: Coupling, pools: Sequence[Pool]) -> _Numbers:
    """Returns the mean absolute value that flows out of each unit of some pools."""
    asked = [[_output(coupling, layer, labels) for layer, labels in pool.layers] for pool in pools]
    means = iter(context.activations([place for each in asked for _, place in each]))
    return [[(labels, next(means)) for labels, _ in each] for each in asked]


def _output(coupling: Coupling, layer: CoupledLayer, units: Labels) -> tuple[Labels, LayerOutput]:
    """Returns the labels of the axis of a layer's output that is its units, and where it is.

    Raises:
        PlanError: there is none, as of the heads of attention, of which a layer computes a sum.
    """
    groups = {coupling.groups[label] for label in units}
    for axis, labels in enumerate(layer.output):
        if labels is not None and groups <= {coupling.groups[label] for label in labels}:
            return labels, LayerOutput(layer.path, axis - len(layer.output))
    raise PlanError(
        f"no axis of the output of `{layer.path}` is its units, so nothing tells what flows out of each of them",
        path=("by",),
        hint="say `by: l2`, or leave the layer out",
    )


def _measured(
    context: LoweringContext, coupling: Coupling, pool: Pool, measure: Measure
) -> Iterator[tuple[Labels, Expression]]:
    """Yields, for weights of a pool, the labels of an axis and a number for each index of it."""
    for layer, labels in pool.layers:
        groups = {coupling.groups[label] for label in labels}
        weights = _scales_after(context, coupling, layer) if measure is Measure.GAMMA else _kernels(context, layer)
        for owner, below, tensor in weights:
            for axis, each in enumerate(owner.weights[below]):
                if each.labels is None or groups.isdisjoint(coupling.groups[label] for label in each.labels):
                    continue
                if each.use is Use.SUMS:
                    continue
                value = context.read(tensor).cast(context.compute_dtype(tensor)).cast("float64")
                value = value * value if measure is Measure.L2 else abs(value)
                slices = StridedSlices.along(axis, tensor.shape)
                yield each.labels, value.sum_of_slices(slices)
                break


def _kernels(context: LoweringContext, layer: CoupledLayer) -> list[tuple[CoupledLayer, str, TensorSpec]]:
    """Returns the weights by which a layer makes its units: its kernels, and not its biases."""
    own = layer_weights(context).get(layer.path, {})
    making = [below for below, axes in layer.weights.items() if any(axis.use is Use.PRODUCES for axis in axes)]
    scaling = [below for below, axes in layer.weights.items() if len(axes) > 1 and below not in making]
    return [(layer, below, own[below]) for below in making or scaling if below in own]


def _scales_after(
    context: LoweringContext, coupling: Coupling, layer: CoupledLayer
) -> list[tuple[CoupledLayer, str, TensorSpec]]:
    """Returns γ of the batch normalizations that a layer is followed by.

    Raises:
        PlanError: there is none.
    """
    owner, _, name = layer.path.rpartition("/")
    network = level(context.architecture.network, owner)
    found = []
    for user in network.consumers(name) if network is not None else ():
        path = join(owner, user)
        gamma = context.models[""].tensor_by_path.get(f"{path}/gamma")
        if gamma is not None and path in coupling.layers:
            found.append((coupling.layers[path], "gamma", gamma))
    if not found:
        raise PlanError(
            f"`{layer.path}` is not followed by a batch normalization with a γ to rank its units by",
            path=("by",),
            hint="say `by: l2`, or leave the layer out",
        )
    return found
