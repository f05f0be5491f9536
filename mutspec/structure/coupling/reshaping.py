"""Rules of layers and operations that rearrange axes: their entries stay, and have other places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import Any

from mutspec.keras_facts.tensor_types import Shape
from mutspec.structure.coupling.axis_call import Argument, AxisCall, Extents, Keys, Position, Traced, UncoupledError
from mutspec.structure.coupling.labels import Axes, Axis, Labels, MarkKind


def only_input(call: AxisCall) -> tuple[Axes, Shape]:
    """Returns the labels and the shape of the tensor that a layer is called on."""
    if len(call.inputs) != 1:
        raise UncoupledError(f"is called on {len(call.inputs)} tensors")
    (ref,) = call.inputs
    return call.axes[ref], call.shapes[ref]


def named_axes(stated: Any, rank: int) -> list[int]:
    """Returns the axes that an argument names, counted from 0: one, several, or all if it is not given."""
    if stated is None:
        return list(range(rank))
    return [int(axis) % rank for axis in (stated if isinstance(stated, list | tuple) else [stated])]


def reshaped(call: AxisCall, axes: Axes, before: Shape, after: Shape) -> Axes:
    """Returns the labels of a tensor with the same entries, in C order, in another shape.

    Axes are taken together until their extents agree: several that become one, or one that becomes several.
    """
    found: list[Axis] = []
    for old, new in _runs(before, after):
        run = [(axes[at], before[at]) for at in old]
        extents = [after[at] for at in new]
        if len(old) == 1 and len(new) == 1:
            found.append(run[0][0])
            continue
        whole = _merged(call, run)
        found += [None] * len(new) if whole is None else _split(call, whole, extents)
    return tuple(found)


def _runs(before: Shape, after: Shape) -> Iterator[tuple[list[int], list[int]]]:
    """Yields the shortest runs of axes, by number, that have as many entries before and after."""
    if before and after and None in (before[0], after[0]):  # the batch
        yield [0], [0]
        before, after, start = before[1:], after[1:], 1
    else:
        start = 0
    if None in (*before, *after):
        if before == after:
            yield from (([start + at], [start + at]) for at in range(len(before)))
            return
        raise UncoupledError("reshapes axes of unknown extent")
    at, to = 0, 0
    while at < len(before) or to < len(after):
        old, new = [at] if at < len(before) else [], [to] if to < len(after) else []
        at, to = at + len(old), to + len(new)
        while _size(before, old) != _size(after, new):
            if _size(before, old) < _size(after, new) and at < len(before):
                old.append(at)
                at += 1
            elif to < len(after):
                new.append(to)
                to += 1
            else:
                raise UncoupledError(f"reshapes {before} to {after}")
        while _is_single(before, at) and not _is_single(after, to):  # a channel of its own that becomes a part of these
            old.append(at)
            at += 1
        while _is_single(after, to) and not _is_single(before, at):
            new.append(to)
            to += 1
        yield [start + each for each in old], [start + each for each in new]


def _is_single(shape: Shape, at: int) -> bool:
    return at < len(shape) and shape[at] == 1


def _size(shape: Shape, run: Sequence[int]) -> int:
    return prod(shape[at] or 1 for at in run)


def _merged(call: AxisCall, run: Sequence[tuple[Axis, int | None]]) -> Axis:
    """Returns the labels of several axes that become one. Only one of them can have channels that change."""
    having = [at for at, (axis, _) in enumerate(run) if axis is not None]
    if not having:
        return None
    is_fixed = (MarkKind.INPUT, MarkKind.OUTPUT, MarkKind.BARRIER)
    barred = {label for labels, mark in call.ties.marks if mark.kind in is_fixed for label in labels}
    kept = next((at for at in reversed(having) if barred.isdisjoint(run[at][0] or ())), having[-1])
    for at in having:
        if at != kept:
            call.ties.mark(run[at][0], MarkKind.BARRIER, call.path, "merges this axis with one of other channels")
    labels = run[kept][0]
    assert labels is not None
    extents = [extent or 1 for _, extent in run]
    return call.ties.repeated(labels, prod(extents[kept + 1 :])) * prod(extents[:kept])


def _split(call: AxisCall, labels: Labels, extents: Sequence[int | None]) -> list[Axis]:
    """Returns the labels of the axes that one axis becomes. One of them has its channels, and is tied along the others.

    Where the axis was made of several axes before, it is the one whose channels repeat in this way. Else it is the
    last: Keras has channels there by default.
    """
    sizes = [extent or 1 for extent in extents]
    roots = [call.ties.root(label) for label in labels]
    places = [at for at in range(len(sizes)) if sizes[at] > 1] or [len(sizes) - 1]
    at = next((each for each in places if _repeats(roots, sizes, each)), places[-1])
    inner = prod(sizes[at + 1 :])
    base = tuple(labels[number * inner] for number in range(sizes[at]))
    whole = tuple(base[number // inner % sizes[at]] for number in range(len(labels)))
    call.ties.tie(whole, labels)
    return [base if each == at else None for each in range(len(sizes))]


def _repeats(roots: Sequence[int], sizes: Sequence[int], at: int) -> bool:
    """Returns whether the groups of an axis repeat so that they lie along one of the axes that it becomes."""
    inner = prod(sizes[at + 1 :])
    return all(root == roots[number // inner % sizes[at] * inner] for number, root in enumerate(roots))


# Rules


def flatten(call: AxisCall) -> Traced:
    """Keras moves the channels to the end first if they are at the beginning (`Flatten.call`)."""
    axes, shape = only_input(call)
    if call.channels_first and len(shape) > 1:
        axes, shape = (axes[0], *axes[2:], axes[1]), (shape[0], *shape[2:], shape[1])
    return Traced((reshaped(call, axes, shape, call.outputs[0]),))


def reshape(call: AxisCall) -> Traced:
    """The layer and the operation: each states the shape that it makes."""
    axes, shape = only_input(call)
    after = reshaped(call, axes, shape, call.outputs[0])
    key, start = ("target_shape", 1) if "target_shape" in call.config else ("newshape", 0)
    stated = call.config.get(key)
    if not isinstance(stated, list | tuple) or len(stated) != len(after) - start:
        raise UncoupledError("does not state the shape that it makes")
    return Traced((after,), arguments={("config", key): Extents.of(after[start:], stated)})


def permute(call: AxisCall) -> Traced:
    """Keras counts the axes from 1, without the batch."""
    axes, _ = only_input(call)
    return Traced(((axes[0], *(axes[int(at)] for at in call.config["dims"])),))


def transpose(call: AxisCall) -> Traced:
    """Without an order, the axes are reversed."""
    axes, _ = only_input(call)
    order = call.config.get("axes") or range(len(axes))[::-1]
    return Traced((tuple(axes[int(at)] for at in order),))


def swap_axes(call: AxisCall) -> Traced:
    """Two axes change places."""
    axes, _ = only_input(call)
    order = list(range(len(axes)))
    one, other = int(call.config["axis1"]), int(call.config["axis2"])
    order[one], order[other] = order[other], order[one]
    return Traced((tuple(axes[at] for at in order),))


def move_axis(call: AxisCall) -> Traced:
    """Some axes get other places, and the others keep their order."""
    axes, shape = only_input(call)
    sources, places = (named_axes(call.config[key], len(shape)) for key in ("source", "destination"))
    order = [at for at in range(len(shape)) if at not in sources]
    for place, source in sorted(zip(places, sources, strict=True)):
        order.insert(place, source)
    return Traced((tuple(axes[at] for at in order),))


def flip(call: AxisCall) -> Traced:
    """Axes the other way round."""
    axes, shape = only_input(call)
    turned = named_axes(call.config.get("axis"), len(shape))
    return Traced((tuple(axis[::-1] if at in turned and axis else axis for at, axis in enumerate(axes)),))


def expand_dims(call: AxisCall) -> Traced:
    """New axes of extent 1."""
    axes, _ = only_input(call)
    stated = call.config["axis"]
    rank = len(axes) + (len(stated) if isinstance(stated, list | tuple) else 1)
    found = list(axes)
    for at in sorted(named_axes(stated, rank)):
        found.insert(at, None)
    return Traced((tuple(found),))


def squeeze(call: AxisCall) -> Traced:
    """Axes of extent 1 go."""
    axes, shape = only_input(call)
    stated = call.config.get("axis")
    single = [at for at, extent in enumerate(shape) if extent == 1]
    gone = single if stated is None else named_axes(stated, len(shape))
    return Traced((tuple(axis for at, axis in enumerate(axes) if at not in gone),))


def repeat_vector(call: AxisCall) -> Traced:
    """A new axis, along which all is repeated."""
    axes, _ = only_input(call)
    return Traced(((axes[0], None, axes[1]),))


def resized(call: AxisCall) -> Traced:
    """Paddings, croppings and upsamplings give the axes between batch and channels other extents."""
    axes, _ = only_input(call)
    before, stop = (2, len(axes)) if call.channels_first else (1, len(axes) - 1)
    for axis in axes[before:stop]:
        call.ties.mark(axis, MarkKind.BARRIER, call.path, "changes the extent of this axis")
    return Traced(((*axes[:before], *(None,) * (stop - before), *axes[stop:]),))


# Parts of axes


def item(call: AxisCall) -> Traced:
    """`x[:, 1:3]`: the keys are in the call, and so are the numbers that count channels."""
    (ref, *_) = call.inputs
    axes = list(call.axes[ref])
    stated = call.argument(1, "key")
    keys = list(stated) if isinstance(stated, list | tuple) else [stated]
    if keys.count(_ELLIPSIS) > 1 or any(_is_other_key(key) for key in keys):
        raise UncoupledError("takes entries by a key that is not a number or a slice")
    made: list[Axis] = []
    arguments: dict[tuple[str | int, ...], Argument] = {}
    named = len([key for key in keys if key is not None and key != _ELLIPSIS])
    if _ELLIPSIS not in keys:
        keys.append(_ELLIPSIS)
    at = 0
    for number, key in enumerate(keys):
        if key is None:
            made.append(None)
        elif key == _ELLIPSIS:
            run = len(axes) - named
            made += axes[at : at + run]
            at += run
        elif isinstance(key, int):
            call.ties.mark(axes[at], MarkKind.BARRIER, call.path, "takes one entry of this axis")
            at += 1
        else:
            labels = axes[at]
            inside = (number,) if isinstance(stated, list | tuple) else ()
            place: Keys = ("calls", call.number, "args", 1, *inside)
            made.append(None if labels is None else _sliced(call, labels, key, place, arguments))
            at += 1
    return Traced((tuple(made),), arguments=arguments)


_ELLIPSIS = {"class_name": "__ellipsis__", "config": {}}


def _is_other_key(key: Any) -> bool:
    is_slice = isinstance(key, dict) and key.get("class_name") == "__slice__"
    return not (key is None or key == _ELLIPSIS or is_slice or (isinstance(key, int) and not isinstance(key, bool)))


def _sliced(
    call: AxisCall, labels: Labels, key: Any, place: tuple[str | int, ...], arguments: dict[Any, Argument]
) -> Labels:
    """Returns the labels of a slice of an axis. Its ends count the channels before them."""
    start, stop, step = (key["config"].get(end) for end in ("start", "stop", "step"))
    if (start, stop, step) == (None, None, -1):
        return labels[::-1]
    if step not in (None, 1):
        call.ties.mark(labels, MarkKind.BARRIER, call.path, "takes entries at a distance")
        return labels[slice(start, stop, step)]
    for end, value in (("start", start), ("stop", stop)):
        if value is not None:
            before = labels[: slice(value).indices(len(labels))[1]]
            arguments[(*place, "config", end)] = Position(before, labels) if value < 0 else before
    return labels[slice(start, stop)]


def split(call: AxisCall) -> Traced:
    """An axis becomes several outputs; where they begin counts channels."""
    axes, _ = only_input(call)
    at = int(call.config.get("axis", 0)) % len(axes)
    labels, sections = axes[at], call.config["indices_or_sections"]
    if labels is None:
        return Traced(tuple(axes for _ in call.outputs))
    ends = sections if isinstance(sections, list | tuple) else _even(len(labels), int(sections))
    starts = (0, *ends, len(labels))
    parts = [labels[one:other] for one, other in pairwise(starts)]
    counts = Extents(tuple(labels[:end] for end in ends))
    return Traced(
        tuple((*axes[:at], part, *axes[at + 1 :]) for part in parts),
        arguments={("config", "indices_or_sections"): counts},
    )


def _even(length: int, sections: int) -> list[int]:
    return [length // sections * number for number in range(1, sections)]
