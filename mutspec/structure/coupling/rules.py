"""The rules of all classes: patterns, and functions for those that need more than a pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from mutspec.keras_facts.activation_intervals import activation_of
from mutspec.keras_facts.classes import is_keras_class, quantization_mode
from mutspec.keras_facts.layer_axes import BARRIERS, IMAGES, LAYER_AXES
from mutspec.keras_facts.object_names import ACTIVATION_LAYERS, ACTIVATIONS
from mutspec.keras_facts.zeros import MIXING_ACTIVATIONS
from mutspec.model.outline import is_operation
from mutspec.structure.coupling.attention import ATTENTION
from mutspec.structure.coupling.axis_call import AxisCall, Rule, Traced, UncoupledError, Use
from mutspec.structure.coupling.convolutional import CONVOLUTIONAL, pooling
from mutspec.structure.coupling.declared import declared_axes
from mutspec.structure.coupling.einsum import einsum_dense
from mutspec.structure.coupling.labels import MarkKind
from mutspec.structure.coupling.merging import combine, concatenate, dot
from mutspec.structure.coupling.normalizing import NORMALIZING
from mutspec.structure.coupling.operations import OPERATIONS
from mutspec.structure.coupling.patterns import follow
from mutspec.structure.coupling.recurrent import RECURRENT
from mutspec.structure.coupling.reshaping import flatten, permute, repeat_vector, reshape, resized
from mutspec.structure.coupling.wrapping import WRAPPING

_KNOWN = ACTIVATIONS | {each.lower() for each in ACTIVATION_LAYERS}
_MERGES = "Add Subtract Multiply Average Maximum Minimum"


def reversible_embedding(call: AxisCall) -> Traced:
    """Finds the rows of tokens, or compares a tensor with all of them."""
    axes = LAYER_AXES["ReversibleEmbedding"]
    if not call.argument(1, "reverse"):
        return follow(axes, call)
    traced = follow(replace(axes, call="... o -> ... v"), call)
    if call.config.get("tie_weights", True):
        call.ties.mark(traced.widths["output_dim"], MarkKind.SUMMED, call.path, "reads channels by what makes them")
    return traced


LAYERS: Mapping[str, Rule] = {
    **{name: partial(follow, axes) for name, axes in LAYER_AXES.items()},
    **ATTENTION,
    **CONVOLUTIONAL,
    **dict.fromkeys(IMAGES, pooling),
    "EinsumDense": einsum_dense,
    **NORMALIZING,
    **RECURRENT,
    **WRAPPING,
    **dict.fromkeys(_MERGES.split(), combine),
    "ReversibleEmbedding": reversible_embedding,
    "CustomScaleLayer": combine,  # of InceptionResNetV2: the sum of two tensors, one of them scaled
    "Concatenate": concatenate,
    "Dot": dot,
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    "RepeatVector": repeat_vector,
    **{f"{name}{count}D": resized for name in ("ZeroPadding", "Cropping", "UpSampling") for count in (1, 2, 3)},
}
"""The rules of layers that need more than a pattern, by class."""


def related(call: AxisCall) -> Traced:
    """Returns how the axes of a layer are related.

    Raises:
        UncoupledError: nobody has said.
    """
    if (mode := quantization_mode(call.config)) not in ("", "int8", "float8"):
        raise UncoupledError(f"has weights that are packed as {mode}")
    traced = _related(call)
    _note_activation(call, traced)
    if mode == "int8":
        for axis in (axis for axes in traced.weights.values() for axis in axes if axis.use is Use.SUMS):
            call.note_summed(axis.labels, call.inputs, "rounds its inputs by the largest of them")
    return traced


def _note_activation(call: AxisCall, traced: Traced) -> None:
    """Notes the activation of a layer, if it may compute with all channels together."""
    name = activation_of(call.config)
    if name == "glu":
        raise UncoupledError("has the activation glu, which multiplies one half of the channels with the other")
    if name in MIXING_ACTIVATIONS:
        call.note_mixed(traced.outputs[0][-1], f"has the activation {name}, which computes with all channels")
    elif name not in _KNOWN and not is_operation(call.entry):
        call.note_mixed(traced.outputs[0][-1], f"has the activation {name}, which mutspec does not know")


def _related(call: AxisCall) -> Traced:
    name = call.class_name
    if not is_keras_class(call.entry):
        registered = str(call.entry.get("registered_name") or call.entry.get("class_name"))
        if (axes := declared_axes(registered)) is None:
            raise UncoupledError(f"is of the class `{registered}`, whose axes nobody has declared")
        return follow(axes, call)
    if name in BARRIERS:
        raise UncoupledError(BARRIERS[name])
    rule = (OPERATIONS if is_operation(call.entry) else LAYERS).get(name)
    if rule is None:
        raise UncoupledError(f"is {name}, of which mutspec does not know how its axes are related")
    return rule(call)
