"""Faults: bits of stored numbers that flip, or are stuck."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, UnsetType

from mutspec.graph.amounts import binomial_quantile
from mutspec.graph.choice import Bits, Scattered
from mutspec.graph.expression import Expression, draw, words
from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import uniform_64_bits
from mutspec.language.errors import Problem
from mutspec.language.types import Share, exact_share
from mutspec.model.spec import TensorSpec
from mutspec.ops.amounts import Chosen
from mutspec.ops.bench import Bench
from mutspec.ops.bits import BITS, BitOp, BitSet, bit_problems
from mutspec.ops.site import Site


class BitChoice(StrEnum):
    """How many of some bits flip."""

    ONE = "one"
    ALL = "all"


class BitFlip(BitOp, tag="bit_flip", frozen=True, kw_only=True):
    """Flip bits: in each chosen weight one of the bits is flipped, each equally likely; or all of them.

    With `rate_per_bit` instead of an amount, each bit of each weight is flipped with this probability, so that a weight
    may have several: the number of flips is binomial, which for a small rate is Poisson's law. Flipped exponents make
    weights huge, infinite or NaN, which is an error unless `non_finite: report` allows it. Applied twice, it is no
    change.

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
        """Bits that are none, and a rate beside an amount."""
        yield from super().problems()
        yield from bit_problems(self.bits)
        if isinstance(self.rate_per_bit, UnsetType):
            return
        others = (*self.amount.given, *self.given("per", "unit", "rank", "gates"))
        if others:
            message = f"`rate_per_bit` and `{others[0]}` exclude one another"
            yield Problem(message, path=(others[0],), hint="keep one of them")
        if self.flip is BitChoice.ALL:
            yield Problem("with `rate_per_bit` each bit is drawn", path=("flip",), hint="leave `flip` out")

    def choices(self, bench: Bench, tensors: Sequence[TensorSpec]) -> list[Chosen]:
        """The weights, by an amount or by their bits."""
        if isinstance(self.rate_per_bit, UnsetType):
            return super().choices(bench, tensors)
        chosen: list[Chosen] = []
        for tensor in tensors:
            count = len(self.bits_of(self.bits, tensor))
            size = tensor.size * count
            uniform = uniform_64_bits(bench.key(tensor.origin, "rate"))
            flips = binomial_quantile(size, exact_share(self.rate_per_bit), uniform)
            if flips:
                pool = Permutation(size, bench.key(tensor.origin, "choose"))
                chosen.append((tensor, Bits(count, Scattered(pool, flips, 0))))
        return chosen

    def touched(self, bits: Expression, at: Site) -> Expression:
        """The bits, some of them flipped."""
        chosen = self.bits_of(self.bits, at.tensor)
        if isinstance(at.choice, Bits):
            attributes = {"choice": at.choice, "positions": chosen}
            return bits.flip(draw(at.bench.builder, "chosen_bits", b"", bits.shape, bits.dtype, **attributes))
        if self.flip is BitChoice.ALL:
            return bits.flip(words(at.bench.builder, bits.shape, bits.dtype, _word(chosen)))
        return bits.flip(at.one_bit("bit", bits.dtype, chosen))


def _word(bits: Iterable[int]) -> int:
    return sum(1 << bit for bit in bits)


class StuckAt(BitOp, tag="stuck_at", frozen=True, kw_only=True):
    """Stuck bits: in each chosen weight, these bits are 0, or 1, whatever they were.

    Literature: stuck-at faults of memory cells (hardware fault studies).
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"count": 5, "bits": 22})

    bits: Annotated[BitSet, Meta(description=f"The bits that are stuck. {BITS}", examples=[30, "exponent"])]
    value: Annotated[int, Meta(ge=0, le=1, description="What they are stuck at: 0 or 1.", examples=[1])]

    def problems(self) -> Iterable[Problem]:
        """Bits that are none."""
        yield from super().problems()
        yield from bit_problems(self.bits)

    def touched(self, bits: Expression, at: Site) -> Expression:
        """The bits, some of them set or cleared."""
        word = words(at.bench.builder, bits.shape, bits.dtype, _word(self.bits_of(self.bits, at.tensor)))
        return bits.set(word) if self.value else bits.clear(word)
