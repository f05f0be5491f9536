"""Expressions: the notation for the new value of a weight in ops. Writing one adds nodes and computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mutspec.graph.choice import Choice, Computed, StridedSlices, size_of
from mutspec.graph.computed_dtypes import is_computed_with
from mutspec.graph.graph import GraphBuilder, Shape
from mutspec.graph.index_map import AxisMap, IndexMap
from mutspec.graph.number_formats import Format


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A value of a graph that is being built: a tensor, or a number (shape `()`, float64).

    Tensors of one shape and dtype combine entry by entry, and with numbers, which are rounded to the tensor's dtype
    first.
    """

    builder: GraphBuilder
    node: int

    @property
    def shape(self) -> Shape:
        """The shape of the value."""
        return self.builder.nodes[self.node].shape

    @property
    def dtype(self) -> str:
        """The dtype of the value, by NumPy's name."""
        return self.builder.nodes[self.node].dtype

    @property
    def is_small(self) -> bool:
        """Whether it consists of numbers and reductions. Such a vector needs `along` to combine with a tensor."""
        return self.builder.is_small[self.node]

    def _make(self, primitive: str, *inputs: Expression, shape: Shape, dtype: str, **attributes: Any) -> Expression:
        numbers = tuple(each.node for each in inputs)
        return Expression(self.builder, self.builder.node(primitive, numbers, shape, dtype, **attributes))

    def _combine(self, primitive: str, left: Operand, right: Operand) -> Expression:
        a, b = constant(self.builder, left), constant(self.builder, right)
        wide = a if len(a.shape) >= len(b.shape) else b
        for each in (a, b):
            fits = each.shape == wide.shape and each.dtype == wide.dtype and each.is_small == wide.is_small
            if not fits and each.shape != ():
                raise ValueError(f"cannot {primitive} {a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)}")
        return self._make(primitive, a, b, shape=wide.shape, dtype=wide.dtype)

    def __add__(self, other: Operand) -> Expression:
        return self._combine("add", self, other)

    def __radd__(self, other: Operand) -> Expression:
        return self._combine("add", other, self)

    def __sub__(self, other: Operand) -> Expression:
        return self._combine("subtract", self, other)

    def __rsub__(self, other: Operand) -> Expression:
        return self._combine("subtract", other, self)

    def __mul__(self, other: Operand) -> Expression:
        return self._combine("multiply", self, other)

    def __rmul__(self, other: Operand) -> Expression:
        return self._combine("multiply", other, self)

    def __truediv__(self, other: Operand) -> Expression:
        return self._combine("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Expression:
        return self._combine("divide", other, self)

    def __abs__(self) -> Expression:
        return self._make("absolute", self, shape=self.shape, dtype=self.dtype)

    def __neg__(self) -> Expression:
        return self._make("negative", self, shape=self.shape, dtype=self.dtype)

    def minimum(self, other: Operand) -> Expression:
        """Returns the smaller of two values in each entry."""
        return self._combine("minimum", self, other)

    def maximum(self, other: Operand) -> Expression:
        """Returns the larger of two values in each entry."""
        return self._combine("maximum", self, other)

    def round(self) -> Expression:
        """Returns the whole number nearest to each entry, with halves rounded to even."""
        return self._make("round", self, shape=self.shape, dtype=self.dtype)

    def sign(self) -> Expression:
        """Returns -1 where an entry is below 0, else 1."""
        return self._make("sign", self, shape=self.shape, dtype=self.dtype)

    def arc_cosine(self) -> Expression:
        """Returns the angle, in radians, whose cosine each entry is. Numeric."""
        return self._make("arc_cosine", self, shape=self.shape, dtype=self.dtype)

    def sine(self) -> Expression:
        """Returns the sine of each entry, in radians. Numeric."""
        return self._make("sine", self, shape=self.shape, dtype=self.dtype)

    def hyperbolic_tangent(self) -> Expression:
        """Returns the hyperbolic tangent of each entry. Numeric."""
        return self._make("hyperbolic_tangent", self, shape=self.shape, dtype=self.dtype)

    def logarithm(self) -> Expression:
        """Returns the natural logarithm of each entry. Numeric."""
        return self._make("logarithm", self, shape=self.shape, dtype=self.dtype)

    def power(self, exponent: Operand) -> Expression:
        """Returns each entry to the power of another value's entry. Numeric."""
        return self._combine("power", self, exponent)

    def bits(self, dtype: str) -> Expression:
        """Returns the same bits as another dtype of the same width: `uint32` for a float32, and back."""
        return self._make("bits", self, shape=self.shape, dtype=dtype)

    def encode(self, form: Format) -> Expression:
        """Returns the bits of each entry in a number format, as `uint32`."""
        return self._make("encode", self, shape=self.shape, dtype="uint32", form=form)

    def decode(self, form: Format) -> Expression:
        """Returns the numbers, in float64, whose bits in a number format the entries are."""
        return self._make("decode", self, shape=self.shape, dtype="float64", form=form)

    def exponent(self) -> Expression:
        """Returns the whole number n with 2^n ≤ a < 2^(n+1) for each entry in float64; -∞ for 0, ∞ for ∞ and NaN."""
        return self._make("exponent", self, shape=self.shape, dtype=self.dtype)

    def two_to(self) -> Expression:
        """Returns 2 to the power of each entry, which is a whole number in float64."""
        return self._make("two_to", self, shape=self.shape, dtype=self.dtype)

    def flip(self, bits: Expression) -> Expression:
        """Returns integers in which the bits that are set in `bits` are flipped."""
        return self._make("flip", self, bits, shape=self.shape, dtype=self.dtype)

    def set(self, bits: Expression) -> Expression:
        """Returns integers in which the bits that are set in `bits` are set."""
        return self._make("set", self, bits, shape=self.shape, dtype=self.dtype)

    def clear(self, bits: Expression) -> Expression:
        """Returns integers in which the bits that are set in `bits` are cleared."""
        return self._make("clear", self, bits, shape=self.shape, dtype=self.dtype)

    def square_root(self) -> Expression:
        """Returns the square root of each entry."""
        return self._make("square_root", self, shape=self.shape, dtype=self.dtype)

    def cast(self, dtype: str) -> Expression:
        """The same values in another dtype, rounded once to nearest even.

        Raises:
            ValueError: there is no such dtype.
        """
        if not is_computed_with(dtype):
            raise ValueError(f"there is no dtype `{dtype}` to compute in")
        return self if dtype == self.dtype else self._make("cast", self, shape=self.shape, dtype=dtype)

    def spread(self, shape: Shape) -> Expression:
        """Returns a number as a tensor with it in every entry; a tensor of that shape unchanged."""
        if self.shape == ():
            return self._make("spread", self, shape=shape, dtype=self.dtype)
        if self.shape != shape or self.is_small:
            raise ValueError(f"cannot spread {self.dtype}{list(self.shape)} over {list(shape)}")
        return self

    def along(self, axis: int, shape: Shape) -> Expression:
        """A vector as a tensor of `shape` that varies along `axis` alone. It may be small, or the value of a tensor."""
        return self.along_slices(StridedSlices.along(axis, shape), shape)

    def along_slices(self, slices: StridedSlices, shape: Shape) -> Expression:
        """A vector as a tensor of `shape` in which all entries of a slice have the vector's entry of its number."""
        if not self.is_small:
            outer = size_of(shape) // max(1, slices.length * slices.stride)
            axes = (AxisMap(outer, 0), AxisMap(slices.length, 1), AxisMap(slices.stride, 0))
            return self.gather(IndexMap(axes), shape)
        return self._make("along", self, shape=shape, dtype=self.dtype, length=slices.length, stride=slices.stride)

    def sum(self) -> Expression:
        """Returns the sum of all entries, as a number in float64."""
        return self._make("sum", self, shape=(), dtype="float64")

    def mean(self) -> Expression:
        """Returns the mean of all entries, as a number in float64."""
        return self.sum() / float(size_of(self.shape))

    def standard_deviation(self) -> Expression:
        """Returns the population standard deviation of all entries, as a number in float64, computed in two passes."""
        wide = self.cast("float64")
        deviation = wide - wide.mean()
        return (deviation * deviation).mean().square_root()

    def max(self) -> Expression:
        """Returns the largest entry, as a number."""
        return self._make("max", self, shape=(), dtype="float64")

    def max_of_run(self, length: int) -> Expression:
        """Returns for each entry the largest of its run of `length` entries, a power of two that divides a chunk."""
        return self._make("max_of_run", self, shape=self.shape, dtype=self.dtype, length=length)

    def max_along(self, axis: int) -> Expression:
        """The largest entry at each index of one axis, as a vector."""
        return self.max_of_slices(StridedSlices.along(axis, self.shape))

    def max_of_slices(self, slices: StridedSlices) -> Expression:
        """The largest entry of each slice, as a vector."""
        return self._of_slices("max_along", slices, self.dtype)

    def sum_of_slices(self, slices: StridedSlices) -> Expression:
        """The sum of each slice, as a vector in float64."""
        return self._of_slices("sum_along", slices, "float64")

    def _of_slices(self, primitive: str, slices: StridedSlices, dtype: str) -> Expression:
        length, stride = slices.length, slices.stride
        return self._make(primitive, self, shape=(length,), dtype=dtype, length=length, stride=stride)

    def sum_over(self, axis: int, start: int = 0, count: int | None = None, repeats: int | None = None) -> Expression:
        """Returns the sums over the indices of one axis, in float64, as a tensor without that axis.

        Arguments:
            axis: the axis.
            start: the first index of the sum.
            count: the number of indices; None for all from `start` on.
            repeats: the length of the axis in the result, which then has the sum at each of its indices.
        """
        first = IndexMap.of(self.shape).window(axis, start, 1)
        shape = (*self.shape[:axis], *(() if repeats is None else (repeats,)), *self.shape[axis + 1 :])
        if repeats is not None:
            first = first.repeated(axis, repeats)
        attributes = {
            "index_map": first.merged(),
            "count": self.shape[axis] - start if count is None else count,
            "stride": size_of(self.shape[axis + 1 :]),
        }
        return self._make("sum_over", self._source(), shape=shape, dtype="float64", **attributes)

    def mean_over(self, axis: int) -> Expression:
        """Returns the means over the indices of one axis, in float64, as a tensor without that axis."""
        return self.sum_over(axis) / float(self.shape[axis])

    def gather(self, index_map: IndexMap, shape: Shape | None = None) -> Expression:
        """Returns the entries that a map leads to.

        Arguments:
            index_map: a map to entries of this tensor.
            shape: the shape of the result, if it is not that of the map: the same entries in C order.
        """
        shape = index_map.shape if shape is None else shape
        if size_of(shape) != size_of(index_map.shape):
            raise ValueError(f"cannot take {list(index_map.shape)} as {list(shape)}")
        if index_map.is_identity(size_of(self.shape)):
            return self.reshape(shape)
        return self._make("gather", self._source(), shape=shape, dtype=self.dtype, index_map=index_map.merged())

    def _source(self) -> Expression:
        """Returns the value whose entries in C order are those of this one: a gather need not wait for a new shape."""
        if self.is_small:
            raise ValueError(f"{self.dtype}{list(self.shape)} consists of reductions, and has no entries to gather")
        node = self.builder.nodes[self.node]
        return Expression(self.builder, node.inputs[0])._source() if node.primitive == "reshape" else self

    def reshape(self, shape: Shape) -> Expression:
        """Returns the same entries in C order, in another shape."""
        if size_of(shape) != size_of(self.shape) or self.is_small:
            raise ValueError(f"cannot reshape {self.dtype}{list(self.shape)} to {list(shape)}")
        if shape == self.shape:
            return self
        source = self._source()
        return source if shape == source.shape else self._make("reshape", source, shape=shape, dtype=self.dtype)

    def transpose(self, order: Sequence[int]) -> Expression:
        """Returns the tensor with its axes in another order."""
        return self.gather(IndexMap.of(self.shape).transposed(order))

    def take(self, axis: int, indices: Sequence[int]) -> Expression:
        """Returns the slices at some indices of one axis, in their order.

        Of slices they are taken from the tensor that those were taken from, so that to take some fifty times costs what
        once does.
        """
        source, index_map = self._taken_from()
        return source.gather(index_map.taken(axis, indices))

    def _taken_from(self) -> tuple[Expression, IndexMap]:
        """Returns the tensor whose entries are gathered here, and the map of this tensor's axes to them."""
        node = self.builder.nodes[self.node]
        if node.primitive == "gather":
            try:
                return Expression(self.builder, node.inputs[0]), node.attribute("index_map").reshaped(self.shape)
            except ValueError:  # the entries do not lie along these axes
                pass
        return self, IndexMap.of(self.shape)

    def window(self, axis: int, shape: Shape, start: int = 0) -> Expression:
        """Returns the tensor's entries from `start` on along one axis, as a tensor of a shape that differs only there.

        Where the tensor has no such entry the value is unspecified, so the caller must choose another one there.
        """
        if (*shape[:axis], *shape[axis + 1 :]) != (*self.shape[:axis], *self.shape[axis + 1 :]):
            raise ValueError(f"{list(self.shape)} and {list(shape)} differ in more than axis {axis}")
        return self.gather(IndexMap.of(self.shape).window(axis, start, shape[axis]))

    def region(self, starts: Sequence[int], shape: Shape) -> Expression:
        """Returns the tensor's entries from a start on along each axis, as for `window`; a start may be negative."""
        index_map = IndexMap.of(self.shape)
        for axis, (start, length) in enumerate(zip(starts, shape, strict=True)):
            index_map = index_map.window(axis, start, length)
        return self.gather(index_map)

    def whole(self, primitive: str, shape: Shape | None = None, dtype: str = "", **attributes: Any) -> Expression:
        """Applies a primitive that needs all entries at once.

        Arguments:
            primitive: a primitive with access `whole` and one input.
            shape: the shape of its result; None for that of this value.
            dtype: the dtype of its result; empty for that of this value.
            attributes: the parameters of the kernel.
        """
        shape = self.shape if shape is None else shape
        return self._make(primitive, self, shape=shape, dtype=dtype or self.dtype, **attributes)

    def energies(self, rows: int, count: int = 1) -> Expression:
        """Returns the squared singular values of matrices, largest first, in float64. Numeric.

        Arguments:
            rows: the number of rows of each matrix, which the entries are in C order.
            count: the number of matrices, one after the other.
        """
        least = min(rows, size_of(self.shape) // (rows * count))
        return self.whole("energies", (count * least,), "float64", count=count, rows=rows)

    def factors(self, rows: int, rank: int, count: int = 1) -> tuple[Expression, Expression]:
        """Returns two factors of matrices, whose product is the nearest matrix of a lower rank. Numeric.

        Arguments:
            rows: the number of rows of each matrix, which the entries are in C order.
            rank: the rank.
            count: the number of matrices, one after the other.

        Returns:
            The left factors, of shape (count, rows, rank), and the right ones, of shape (count, rank, columns).
        """
        columns = size_of(self.shape) // (rows * count)
        both = self.whole("factors", (count * rank * (rows + columns),), count=count, rows=rows, rank=rank)
        return both.run(0, (count, rows, rank)), both.run(count * rows * rank, (count, rank, columns))

    def swap(self, slices: StridedSlices, **attributes: Any) -> Expression:
        """This tensor with pairs of its slices swapped. The attributes say which pairs."""
        attributes = {"length": slices.length, "stride": slices.stride, **attributes}
        return self._make("swap", self, shape=self.shape, dtype=self.dtype, **attributes)

    def run(self, offset: int, shape: Shape) -> Expression:
        """Returns the entries from `offset` on, as a tensor of a shape."""
        return self.gather(IndexMap((AxisMap(size_of(shape), 1, offset),)), shape)

    def where(self, choice: Choice, otherwise: Expression) -> Expression:
        """Returns this value in the chosen entries, and `otherwise` in all others."""
        if isinstance(choice, Computed):
            return self.select(Expression(self.builder, choice.node), otherwise)
        return self._make("choose", self, otherwise, shape=otherwise.shape, dtype=otherwise.dtype, choice=choice)

    def select(self, truth: Expression, otherwise: Expression) -> Expression:
        """Returns this value where `truth` is true, and `otherwise` in all other entries."""
        value = self.spread(otherwise.shape)
        return self._make("select", truth, value, otherwise, shape=otherwise.shape, dtype=otherwise.dtype)


Operand = Expression | float | int


def constant(builder: GraphBuilder, value: Operand) -> Expression:
    """Returns a number as an expression, and an expression unchanged."""
    if isinstance(value, Expression):
        return value
    return Expression(builder, builder.node("constant", (), (), "float64", value=float(value).hex()))


def draw(builder: GraphBuilder, primitive: str, key: bytes, shape: Shape, dtype: str, **attributes: Any) -> Expression:
    """Returns draws of a stream, one for each entry of a shape.

    Arguments:
        builder: the graph.
        primitive: `normal`, `uniform`, `exponential`, `truncated_normal`, `one_bit`.
        key: the key of the stream.
        shape: the shape of the result.
        dtype: the dtype of the result.
        attributes: other parameters of the kernel.
    """
    return Expression(builder, builder.node(primitive, (), shape, dtype, key=key, **attributes))


def words(builder: GraphBuilder, shape: Shape, dtype: str, value: int) -> Expression:
    """Returns an integer in every entry of a shape."""
    return Expression(builder, builder.node("word", (), shape, dtype, value=value))


def joined(parts: Sequence[Expression], **attributes: Any) -> Expression:
    """Returns the entries of several tensors, one after the other, rearranged according to the attributes."""
    size = sum(size_of(part.shape) for part in parts)
    return parts[0]._make("rearrange", *parts, shape=(size,), dtype=parts[0].dtype, **attributes)


def dirac(
    builder: GraphBuilder, shape: Shape, dtype: str, centre: tuple[int, ...], *, is_depthwise: bool = False
) -> Expression:
    """Returns the kernel of a convolution (or Dense layer) that outputs its input unchanged.

    Arguments:
        builder: the graph.
        dtype: the dtype of the kernel.
        shape: `(window…, channels in (of a group), channels out)`; for a depthwise one the last is the multiplier.
        centre: the position in the window that is output; empty for a Dense kernel.
        is_depthwise: whether each channel has its own window.
    """
    return Expression(builder, builder.node("dirac", (), shape, dtype, centre=centre, is_depthwise=is_depthwise))
