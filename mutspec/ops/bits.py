"""Bits of stored numbers: which of them a step means, in which form of the number."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.graph.expression import Expression
from mutspec.graph.memory import width
from mutspec.language.errors import PlanError, Problem
from mutspec.language.types import Count, PlanValue
from mutspec.model.spec import TensorSpec
from mutspec.ops.base import WeightOp
from mutspec.ops.site import LEAST, Site

MANTISSA_BITS = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
"""How many bits of a float are its mantissa: bit 0 and the following ones. Then come the exponent's, and the sign."""


class NumberFormat(StrEnum):
    """The form in which a weight is stored while its bits are touched."""

    STORED = "stored"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


class BitField(StrEnum):
    """A part of a float."""

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
    """An op on the bits of stored numbers. A subclass gives `touched`, which says what becomes of them."""

    accepts_integers: ClassVar[bool] = True
    computes_as_stored: ClassVar[bool] = True

    format: Annotated[
        NumberFormat,
        Meta(
            description="The form whose bits are meant: that which the weight is stored in, or one that it is cast to "
            "and back from. (Under mixed precision Keras stores float32.) Only touched entries are rounded by it."
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
        """A scale without a format that has one."""
        yield from super().problems()
        if not isinstance(self.scale, UnsetType) and self.format is not NumberFormat.INT8:
            yield Problem("`scale` is for `format: int8`", path=("scale",), hint="leave it out, or add the format")

    def touched(self, bits: Expression, at: Site) -> Expression:
        """What becomes of numbers, whose bits are given as integers."""
        raise NotImplementedError

    def lower(self, weight: Expression, at: Site) -> Expression:
        """Cast, touch bits, and cast back."""
        dtype = self.dtype(at.tensor)
        if self.format is NumberFormat.INT8:
            wide = weight.cast(at.bench.compute_dtype(at.tensor))
            step = abs(wide).max() / 127.0 if isinstance(self.scale, UnsetType) else at.number(self.scale)
            step = step.maximum(LEAST)
            levels = (wide / step).round().maximum(-128.0).minimum(127.0).cast("int8")
            return self.touched(levels.bits("uint8"), at).bits("int8").cast(wide.dtype) * step
        stored = weight.cast(dtype)
        return self.touched(stored.bits(f"uint{width_of(dtype)}"), at).bits(dtype).cast(weight.dtype)

    def bits_of(self, bits: BitSet | UnsetType, tensor: TensorSpec) -> tuple[int, ...]:
        """The bits that a step means, in the form that it means."""
        return positions(bits, self.dtype(tensor), tensor)

    def dtype(self, tensor: TensorSpec) -> str:
        """The dtype whose bits are touched."""
        if self.format is NumberFormat.STORED:
            return tensor.dtype
        if tensor.dtype not in MANTISSA_BITS:
            raise PlanError(
                Problem(
                    f"`{tensor.path}` is {tensor.dtype}, which is not cast to {self.format.value} and back",
                    path=("format",),
                    hint="leave `format` out to touch the bits that are stored",
                )
            )
        return self.format.value


def width_of(dtype: str) -> int:
    """The bits in which a number is stored: whole bytes."""
    return 8 * width(dtype)


def positions(bits: BitSet | UnsetType, dtype: str, tensor: TensorSpec, at: str = "bits") -> tuple[int, ...]:
    """The bits that a step means, of a dtype; all if it does not say.

    Raises:
        PlanError: the dtype has no such bit, or no such field.
    """
    available = width_of(dtype)
    if isinstance(bits, UnsetType):
        return tuple(range(available))
    if isinstance(bits, BitField):
        return tuple(_field(bits, dtype, tensor, at))
    if isinstance(bits, Range):
        chosen: tuple[int, ...] = tuple(range(bits.first, bits.last + 1))
    else:
        chosen = (bits,) if isinstance(bits, int) else bits
    beyond = next((bit for bit in chosen if bit >= available), None)
    if beyond is not None:
        raise PlanError(
            Problem(
                f"`{tensor.path}` has no bit {beyond} in {dtype}",
                path=(at,),
                hint=f"bits run from 0 to {available - 1}, the sign",
            )
        )
    return chosen


def _field(field: BitField, dtype: str, tensor: TensorSpec, at: str) -> Iterable[int]:
    if dtype not in MANTISSA_BITS:
        raise PlanError(
            Problem(
                f"`{tensor.path}` is touched as {dtype}, which has no {field.value}",
                path=(at,),
                hint="give bits by number",
            )
        )
    sign, mantissa = width_of(dtype) - 1, MANTISSA_BITS[dtype]
    parts = {
        BitField.MANTISSA: (0, mantissa),
        BitField.EXPONENT: (mantissa, sign),
        BitField.SIGN: (sign, sign + 1),
    }
    return range(*parts[field])


def bit_problems(bits: BitSet | UnsetType, at: str = "bits") -> Iterable[Problem]:
    """What is wrong with a set of bits by itself."""
    if isinstance(bits, tuple) and (not bits or len(set(bits)) < len(bits)):
        yield Problem("`bits` must name each bit once, and at least one", path=(at,), hint="for example [30, 31]")
    if isinstance(bits, Range) and bits.first > bits.last:
        yield Problem(f"the range of bits {bits.first} to {bits.last} is empty", path=(at,), hint="swap the two")
