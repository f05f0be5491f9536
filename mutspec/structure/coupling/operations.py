"""Rules of the operations in Functional models, such as `x + y` or `x[:, 0]`."""

from __future__ import annotations

from collections.abc import Mapping

from mutspec.keras_facts.operation_shapes import ENTRYWISE
from mutspec.structure.coupling.axis_call import AxisCall, Rule, Traced
from mutspec.structure.coupling.labels import MarkKind
from mutspec.structure.coupling.merging import combine, concatenate, stack
from mutspec.structure.coupling.reshaping import (
    expand_dims,
    item,
    only_input,
    reshape,
    split,
    squeeze,
    swap_axes,
    transpose,
)


def reduction(call: AxisCall) -> Traced:
    """A mean or sum over axes."""
    axes, shape = only_input(call)
    stated = call.config.get("axis")
    over = range(len(shape)) if stated is None else stated if isinstance(stated, list | tuple) else [stated]
    gone = {int(axis) % len(shape) for axis in over}
    for axis in gone:
        call.note_mixed(axes[axis], "computes with all channels of this axis")
    if call.config.get("keepdims"):
        return Traced((tuple(None if at in gone else axis for at, axis in enumerate(axes)),))
    return Traced((tuple(axis for at, axis in enumerate(axes) if at not in gone),))


def along_axis(call: AxisCall) -> Traced:
    """A softmax: all axes stay, and one is computed with as a whole."""
    axes, shape = only_input(call)
    call.note_mixed(axes[int(call.config.get("axis", -1)) % len(shape)], "divides by the sum over all channels")
    return Traced((axes,))


def pad(call: AxisCall) -> Traced:
    """Adds entries before and after some axes."""
    axes, _ = only_input(call)
    width = call.config["pad_width"]
    made = []
    for axis, (before, after) in zip(axes, width, strict=True):
        if before or after:
            call.ties.mark(axis, MarkKind.BARRIER, call.path, "pads this axis")
        made.append(None if before or after else axis)
    return Traced((tuple(made),))


OPERATIONS: Mapping[str, Rule] = {
    **dict.fromkeys(ENTRYWISE, combine),
    **dict.fromkeys(["Mean", "Sum", "Prod", "Std", "Var", "Max", "Min", "Any", "All", "Argmax", "Argmin"], reduction),
    **dict.fromkeys(["Softmax", "LogSoftmax"], along_axis),
    "Concatenate": concatenate,
    "Stack": stack,
    "Split": split,
    "GetItem": item,
    "Reshape": reshape,
    "Transpose": transpose,
    "Swapaxes": swap_axes,
    "ExpandDims": expand_dims,
    "Squeeze": squeeze,
    "Pad": pad,
}
"""The rules by the class of the operation."""
