"""The rules of all classes: patterns, and functions for those that need more than a pattern."""

from __future__ import annotations

from collections.abc import Mapping

from mutspec.keras_facts.classes import is_keras_class
from mutspec.keras_facts.layer_axes import LAYER_AXES
from mutspec.model.outline import is_operation
from mutspec.structure.coupling.axis_call import AxisCall, Rule, Traced, UncoupledError
from mutspec.structure.coupling.convolutional import CONVOLUTIONAL
from mutspec.structure.coupling.merging import combine, concatenate, dot
from mutspec.structure.coupling.normalizing import NORMALIZING
from mutspec.structure.coupling.operations import OPERATIONS
from mutspec.structure.coupling.patterns import follow
from mutspec.structure.coupling.reshaping import flatten, permute, repeat_vector, reshape, resized

_MERGES = "Add Subtract Multiply Average Maximum Minimum"

LAYERS: Mapping[str, Rule] = {
    **CONVOLUTIONAL,
    **NORMALIZING,
    **dict.fromkeys(_MERGES.split(), combine),
    "Concatenate": concatenate,
    "Dot": dot,
    "Flatten": flatten,
    "Reshape": reshape,
    "Permute": permute,
    "RepeatVector": repeat_vector,
    **{
        f"{name}{count}D": resized(first=1, last=1)
        for name in ("ZeroPadding", "Cropping", "UpSampling")
        for count in (1, 2, 3)
    },
}
"""The rules of layers that need more than a pattern, by class."""


def related(call: AxisCall) -> Traced:
    """Returns how the axes of a layer are related.

    Raises:
        UncoupledError: nobody has said.
    """
    name = call.class_name
    if not is_keras_class(call.entry):
        raise UncoupledError("does not say how its axes are related")
    if is_operation(call.entry):
        rule = OPERATIONS.get(name)
    elif (pattern := LAYER_AXES.get(name)) is not None:
        return follow(pattern, call)
    else:
        rule = LAYERS.get(name)
    if rule is None:
        raise UncoupledError(f"is {name}, of which mutspec does not know how its axes are related")
    return rule(call)
