"""Rules of layers around other layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mutspec.structure.coupling.axis_call import (
    AxisCall,
    Rule,
    Traced,
    UncoupledError,
    Use,
    WeightAxis,
    joined,
    with_own,
)
from mutspec.structure.coupling.labels import Axes
from mutspec.structure.coupling.recurrent import sequence_and_states, tied


def bidirectional(call: AxisCall) -> Traced:
    """Both directions need as many units, as Keras takes the shape of all outputs from the forward layer.

    So unit k of one goes with unit k of the other.
    """
    sequence, states = sequence_and_states(call)
    half = len(states) // 2
    directions = [
        call.inside(part, [(call.axes[ref], call.shapes[ref]) for ref in (sequence, *given)], ())
        for part, given in zip(call.parts(), (states[:half], states[half:]), strict=True)
    ]
    (forward, *kept), (backward, *kept_too) = (each.outputs for each in directions)
    for one, other in zip((forward, *kept), (backward, *kept_too), strict=True):
        tied(call, one, other)
    mode = call.config.get("merge_mode", "concat")
    made = (forward, backward) if mode is None else (_after_each_other(forward, backward),)
    if mode in ("sum", "mul", "ave"):
        made = (forward,)
    traced = joined(directions, (*made, *kept, *kept_too))
    return replace(traced, widths=with_own(traced.widths))


def _after_each_other(one: Axes, other: Axes) -> Axes:
    *rest, last = one
    if last is None or other[-1] is None:
        raise UncoupledError("concatenates outputs without channels")
    return (*rest, last + other[-1])


def time_distributed(call: AxisCall) -> Traced:
    """Calls a layer on each entry of the time axis."""
    ref, *_ = call.inputs
    axes, shape = call.axes[ref], call.shapes[ref]
    (part,) = call.parts()
    shapes = [(each[0], *each[2:]) for each in call.outputs]
    traced = call.inside(part, [((axes[0], *axes[2:]), (shape[0], *shape[2:]))], shapes)
    outputs = tuple((each[0], axes[1], *each[1:]) for each in traced.outputs)
    return replace(traced, outputs=outputs, widths=with_own(traced.widths))


def spectral_normalization(call: AxisCall) -> Traced:
    """Divides a kernel by its norm, in training alone. `vector_u` has an entry for each index of its last axis."""
    (part,) = call.parts()
    traced = call.inside(part, [(call.axes[ref], call.shapes[ref]) for ref in call.inputs], call.outputs)
    kernel = next(traced.weights[f"{part.name}/{role}"] for role in _KERNELS if f"{part.name}/{role}" in traced.weights)
    weights = {**traced.weights, "vector_u": (WeightAxis(None), WeightAxis(kernel[-1].labels, Use.SCALES))}
    return replace(traced, weights=weights, widths=with_own(traced.widths))


_KERNELS = ("kernel", "embeddings")

WRAPPING: Mapping[str, Rule] = {
    "Bidirectional": bidirectional,
    "TimeDistributed": time_distributed,
    "SpectralNormalization": spectral_normalization,
}
"""The rules by class."""
