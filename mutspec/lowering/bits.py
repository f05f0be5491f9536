"""Bits of stored numbers: those that a step names, in a form of the number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import PlanError, Problem
from mutspec.graph.expression import Expression
from mutspec.graph.memory import width
from mutspec.graph.number_formats import Fixed, Float, Format
from mutspec.language.types import Count, PlanValue
from mutspec.lowering.base import WeightOp
from mutspec.lowering.tensor_context import LEAST, TensorContext
from mutspec.model.spec import TensorSpec

MANTISSA_BITS = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
"""The number of bits of a float that are its mantissa."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The bits that the numbers of a form have.

    Arguments:
        name: the form's name.
        width: the number of bits.
        fields: the parts of the number that have a name, each with its bits.
    """

    name: str
    width: int
    fields: Mapping[BitField, tuple[int, ...]]


def float_layout(name: str, width: int, mantissa: int) -> Layout:
    """Returns the bits of floats, from the least significant on: mantissa, exponent, sign."""
    bits = tuple(range(width))
    fields = {BitField.MANTISSA: bits[:mantissa], BitField.EXPONENT: bits[mantissa:-1], BitField.SIGN: bits[-1:]}
    return Layout(name, width, fields)


def layout_of(dtype: str) -> Layout:
    """Returns the bits of the numbers of a dtype."""
    width = width_of(dtype)
    if dtype in MANTISSA_BITS:
        return float_layout(dtype, width, MANTISSA_BITS[dtype])
    return _twos_complement(dtype, width) if dtype.startswith("int") else Layout(dtype, width, {})


def _twos_complement(name: str, width: int) -> Layout:
    return Layout(name, width, {BitField.SIGN: (width - 1,)})


class NumberFormat(StrEnum):
    """The form in which a weight is stored while its bits change."""

    STORED = "stored"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


class Widths(PlanValue, frozen=True):
    """The form of floats of any width, by `exponent` and `mantissa`; or of fixed point, by `integer` and `fraction`."""

    exponent: Annotated[
        Annotated[int, Meta(ge=2, le=8)] | UnsetType, Meta(description="The bits of a float's exponent.")
    ] = UNSET
    mantissa: Annotated[
        Annotated[int, Meta(ge=1, le=23)] | UnsetType, Meta(description="The bits of a float's mantissa.")
    ] = UNSET
    integer: Annotated[
        Annotated[int, Meta(ge=0, le=15)] | UnsetType,
        Meta(description="The bits before the point, without the sign's."),
    ] = UNSET
    fraction: Annotated[
        Annotated[int, Meta(ge=0, le=16)] | UnsetType, Meta(description="The bits after the point.")
    ] = UNSET

    @property
    def form(self) -> Format | None:
        """The number format; None if the keys do not make one."""
        match (self.exponent, self.mantissa, self.integer, self.fraction):
            case (int(exponent), int(mantissa), UnsetType(), UnsetType()):
                return Float(exponent, mantissa)
            case (UnsetType(), UnsetType(), int(integer), int(fraction)):
                return Fixed(integer, fraction)
        return None


class BitField(StrEnum):
    """A part of a number."""

    SIGN = "sign"
    EXPONENT = "exponent"
    MANTISSA = "mantissa"


class Range(PlanValue, frozen=True):
    """Bits one after the other."""

    first: Annotated[Count, Meta(description="The first bit; 0 is the least significant.")]
    last: Annotated[Count, Meta(description="The last bit, included.")]


BitSet = Count | tuple[Count, ...] | BitField | Range

BITS = "Bit 0 is the least significant: a number, a list, a range `{first: 23, last: 30}`, or a field: `sign`, "
BITS += "`exponent`, `mantissa`."


class BitOp(WeightOp, frozen=True, kw_only=True):
    """An op on the bits of stored numbers. A subclass gives `touched`: what the bits become."""

    accepts_integers: ClassVar[bool] = True
    computes_as_stored: ClassVar[bool] = True

    format: Annotated[
        NumberFormat | Widths,
        Meta(
            description="The form whose bits are meant: that which the weight is stored in, or one that it is cast to "
            "and back from. (Under mixed precision Keras stores float32.) Only touched entries are rounded by it. "
            "Floats of any width are `{exponent: 4, mantissa: 3}`: as in IEEE 754, what is too large for them becomes "
            "infinite. Fixed point is `{integer: 3, fraction: 4}`: two's complement, and a sign bit besides; what is "
            "too large becomes the largest.",
            examples=["bfloat16", {"exponent": 4, "mantissa": 3}],
        ),
    ] = NumberFormat.STORED
    scale: Annotated[
        Annotated[float, Meta(gt=0)] | UnsetType,
        Meta(
            description="With `format: int8`, what 1 stands for. Default: max|w| / 127 of the tensor.",
            examples=[0.01],
        ),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        if self.scale is not UNSET and self.format is not NumberFormat.INT8:
            yield Problem("`scale` is for `format: int8`", path=("scale",), hint="leave it out, or add the format")
        if isinstance(self.format, Widths) and self.format.form is None:
            hint = "{exponent: 4, mantissa: 3} for example, or {integer: 3, fraction: 4}"
            yield Problem("a format has an exponent and a mantissa, or is fixed point", path=("format",), hint=hint)

    def touched(self, bits: Expression, ctx: TensorContext) -> Expression:
        """Returns what numbers become, whose bits are given as integers."""
        raise NotImplementedError

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        if isinstance(self.format, Widths):
            form = self.format.form
            assert form is not None
            return self.touched(weight.encode(form), ctx).decode(form)
        dtype = self.layout(ctx.tensor).name
        if self.format is NumberFormat.INT8:
            wide = weight.cast(ctx.context.compute_dtype(ctx.tensor))
            step = abs(wide).max() / 127.0 if self.scale is UNSET else ctx.number(self.scale)
            step = step.maximum(LEAST)
            levels = (wide / step).round().maximum(-128.0).minimum(127.0).cast("int8")
            return self.touched(levels.bits("uint8"), ctx).bits("int8").cast(wide.dtype) * step
        stored = weight.cast(dtype)
        return self.touched(stored.bits(f"uint{width_of(dtype)}"), ctx).bits(dtype).cast(weight.dtype)

    def bits_of(self, bits: BitSet | UnsetType, tensor: TensorSpec) -> tuple[int, ...]:
        """Returns the bits that a step means, in the form that it means."""
        return positions(bits, self.layout(tensor), tensor)

    def layout(self, tensor: TensorSpec) -> Layout:
        """Returns the form whose bits change."""
        if self.format is NumberFormat.STORED:
            return layout_of(tensor.dtype)
        layout = layout_of(self.format.value) if isinstance(self.format, NumberFormat) else _of_widths(self.format)
        if tensor.dtype not in MANTISSA_BITS:
            raise PlanError(
                f"`{tensor.path}` is {tensor.dtype}, which is not cast to {layout.name} and back",
                path=("format",),
                hint="leave `format` out to touch the bits that are stored",
            )
        return layout


def _of_widths(widths: Widths) -> Layout:
    form = widths.form
    assert form is not None
    if isinstance(form, Float):
        return float_layout(str(form), form.width, form.mantissa)
    return _twos_complement(str(form), form.width)


def width_of(dtype: str) -> int:
    """Returns the number of bits in which a number is stored: whole bytes."""
    return 8 * width(dtype)


def positions(bits: BitSet | UnsetType, layout: Layout, tensor: TensorSpec) -> tuple[int, ...]:
    """Returns the bits of a form that a step means; all if it does not say.

    Raises:
        PlanError: the form does not have the bit or the field.
    """
    if isinstance(bits, BitField) and bits not in layout.fields:
        message = f"`{tensor.path}` is touched as {layout.name}, which has no {bits.value}"
        raise PlanError(message, path=("bits",), hint="give bits by number")
    chosen = listed(bits, layout)
    for problem in bits_beyond(chosen, layout, f"`{tensor.path}`"):
        raise PlanError(problem)
    return tuple(chosen)


def listed(bits: BitSet | UnsetType, layout: Layout) -> Sequence[int]:
    """Returns a set of bits by number, whether the form has them or not. Its fields must be those of the form."""
    if bits is UNSET:
        return range(layout.width)
    if isinstance(bits, BitField):
        return layout.fields[bits]
    if isinstance(bits, Range):
        return range(bits.first, bits.last + 1)
    return (bits,) if isinstance(bits, int) else bits


def bits_beyond(bits: Iterable[int], layout: Layout, what: str) -> Iterable[Problem]:
    """Yields a problem if a form does not have some of the bits."""
    for bit in bits:
        if bit >= layout.width:
            message = f"{what} has no bit {bit} in {layout.name}"
            hint = f"bits run from 0 to {layout.width - 1}, the sign"
            yield Problem(message, path=("bits",), hint=hint)
            return


def bit_problems(bits: BitSet | UnsetType) -> Iterable[Problem]:
    """Yields the problems of a set of bits by itself."""
    ctx = ("bits",)
    if isinstance(bits, tuple) and (not bits or len(set(bits)) < len(bits)):
        yield Problem("`bits` must name each bit once, and at least one", path=ctx, hint="for example [30, 31]")
    if isinstance(bits, Range) and bits.first > bits.last:
        yield Problem(f"the range of bits {bits.first} to {bits.last} is empty", path=ctx, hint="swap the two")
