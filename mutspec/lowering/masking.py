"""Masking: all that a group of channels has in weights becomes zero, and the architecture stays."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mutspec.graph.choice import Choice, ChosenSlices, Computed, Listed, StridedSlices, size_of
from mutspec.graph.expression import words
from mutspec.keras_facts.layer_axes import DIVISORS
from mutspec.lowering.context import LoweringContext, TensorWrite
from mutspec.lowering.widths import layer_weights
from mutspec.structure.coupling.axis_call import WeightAxis
from mutspec.structure.coupling.coupling import Coupling
from mutspec.structure.coupling.substitution import Substitution


def masked(context: LoweringContext, coupling: Coupling, groups: Collection[int]) -> Iterator[TensorWrite]:
    """Sets all entries of weights that removing some groups would remove to zero.

    Arguments:
        context: where the step is lowered.
        coupling: the channels of the model.
        groups: the groups.
    """
    removal = Substitution.removal(coupling, groups)
    for layer in removal.layers:
        own = layer_weights(context).get(layer.path, {})
        for below, axes in layer.weights.items():
            tensor = own[below]
            choice = _choice(context, removal, axes, tensor.shape)
            # What a layer divides by stays: the quotient is zero anyway.
            if choice is None or tensor.role in DIVISORS:
                continue
            zeros = words(context.builder, tensor.shape, "int32", 0).cast(tensor.dtype)
            yield context.bind(tensor, zeros, choice)


def _choice(
    context: LoweringContext, removal: Substitution, axes: tuple[WeightAxis, ...], shape: tuple[int, ...]
) -> Choice | None:
    """Returns the entries of a weight that would be removed; None for none."""
    slices: list[ChosenSlices] = []
    left = size_of(shape)
    for number, axis in enumerate(axes):
        kept = None if axis.labels is None else removal.index_map(axis.labels)
        if kept is not None:
            gone = tuple(sorted(set(range(shape[number])) - set(kept)))
            slices.append(StridedSlices.along(number, shape).choose(Listed(gone)))
            left = left // shape[number] * len(kept)
    if len(slices) < 2:
        return slices[0] if slices else None
    # Of several axes, as of a kernel between two masked layers. To list the entries would take longer than to zero it.
    truth, is_gone = (words(context.builder, shape, "bool", value) for value in (0, 1))
    for chosen in slices:
        truth = is_gone.where(chosen, truth)
    return Computed(truth.node, size_of(shape) - left)
