"""The kernels of the primitives: pure functions on NumPy arrays.

A map kernel gets the node, the place whose entries are wanted, and its inputs: one-dimensional arrays of those entries,
or numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import prod
from typing import Any

import ml_dtypes  # noqa: F401  (makes NumPy know bfloat16 and its like by name)
import numpy as np
from numpy.typing import NDArray

from mutspec.graph.graph import Node
from mutspec.graph.index_map import AxisMap
from mutspec.graph.numpy_kernels.axis_indices import axis_index
from mutspec.graph.numpy_kernels.codes import decode, encode
from mutspec.graph.numpy_kernels.masks import chosen_bits, permute
from mutspec.graph.numpy_kernels.places import Place, Span
from mutspec.graph.permutation import Permutation
from mutspec.graph.primitives import CHUNK

Array = NDArray[Any]
MapKernel = Callable[..., Any]


def _operands(node: Node, left: Any, right: Any) -> tuple[Any, Any]:
    dtype = np.dtype(node.dtype)
    return np.asarray(left, dtype), np.asarray(right, dtype)


def _binary(ufunc: np.ufunc) -> MapKernel:
    return lambda node, at, left, right, out=None: ufunc(*_operands(node, left, right), out=out)


def _unary(ufunc: np.ufunc) -> MapKernel:
    return lambda node, at, value, out=None: ufunc(value, out=out)


def _constant(node: Node, at: Place) -> Any:
    return np.float64(float.fromhex(node.attribute("value")))


def _cast(node: Node, at: Place, value: Any) -> Any:
    values = np.asarray(value)
    if node.dtype == "bfloat16" and values.dtype == np.float64:
        values = _to_odd_float32(values)
    return values.astype(np.dtype(node.dtype))


def _to_odd_float32(values: Array) -> Array:
    """Rounds float64 to float32 to odd: inexact values are truncated, and their last bit is set.

    `ml_dtypes` converts float64 to bfloat16 through float32, and so rounds twice. After rounding to odd, the result is
    the same as with one rounding (Boldo and Melquiond, Emulation of a FMA and correctly rounded sums, 2008).
    """
    narrow = np.atleast_1d(values.astype(np.float32))
    bits = narrow.view(np.uint32)
    is_inexact = (narrow != values) & ~np.isnan(values)
    bits -= np.abs(narrow) > np.abs(values)
    bits |= is_inexact
    return narrow.reshape(values.shape)


def _sign(node: Node, at: Place, value: Any) -> Any:
    """Returns -1 below zero, else 1; NaN stays NaN."""
    return np.where(np.isnan(value), value, np.where(np.asarray(value) < 0, -1, 1)).astype(np.dtype(node.dtype))


def _exponent(node: Node, at: Place, value: Any) -> Any:
    """Returns -∞ for 0, and ∞ for infinite values and NaN."""
    exponent = np.where(np.asarray(value) == 0, -np.inf, np.frexp(value)[1] - 1.0)
    return np.where(np.isfinite(value), exponent, np.inf)


def _two_to(node: Node, at: Place, value: Any) -> Any:
    return np.ldexp(1.0, np.asarray(value).astype(np.int32))


def _max_of_run(node: Node, at: Place, values: Array) -> Array:
    length = node.attribute("length")
    assert isinstance(at, Span)  # which begins a chunk, and a run
    largest: Array = np.maximum.reduceat(values, np.arange(0, len(values), length))
    return largest.repeat(length)[: len(values)]


def _spread(node: Node, at: Place, value: Any) -> Array:
    return np.full(at.size, value, np.dtype(node.dtype))


def _along(node: Node, at: Place, vector: Array) -> Array:
    return vector[at.slice_numbers(node.attribute("length"), node.attribute("stride"))]


def _normal(node: Node, at: Place) -> Array:
    return np.random.Generator(_bits(node, at)).standard_normal(at.size, dtype=np.dtype(node.dtype).type)


def _uniform(node: Node, at: Place) -> Array:
    count = at.size
    if node.dtype == "float64":
        return (_bits(node, at).random_raw(count) >> np.uint64(11)) * np.float64(2.0**-53)
    words = np.asarray(_bits(node, at).random_raw((count + 1) // 2)).astype("<u8", copy=False).view("<u4")[:count]
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def _exponential(node: Node, at: Place) -> Array:
    generator = np.random.Generator(_bits(node, at))
    return generator.standard_exponential(at.size, dtype=np.dtype(node.dtype).type)


def _truncated_normal(node: Node, at: Place) -> Array:
    """Draws beyond two standard deviations are drawn again, round by round, each from a counter range of its own.

    So an entry's value depends on no other entry.
    """
    dtype = np.dtype(node.dtype).type
    values = np.full(at.size, np.inf, dtype)
    attempt = 0
    while (beyond := np.abs(values) > 2).any():
        drawn = np.random.Generator(_bits(node, at, attempt)).standard_normal(at.size, dtype=dtype)
        values[beyond] = drawn[beyond]
        attempt += 1
    return values


def _dirac(node: Node, at: Place) -> Array:
    """Returns 1 at the centre of the window where the input channel (within its group) is the output channel."""
    centre, is_depthwise = node.attribute("centre"), node.attribute("is_depthwise")
    *window, channel_in, channel_out = np.unravel_index(at.entries(), node.shape)
    is_one = channel_out == 0 if is_depthwise else channel_out % node.shape[-2] == channel_in
    for position, index in zip(window, centre, strict=True):
        is_one = is_one & (position == index)
    ones: Array = np.asarray(is_one).astype(np.dtype(node.dtype))
    return ones


def _one_bit(node: Node, at: Place) -> Array:
    """Returns a word for each entry in which one of some bits is set, each with the same probability within 2**-32.

    The draw is the image of the entry's number under a keyed permutation, so some entries can be drawn without the
    others. All entries of a group of neighbours have the same draw.
    """
    positions = np.array(node.attribute("positions"), np.uint64)
    scramble = Permutation(1 << 62, node.attribute("key"))
    group = node.attribute("group")
    drawn = permute(scramble, (at.entries() // group).astype(np.uint64)) >> np.uint64(30)
    word: Array = np.uint64(1) << positions[(drawn * np.uint64(len(positions))) >> np.uint64(32)]
    return word.astype(np.dtype(node.dtype))


def _chosen_bits(node: Node, at: Place) -> Array:
    """Returns a word for each entry, in which the chosen bits are set."""
    positions = np.array(node.attribute("positions"), np.uint64)
    words = chosen_bits(node.attribute("choice"), positions, at)
    return words.astype(np.dtype(node.dtype))


def _swapped(node: Node) -> NDArray[np.int64]:
    """Returns the slice that replaces each slice: neighbours in the order of their images are swapped."""
    order, count = node.attribute("order"), node.attribute("count") // 2 * 2
    if isinstance(order, Permutation):
        offset = node.attribute("offset")
        order = permute(order, np.arange(count, dtype=np.uint64), inverse=True).astype(np.int64) - offset
    pairs = np.array(order[:count], np.int64).reshape(-1, 2)
    partners = np.arange(node.attribute("length"), dtype=np.int64)
    partners[pairs] = pairs[:, ::-1]
    return partners


def _bits(node: Node, at: Place, attempt: int = 0) -> np.random.Philox:
    """Returns the raw bits of a chunk. Each chunk, and each attempt at it, has its own counter range of 2**128."""
    assert isinstance(at, Span)  # and it begins at a chunk
    key = np.frombuffer(node.attribute("key"), "<u8")
    return np.random.Philox(key=key, counter=np.array([0, 0, at.start // CHUNK, attempt], np.uint64))


_BINARY: Mapping[str, np.ufunc] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "minimum": np.minimum,
    "maximum": np.maximum,
    "power": np.power,
}
_UNARY: Mapping[str, np.ufunc] = {
    "negative": np.negative,
    "absolute": np.absolute,
    "round": np.rint,
    "square_root": np.sqrt,
    "arc_cosine": np.arccos,
    "sine": np.sin,
    "hyperbolic_tangent": np.tanh,
    "logarithm": np.log,
}

MAP_KERNELS: Mapping[str, MapKernel] = {
    **{name: _binary(ufunc) for name, ufunc in _BINARY.items()},
    **{name: _unary(ufunc) for name, ufunc in _UNARY.items()},
    "constant": _constant,
    "sign": _sign,
    "bits": lambda node, at, value: np.asarray(value).view(np.dtype(node.dtype)),
    "exponent": _exponent,
    "two_to": _two_to,
    "max_of_run": _max_of_run,
    "encode": lambda node, at, value: encode(node.attribute("form"), value),
    "decode": lambda node, at, value: decode(node.attribute("form"), value),
    "flip": lambda node, at, value, bits: value ^ bits,
    "set": lambda node, at, value, bits: value | bits,
    "clear": lambda node, at, value, bits: value & ~bits,
    "word": lambda node, at: np.full(at.size, node.attribute("value"), np.dtype(node.dtype)),
    "select": lambda node, at, truth, value, otherwise: np.where(truth, value, otherwise),
    "cast": _cast,
    "reshape": lambda node, at, value: value,
    "spread": _spread,
    "along": _along,
    "normal": _normal,
    "uniform": _uniform,
    "truncated_normal": _truncated_normal,
    "exponential": _exponential,
    "one_bit": _one_bit,
    "chosen_bits": _chosen_bits,
    "dirac": _dirac,
}

TAKES_ROOM = frozenset(_BINARY) | frozenset(_UNARY)
"""Primitives whose kernels take `out`, an array for the result, which may be one of the inputs."""

GIVES_ROOM = TAKES_ROOM | {"cast", "normal", "uniform", "exponential", "truncated_normal", "along", "spread", "dirac"}
"""Primitives whose results do not share memory with other values."""


def reduce_chunk(node: Node, start: int, chunk: Array) -> Any:
    """Reduces one chunk, of the entries from `start` on."""
    if node.primitive == "sum":
        return np.add.reduce(chunk, dtype=np.float64)
    if node.primitive == "max":
        return np.float64(np.max(chunk))
    stop = start + len(chunk)
    index = axis_index(node.attribute("length"), node.attribute("stride"), start, stop)
    if node.primitive == "sum_along":
        return np.bincount(index, chunk.astype(np.float64, copy=False), node.shape[0])
    largest = np.full(node.shape, -np.inf, chunk.dtype)
    np.maximum.at(largest, index, chunk)
    return largest


def combine(node: Node, total: Any, partial: Any) -> Any:
    """Combines a reduction of earlier chunks with that of the next chunk. It is called in the order of the chunks."""
    return total + partial if node.primitive in ("sum", "sum_along") else np.maximum(total, partial)


def empty_reduction(node: Node) -> Any:
    """Returns the reduction of no entries."""
    if node.shape == ():
        return np.float64(0)
    return np.zeros(node.shape, np.dtype(node.dtype))


def gather_indices(node: Node, at: Place) -> NDArray[np.int64]:
    """Returns the flat indices of the source that a gather reads for entries of its result."""
    if node.primitive == "swap":
        length, stride = node.attribute("length"), node.attribute("stride")
        numbers = at.slice_numbers(length, stride)
        return at.entries() + (_swapped(node)[numbers] - numbers) * np.int64(stride)
    axes: tuple[AxisMap, ...] = node.attribute("index_map").axes
    indices = np.zeros(at.size, np.int64)
    inner = prod(axis.length for axis in axes)
    for axis in axes:
        inner //= axis.length
        if axis.stride:
            indices += _positions(axis, at.slice_numbers(axis.length, inner)) * axis.stride
    return indices


def _positions(axis: AxisMap, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Returns the positions that indices along an axis lead to."""
    if axis.indices is not None:
        return _listed(axis.indices)[indices]
    positions = indices + axis.start
    return positions if axis.last is None else np.clip(positions, 0, axis.last)


@lru_cache(maxsize=16)
def _listed(indices: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array(indices, np.int64)
