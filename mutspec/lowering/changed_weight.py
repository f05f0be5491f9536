"""Weights that get other channels: the values of those that are new, and of those that are there several times."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mutspec.graph.choice import ChosenSlices, Listed, StridedSlices
from mutspec.graph.computed_dtypes import INTEGERS
from mutspec.graph.expression import Expression, draw, words
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.initial_values import NewWeight
from mutspec.lowering.new_layer import value_by_initializer
from mutspec.model.spec import TensorSpec
from mutspec.structure.coupling.axis_call import Use, WeightAxis
from mutspec.structure.coupling.coupling import CoupledLayer
from mutspec.structure.coupling.substitution import NEW, Substitution


@dataclass(frozen=True, slots=True)
class ChangedWeight:
    """A weight that gets other channels.

    Arguments:
        context: where the step is lowered.
        layer: the layer that has it.
        new: the weight as it will be.
        old: its value now, in the dtype that it is computed in.
        axes: its axes.
        maps: for each axis the index that each index is taken from, or `NEW`; None where nothing changes.
        substitution: what comes in the place of which channels.
    """

    context: LoweringContext
    layer: CoupledLayer
    new: NewWeight
    old: Expression
    axes: tuple[WeightAxis, ...]
    maps: tuple[tuple[int, ...] | None, ...]
    substitution: Substitution

    @property
    def dtype(self) -> str:
        """Its dtype."""
        return self.new.tensor.dtype

    def slices(self, axis: int, indices: Iterable[int]) -> ChosenSlices:
        """Returns the entries at some indices along an axis of the weight as it will be."""
        return StridedSlices.along(axis, self.new.shape).choose(Listed(tuple(indices)))

    def new_places(self, use: Use | None = None) -> dict[int, tuple[int, ...]]:
        """Returns the indices of channels without values, by axis: of all axes, or of those of one use."""
        return {
            axis: tuple(at for at, source in enumerate(found) if source == NEW)
            for axis, found in enumerate(self.maps)
            if found is not None and NEW in found and use in (None, self.axes[axis].use)
        }

    def copied_places(self, use: Use) -> dict[int, dict[int, tuple[int, ...]]]:
        """Returns, for each axis of a use, the indices of channels that are there several times, by how often."""
        places: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for axis, found in enumerate(self.maps):
            if found is None or self.axes[axis].use is not use:
                continue
            counts = Counter(found)
            for at, source in enumerate(found):
                if source != NEW and counts[source] > 1:
                    places[axis][counts[source]].append(at)
        return {axis: {count: tuple(each) for count, each in found.items()} for axis, found in places.items()}

    def later_copies(self, use: Use) -> dict[int, list[int]]:
        """Returns, for each axis of a use, the indices of channels that are there before too."""
        found: dict[int, list[int]] = {}
        for axis, counts in self.copied_places(use).items():
            seen = set[int]()
            sources = self.maps[axis] or ()
            for at in sorted(at for places in counts.values() for at in places):
                if sources[at] in seen:
                    found.setdefault(axis, []).append(at)
                seen.add(sources[at])
        return found

    def by_initializer(self) -> Expression | None:
        """Returns what the weight's initializer draws; None if mutspec does not know it.

        Those of quantised layers are Keras's: zeros, and scales of 1. Adapters (LoRA) begin without effect.
        """
        value, role = value_by_initializer(self.context, self.new), self.new.tensor.role
        if value is not None or not (self._is_quantised or role.startswith("lora_")):
            return value
        return self.ones() if role.endswith("_scale") else self.zeros()

    def zeros(self) -> Expression:
        """Returns 0 in every entry of the weight as it will be."""
        return words(self.context.builder, self.new.shape, "int32", 0).cast(self.dtype)

    def ones(self) -> Expression:
        """Returns 1 in every entry of the weight as it will be."""
        return words(self.context.builder, self.new.shape, "int32", 1).cast(self.dtype)

    @property
    def _is_quantised(self) -> bool:
        tensors = self.context.models[""].tensor_by_path
        return any(tensors[f"{self.layer.path}/{below}"].dtype in INTEGERS for below in self.layer.weights)


Filling = Callable[[ChangedWeight], Expression | None]
"""Gives the values of a weight in the channels that it did not have; None for what its initializer says."""

Adjustment = Callable[[ChangedWeight, Expression], Expression]
"""Gives the value of a weight for the one with all of its channels."""


# First values.


def zero_outgoing(weight: ChangedWeight) -> Expression | None:
    """Zeros by which new channels are read; what makes these begins as its initializer says."""
    read = weight.new_places(Use.SUMS)
    if read.keys() == weight.new_places().keys():
        return weight.zeros()
    value = weight.by_initializer()
    for axis, indices in read.items() if value is not None else ():
        assert value is not None
        value = weight.zeros().where(weight.slices(axis, indices), value)
    return value


# Adjustments.


def divided(weight: ChangedWeight, value: Expression) -> Expression:
    """Returns a weight in which each copy of a channel that is summed over has its part of the sum (Net2Wider)."""
    for axis, places in weight.copied_places(Use.SUMS).items():
        for count, indices in places.items():
            value = (value / float(count)).where(weight.slices(axis, indices), value)
    return value


def with_noise(weight: ChangedWeight, value: Expression, deviation: float) -> Expression:
    """Returns a kernel whose copied units have noise on them. Biases and other vectors stay alike.

    Arguments:
        weight: the weight.
        value: its value.
        deviation: the standard deviation, as a part of that of the old kernel.
    """
    for axis, indices in weight.later_copies(Use.PRODUCES).items():
        key = weight.context.key(weight.new.tensor.origin, f"noise {axis}")
        normals = draw(weight.context.builder, "normal", key, value.shape, value.dtype)
        noise = normals * (weight.old.standard_deviation() * deviation)
        value = (value + noise).where(weight.slices(axis, indices), value)
    return value


def indivisible(context: LoweringContext, substitution: Substitution) -> TensorSpec | None:
    """Returns a weight of whole numbers that sums over channels which a substitution copies; None if there is none."""
    tensors = context.models[""].tensor_by_path
    for layer in substitution.layers:
        for below, axes in layer.weights.items():
            tensor = tensors[f"{layer.path}/{below}"]
            maps = [substitution.index_map(axis.labels) for axis in axes if axis.labels and axis.use is Use.SUMS]
            if tensor.dtype in INTEGERS and any(each and max(Counter(each).values()) > 1 for each in maps):
                return tensor
    return None
