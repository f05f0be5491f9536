"""How the values of a weight are fitted into another one: turned, summed over an axis, cut, placed, padded.

All of it is one map from the entries of the target to those of the source, and a box of the target's entries that take
the values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import get_args

from msgspec import Meta

from mutspec.errors import PlanError
from mutspec.graph.choice import Box, Choice, Window, size_of
from mutspec.graph.computed_dtypes import INTEGERS
from mutspec.graph.exact_counts import rounded_share
from mutspec.graph.expression import Expression, constant
from mutspec.graph.index_map import IndexMap
from mutspec.language.types import Percent, exact_share
from mutspec.lowering.merge_op import refuse_kinds
from mutspec.lowering.weight_pair import WeightPair, turned
from mutspec.model.spec import TensorSpec
from mutspec.text.words import plural

Position = int | Percent
Positions = int | str | tuple[Position, ...]
"""One position, or one for each axis. The single text is not of type `Percent`, but checked by `are_positions`, because
msgspec 0.22.0 crashes on a union of a text with a pattern and a tuple."""
Shape = tuple[int, ...]


def are_positions(value: Positions) -> bool:
    """Returns whether a value is one position, or several."""
    pattern = next(meta.pattern for meta in get_args(Percent)[1:] if isinstance(meta, Meta))
    return not isinstance(value, str) or re.search(str(pattern), value) is not None


class Mismatch(StrEnum):
    """The ways to copy between two weights that differ in length along some axis."""

    ERROR = "error"
    SLICE = "slice"
    PAD = "pad"
    SKIP = "skip"


class Align(StrEnum):
    """Where the source lies along an axis on which it is longer or shorter than the target."""

    START = "start"
    CENTER = "center"


class Combine(StrEnum):
    """What the entries along an axis become together."""

    MEAN = "mean"
    SUM = "sum"


@dataclass(frozen=True, slots=True)
class Fitted:
    """The values that a weight takes from another one.

    Arguments:
        value: the value of all its entries, in its shape and dtype.
        choice: the entries that take it; None for all.
        copied: the number of entries that take a value of the source.
        used: the number of the source's entries that are used.
    """

    value: Expression
    choice: Choice | None
    copied: int
    used: int


@dataclass(frozen=True, slots=True)
class _Span:
    """The part of an axis of the source that is copied, and the index of the target that it goes to."""

    start: int
    length: int
    at: int

    @property
    def stop(self) -> int:
        """The index after the last of the target."""
        return self.at + self.length


@dataclass(frozen=True, slots=True)
class Fitting:
    """How the values of a weight are fitted into another one.

    Arguments:
        axis: the axis that `start`, `stop`, a single `at`, and `combine` are for; None for none.
        start, stop: the part of the source along it.
        at: the position in the target along it; or along each axis.
        align: where the source lies on axes of another length.
        transpose: whether the source's axes are reversed; or their order.
        reshape: whether the source's entries in C order take the target's shape.
        combine: what the source's entries along `axis` become together; or the factors of a sum.
        on_mismatch: what to do where lengths differ.
        allow_empty: whether no entry need be copied.
    """

    axis: int | None = None
    start: Position | None = None
    stop: Position | None = None
    at: Positions | None = None
    align: Align = Align.START
    transpose: bool | tuple[int, ...] = False
    reshape: bool = False
    combine: Combine | tuple[float, ...] | None = None
    on_mismatch: Mismatch = Mismatch.ERROR
    allow_empty: bool = False

    def fit(self, pair: WeightPair) -> Fitted:
        """Returns what a weight takes from another one.

        Raises:
            PlanError: the source does not fit.
        """
        refuse_kinds(pair.source, pair.target, "source", model=pair.model)
        pair = turned(pair, self.transpose, reshape=self.reshape)
        return self._placed(pair) if self.combine is None else self._combined(pair)

    @property
    def _cuts(self) -> bool:
        """Whether what does not fit is left out."""
        return self.on_mismatch in (Mismatch.SLICE, Mismatch.PAD)

    # Placing it in the target.

    def _placed(self, pair: WeightPair) -> Fitted:
        shape = pair.target.shape
        spans = self._spans(pair)
        view = pair.view
        for axis, span in enumerate(spans):
            view = view.window(axis, span.start - span.at, shape[axis])
        value = pair.value.gather(view, shape or (1,)).cast(pair.target.dtype)
        copied = size_of(tuple(span.length for span in spans))
        return self._filled(value, tuple((span.at, span.stop) for span in spans), copied, copied, pair)

    def _filled(
        self, value: Expression, box: tuple[tuple[int, int], ...], copied: int, used: int, pair: WeightPair
    ) -> Fitted:
        """Returns a value that is taken in a box, and what the other entries become."""
        shape = pair.target.shape
        partial = [axis for axis, span in enumerate(box) if span != (0, shape[axis])]
        if not partial:
            return Fitted(value, None, copied, used)
        if not copied and not self.allow_empty:
            source, target = pair.names
            hint = "choose positions that overlap, or say `allow_empty: true`"
            raise PlanError(f"nothing of {source} goes to {target}", path=("source",), hint=hint)
        choice: Choice = Box(tuple(stop for _, stop in box), tuple(start for start, _ in box))
        if len(partial) == 1:
            choice = Window(partial[0], *box[partial[0]])
        if self.on_mismatch is not Mismatch.PAD:
            return Fitted(value, choice, copied, used)
        zero = constant(value.builder, 0.0).cast(pair.target.dtype).spread(shape)
        return Fitted(value.where(choice, zero), None, copied, used)

    def _spans(self, pair: WeightPair) -> list[_Span]:
        """Returns what is copied along each axis."""
        extents, shape = pair.extents, pair.target.shape
        axis = self._axis(pair)
        source, target = pair.names
        if len(extents) != len(shape):
            hint = "only weights with as many axes are fitted; choose `weights`"
            if self.on_mismatch is Mismatch.ERROR:
                hint = "choose `weights` that fit; or say `reshape: true`, where both have as many entries"
            raise PlanError(f"{source} does not fit {target}", path=("source",), hint=hint)
        is_whole = axis is None and self.at is None
        if is_whole and extents != shape and not self._cuts:
            hint = "copy a slice with `axis`, choose `weights` that fit, or say `on_mismatch: slice`"
            if self.align is Align.CENTER:
                hint = "say `on_mismatch: pad` to set the target's other entries to zero, or `slice` to leave them"
            raise PlanError(f"{source} does not fit {target}", path=("source",), hint=hint)
        spans = [self._span(pair, number, axis) for number in range(len(shape))]
        if self._cuts:
            return [_clipped(span, room) for span, room in zip(spans, shape, strict=True)]
        for number, (span, room) in enumerate(zip(spans, shape, strict=True)):
            self._refuse_outside(pair, number, span, room)
        return spans

    def _span(self, pair: WeightPair, number: int, axis: int | None) -> _Span:
        """Returns what is copied along an axis, before it is cut to the target."""
        length, room = pair.extents[number], pair.target.shape[number]
        start, stop = self._range(pair, length) if number == axis else (0, length)
        if self._is_centred(pair, number, axis):
            # The middle of a window of even length is the entry before its half, as for `padding: same` in Keras.
            offset = (room - 1) // 2 - (length - 1) // 2
            start, at = max(0, -offset), max(0, offset)
            return _Span(start, min(length - start, room - at), at)
        at = start if number == axis else 0
        if isinstance(self.at, tuple):
            at = self._index(self.at[number], room, "at", pair.target)
        elif self.at is not None and number == axis:
            at = self._index(self.at, room, "at", pair.target)
        return _Span(start, max(0, stop - start), at)

    def _is_centred(self, pair: WeightPair, number: int, axis: int | None) -> bool:
        """Returns whether the source lies in the middle along an axis: `axis`, or else the window of a convolution."""
        if self.align is not Align.CENTER:
            return False
        return number == axis if axis is not None else number < pair.window

    def _refuse_outside(self, pair: WeightPair, number: int, span: _Span, room: int) -> None:
        if span.stop <= room:
            return
        at = "" if span.at == span.start else f", put at {span.at},"
        end = room - span.at + span.start
        raise PlanError(
            f"the slice {span.start}:{span.start + span.length}{at} does not fit `{pair.target.path}`, whose axis "
            f"{number} has {room} entries",
            path=("at",) if self.at is not None else ("axis",) if self.stop is None else ("stop",),
            hint=f"end it with `stop: {end}` or earlier"
            if self.at is None
            else "say `on_mismatch: slice` to copy what fits",
        )

    def _axis(self, pair: WeightPair) -> int | None:
        """Returns the axis of the step, counted from 0."""
        extents, rank = pair.extents, len(pair.target.shape)
        if isinstance(self.at, tuple) and len(self.at) != rank:
            raise PlanError(
                f"`at` has {len(self.at)} positions, and {pair.names[1]} has {rank} axes",
                path=("at",),
                hint="give one for each axis, and narrow the step to such weights with `weights`",
            )
        if self.axis is None:
            return None
        source, target = pair.names
        if len(extents) != rank or not -rank <= self.axis < rank:
            raise PlanError(
                f"`axis: {self.axis}` does not fit {source} and {target}",
                path=("axis",),
                hint="narrow the step to weights of one rank with `weights`",
            )
        axis = self.axis % rank
        others = [at for at in range(rank) if at != axis and extents[at] != pair.target.shape[at]]
        if others and not self._cuts and not isinstance(self.at, tuple):
            raise PlanError(
                f"{source} and {target} differ in more than axis {axis}",
                path=("axis",),
                hint="all other axes must have the same length",
            )
        return axis

    def _range(self, pair: WeightPair, length: int) -> tuple[int, int]:
        """Returns the part of the source along the step's axis."""
        start = 0 if self.start is None else self._index(self.start, length, "start", pair.source)
        stop = length if self.stop is None else self._index(self.stop, length, "stop", pair.source)
        if start >= stop and not self.allow_empty:
            raise PlanError(
                f"the slice {start}:{stop} of `{pair.source.path}` is empty",
                path=("stop",) if self.start is None else ("start",),
                hint="widen it, or say `allow_empty: true`",
            )
        return start, stop

    def _index(self, position: Position, length: int, name: str, weight: TensorSpec) -> int:
        index = rounded_share(exact_share(position), length) if isinstance(position, str) else position
        if not -length <= index <= length:
            raise PlanError(
                f"`{name}: {index}` is outside the axis of `{weight.path}`, of {length} entries",
                path=(name,),
                hint=f"positions run from 0 to {length}, or from -1 down to {-length}",
            )
        return index + length if index < 0 else index

    # Summing over an axis.

    def _combined(self, pair: WeightPair) -> Fitted:
        """Returns the sum or mean over an axis of the source, at each index of the target from `at` on."""
        if pair.source.dtype in INTEGERS:
            hint = "choose weights of real numbers"
            raise PlanError(
                f"{pair.names[0]} holds integers, which `combine` does not add", path=("combine",), hint=hint
            )
        axis = self._axis(pair)
        assert axis is not None  # `combine` needs one
        shape = pair.target.shape
        start, stop = self._range(pair, pair.extents[axis])
        at = 0
        if self.at is not None:
            assert not isinstance(self.at, tuple)
            at = self._index(self.at, shape[axis], "at", pair.target)
        count = max(0, stop - start)
        value = self._sum(pair, axis, start, count).cast(pair.target.dtype).region((0,) * len(shape), shape)
        both = tuple(map(min, pair.extents, shape))
        box = tuple((at, extent) if number == axis else (0, both[number]) for number, extent in enumerate(shape))
        copied = size_of(tuple(last - first for first, last in box)) if count else 0
        used = count * size_of((*both[:axis], *both[axis + 1 :]))
        return self._filled(value, box, copied, used, pair)

    def _sum(self, pair: WeightPair, axis: int, start: int, count: int) -> Expression:
        """Returns what the indices of an axis become together, at each index that the target has along it."""
        source, repeats = pair.value.gather(pair.view), pair.target.shape[axis]
        if not isinstance(self.combine, tuple):
            total = source.sum_over(axis, start, count, repeats=repeats)
            return total / float(max(1, count)) if self.combine is Combine.MEAN else total
        if len(self.combine) != count:
            factors, entries = plural(len(self.combine), "factor"), plural(count, "entry")
            raise PlanError(
                f"`combine` has {factors} for {entries} along axis {axis} of {pair.names[0]}",
                path=("combine",),
                hint="give one for each of them, from `start` up to `stop`",
            )
        shape = (*source.shape[:axis], repeats, *source.shape[axis + 1 :])
        total = constant(source.builder, 0.0).spread(shape)
        for number, factor in enumerate(self.combine, start):
            one = IndexMap.of(source.shape).window(axis, number, 1).repeated(axis, repeats)
            total = total + source.gather(one, shape).cast("float64") * factor
        return total


def _clipped(span: _Span, room: int) -> _Span:
    return _Span(span.start, max(0, min(span.length, room - span.at)), span.at)
