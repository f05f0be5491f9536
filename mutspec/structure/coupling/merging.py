"""Rules of layers and operations that combine tensors entry by entry, or put them after each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from mutspec.keras_facts.tensor_types import Shape
from mutspec.model.outline import is_operation
from mutspec.model.spec import TensorRef
from mutspec.structure.coupling.axis_call import AxisCall, Traced, UncoupledError
from mutspec.structure.coupling.labels import Axes, Axis, Labels, MarkKind

_ALIKE = "combines this axis with one that has no channels"


def combined(call: AxisCall, tensors: Sequence[tuple[Axes, Shape]]) -> Traced:
    """Returns how the axes of tensors are related that are combined entry by entry, as NumPy broadcasts them."""
    rank = max(len(shape) for _, shape in tensors)
    made: list[Axis] = []
    for at in range(rank):
        present = [(axes[own], shape[own]) for axes, shape in tensors if (own := at - rank + len(shape)) >= 0]
        is_repeating = any(extent != 1 for _, extent in present)
        found: Axis = None
        is_first = True
        for axis, extent in present:
            if extent == 1 and (is_repeating or axis is None):  # repeated along the others' axis, however long
                call.ties.mark(axis, MarkKind.BARRIER, call.path, "repeats the only channel of this axis")
                continue
            found = axis if is_first else call.tied(found, axis, _ALIKE)
            is_first = False
        made.append(found)
    return Traced((tuple(made),), joins=joined(tensors))


def joined(tensors: Sequence[tuple[Axes, Shape]]) -> Labels:
    """Returns the labels that several tensors bring along: what their combination ties together."""
    runs = dict.fromkeys(axis for axes, shape in tensors for axis, extent in zip(axes, shape, strict=True) if axis)
    return tuple(label for run in runs for label in run) if len(runs) > 1 else ()


def tensors_of(call: AxisCall) -> list[tuple[Axes, Shape]]:
    """Returns the labels and shapes of the tensors of a call."""
    return [(call.axes[ref], call.shapes[ref]) for ref in call.inputs]


def operands(call: AxisCall, count: int) -> list[tuple[Axes, Shape]]:
    """Returns the labels and shapes of the operands of an operation. Arrays in its arguments have no channels.

    Raises:
        UncoupledError: there are not so many.
    """
    found = [each for each in map(partial(_operand, call), call.arguments.get("args") or ()) if each is not None]
    if len(found) != count:
        raise UncoupledError(f"is called on {len(found)} tensors")
    return found


def _operand(call: AxisCall, value: Any) -> tuple[Axes, Shape] | None:
    """Returns the labels and the shape of an argument of an operation; None if it is not a tensor or an array."""
    if isinstance(value, TensorRef):
        return call.axes[value], call.shapes[value]
    if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping):
        value = value["config"].get("value", ())
    shape = []
    while isinstance(value, list | tuple):
        shape.append(len(value))
        value = value[0] if value else None
    return ((None,) * len(shape), tuple(shape)) if shape else None


def combine(call: AxisCall) -> Traced:
    """Add, Multiply, Maximum, `x + y`, `where`; and functions of one tensor, entry by entry."""
    if not is_operation(call.entry):
        return combined(call, tensors_of(call))
    arguments = [*(call.arguments.get("args") or ()), *(call.arguments.get("kwargs") or {}).values()]
    return combined(call, [each for each in map(partial(_operand, call), arguments) if each is not None])


def concatenate(call: AxisCall) -> Traced:
    """Puts axes after each other."""
    tensors = tensors_of(call)
    rank = len(tensors[0][1])
    at = int(call.config.get("axis", -1)) % rank
    made: list[Axis] = []
    for axis in range(rank):
        runs = [axes[axis] for axes, _ in tensors]
        if axis != at:
            found = runs[0]
            for run in runs[1:]:
                found = call.tied(found, run, _ALIKE)
            made.append(found)
        elif all(run is None for run in runs):
            made.append(None)
        else:
            made.append(tuple(label for number, run in enumerate(runs) for label in _run(call, tensors, number, at)))
    return Traced((tuple(made),))


def _run(call: AxisCall, tensors: Sequence[tuple[Axes, Shape]], number: int, at: int) -> Labels:
    """Returns the labels of a part of a joined axis. A part without channels gets some that stay."""
    axes, shape = tensors[number]
    labels, extent = axes[at], shape[at]
    if labels is not None:
        return labels
    if extent is None:
        raise UncoupledError("joins an axis of unknown extent with one that has channels")
    return call.fixed(f"part {number}", extent, "joins an axis without channels")


def stack(call: AxisCall) -> Traced:
    """Puts tensors along a new axis."""
    traced = combined(call, tensors_of(call))
    (axes,) = traced.outputs
    found = list(axes)
    found.insert(int(call.config.get("axis", 0)) % (len(axes) + 1), None)
    return Traced((tuple(found),), joins=traced.joins)


def dot(call: AxisCall) -> Traced:
    """The layer Dot: batch first, and one axis of each tensor is summed over."""
    (one, one_shape), (other, other_shape) = tensors_of(call)
    stated: Any = call.config["axes"]
    first, second = (stated, stated) if isinstance(stated, int) else stated
    first, second = first % len(one_shape), second % len(other_shape)
    tied = call.tied(one[first], other[second], _ALIKE)
    call.note_products(tied, call.inputs)
    rest = [axis for at, axis in enumerate(one) if at != first]
    more = [axis for at, axis in enumerate(other) if at not in (0, second)]
    return Traced(((*rest, *more) if len(rest) + len(more) > 1 else (*rest, None),))
