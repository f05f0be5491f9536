"""The primitive ops as data: name, access and exactness. Their kernels live apart, so that compiling needs no NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

CHUNK = 1 << 16
"""Entries per chunk. Random streams and reductions are defined chunk by chunk, so this is part of the language."""


class Access(StrEnum):
    """Which entries of its inputs an output chunk of a primitive depends on."""

    MAP = "map"
    """The same entries of each input, and whole scalars."""
    REDUCE = "reduce"
    """All entries, chunk by chunk; the result is small."""
    GATHER = "gather"
    """Other entries of the input, found by an index map."""


class Exactness(StrEnum):
    """What a primitive promises."""

    EXACT = "exact"
    """The same bits on every processor and with every number of threads."""
    NUMERIC = "numeric"
    """The same value up to a tolerance."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """One primitive: a pure function on arrays, described."""

    name: str
    access: Access
    summary: str
    exactness: Exactness = Exactness.EXACT


PRIMITIVES = {
    primitive.name: primitive
    for primitive in (
        Primitive("base", Access.MAP, "a tensor of an input model"),
        Primitive("constant", Access.MAP, "a number"),
        Primitive("add", Access.MAP, "a + b"),
        Primitive("subtract", Access.MAP, "a - b"),
        Primitive("multiply", Access.MAP, "a · b"),
        Primitive("divide", Access.MAP, "a ÷ b"),
        Primitive("absolute", Access.MAP, "|a|"),
        Primitive("square_root", Access.MAP, "√a"),
        Primitive("cast", Access.MAP, "a in another dtype, rounded once"),
        Primitive("spread", Access.MAP, "a number in every entry of a shape"),
        Primitive("along", Access.MAP, "a vector along one axis of a shape"),
        Primitive("normal", Access.MAP, "standard normal draws of a stream"),
        Primitive("uniform", Access.MAP, "uniform draws of a stream, from [0, 1)"),
        Primitive("truncated_normal", Access.MAP, "standard normal draws of a stream, redrawn where beyond ±2"),
        Primitive("dirac", Access.MAP, "1 where a convolution's kernel passes a channel on as it is, else 0"),
        Primitive("choose", Access.MAP, "a where chosen, else b"),
        Primitive("sum", Access.REDUCE, "the sum of all entries, in float64"),
        Primitive("max", Access.REDUCE, "the largest entry"),
        Primitive("max_along", Access.REDUCE, "the largest entry at each index of one axis"),
        Primitive(
            "window",
            Access.GATHER,
            "the entries at the same indices of a tensor that is longer or shorter along one axis",
        ),
    )
}
