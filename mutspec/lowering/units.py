"""Units: entries, rows, columns, blocks, neurons. An amount is a number of them, and they lie somewhere in tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mutspec.errors import PlanError, Problem
from mutspec.graph.choice import (
    Choice,
    ChosenSlices,
    Computed,
    Listed,
    Scattered,
    StridedSlices,
    Tiles,
    Within,
    chosen_count,
    size_of,
)
from mutspec.graph.computed_dtypes import INTEGERS
from mutspec.graph.expression import Expression, constant, words
from mutspec.language.types import Per, Rank, Unit
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.neuron_slices import gate_slices, gates_of, known_neurons
from mutspec.model.spec import TensorSpec

NOUNS = {Unit.ENTRY: "entries", Unit.ROW: "rows", Unit.COLUMN: "columns", Unit.BLOCK: "blocks", Unit.NEURON: "neurons"}


@dataclass(frozen=True, slots=True)
class TensorUnits:
    """A tensor and its units.

    Arguments:
        tensor: the tensor.
        size: the number of units.
        slices: the slices that its units are; None for entries and blocks.
        tiles: the columns of the tensor as a matrix, and the height and width of its blocks; None but for blocks.
        region: the gates that the step is narrowed to; None for the whole tensor.
    """

    tensor: TensorSpec
    size: int
    slices: StridedSlices | None = None
    tiles: tuple[int, int, int] | None = None
    region: ChosenSlices | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape; a number counts as one entry."""
        return self.tensor.shape or (1,)

    def choice(self, units: Scattered | Listed | None) -> Choice | None:
        """Returns the entries of some units, or of all."""
        chosen: Choice | None = units
        if units is not None and self.slices is not None:
            chosen = self.slices.choose(units)
        elif units is not None and self.tiles is not None:
            chosen = Tiles(*self.tiles, units)
        return chosen if self.region is None else Within(self.region, chosen)


@dataclass(frozen=True, slots=True)
class UnitPool:
    """The owner of the units that an amount counts: a tensor, or a layer whose weights share its neurons.

    Arguments:
        origin: its immutable name, for random streams.
        layer: the path of its layer.
        parts: its tensors, all of the same number of units.
    """

    origin: str
    layer: str
    parts: tuple[TensorUnits, ...]

    @property
    def size(self) -> int:
        """The number of units."""
        return self.parts[0].size


@dataclass(frozen=True, slots=True)
class Units:
    """A step's keys that say what its amount counts."""

    unit: Unit
    block: tuple[int, ...]
    gates: tuple[str, ...]
    rank: Rank | None

    @property
    def noun(self) -> str:
        """The word for several of them."""
        return NOUNS[self.unit]

    def problems(self) -> Iterator[Problem]:
        """Yields the problems of the keys by themselves. Paths are relative to the step."""
        if self.unit is Unit.BLOCK and (len(self.block) not in (1, 2) or min(self.block) < 1):
            message = "blocks need a height and a width, or a length, of at least 1"
            path = ("block",) if self.block else ("unit",)
            yield Problem(message, path=path, hint="for example `block: [4, 4]`")
        if self.gates and self.rank is not None and self.unit is not Unit.NEURON:
            message = "with `gates`, only neurons are ranked"
            yield Problem(message, path=("rank",), hint="say `unit: neuron`, or leave `rank` or `gates` out")
        if self.rank is not None and self.unit is Unit.BLOCK:
            yield Problem("blocks are not ranked", path=("rank",), hint="rank rows, columns, neurons or entries")
        if self.unit is not Unit.BLOCK and self.block:
            yield Problem("`block` is the size of blocks, but the step has none", path=("block",), hint="`unit: block`")

    def pools(self, context: LoweringContext, tensors: Sequence[TensorSpec], per: Per) -> list[UnitPool]:
        """Returns the owners of units, in the tensors' order. Neurons are the layer's, unless counted per tensor."""
        parts = [self._part(context, tensor) for tensor in tensors if tensor.size]
        if self.unit is not Unit.NEURON or per is Per.TENSOR:
            return [UnitPool(part.tensor.origin, part.tensor.layer, (part,)) for part in parts]
        groups: dict[tuple[str, int], list[TensorUnits]] = {}
        for part in parts:
            neurons = known_neurons(context.models[""], part.tensor)
            groups.setdefault((neurons.owner, part.size), []).append(part)
        return [
            UnitPool(origin_of_layer(group[0].tensor, owner), owner, tuple(group))
            for (owner, _), group in groups.items()
        ]

    def _part(self, context: LoweringContext, tensor: TensorSpec) -> TensorUnits:
        region = self._region(context, tensor) if self.gates else None
        shape = tensor.shape or (1,)
        columns, size = shape[-1], size_of(shape)
        if region is not None:
            assert isinstance(region.chosen, Listed)
            columns = columns // region.length * len(region.chosen.indices)
            size = size // region.length * len(region.chosen.indices)
        rows = size // columns if columns else 0
        if self.unit is Unit.ROW:
            return TensorUnits(tensor, rows, StridedSlices(rows, columns), region=region)
        if self.unit is Unit.COLUMN:
            return TensorUnits(tensor, columns, StridedSlices(columns, 1), region=region)
        if self.unit is Unit.BLOCK:
            if len(self.block) == 1:  # a run: all entries are one row
                rows, columns = 1, size
            height, width = (1, *self.block)[-2:]
            blocks = -(-rows // height) * -(-columns // width)
            return TensorUnits(tensor, blocks, tiles=(columns, height, width), region=region)
        if self.unit is Unit.NEURON:
            neurons = known_neurons(context.models[""], tensor)
            return TensorUnits(tensor, neurons.length, neurons, region=region)
        return TensorUnits(tensor, size, region=region)

    def _region(self, context: LoweringContext, tensor: TensorSpec) -> ChosenSlices:
        names = gates_of(context.models[""].layer_by_path[tensor.layer], tensor)
        for position, gate in enumerate(self.gates):
            if gate not in names:
                has = f"no gate `{gate}`, but {', '.join(names)}" if names else "no gates"
                raise PlanError(
                    f"`{tensor.path}` has {has}",
                    path=("gates", position),
                    hint="target LSTM and GRU layers alone, and name gates that they have",
                )
        return gate_slices(tensor, names).choose(Listed(tuple(sorted({names.index(gate) for gate in self.gates}))))


def ranked(context: LoweringContext, pool: UnitPool, count: int, rank: Rank) -> Iterator[tuple[TensorSpec, Choice]]:
    """Yields the entries of the units with the smallest or largest norm (of entries, |w|); of equal ones the first.

    Arguments:
        context: where the step is lowered.
        pool: what has the units: entries or slices; narrowed to gates, neurons.
        count: how many are chosen.
        rank: which.
    """
    largest = rank is Rank.LARGEST
    if pool.parts[0].slices is None:
        (part,) = pool.parts
        # Of integers in float64: |-128| does not fit an int8.
        is_whole = part.tensor.dtype in INTEGERS
        value = context.read(part.tensor).cast("float64" if is_whole else context.compute_dtype(part.tensor))
        yield part.tensor, Computed(abs(value).whole("ranked", dtype="bool", count=count, largest=largest).node, count)
        return
    squares = [_squares(context, part) for part in pool.parts]
    chosen = sum(squares[1:], start=squares[0]).whole("ranked", dtype="bool", count=count, largest=largest)
    for part in pool.parts:
        assert part.slices is not None
        truth = chosen.along_slices(part.slices, part.shape)
        if part.region is not None:
            truth = truth.where(Within(part.region, None), words(context.builder, part.shape, "bool", 0))
        units = part.choice(Listed(tuple(range(count))))
        touched = 0 if units is None else chosen_count(units, part.shape)
        assert touched is not None
        yield part.tensor, Computed(truth.node, touched)


def _squares(context: LoweringContext, part: TensorUnits) -> Expression:
    """Returns the sum of squares of each slice, of the entries of it that are in the region."""
    assert part.slices is not None
    value = context.read(part.tensor).cast("float64")
    if part.region is not None:
        value = value.where(Within(part.region, None), constant(context.builder, 0.0).spread(part.shape))
    return (value * value).sum_of_slices(part.slices)


def origin_of_layer(tensor: TensorSpec, owner: str) -> str:
    """Returns the immutable name of a layer, from that of a weight in it."""
    below = tensor.path.removeprefix(f"{owner}/").count("/") + 1
    return "/".join(tensor.origin.split("/")[:-below])
