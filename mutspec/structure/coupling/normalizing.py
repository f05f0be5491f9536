"""Rules of normalizations and other layers that name the axes that they act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mutspec.keras_facts.layer_axes import LayerAxes
from mutspec.structure.coupling.axis_call import AxisCall, Entries, Rule, Traced, UncoupledError
from mutspec.structure.coupling.patterns import follow

_STATISTICS = ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")


def _axes(call: AxisCall, default: Any = -1) -> tuple[int, ...]:
    """Returns the axes that a layer names, counted from 0."""
    rank, stated = len(call.shapes[call.inputs[0]]), call.config.get("axis", default)
    if stated is None:
        return ()
    axes = stated if isinstance(stated, list | tuple) else [stated]
    if not all(isinstance(axis, int) and -rank <= axis < rank for axis in axes):
        raise UncoupledError("does not say which axes it acts on")
    return tuple(sorted(axis % rank for axis in axes))


def _named(call: AxisCall, axes: Sequence[int]) -> tuple[str, str]:
    """Returns the pattern of a call that keeps all axes, and that of a weight over some of them."""
    rank = len(call.shapes[call.inputs[0]])
    names = [f"a{axis}" for axis in range(rank)]
    whole = " ".join(names)
    return f"{whole} -> {whole}", " ".join(names[axis] for axis in axes)


def batch_normalization(call: AxisCall) -> Traced:
    """Each channel has its own statistics."""
    pattern, weight = _named(call, _axes(call))
    return follow(LayerAxes(pattern, dict.fromkeys(("gamma", "beta", *_STATISTICS), weight)), call)


def layer_normalization(call: AxisCall) -> Traced:
    """All channels have statistics together."""
    axes = _axes(call)
    pattern, weight = _named(call, axes)
    is_root = call.class_name == "RMSNormalization" or call.config.get("rms_scaling")
    what = "mean of the squares" if is_root else "mean and variance"
    mixes = {f"a{axis}": f"computes the {what} of all channels" for axis in axes}
    return follow(LayerAxes(pattern, dict.fromkeys(("gamma", "beta", "scale"), weight), mixes=mixes), call)


def group_normalization(call: AxisCall) -> Traced:
    """Groups of equal size: what is removed in one group is removed in all of them."""
    (axis,) = _axes(call)
    extent = call.shapes[call.inputs[0]][axis]
    groups = int(call.config.get("groups", 32))
    if extent is None:
        raise UncoupledError("is called on an unknown number of channels")
    groups = extent if groups == -1 else groups
    pattern, weight = _named(call, [axis])
    mixes = {f"a{axis}": "computes the mean and variance of all channels of a group"}
    axes = LayerAxes(pattern, dict.fromkeys(("gamma", "beta"), weight), mixes=mixes)
    if groups == extent:
        return follow(LayerAxes(pattern, axes.weights, {"groups": weight} if groups != -1 else {}), call)
    if groups > 1:
        axes = LayerAxes(
            pattern.replace(f"a{axis}", f"(g a{axis})"), dict.fromkeys(axes.weights, f"(g {weight})"),
            sizes={"g": groups}, mixes=mixes,
        )  # fmt: skip
    return follow(axes, call)


def mixing(why: str, default: Any = -1) -> Rule:
    """Returns the rule of layers that compute with all entries along some axes, and keep these.

    Arguments:
        why: what they do, as the rest of a sentence.
        default: the axes that they act on by default.
    """

    def rule(call: AxisCall) -> Traced:
        axes = _axes(call, default)
        pattern, _ = _named(call, axes)
        return follow(LayerAxes(pattern, mixes={f"a{axis}": why for axis in axes}), call)

    return rule


def unit_normalization(call: AxisCall) -> Traced:
    """A channel of zeros adds nothing to the norm, so that to remove it leaves the others as they are."""
    pattern, _ = _named(call, ())
    (ref,) = call.inputs
    for axis in _axes(call):
        call.note_summed(call.axes[ref][axis], call.inputs, "divides by the norm of all channels")
    return follow(LayerAxes(pattern), call)


def rescaling(call: AxisCall) -> Traced:
    """One scale for all channels, or one for each of the last axis."""
    if any(isinstance(call.config.get(key), Mapping) for key in ("scale", "offset")):
        raise UncoupledError("states a scale or offset of each channel as an array")
    pattern, _ = _named(call, ())
    return _with_entries(follow(LayerAxes(pattern), call), call, _axes(call), ("scale", "offset"))


def masking(call: AxisCall) -> Traced:
    """A step is masked if all of its channels are one number. One more that is 0 changes nothing if that is 0."""
    pattern, _ = _named(call, ())
    traced = follow(LayerAxes(pattern), call)
    last, value = traced.outputs[0][-1], call.config.get("mask_value", 0.0)
    if value == 0:
        call.note_summed(last, call.inputs, "masks steps by whether all channels are 0")
    else:
        call.note_mixed(last, "masks steps by whether all channels are one number")
    return traced


def prelu(call: AxisCall) -> Traced:
    """A slope for each entry, or for each index of the axes that are not shared."""
    rank = len(call.shapes[call.inputs[0]])
    stated = call.config.get("shared_axes") or ()
    shared = (stated,) if isinstance(stated, int) else tuple(stated)
    pattern, _ = _named(call, ())
    weight = " ".join("_" if axis in shared else f"a{axis}" for axis in range(1, rank))
    return follow(LayerAxes(pattern, {"alpha": weight}), call)


def normalization(call: AxisCall) -> Traced:
    """The mean and variance are weights, or arguments. `count` is one number."""
    axes = _axes(call)
    pattern, weight = _named(call, axes)
    traced = follow(LayerAxes(pattern, {"mean": weight, "variance": weight, "count": ""}), call)
    return _with_entries(traced, call, axes, ("mean", "variance"))


def _with_entries(traced: Traced, call: AxisCall, axes: Sequence[int], names: Sequence[str]) -> Traced:
    """Returns what is known of a layer, with its arguments that have a value for each channel of an axis."""
    stated = {("config", name): _entries(traced, axes, call.config.get(name)) for name in names}
    return replace(traced, arguments={keys: each for keys, each in stated.items() if each is not None})


def _entries(traced: Traced, axes: Sequence[int], value: Any) -> Entries | None:
    """Returns an argument that has a value for each channel; None if it is not given, or one for all."""
    depth = 0
    while isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], list | tuple):
        value, depth = value[0], depth + 1
    labels = traced.outputs[0][axes[0]] if axes else None
    if not isinstance(value, list | tuple) or labels is None or len(value) == 1 < len(labels):
        return None
    if len(axes) > 1 or len(value) != len(labels):
        raise UncoupledError("states a mean or variance for each place of several axes")
    return Entries(labels, tuple(value), depth)


NORMALIZING: Mapping[str, Rule] = {
    "BatchNormalization": batch_normalization,
    "LayerNormalization": layer_normalization,
    "RMSNormalization": layer_normalization,
    "GroupNormalization": group_normalization,
    "Rescaling": rescaling,
    "UnitNormalization": unit_normalization,
    "PReLU": prelu,
    "Masking": masking,
    "Normalization": normalization,
    "Softmax": mixing("divides by the sum over all channels"),
}
"""The rules by class."""
