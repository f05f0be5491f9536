"""Checks of what ops make: shape, dtype, origin.

An op may come from any package. What it makes wrong is said where it makes it, with the op and the tensor. A kernel, or
Keras while it builds the mutant, would say less, and later.
"""

from __future__ import annotations

from itertools import pairwise

from mutspec.graph.choice import (
    Bits,
    Box,
    ChosenSlices,
    Computed,
    Listed,
    Run,
    Scattered,
    Tiles,
    Window,
    Within,
    region_of,
    size_of,
)
from mutspec.graph.expression import Expression
from mutspec.graph.graph import GraphBuilder, Shape


def described(shape: Shape, dtype: str = "") -> str:
    """Returns a shape, with a dtype or without, as messages write it: `(32, 10) float32`."""
    extents = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    return f"({extents}) {dtype}".rstrip()


def value_problem(value: object, builder: GraphBuilder, shape: Shape, dtype: str) -> str:
    """Returns why a value cannot be that of a tensor; empty if it can.

    Arguments:
        value: what the op gives.
        builder: the graph that the tensor is in.
        shape: the tensor's shape; that of a number is `(1,)`.
        dtype: the tensor's dtype.
    """
    if problem := expression_problem(value, builder):
        return problem
    assert isinstance(value, Expression)
    if value.shape != shape or value.dtype != dtype or value.is_small:
        found = described(value.shape, value.dtype) if value.shape else f"a number in {value.dtype}"
        return f"expected {described(shape, dtype)}, got {found}"
    return ""


def result_problem(value: object, builder: GraphBuilder, shape: Shape) -> str:
    """Returns why what `lower` gives cannot become a tensor's value; empty if it can: a number does, of any dtype."""
    if problem := expression_problem(value, builder):
        return problem
    assert isinstance(value, Expression)
    if value.shape != () and (value.shape != shape or value.is_small):
        return f"expected {described(shape)} or a number, got {described(value.shape)}"
    return ""


def expression_problem(value: object, builder: GraphBuilder) -> str:
    """Returns why something is not an expression of a graph; empty if it is."""
    if not isinstance(value, Expression):
        return f"expected an expression, got a value of type {type(value).__name__}"
    return "" if value.builder is builder else "the expression was made for another plan or model"


def choice_problem(choice: object, builder: GraphBuilder, shape: Shape) -> str:
    """Returns why a choice cannot be one of a tensor's entries; empty if it can.

    Arguments:
        choice: what the op gives; None for all entries.
        builder: the graph that the tensor is in.
        shape: the tensor's shape.
    """
    if choice is None:
        return ""
    if isinstance(choice, Computed):
        if choice.node not in range(len(builder.nodes)):
            return f"expected the number of a node of truth values, got {choice.node!r}"
        node = builder.nodes[choice.node]
        wanted = (shape, "bool")
        fits = (node.shape, node.dtype) == wanted
        return "" if fits else f"expected truth values {described(*wanted)}, got {described(node.shape, node.dtype)}"
    if not isinstance(choice, _SHAPED):
        return f"expected a choice of entries, got a value of type {type(choice).__name__}"
    return "" if _fits(choice, shape) else f"a tensor {described(shape)} does not have the entries {choice}"


_SHAPED = (Scattered, Listed, Window, Box, Run, ChosenSlices, Tiles, Within, Bits)


def _fits(choice: object, shape: Shape) -> bool:
    size = size_of(shape)
    match choice:
        case None:
            return True
        case Listed(indices):
            ascends = all(one < two for one, two in pairwise(indices))
            return not indices or (ascends and indices[0] >= 0 and indices[-1] < size)
        case Scattered(pool, count, offset):
            return offset >= 0 and offset + size <= pool.size and 0 <= count <= pool.size
        case Window(axis, start, stop):
            return 0 <= axis < len(shape) and 0 <= start <= stop <= shape[axis]
        case Box(stops, starts):
            fits = len(stops) == len(shape) and len(starts) in (0, len(shape))
            spans = zip(choice.spans, shape, strict=True) if fits else ()
            return fits and all(0 <= start <= stop <= extent for (start, stop), extent in spans)
        case Run(start, stop):
            return 0 <= start <= stop <= size
        case ChosenSlices(length, stride, chosen):
            return length > 0 and stride > 0 and size % (length * stride) == 0 and _fits(chosen, (length,))
        case Tiles(columns, height, width, chosen):
            if min(columns, height, width) < 1 or size % columns:
                return False
            return _fits(chosen, (-(-(size // columns) // height) * -(-columns // width),))
        case Within(region, chosen):
            return _fits(region, shape) and _fits(chosen, (size // region.length * len(region_of(choice)),))
        case Bits(bits, chosen):
            return bits > 0 and _fits(chosen, (size * bits,))
    return False
