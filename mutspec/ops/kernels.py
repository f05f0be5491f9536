"""Windows of convolutions: larger ones, after which the model predicts what it did before, and smaller ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import sqrt
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from mutspec.errors import PlanError
from mutspec.graph.choice import Box
from mutspec.graph.expression import Expression, constant
from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.data_formats import CONVOLUTIONS
from mutspec.keras_facts.layer_arguments import arguments_of
from mutspec.keras_facts.windows import WindowAxis
from mutspec.language.types import Positive, Target
from mutspec.lowering.base import StructureOp
from mutspec.lowering.claims import SamePredictions
from mutspec.lowering.convolutions import Convolution, convolution, linear_layer, sources_of
from mutspec.lowering.found_layer import LEAVE_OUT
from mutspec.lowering.initial_values import NewWeight
from mutspec.lowering.new_layer import AddedLayer
from mutspec.lowering.structure_context import StructureContext
from mutspec.structure import edits
from mutspec.structure.layer_config import configured
from mutspec.text.words import plural, shape

KernelSize = Annotated[
    Positive | tuple[Positive, ...],
    Meta(description="The new window: one number for all its axes, or one for each.", examples=[5]),
]
Convolutions = Annotated[
    Target,
    Meta(description="The convolutions: transposed, depthwise and separable ones too.", examples=["conv_1"]),
]

_CLASSES = tuple(sorted(CONVOLUTIONS))


class GrowKernel(StructureOp, tag="grow_kernel", frozen=True, kw_only=True):
    """Make the windows of convolutions larger. The kernel gets zeros around it: the model predicts what it did before.

    With `padding: same` and `causal` this works for all strides and dilations with which the old window has a place in
    the new one: with a stride, that may depend on the size of the input, which must be known then. With `padding:
    valid` the output would become smaller; with `pad` a ZeroPadding layer before the convolution makes up for it.

    Literature: kernel growth (network morphism, Wei et al. 2016).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"target": "conv_1", "pad": True})

    target: Convolutions
    kernel_size: KernelSize
    pad: Annotated[
        bool,
        Meta(description="Whether a convolution with `padding: valid` gets a ZeroPadding layer before it."),
    ] = False

    def claim(self) -> SamePredictions:
        return SamePredictions()

    def restructure(self, ctx: StructureContext) -> None:
        for conv, wanted in _with_other_windows(ctx, self.target, self.kernel_size):
            if any(large < small for small, large in zip(conv.window, wanted, strict=True)):
                raise PlanError(
                    f"the window of `{conv.found.path}` is {shape(conv.window)}, and {shape(wanted)} is smaller",
                    path=("kernel_size",),
                    hint="use `shrink_kernel`, or choose other layers",
                )
            offsets = self._padded(ctx, conv, wanted) if _needs_padding(conv, wanted) else _offsets(ctx, conv, wanted)
            old, new = ctx.context.read(conv.kernel), (*wanted, *conv.kernel.shape[-2:])
            starts = (*offsets, 0, 0)
            stops = tuple(start + extent for start, extent in zip(starts, old.shape, strict=True))
            zeros = constant(old.builder, 0.0).cast(old.dtype).spread(new)
            grown = old.region([-start for start in starts], new).where(Box(stops, starts), zeros)
            _put(ctx, conv, wanted, grown)

    def _padded(self, ctx: StructureContext, conv: Convolution, wanted: Sequence[int]) -> list[int]:
        """Puts zeros before a convolution, and returns where its old window stands in the new one."""
        axis = conv.axes[0]
        if not self.pad or axis.is_transposed:
            hint = "leave it out of the target, or say `pad: true`, for zeros before it"
            raise PlanError(
                f"`{conv.found.path}` has `padding: {axis.padding}`, so that with a window of {shape(wanted)} its "
                "output would have another shape",
                path=("target",),
                hint=LEAVE_OUT if axis.is_transposed else hint,
            )
        offsets = [(large - small) // 2 for small, large in zip(conv.window, wanted, strict=True)]
        _put_before(ctx, conv, "ZeroPadding", "padding", _margins(conv.axes, conv.window, wanted, offsets))
        return offsets


class ShrinkKernel(StructureOp, tag="shrink_kernel", frozen=True, kw_only=True):
    """Make the windows of convolutions smaller: the middle of each kernel stays, and the model predicts something else.

    The middle is where a window of the new size stands on the same input; of a causal convolution it is the end. With
    `padding: valid` the output becomes larger, unless a Cropping layer before the convolution makes up for it: `crop`.
    The report says how much of the kernel's norm is cut off, for which its values are read.

    Literature: the inverse of kernel growth (Wei et al. 2016); elastic kernel size (Once-for-All, Cai et al. 2020).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"target": "conv_1", "kernel_size": 1, "crop": True})

    target: Convolutions
    kernel_size: KernelSize
    crop: Annotated[
        bool, Meta(description="Whether a convolution with `padding: valid` gets a Cropping layer before it.")
    ] = False

    def restructure(self, ctx: StructureContext) -> None:
        chosen = _with_other_windows(ctx, self.target, self.kernel_size)
        cut = []
        for conv, wanted in chosen:
            if any(small > large for large, small in zip(conv.window, wanted, strict=True)):
                raise PlanError(
                    f"the window of `{conv.found.path}` is {shape(conv.window)}, and {shape(wanted)} is larger",
                    path=("kernel_size",),
                    hint="use `grow_kernel`, or choose other layers",
                )
            starts, old = _middle(ctx, conv, wanted), ctx.context.read(conv.kernel)
            cut.append((starts, old, old.region((*starts, 0, 0), (*wanted, *old.shape[-2:]))))
        _note_cut(ctx, chosen, [(old, kept) for _, old, kept in cut])
        for (conv, wanted), (starts, _, kept) in zip(chosen, cut, strict=True):
            axis = conv.axes[0]
            if self.crop and axis.padding == "valid" and not axis.is_transposed:
                _put_before(ctx, conv, "Cropping", "cropping", _margins(conv.axes, wanted, conv.window, starts))
            _put(ctx, conv, wanted, kept)


Chosen = list[tuple[Convolution, tuple[int, ...]]]


def _with_other_windows(ctx: StructureContext, target: Target, size: int | tuple[int, ...]) -> Chosen:
    """Returns the convolutions of a target that do not have a window of some size, each with that size.

    Raises:
        PlanError: the target has other layers; or all have such a window.
    """
    chosen = []
    for found in ctx.find(target, "target"):
        conv = convolution(found, linear_layer(ctx, found, _CLASSES, "which has no window"))
        rank = len(conv.axes)
        wanted = (size,) * rank if isinstance(size, int) else size
        if len(wanted) != rank:
            raise PlanError(
                f"the window of `{found.path}` ({found.class_name}) has {rank} axes, and `kernel_size` "
                f"{plural(len(wanted), 'number')}",
                path=("kernel_size",),
                hint="give one number for each axis, or one for all",
            )
        chosen.append((conv, wanted))
    others = [(conv, wanted) for conv, wanted in chosen if wanted != conv.window]
    if chosen and not others and not ctx.context.step.allow_empty:
        conv, wanted = chosen[0]
        hint = "leave the step out, or choose another window"
        raise PlanError(
            f"the window of `{conv.found.path}` is {shape(wanted)} already", path=("kernel_size",), hint=hint
        )
    return others


def _needs_padding(conv: Convolution, wanted: Sequence[int]) -> bool:
    return not all(
        axis.keeps_shape(before, after) for axis, before, after in zip(conv.axes, conv.window, wanted, strict=True)
    )


def _offsets(ctx: StructureContext, conv: Convolution, wanted: Sequence[int]) -> list[int]:
    """Returns the entry of the new window, along each axis, that stands where the first one of the old window does.

    Raises:
        PlanError: none does, or it depends on the size of the input.
    """
    offsets = []
    lengths = zip(*conv.lengths(ctx), strict=True)
    for axis, small, large, calls in zip(conv.axes, conv.window, wanted, lengths, strict=True):
        found = {axis.offset(small, large, length) for length in calls}
        offset = found.pop()
        if found or offset is None:
            raise PlanError(
                f"with a window of {shape(wanted)}, `{conv.found.path}` cannot compute what it does: "
                + _why_no_place(axis, small, large, calls),
                path=("kernel_size",),
                hint="choose another size, such as one that is larger by an even number",
            )
        offsets.append(offset)
    return offsets


def _why_no_place(axis: WindowAxis, small: int, large: int, lengths: Sequence[int | None]) -> str:
    if any(axis.offset(small, large, length) is not None for length in range(1, axis.stride + 1)):
        unknown = "that is not known" if None in lengths else "it is called on several"
        return f"with a stride of {axis.stride}, the place of the old window depends on the input's size, and {unknown}"
    return f"with a dilation of {axis.dilation}, the old window falls between the entries of the new one"


def _middle(ctx: StructureContext, conv: Convolution, wanted: Sequence[int]) -> list[int]:
    """Returns the entry of the old window, along each axis, where the new one begins."""
    starts = []
    lengths = zip(*conv.lengths(ctx), strict=True)
    for axis, large, small, calls in zip(conv.axes, conv.window, wanted, lengths, strict=True):
        found = {axis.offset(small, large, length) for length in calls}
        offset = found.pop()
        is_clear = axis.padding != "valid" and not found and offset is not None
        starts.append(offset if is_clear and offset is not None else (large - small) // 2)
    return starts


def _note_cut(ctx: StructureContext, chosen: Chosen, cut: Sequence[tuple[Expression, Expression]]) -> None:
    """Tells the user what part of each kernel's norm is cut off."""
    if not ctx.context.has_values:
        return
    sums = ctx.context.values([_sum_of_squares(each) for pair in cut for each in pair])
    notes = []
    for (conv, wanted), (whole,), (kept,) in zip(chosen, sums[::2], sums[1::2], strict=True):
        part = sqrt(max(0.0, 1 - kept / whole)) if whole else 0.0
        notes.append(
            f"the values of `{conv.kernel.path}` are read: a window of {shape(wanted)} cuts off {part:.1%} of its norm"
        )
    ctx.note_first(notes)


def _sum_of_squares(value: Expression) -> Expression:
    wide = value.cast("float64")
    return (wide * wide).sum()


Margins = list[list[int]]


def _margins(axes: Sequence[WindowAxis], small: Sequence[int], large: Sequence[int], offsets: Sequence[int]) -> Margins:
    """Returns how far a window is from both ends of a larger one along each axis, as entries of the input."""
    return [
        [start * axis.dilation, (most - least - start) * axis.dilation]
        for axis, least, most, start in zip(axes, small, large, offsets, strict=True)
    ]


def _put_before(ctx: StructureContext, conv: Convolution, kind: str, argument: str, margins: Margins) -> None:
    """Puts a layer with margins before a convolution, at all its calls."""
    found, rank = conv.found, len(margins)
    sources, data_format = list(dict.fromkeys(sources_of(found))), found.config.get("data_format")
    layer: dict[str, Any] = {"type": f"{kind}{rank}D", argument: margins if rank > 1 else margins[0]}
    if "data_format" in (arguments_of(layer["type"]) or {}):
        layer["data_format"] = data_format
    elif data_format == "channels_first":
        raise PlanError(
            f"`{found.path}` has its channels first, which {a(layer['type'])} before it does not take",
            path=("target",),
            hint="leave it out of the target, or convert the model to channels_last first",
        )
    ctx.insert(ctx.new_layer(layer, found.owner, sources[0]), found.owner, sources, only=[found.name])


def _put(ctx: StructureContext, conv: Convolution, window: Sequence[int], value: Expression) -> None:
    """Gives a convolution another window, and its kernel another value."""
    found, role = conv.found, conv.kernel.role

    def first_value(new: NewWeight) -> Expression | None:
        return value if new.below == role else None

    entry = configured(found.serialised, {"kernel_size": list(window)})
    ctx.edit(
        found.owner,
        partial(edits.put, name=found.name, entry=entry, new_name=found.name),
        key="kernel_size",
        added={found.name: AddedLayer(entry, found.path, first_value, ("kernel_size",))},
        configured=(found.path,),
    )
