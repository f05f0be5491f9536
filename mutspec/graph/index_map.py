"""Index maps: for each entry of a tensor, the entry of another tensor that it is copied from.

All ways to copy entries without computing with them are such maps: transposed, sliced, padded, repeated, permuted. Axis
by axis they are a few numbers, so a map costs nothing however large the tensors are, and maps can be applied one after
the other before any entry is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mutspec.graph.choice import size_of

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AxisMap:
    """The map of one axis: for each index along an axis of the result, a position in the source.

    The index i leads to the position i + start, or to the i-th of `indices`.

    Arguments:
        length: the number of indices.
        stride: the distance of two neighbouring positions, in entries of the source; 0 to repeat one entry.
        start: the position of the first index.
        last: the last position that the source has, if some indices lead beyond its positions. They are moved to its
            edge, where they read an entry that the caller must not use.
        indices: positions in any order.
    """

    length: int
    stride: int
    start: int = 0
    last: int | None = None
    indices: tuple[int, ...] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether each index leads to the position of the same number."""
        return self.start == 0 and self.last is None and self.indices is None

    def position(self, index: int) -> int:
        """Returns the position that an index leads to."""
        if self.indices is not None:
            return self.indices[index]
        position = index + self.start
        return position if self.last is None else max(0, min(position, self.last))

    def taken(self, indices: Sequence[int]) -> AxisMap:
        """Returns the map of some of the indices, in a given order."""
        return AxisMap(len(indices), self.stride, indices=tuple(self.position(index) for index in indices))

    def window(self, start: int, length: int) -> AxisMap:
        """Returns the map of the indices from `start` on, some of which the axis may not have."""
        is_inside = start >= 0 and start + length <= self.length
        if self.indices is None and is_inside:
            return replace(self, length=length, start=self.start + start)
        if self.is_plain:
            return replace(self, length=length, start=start, last=self.length - 1)
        return self.taken([max(0, min(start + index, self.length - 1)) for index in range(length)])


@dataclass(frozen=True, slots=True)
class IndexMap:
    """A map from the entries of a result to those of a source.

    Arguments:
        axes: the map of each axis of the result.
    """

    axes: tuple[AxisMap, ...]

    @staticmethod
    def of(shape: Shape) -> IndexMap:
        """Returns the map of a tensor to itself."""
        return IndexMap(tuple(AxisMap(extent, size_of(shape[axis + 1 :])) for axis, extent in enumerate(shape)))

    @property
    def shape(self) -> Shape:
        """The shape of the result."""
        return tuple(axis.length for axis in self.axes)

    def transposed(self, order: Sequence[int]) -> IndexMap:
        """Returns the map with its axes in another order."""
        if sorted(order) != list(range(len(self.axes))):
            raise ValueError(f"{list(order)} is not an order of {len(self.axes)} axes")
        return IndexMap(tuple(self.axes[axis] for axis in order))

    def taken(self, axis: int, indices: Sequence[int]) -> IndexMap:
        """Returns the map of some indices along one axis, in a given order."""
        length = self.axes[axis].length
        if any(not 0 <= index < length for index in indices):
            raise ValueError(f"not all indices are from 0 to {length - 1}")
        return self._with(axis, self.axes[axis].taken(indices))

    def window(self, axis: int, start: int, length: int) -> IndexMap:
        """Returns the map of the indices from `start` on along one axis, some of which it may not have."""
        return self._with(axis, self.axes[axis].window(start, length))

    def repeated(self, axis: int, length: int) -> IndexMap:
        """Returns the map with a new axis before another one, along which every entry is the same."""
        return IndexMap((*self.axes[:axis], AxisMap(length, 0), *self.axes[axis:]))

    def reshaped(self, shape: Shape) -> IndexMap:
        """Returns the map with its axes split, or joined where they lie as one: the same entries in C order.

        Raises:
            ValueError: the entries do not lie so that axes of this shape could lead to them.
        """
        if size_of(shape) != size_of(self.shape):
            raise ValueError(f"{list(self.shape)} and {list(shape)} differ in size")
        pending = list(self.merged().axes)
        axes: list[AxisMap] = []
        for extent in reversed(shape):
            if extent == 1:  # an axis of one index that is not the first one has to stay somewhere
                axes.append(pending.pop() if pending and pending[-1].length == 1 else AxisMap(1, 0))
                continue
            axis = pending.pop()
            if axis.length == extent:
                axes.append(axis)
            elif axis.length % extent == 0 and axis.is_plain:
                axes.append(replace(axis, length=extent))
                pending.append(AxisMap(axis.length // extent, axis.stride * extent))
            else:
                raise _unreadable(self.shape, shape)
        if pending:
            raise _unreadable(self.shape, shape)
        return IndexMap(tuple(reversed(axes)))

    def merged(self) -> IndexMap:
        """Returns the same map with as few axes as possible."""
        axes: list[AxisMap] = []
        for axis in self.axes:
            if axis.length == 1 and axis.position(0) == 0:
                continue
            if axes and _lie_as_one(axes[-1], axis):
                outer = axes.pop()
                axis = AxisMap(outer.length * axis.length, axis.stride, outer.start * axis.length)
            axes.append(axis)
        return IndexMap(tuple(axes))

    def is_identity(self, size: int) -> bool:
        """Returns whether each entry of a source of some size leads to itself."""
        return size_of(self.shape) == size and self.merged().axes in ((), (AxisMap(size, 1),))

    def _with(self, position: int, axis: AxisMap) -> IndexMap:
        return IndexMap((*self.axes[:position], axis, *self.axes[position + 1 :]))


def _unreadable(before: Shape, after: Shape) -> ValueError:
    return ValueError(f"the axes of {list(before)} cannot be read as {list(after)}")


def _lie_as_one(outer: AxisMap, inner: AxisMap) -> bool:
    """Returns whether two axes lead to the positions of one: the inner one is passed as a whole at each outer step."""
    is_run = outer.last is None and outer.indices is None
    return is_run and inner.is_plain and outer.stride == inner.stride * inner.length
