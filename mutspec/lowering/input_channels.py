"""Other channels of an input: what the first layers make of them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import partial

from mutspec.errors import PlanError
from mutspec.graph.computed_dtypes import INTEGERS
from mutspec.graph.expression import Expression
from mutspec.lowering.changed_weight import Adjustment, ChangedWeight, Filling, divided, indivisible, zero_outgoing
from mutspec.lowering.layer_units import why_pinned
from mutspec.lowering.mixtures import mixed
from mutspec.lowering.structure_context import StructureContext
from mutspec.lowering.widths import coupling, report_coupled, substitute
from mutspec.structure.coupling.axis_call import Use
from mutspec.structure.coupling.coupling import Coupling
from mutspec.structure.coupling.labels import MarkKind
from mutspec.structure.coupling.substitution import NEW, Substitution
from mutspec.text.words import listed, plural

LUMINOSITY = (0.299, 0.587, 0.114)
"""The parts of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""


class ChannelSource(StrEnum):
    """The weights by which the first layers read a channel that is new."""

    MEAN = "mean"
    SUM = "sum"
    LUMINOSITY = "luminosity"
    ZERO = "zero"
    DEFAULT = "default"


_PINNED = (MarkKind.OUTPUT, MarkKind.BARRIER)
_MIXES = (ChannelSource.MEAN, ChannelSource.SUM, ChannelSource.LUMINOSITY)


def change_channels(
    ctx: StructureContext, name: str, count: int, source: ChannelSource | Sequence[int], *, keeps_sum: bool
) -> None:
    """Gives an input of the outermost model other channels.

    Arguments:
        ctx: the step's view of the model.
        name: the input.
        count: the number of its channels then.
        source: how the first layers read new ones; or for each channel the old one whose weights it gets.
        keeps_sum: whether the weights are scaled so that what all channels add up to stays.

    Raises:
        PlanError: the channels must stay, or a layer cannot follow.
    """
    channels = coupling(ctx.context)
    groups = _groups(channels, name)
    places = _places(name, groups, count, source)
    substitution = Substitution.rearrangement(channels, groups, places)
    if isinstance(source, ChannelSource) and set(places) == {NEW}:
        _refuse_scaled(substitution, name, source)
    marks = (mark for group in groups for mark in channels.marks.get(group, ()))
    if others := sorted({mark.layer for mark in marks if mark.kind is MarkKind.INPUT} - {name}):
        ctx.context.notes.append(f"the input {listed(others)} follows, because the same layers read it")
    report_coupled(ctx.context, substitution, {name: ""})
    filling: Filling | None = None
    adjust: Adjustment | None = None
    if isinstance(source, ChannelSource):
        filling = _filling(source, groups)
        adjust = partial(_scaled, factor=len(groups) / count) if keeps_sum else None
    elif keeps_sum:
        if (weight := indivisible(ctx.context, substitution)) is not None:
            message = f"`{weight.path}` reads the channels, and is {weight.dtype}, so that it cannot be divided"
            raise PlanError(message, path=("rescale",), hint="leave `rescale` out")
        adjust = divided
    substitute(ctx, substitution, key="op", filling=filling, adjust=adjust)


def _groups(channels: Coupling, name: str) -> tuple[int, ...]:
    """Returns the channels of an input.

    Raises:
        PlanError: it has none, or they must stay.
    """
    labels = next((axis for axis in channels.inputs.get(name, ()) if axis is not None), None)
    if labels is None:
        raise PlanError(f"`{name}` does not have a fixed number of channels", path=("op",), hint="give it a `shape`")
    groups = channels.groups_of(labels)
    if len(groups) != len(labels):
        raise PlanError(
            f"the channels of `{name}` are coupled in groups of {len(labels) // len(groups)}",
            path=("op",),
            hint="replace the grouped layer first",
        )
    for group in groups:
        pinned = next((mark for mark in channels.marks.get(group, ()) if mark.kind in _PINNED), None)
        if pinned is not None:
            hint = (
                "insert a layer after the input that makes channels of its own"
                if pinned.kind is MarkKind.OUTPUT
                else f"replace `{pinned.layer}` first, take it out, or declare the axes of a class of your own"
            )
            raise PlanError(
                f"the channels of `{name}` must stay as they are{why_pinned(pinned)}", path=("op",), hint=hint
            )
    return groups


def _places(name: str, groups: Sequence[int], count: int, source: ChannelSource | Sequence[int]) -> tuple[int, ...]:
    """Returns the groups in the place of the old ones.

    Raises:
        PlanError: the step does not fit the input, or changes nothing.
    """
    before = len(groups)
    if not isinstance(source, ChannelSource):
        for position, index in enumerate(source):
            if index >= before:
                raise PlanError(
                    f"`{name}` has {plural(before, 'channel')}, and no channel {index}",
                    path=("from", position),
                    hint=f"name channels from 0 to {before - 1}",
                )
        places = tuple(groups[index] for index in source)
    elif source is ChannelSource.LUMINOSITY and before != len(LUMINOSITY):
        raise PlanError(
            f"`luminosity` is of red, green and blue, and `{name}` has {plural(before, 'channel')}",
            path=("from",),
            hint="say `from: mean` or `from: sum`",
        )
    elif count < before and source in _MIXES:
        places = (NEW,) * count
    else:
        places = (*groups[:count], *(NEW,) * (count - before))
    if places == tuple(groups):
        raise PlanError(f"`{name}` has these channels already", path=("op",), hint="leave the step out")
    return places


def _refuse_scaled(substitution: Substitution, name: str, source: ChannelSource) -> None:
    """Refuses to make one channel of several where a layer has values for each of them.

    Raises:
        PlanError: there is such a layer.
    """
    for layer in substitution.layers:
        for axes in layer.weights.values():
            for axis in axes:
                if axis.use is Use.SCALES and axis.labels and substitution.index_map(axis.labels) is not None:
                    raise PlanError(
                        f"`{layer.path}` has weights for each channel of `{name}`, of which `from: {source}` cannot "
                        "make one",
                        path=("from",),
                        hint="keep channels by number, for instance `from: [0]`, or take that layer out first",
                    )


def _filling(source: ChannelSource, groups: Sequence[int]) -> Filling | None:
    """Returns what gives weights their values in new channels."""
    if source is ChannelSource.ZERO:
        return zero_outgoing
    if source is ChannelSource.DEFAULT:
        return None
    mean = [1 / len(groups)] * len(groups)
    shares = {ChannelSource.SUM: [1.0] * len(groups), ChannelSource.LUMINOSITY: LUMINOSITY}.get(source, mean)

    def mixture(weight: ChangedWeight) -> Expression:
        return mixed(weight, groups, shares if weight.new_places(Use.SUMS) else mean)

    return mixture


def _scaled(weight: ChangedWeight, value: Expression, factor: float) -> Expression:
    """Returns a weight that sums over the channels, with all of its values scaled."""
    reads = any(
        found is not None and axis.use is Use.SUMS for axis, found in zip(weight.axes, weight.maps, strict=True)
    )
    if reads and weight.dtype in INTEGERS:
        message = f"`{weight.new.tensor.path}` reads the channels, and is {weight.dtype}, so that it cannot be scaled"
        raise PlanError(message, path=("rescale",), hint="leave `rescale` out")
    return value * factor if reads else value
