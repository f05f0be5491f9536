"""Faults: bits of stored numbers that flip, or are stuck, in single weights or where weights share them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.errors import Problem
from mutspec.graph.choice import Bits, Scattered
from mutspec.graph.exact_counts import binomial_quantile
from mutspec.graph.expression import Expression, draw, words
from mutspec.graph.number_formats import SignedSize
from mutspec.graph.permutation import Permutation
from mutspec.graph.primitives import CHUNK
from mutspec.graph.streams import uniform_64_bits
from mutspec.language.types import Share, Unit, exact_share, or_default
from mutspec.lowering.amounts import Amount, Chosen
from mutspec.lowering.base import WeightOp
from mutspec.lowering.bits import (
    BITS,
    BitField,
    BitOp,
    BitSet,
    Layout,
    bit_problems,
    bits_beyond,
    float_layout,
    listed,
)
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.tensor_context import TensorContext
from mutspec.lowering.units import Units
from mutspec.model.spec import TensorSpec


class BitChoice(StrEnum):
    """The number of bits that flip."""

    ONE = "one"
    ALL = "all"


class BitFlip(BitOp, tag="bit_flip", frozen=True, kw_only=True):
    """Flip bits: in each chosen weight one of the bits is flipped, each equally likely; or all of them.

    With `rate_per_bit` instead of an amount, each bit of each weight is flipped with this probability, so that a weight
    may have several: the number of flips is binomial, which for a small rate is Poisson's law. Flipped exponents make
    weights huge, infinite or NaN, which is an error unless `non_finite: report` allows it. Applied twice, it changes
    nothing.

    Literature: bit flips (TensorFI 2, TF-Injector; PyTorchALFI and MRFI in a range); single bit flip of an 8-bit value
    (PyTorchFI: `format: int8`); fixed-point bit (Ares: `format: {integer: 2, fraction: 5}`);
    flips by number format (GoldenEye: float_n is `format: {exponent: 5, mantissa: 10}`).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"count": 1, "bits": "mantissa"})

    bits: Annotated[BitSet | UnsetType, Meta(description=f"The bits that may flip. {BITS} Default: all.")] = UNSET
    flip: Annotated[BitChoice, Meta(description="Of the bits, flip `one`, drawn for each weight, or `all`.")] = (
        BitChoice.ONE
    )
    rate_per_bit: Annotated[
        Share | UnsetType,
        Meta(description="The probability with which each of the bits flips. Excludes an amount.", examples=[1e-6]),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from bit_problems(self.bits)
        if self.rate_per_bit is UNSET:
            return
        others = (*self.amount.given, *self.given("per", "unit", "rank", "gates"))
        if others:
            message = f"`rate_per_bit` and `{others[0]}` cannot be used together"
            yield Problem(message, path=(others[0],), hint="keep one of them")
        if self.flip is BitChoice.ALL:
            yield Problem("with `rate_per_bit` each bit is drawn by itself", path=("flip",), hint="leave `flip` out")

    def choices(self, context: LoweringContext, tensors: Sequence[TensorSpec]) -> list[Chosen]:
        """Returns the weights, by an amount or by their bits."""
        if self.rate_per_bit is UNSET:
            return super().choices(context, tensors)
        chosen: list[Chosen] = []
        for tensor in tensors:
            count = len(self.bits_of(self.bits, tensor))
            size = tensor.size * count
            uniform = uniform_64_bits(context.key(tensor.origin, "rate"))
            flips = binomial_quantile(size, exact_share(self.rate_per_bit), uniform)
            if flips:
                pool = Permutation(size, context.key(tensor.origin, "choose"))
                chosen.append((tensor, Bits(count, Scattered(pool, flips, 0))))
        return chosen

    def touched(self, bits: Expression, ctx: TensorContext) -> Expression:
        chosen = self.bits_of(self.bits, ctx.tensor)
        if isinstance(ctx.choice, Bits):
            attributes = {"choice": ctx.choice, "positions": chosen}
            return bits.flip(draw(ctx.context.builder, "chosen_bits", b"", bits.shape, bits.dtype, **attributes))
        if self.flip is BitChoice.ALL:
            return bits.flip(words(ctx.context.builder, bits.shape, bits.dtype, _word(chosen)))
        return bits.flip(ctx.one_bit("bit", bits.dtype, chosen))


def _word(bits: Iterable[int]) -> int:
    return sum(1 << bit for bit in bits)


class StuckAt(BitOp, tag="stuck_at", frozen=True, kw_only=True):
    """Stuck bits: in each chosen weight, these bits are 0, or 1, whatever they were.

    Literature: stuck-at faults of memory cells (hardware fault studies).
    """

    may_be_done: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"count": 5, "bits": 22})

    bits: Annotated[BitSet, Meta(description=f"The bits that are stuck. {BITS}", examples=[30, "exponent"])]
    value: Annotated[int, Meta(ge=0, le=1, description="What they are stuck at: 0 or 1.", examples=[1])]

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from bit_problems(self.bits)

    def touched(self, bits: Expression, ctx: TensorContext) -> Expression:
        word = words(ctx.context.builder, bits.shape, bits.dtype, _word(self.bits_of(self.bits, ctx.tensor)))
        return bits.set(word) if self.value else bits.clear(word)


_ALL = 1 << 62
"""A run that is as long as any tensor."""


class BlockBitFlip(WeightOp, tag="block_bit_flip", frozen=True, kw_only=True):
    """Flip bits of block floating point: in single weights, or in the exponent that a block of weights shares.

    A block is a run of `shared_by` weights in C order, with one exponent e, that of its largest |w|. Each weight has a
    sign, and `mantissa` bits for its size in units of 2^(e - mantissa + 1), without an implicit bit. The amount counts
    weights, in each of which one bit flips, each equally likely; with `bits: exponent` it counts blocks, and the flip
    multiplies all weights of a block by the same power of two. Only touched weights and blocks are rounded. e is stored
    with a bias of 2^(exponent - 1) - 1, and none of its values means infinity or NaN.

    Literature: block floating point bit flip (GoldenEye: of the value, or of metadata with `bits: exponent`); formats
    with shared exponents (Flexpoint, Köster et al. 2017; MSFP, Darvish Rouhani et al. 2020).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"shared_by": 16, "bits": "mantissa", "count": 1})

    exponent: Annotated[int, Meta(ge=2, le=8, description="The bits of a shared exponent.")] = 8
    mantissa: Annotated[int, Meta(ge=1, le=23, description="The bits of a weight's size.")] = 7
    shared_by: Annotated[
        Annotated[int, Meta(ge=1, le=CHUNK)] | UnsetType,
        Meta(
            description="How many weights share an exponent: a power of two. Default: all of the tensor.",
            examples=[16],
        ),
    ] = UNSET
    bits: Annotated[
        BitSet | UnsetType,
        Meta(
            description=f"The bits that may flip. {BITS} The mantissa comes first, then the exponent, whose bits are "
            "flipped in steps of their own; the last is the sign. Default: mantissa and sign."
        ),
    ] = UNSET

    def problems(self) -> Iterable[Problem]:
        yield from super().problems()
        yield from bit_problems(self.bits)
        beyond = [*bits_beyond(self._bits, self._layout, "a weight")]
        yield from beyond
        if self.shared_by is not UNSET and self.shared_by.bit_count() > 1:
            message = f"`shared_by` is {self.shared_by}, which is not a power of two"
            yield Problem(message, path=("shared_by",), hint="for example 16")
        if not beyond and not self._are_of_exponents and any(bit in self._exponents for bit in self._bits):
            message = "`bits` names bits of a block's exponent and bits of single weights"
            yield Problem(message, path=("bits",), hint="flip them in two steps: the amounts count different things")
        for name in self.given("unit", "block", "rank", "gates") if self._are_of_exponents else ():
            message = f"the amount counts blocks that share an exponent, so `{name}` does not apply"
            yield Problem(message, path=(name,), hint="leave it out")

    @property
    def _layout(self) -> Layout:
        return float_layout("block floating point", 1 + self.exponent + self.mantissa, self.mantissa)

    @property
    def _bits(self) -> Sequence[int]:
        if self.bits is not UNSET:
            return listed(self.bits, self._layout)
        fields = self._layout.fields
        return (*fields[BitField.MANTISSA], *fields[BitField.SIGN])

    @property
    def _exponents(self) -> range:
        return range(self.mantissa, self.mantissa + self.exponent)

    @property
    def _are_of_exponents(self) -> bool:
        return all(bit in self._exponents for bit in self._bits)

    @property
    def _run(self) -> int:
        return or_default(self.shared_by, _ALL)

    @property
    def amount(self) -> Amount:
        """The amount of weights, or of blocks."""
        amount = super().amount
        return replace(amount, units=Units(Unit.BLOCK, (self._run,), (), None)) if self._are_of_exponents else amount

    def lower(self, weight: Expression, ctx: TensorContext) -> Expression:
        """Takes the numbers apart, flips bits, and puts them together."""
        wide, form = weight.cast("float64"), SignedSize(self.mantissa)
        bias = 2 ** (self.exponent - 1) - 1
        largest = abs(wide).max() if self._run == _ALL else abs(wide).max_of_run(self._run)
        stored = (largest.exponent() + float(bias)).maximum(0.0).minimum(float(2**self.exponent - 1))
        to_step = float(bias + self.mantissa - 1)
        step = (stored - to_step).two_to()
        numbers = (wide / step).encode(form)
        if not self._are_of_exponents:
            places = tuple(min(bit, self.mantissa) for bit in self._bits)
            return numbers.flip(ctx.one_bit("bit", numbers.dtype, places)).decode(form) * step
        places = tuple(bit - self.mantissa for bit in self._bits)
        exponent = stored.spread(weight.shape).cast("uint32")
        flipped = exponent.flip(ctx.one_bit("bit", exponent.dtype, places, self._run)).cast("float64")
        return numbers.decode(form) * (flipped - to_step).two_to()
