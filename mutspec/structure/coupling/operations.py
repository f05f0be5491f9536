"""Rules of the operations in Functional models, such as `x + y` or `x[:, 0]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mutspec.keras_facts.layer_axes import LayerAxes
from mutspec.keras_facts.operation_axes import ALONG, ENTRY_BY_ENTRY, IMAGES, REDUCTIONS, STACKED_ALONG, SUMS
from mutspec.structure.coupling.axis_call import AxisCall, Extents, Rule, Traced, UncoupledError
from mutspec.structure.coupling.convolutional import pooling
from mutspec.structure.coupling.einsum import einsum, matmul
from mutspec.structure.coupling.labels import Axis, MarkKind
from mutspec.structure.coupling.merging import combine, concatenate, stack
from mutspec.structure.coupling.patterns import follow
from mutspec.structure.coupling.reshaping import (
    expand_dims,
    flip,
    item,
    move_axis,
    named_axes,
    only_input,
    reshape,
    split,
    squeeze,
    swap_axes,
    transpose,
)

# Over axes


def _note(call: AxisCall, axis: Axis, why: str) -> None:
    if why == SUMS:
        call.note_summed(axis, call.inputs, why)
    else:
        call.note_mixed(axis, why)


def reduction(call: AxisCall) -> Traced:
    """A mean or sum over axes."""
    axes, shape = only_input(call)
    gone = set(named_axes(call.config.get("axis"), len(shape)))
    for axis in gone:
        _note(call, axes[axis], REDUCTIONS[call.class_name])
    if call.config.get("keepdims"):
        return Traced((tuple(None if at in gone else axis for at, axis in enumerate(axes)),))
    return Traced((tuple(axis for at, axis in enumerate(axes) if at not in gone),))


def along_axis(call: AxisCall) -> Traced:
    """A softmax: all axes stay, and one is computed with as a whole."""
    traced = combine(call)  # with the scale and offset of a normalization, if it has any
    shape = call.shapes[call.inputs[0]]
    for axis in named_axes(call.config.get("axis", -1), len(shape)):
        _note(call, traced.outputs[0][axis], ALONG[call.class_name])
    return traced


# Other entries


def pad(call: AxisCall) -> Traced:
    """Adds entries before and after some axes. Among channels, those that it adds stay."""
    axes, _ = only_input(call)
    stated = call.config["pad_width"]
    widths = stated if isinstance(stated, list | tuple) else [stated]
    pairs = [each if isinstance(each, list | tuple) else [each, each] for each in widths]
    if len(pairs) != len(axes):
        pairs = [widths if len(widths) == 2 and isinstance(widths[0], int) else pairs[0]] * len(axes)
    made: list[Axis] = []
    for at, (axis, (before, after)) in enumerate(zip(axes, pairs, strict=True)):
        if axis is None or not (before or after):
            made.append(axis)
            continue
        if call.config.get("mode", "constant") != "constant":
            call.ties.mark(axis, MarkKind.BARRIER, call.path, "pads this axis with other channels")
        why = "adds channels of its own to this axis"
        made.append(
            call.fixed(f"before {at}", before, why) + axis + call.fixed(f"after {at}", after, why),
        )
    return Traced((tuple(made),))


def take(call: AxisCall) -> Traced:
    """Entries of one axis, by their numbers."""
    axes = call.axes[call.inputs[0]]
    stated = call.config.get("axis")
    if not isinstance(stated, int):
        raise UncoupledError("takes entries of a tensor without regard to its axes")
    at = stated % len(axes)
    call.ties.mark(axes[at], MarkKind.BARRIER, call.path, "takes entries of this axis by their numbers")
    added = len(call.outputs[0]) - len(axes) + 1
    return Traced(((*axes[:at], *(None,) * added, *axes[at + 1 :]),))


def repeat(call: AxisCall) -> Traced:
    """Repeats each entry of an axis."""
    axes, shape = only_input(call)
    stated, count = call.config.get("axis"), call.config["repeats"]
    if not isinstance(stated, int) or not isinstance(count, int):
        raise UncoupledError("repeats entries that are unlike")
    at = stated % len(shape)
    axis = axes[at]
    repeated = None if axis is None else call.ties.repeated(axis, count)
    return Traced(((*axes[:at], repeated, *axes[at + 1 :]),))


def tile(call: AxisCall) -> Traced:
    """Repeats whole axes."""
    axes, _ = only_input(call)
    stated = call.config["repeats"]
    counts = list(stated) if isinstance(stated, list | tuple) else [stated]
    rank = max(len(counts), len(axes))
    counts, axes = [1] * (rank - len(counts)) + counts, (None,) * (rank - len(axes)) + axes
    return Traced((tuple(None if axis is None else axis * count for axis, count in zip(axes, counts, strict=True)),))


def broadcast_to(call: AxisCall) -> Traced:
    """Repeats axes of extent 1. The shape is stated."""
    axes, shape = only_input(call)
    stated = call.config["shape"]
    added = len(stated) - len(axes)
    made = (
        *(None,) * added,
        *(axis if extent != 1 else None for axis, extent in zip(axes, shape, strict=True)),
    )
    return Traced((made,), arguments={("config", "shape"): Extents.of(made, stated)})


def unstack(call: AxisCall) -> Traced:
    """Each entry of an axis becomes a tensor."""
    axes, shape = only_input(call)
    at = int(call.config.get("axis", 0)) % len(shape)
    call.ties.mark(axes[at], MarkKind.BARRIER, call.path, "makes a tensor of each entry of this axis")
    return Traced(((*axes[:at], *axes[at + 1 :]),) * len(call.outputs))


def attention(call: AxisCall) -> Traced:
    """Scores are divided by the square root of the width of a head, unless the scale is given."""
    if len(call.inputs) != 3:
        raise UncoupledError("is called on a bias or a mask")
    scale = call.argument(5, "scale")
    mixes = {} if isinstance(scale, int | float) else {"d": "divides by the square root of the number of channels"}
    traced = follow(LayerAxes("_ _ h d, _ _ h d, _ _ h v -> _ _ h v", mixes=mixes), call)
    call.note_products(call.axes[call.inputs[0]][-1], call.inputs[:2])
    return replace(traced, outputs=traced.outputs[:1])


def _stacked(axis: int) -> Rule:
    return lambda call: concatenate(replace(call, entry={**call.entry, "config": {**call.config, "axis": axis}}))


def append(call: AxisCall) -> Traced:
    """Without an axis, both tensors are flat first."""
    if call.config.get("axis") is None:
        raise UncoupledError("appends tensors without regard to their axes")
    return concatenate(call)


OPERATIONS: Mapping[str, Rule] = {
    **dict.fromkeys(ENTRY_BY_ENTRY, combine),
    **dict.fromkeys(REDUCTIONS, reduction),
    **dict.fromkeys(ALONG, along_axis),
    **dict.fromkeys(IMAGES, pooling),
    **{name: _stacked(axis) for name, axis in STACKED_ALONG.items()},
    "Concatenate": concatenate,
    "Append": append,
    "Stack": stack,
    "Unstack": unstack,
    "Split": split,
    "GetItem": item,
    "Take": take,
    "Repeat": repeat,
    "Tile": tile,
    "BroadcastTo": broadcast_to,
    "Reshape": reshape,
    "Transpose": transpose,
    "Swapaxes": swap_axes,
    "Moveaxis": move_axis,
    "Flip": flip,
    "ExpandDims": expand_dims,
    "Squeeze": squeeze,
    "Pad": pad,
    "Matmul": matmul,
    "Einsum": einsum,
    "DotProductAttention": attention,
}
"""The rules by the class of the operation."""
