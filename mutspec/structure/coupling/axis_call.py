"""A call of a layer, as the rules see it that relate its axes, and what they say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from mutspec.keras_facts.classes import plain_class_name, quantization_mode
from mutspec.keras_facts.tensor_types import Shape
from mutspec.model.outline import join
from mutspec.model.spec import TensorRef
from mutspec.structure.coupling.labels import Axes, Axis, Labels, MarkKind, Ties
from mutspec.structure.network import Arguments, Entry, refs
from mutspec.structure.parts import Part, parts_of


class UncoupledError(Exception):
    """Raised by a rule that does not know how the axes of a layer are related. Its text is the reason."""


class Use(StrEnum):
    """What a weight does with the channels of an axis."""

    PRODUCES = "produces"
    SUMS = "sums"
    SCALES = "scales"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class WeightAxis:
    """An axis of a weight.

    Arguments:
        labels: its labels; None for an axis without channels.
        use: what the weight does with them.
    """

    labels: Axis
    use: Use = Use.NONE


@dataclass(frozen=True, slots=True)
class Extents:
    """An argument that is a list of extents.

    Arguments:
        parts: for each extent the labels that it counts, or the value that it keeps.
    """

    parts: tuple[Labels | int | None, ...]

    @classmethod
    def of(cls, axes: Axes, stated: Sequence[int | None]) -> Extents:
        """Returns the argument for a shape that is stated: what is not stated, and axes without channels, stay."""
        pairs = zip(axes, stated, strict=True)
        return cls(tuple(extent if axis is None or extent in (-1, None) else axis for axis, extent in pairs))

    @property
    def axes(self) -> tuple[Labels, ...]:
        """The labels that are counted, axis by axis."""
        return tuple(part for part in self.parts if isinstance(part, tuple))


@dataclass(frozen=True, slots=True)
class Followed:
    """A count that a layer takes from elsewhere as long as it is not stated.

    Arguments:
        labels: the labels that it counts.
        leader: those whose number it is by default. Where it is another one, the argument must be stated.
    """

    labels: Labels
    leader: Labels


@dataclass(frozen=True, slots=True)
class Entries:
    """An argument that has a value for each channel.

    Arguments:
        labels: the labels of the channels.
        values: the values.
        depth: how many lists of one item are around that of the values.
    """

    labels: Labels
    values: tuple[Any, ...]
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """A place in an axis that is stated by its distance from the end.

    Arguments:
        before: the labels before it. Afterwards their number is stated.
        axis: the labels of the axis.
    """

    before: Labels
    axis: Labels


Argument = Labels | Extents | Followed | Entries | Position
"""An argument of a layer: the number of these labels that there are, a list of extents, a place in an axis, or a value
for each label."""
Keys = tuple[str | int, ...]
"""Where a layer states an argument: keys that lead to it, from `config` or, in the arguments of its calls, `calls`."""


@dataclass(frozen=True, slots=True)
class Traced:
    """How the axes of a layer are related, in one call.

    Arguments:
        outputs: the labels of its outputs.
        weights: the axes of its weights, by their path in the layer.
        arguments: the arguments that count channels, by where they are stated.
        widths: the channels that are meant by an argument of the layer that plans name: its units.
        joins: the labels that this layer alone ties together, such as those of the summands of an Add.
        roots: weights, by path, that the layer divides by the square root of the number of some labels: they are
            multiplied by its change, so that the quotient stays.
    """

    outputs: tuple[Axes, ...]
    weights: Mapping[str, tuple[WeightAxis, ...]] = field(default_factory=dict)
    arguments: Mapping[Keys, Argument] = field(default_factory=dict)
    widths: Mapping[str, Labels] = field(default_factory=dict)
    joins: Labels = ()
    roots: Mapping[str, Labels] = field(default_factory=dict)


def joined(parts: Sequence[Traced], outputs: Sequence[Axes]) -> Traced:
    """Returns what is known of a layer by what is known of the layers in it."""
    return Traced(
        tuple(outputs),
        {below: axes for part in parts for below, axes in part.weights.items()},
        {keys: argument for part in parts for keys, argument in part.arguments.items()},
        {argument: labels for part in parts for argument, labels in part.widths.items()},
        tuple(label for part in parts for label in part.joins),
        {below: labels for part in parts for below, labels in part.roots.items()},
    )


def with_own(widths: Mapping[str, Labels]) -> Mapping[str, Labels]:
    """Returns the widths of the layers in a layer, with the last of each kind as the layer's own."""
    return {**{argument.rpartition("/")[2]: labels for argument, labels in widths.items()}, **widths}


@dataclass(frozen=True)
class AxisCall:
    """A call of a layer.

    Arguments:
        path: the layer's path; of a layer in a layer too.
        entry: the serialised layer.
        arguments: the arguments of the call, with a TensorRef for each tensor.
        axes: the labels of each tensor of the call.
        shapes: the shape of each of them.
        outputs: the shapes of the outputs.
        ties: the labels of the network.
        own: the labels that the layer makes, by path and name: the same in each of its calls.
        zeros: the tensors that are 0 in a channel without weights.
        trace: relates the axes of another layer, for layers in layers.
        number: the number of the call.
    """

    path: str
    entry: Entry
    arguments: Arguments
    axes: Mapping[TensorRef, Axes]
    shapes: Mapping[TensorRef, Shape]
    outputs: tuple[Shape, ...]
    ties: Ties
    own: dict[tuple[str, str], Labels]
    zeros: frozenset[TensorRef]
    trace: Callable[[AxisCall], Traced]
    number: int = 0

    @property
    def class_name(self) -> str:
        """The layer's class."""
        return plain_class_name(self.entry)

    @property
    def config(self) -> Mapping[str, Any]:
        """The layer's config."""
        found = self.entry.get("config")
        return found if isinstance(found, Mapping) else {}

    @property
    def inputs(self) -> tuple[TensorRef, ...]:
        """The tensors of the call, in Keras's order."""
        return tuple(refs(self.arguments))

    @property
    def channels_first(self) -> bool:
        """Whether the layer has its channels before the axes that it slides over."""
        return self.config.get("data_format") == "channels_first"

    @property
    def is_quantized(self) -> bool:
        """Whether the layer computes with whole numbers."""
        return bool(quantization_mode(self.config))

    def argument(self, position: int, *names: str) -> Any:
        """Returns an argument of the call by its position or name; None if it is not given."""
        positional, named = self.arguments.get("args") or (), self.arguments.get("kwargs") or {}
        if position < len(positional):
            return positional[position]
        return next((named[name] for name in names if name in named), None)

    def fresh(self, name: str, count: int) -> Labels:
        """Returns the labels of the channels that the layer makes: the same in each call."""
        if (self.path, name) not in self.own:
            self.own[self.path, name] = self.ties.fresh(count)
        found = self.own[self.path, name]
        if len(found) != count:
            raise UncoupledError("is called on tensors of several widths")
        return found

    def tied(self, one: Axis, other: Axis, why: str) -> Axis:
        """Ties two axes that must stay alike, and returns the labels of both.

        Arguments:
            one: the labels of an axis.
            other: those of the other.
            why: why the channels of an axis cannot be removed if the other has none, as the rest of a sentence about
                the layer.
        """
        if one is None or other is None:
            self.ties.mark(one or other, MarkKind.BARRIER, self.path, why)
            return one or other
        if not self.ties.tie(one, other):
            self.ties.mark(one + other, MarkKind.BARRIER, self.path, why)
        return one

    def fixed(self, name: str, count: int, why: str) -> Labels:
        """Returns labels of channels that must stay.

        Arguments:
            name: a name for them that is theirs alone in the layer.
            count: their number.
            why: the reason, as the rest of a sentence about the layer.
        """
        labels = self.fresh(name, count)
        self.ties.mark(labels, MarkKind.BARRIER, self.path, why)
        return labels

    def note_whole(self, axis: Axis) -> None:
        """States that the layer computes with an axis as a whole, so that its entries must stay."""
        self.ties.mark(axis, MarkKind.BARRIER, self.path, "takes this axis as a whole")

    def note_mixed(self, axis: Axis, why: str) -> None:
        """States that the layer computes with all channels of an axis together.

        Arguments:
            axis: the axis.
            why: in which way, as the rest of a sentence about the layer.
        """
        self.ties.mark(axis, MarkKind.MIXED, self.path, why)

    def note_summed(self, axis: Axis, refs: Iterable[TensorRef], why: str) -> None:
        """States that the layer sums over an axis. It is mixed, unless channels without weights add nothing.

        Arguments:
            axis: the axis.
            refs: the tensors that must be 0 in such channels.
            why: what the layer computes, as the rest of a sentence.
        """
        if self.zeros.issuperset(refs):
            self.ties.mark(axis, MarkKind.SUMMED, self.path, why)
        else:
            self.note_mixed(axis, f"{why}, which are not 0 where a unit has no weights")

    def note_products(self, axis: Axis, refs: Sequence[TensorRef]) -> None:
        """States that the layer sums products over an axis, which are 0 if one of the factors is.

        Arguments:
            axis: the axis.
            refs: the factors.
        """
        zero = [ref for ref in refs if ref in self.zeros]
        self.note_summed(axis, zero or refs, "sums over the products of channels")

    def note_counted(self, axis: Axis) -> None:
        """States that the layer couples the channels of an axis in another way if there are fewer of them."""
        self.ties.mark(axis, MarkKind.COUNTED, self.path, "couples its channels by their number")

    def inside(self, part: Part, tensors: Sequence[tuple[Axes, Shape]], outputs: Sequence[Shape]) -> Traced:
        """Returns how the axes of a layer in the layer are related. Its weights and widths have its name before theirs.

        Arguments:
            part: the layer in the layer.
            tensors: the labels and the shapes of the tensors that it is called on.
            outputs: the shapes of its outputs.

        Raises:
            UncoupledError: nobody knows.
        """
        refs = [TensorRef("", output=number) for number in range(len(tensors))]
        call = replace(
            self,
            path=join(self.path, part.name),
            entry=part.entry,
            arguments={"args": refs, "kwargs": {}},
            zeros=frozenset(ref for ref, was in zip(refs, self.inputs, strict=False) if was in self.zeros),
            axes={ref: axes for ref, (axes, _) in zip(refs, tensors, strict=True)},
            shapes={ref: shape for ref, (_, shape) in zip(refs, tensors, strict=True)},
            outputs=tuple(outputs),
        )
        try:
            traced = self.trace(call)
        except UncoupledError as error:
            raise UncoupledError(f"has `{part.name}` ({call.class_name}) in it, which {error}") from None
        if any("calls" in keys for keys in traced.arguments):
            raise UncoupledError(f"has `{part.name}` in it, which counts channels in a call")
        return replace(
            traced,
            weights={f"{part.name}/{below}": axes for below, axes in traced.weights.items()},
            arguments={("config", *part.keys, *keys): each for keys, each in traced.arguments.items()},
            widths={f"{part.name}/{argument}": labels for argument, labels in traced.widths.items()},
            roots={f"{part.name}/{below}": labels for below, labels in traced.roots.items()},
        )

    def parts(self) -> tuple[Part, ...]:
        """Returns the layers that the layer has in it."""
        return tuple(parts_of(self.entry))


Rule = Callable[[AxisCall], Traced]
"""Relates the axes of a layer in one call.

Raises:
    UncoupledError: it does not know.
"""
