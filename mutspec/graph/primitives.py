"""The primitive ops as data: name, access and exactness. Kernels are elsewhere, so compiling does not need NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

CHUNK = 1 << 16
"""The entries of a chunk. Random streams and reductions are defined by chunks, so this is part of the language."""


class Access(StrEnum):
    """The entries of its inputs that an output chunk of a primitive depends on."""

    MAP = "map"
    """The same entries of each input, and numbers."""
    REDUCE = "reduce"
    """All entries, chunk by chunk; the result is small."""
    GATHER = "gather"
    """Other entries of the input, found by an index map."""
    WHOLE = "whole"
    """All entries of all inputs, which are in memory at the same time."""


NEEDS_ALL = frozenset({Access.REDUCE, Access.WHOLE})
"""The kinds in which each entry of the result depends on all entries of the inputs, so that they need a pass before."""


class Exactness(StrEnum):
    """The reproducibility of a primitive."""

    EXACT = "exact"
    """The same bits on every processor and with every number of threads."""
    NUMERIC = "numeric"
    """The same value within a tolerance."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """The description of one primitive, a pure function on arrays."""

    name: str
    access: Access
    summary: str
    exactness: Exactness = Exactness.EXACT
    is_by_entry: bool = False
    """Whether some entries of its result can be computed without the others, with the same bits."""


_BY_ENTRY = {
    "base": "a tensor of an input model",
    "constant": "a number",
    "add": "a + b",
    "subtract": "a - b",
    "multiply": "a · b",
    "divide": "a ÷ b",
    "minimum": "the smaller of a and b",
    "maximum": "the larger of a and b",
    "negative": "-a",
    "absolute": "|a|",
    "square_root": "√a",
    "round": "the whole number nearest to a, halves to even",
    "sign": "-1 where a < 0, else 1",
    "cast": "a in another dtype, rounded once",
    "bits": "the bits of a as an integer, or back",
    "reshape": "the entries of a in C order, in another shape",
    "encode": "the bits of a in a number format, rounded to it once",
    "decode": "the number whose bits in a number format a is",
    "exponent": "the whole number n with 2^n ≤ a < 2^(n+1)",
    "two_to": "2 to the power of a, a whole number",
    "flip": "the bits of a, with those of b flipped",
    "set": "the bits of a, with those of b set",
    "clear": "the bits of a, with those of b cleared",
    "word": "an integer in every entry",
    "spread": "a number in every entry of a shape",
    "along": "a vector along one axis of a shape",
    "one_bit": "draws of a stream: words with one of some bits set",
    "chosen_bits": "words with the chosen bits set",
    "dirac": "1 where a convolution's kernel outputs a channel unchanged, else 0",
    "choose": "a where chosen, else b",
    "select": "b where a is true, else c",
}

_BY_CHUNK = {
    "normal": "standard normal draws of a stream",
    "uniform": "uniform draws of a stream, from [0, 1)",
    "exponential": "standard exponential draws of a stream",
    "truncated_normal": "standard normal draws of a stream, redrawn where beyond ±2",
    "max_of_run": "the largest entry of each run, whose length divides a chunk",
}

PRIMITIVES = {
    primitive.name: primitive
    for primitive in (
        *(Primitive(name, Access.MAP, summary, is_by_entry=True) for name, summary in _BY_ENTRY.items()),
        *(Primitive(name, Access.MAP, summary) for name, summary in _BY_CHUNK.items()),
        Primitive("arc_cosine", Access.MAP, "the angle whose cosine is a", Exactness.NUMERIC),
        Primitive("sine", Access.MAP, "the sine of a", Exactness.NUMERIC),
        Primitive("hyperbolic_tangent", Access.MAP, "tanh a", Exactness.NUMERIC),
        Primitive("logarithm", Access.MAP, "the natural logarithm of a", Exactness.NUMERIC),
        Primitive("power", Access.MAP, "a to the power of b", Exactness.NUMERIC),
        Primitive("sum", Access.REDUCE, "the sum of all entries, in float64"),
        Primitive("sum_along", Access.REDUCE, "the sum of the entries at each index of one axis, in float64"),
        Primitive("max", Access.REDUCE, "the largest entry"),
        Primitive("max_along", Access.REDUCE, "the largest entry at each index of one axis"),
        Primitive("gather", Access.GATHER, "the entries that an index map leads to", is_by_entry=True),
        Primitive(
            "sum_over", Access.GATHER, "the sum over the indices of one axis, in order, in float64", is_by_entry=True
        ),
        Primitive("swap", Access.GATHER, "the entries with pairs of slices swapped", is_by_entry=True),
        Primitive("ranked", Access.WHOLE, "whether an entry is among the smallest, or the largest"),
        Primitive("ranked_in_groups", Access.WHOLE, "whether an entry is among the smallest of its group"),
        Primitive("quantile", Access.WHOLE, "the number below which a part of the entries lies"),
        Primitive("shuffle", Access.WHOLE, "the entries with those chosen permuted among themselves"),
        Primitive("shuffle_slices", Access.WHOLE, "the entries with those of each chosen slice permuted"),
        Primitive("rearrange", Access.WHOLE, "all inputs, one after the other, with some entries rearranged"),
        Primitive("orthogonal", Access.WHOLE, "the orthogonal factor of a matrix", Exactness.NUMERIC),
        Primitive("low_rank", Access.WHOLE, "the nearest matrix of lower rank", Exactness.NUMERIC),
        Primitive("factors", Access.WHOLE, "two factors of lower rank of each of some matrices", Exactness.NUMERIC),
        Primitive(
            "energies", Access.WHOLE, "the squared singular values of matrices, largest first", Exactness.NUMERIC
        ),
    )
}
