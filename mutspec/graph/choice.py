"""The entries of a tensor that a step changes, as data."""

from __future__ import annotations

from dataclasses import dataclass

from mutspec.graph.permutation import Permutation


@dataclass(frozen=True, slots=True)
class Scattered:
    """The entries whose images under a keyed permutation of a pool are below `count`.

    Arguments:
        pool: the permutation. Its size is the number of entries of all tensors that the amount counts over.
        count: the number of chosen entries of the pool.
        offset: the number of the tensor's first entry in the pool.
    """

    pool: Permutation
    count: int
    offset: int


@dataclass(frozen=True, slots=True)
class Listed:
    """Entries by flat index in C order: ascending, distinct, from 0."""

    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """The entries with `start` ≤ index < `stop` along one axis.

    Arguments:
        axis: counted from 0.
        start: the first index.
        stop: the index after the last.
    """

    axis: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Box:
    """The entries whose index along each axis is at least a start and below a stop.

    Arguments:
        stops: the index after the last, for each axis.
        starts: the first index, for each axis; empty for 0 along all of them.
    """

    stops: tuple[int, ...]
    starts: tuple[int, ...] = ()

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """The start and stop along each axis."""
        return tuple(zip(self.starts or (0,) * len(self.stops), self.stops, strict=True))


@dataclass(frozen=True, slots=True)
class Run:
    """The entries [start, stop) in C order."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class StridedSlices:
    """The slices of a tensor along one axis: its neurons, rows, columns, gates.

    Entry i, in C order, lies in the slice (i // stride) mod length: an axis of `length` entries, before axes of
    `stride` entries together. The axis need not be one of the tensor's own: the gates of an LSTM are parts of one, and
    the output channels of a depthwise kernel are two.

    Arguments:
        length: the number of slices.
        stride: the distance between two neighbours, in entries.
    """

    length: int
    stride: int

    @staticmethod
    def along(axis: int, shape: tuple[int, ...]) -> StridedSlices:
        """Returns the slices of a tensor along one of its own axes."""
        return StridedSlices(shape[axis], size_of(shape[axis + 1 :]))

    def choose(self, chosen: Scattered | Listed) -> ChosenSlices:
        """Returns the entries of some of the slices."""
        return ChosenSlices(self.length, self.stride, chosen)


@dataclass(frozen=True, slots=True)
class ChosenSlices(StridedSlices):
    """The entries of whole slices.

    Arguments:
        chosen: the slices, by number.
    """

    chosen: Scattered | Listed


@dataclass(frozen=True, slots=True)
class Tiles:
    """The entries of whole blocks of a matrix; those at its right and lower edge may be smaller.

    Arguments:
        columns: the length of the matrix's rows.
        height, width: the size of a block.
        chosen: the chosen blocks, numbered row by row.
    """

    columns: int
    height: int
    width: int
    chosen: Scattered | Listed


@dataclass(frozen=True, slots=True)
class Within:
    """Some of the entries of a region, which are numbered within the region.

    Arguments:
        region: whole slices, listed.
        chosen: the chosen entries of these; None for all.
    """

    region: ChosenSlices
    chosen: Choice | None


@dataclass(frozen=True, slots=True)
class Bits:
    """The entries with at least one chosen bit.

    Arguments:
        bits: the number of bits of each entry that may be chosen.
        chosen: the chosen bits. Those of entry i have the numbers from bits·i on.
    """

    bits: int
    chosen: Scattered


@dataclass(frozen=True, slots=True)
class Computed:
    """The entries where a node of the graph, of truth values, is true.

    Arguments:
        node: the number of the node.
        count: the number of true entries.
    """

    node: int
    count: int


Choice = Scattered | Listed | Window | Box | Run | ChosenSlices | Tiles | Within | Bits | Computed


def size_of(shape: tuple[int, ...]) -> int:
    """Returns the number of entries of a shape."""
    size = 1
    for extent in shape:
        size *= extent
    return size


def chosen_count(choice: Choice, shape: tuple[int, ...]) -> int | None:
    """Counts the chosen entries of a tensor.

    Returns:
        The number; None where it depends on the draw: for a pool of several tensors, blocks of several sizes, and bits.
    """
    size = size_of(shape)
    if isinstance(choice, Listed):
        return len(choice.indices)
    if isinstance(choice, Computed):
        return choice.count
    if isinstance(choice, Box):
        return size_of(tuple(stop - start for start, stop in choice.spans))
    if isinstance(choice, Run):
        return choice.stop - choice.start
    if isinstance(choice, Window):
        return size // shape[choice.axis] * (choice.stop - choice.start) if size else 0
    if isinstance(choice, ChosenSlices):
        slices = chosen_count(choice.chosen, (choice.length,))
        return None if slices is None else size // choice.length * slices
    if isinstance(choice, Within):
        region = size // choice.region.length * len(region_of(choice))
        return region if choice.chosen is None else chosen_count(choice.chosen, (region,))
    if isinstance(choice, Tiles | Bits):
        return None
    if choice.pool.size == size or choice.count in (0, choice.pool.size):
        return min(choice.count, size)
    return None


def region_of(choice: Within) -> tuple[int, ...]:
    """Returns the slices of a region."""
    assert isinstance(choice.region.chosen, Listed)
    return choice.region.chosen.indices
