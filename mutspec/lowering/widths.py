"""Other widths: channels are removed, repeated or added in all layers that have them, by one edit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mutspec.errors import ModelError, PlanError, Problem
from mutspec.graph.choice import Listed, StridedSlices, size_of
from mutspec.graph.expression import Expression
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.initial_values import NewWeight
from mutspec.lowering.new_layer import AddedLayer, value_by_initializer
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.spec import TensorSpec
from mutspec.structure import edits
from mutspec.structure.coupling.axis_call import Keys, Use, WeightAxis
from mutspec.structure.coupling.coupling import CoupledLayer, Coupling, coupling_of
from mutspec.structure.coupling.substitution import NEW, Substitution
from mutspec.structure.network import Entry, Network, paths_in
from mutspec.structure.parts import parts_of, put, with_part

Filling = Callable[[NewWeight, tuple[WeightAxis, ...]], Expression | None]
"""Gives the values of a weight in the channels that it did not have; None for what its initializer says."""


def coupling(context: LoweringContext) -> Coupling:
    """Returns the coupled channels of the model as the steps so far have left it.

    Raises:
        PlanError: the model cannot be edited, or a layer in it cannot take what it gets.
    """
    network = context.architecture.network
    if context.coupling is None or context.coupling[0] is not network:
        flow, weights = context.flow(), _weights(context)
        try:
            found = coupling_of(
                network,
                lambda within, ref, owner: flow.type_of(within, ref, owner).shape,
                lambda path: {below: each.shape for below, each in weights.get(path, {}).items()},
            )
        except ModelError as error:
            hint = "fix that first, in a step before this one"
            raise PlanError(
                Problem(each.message, path=("op",), hint=each.hint or hint) for each in error.problems
            ) from None
        context.coupling = (network, found)
    return context.coupling[1]


def _weights(context: LoweringContext) -> Mapping[str, dict[str, TensorSpec]]:
    """Returns the weights of each layer of a network, with those of layers in it, by their paths below it."""
    layers = set(paths_in(context.architecture.network))
    found: dict[str, dict[str, TensorSpec]] = defaultdict(dict)
    for tensor in context.models[""].tensors:
        path = tensor.layer
        while path not in layers and path:
            path = path.rpartition("/")[0]
        found[path][tensor.path.removeprefix(f"{path}/")] = tensor
    return found


def substitute(
    ctx: StructureContext,
    substitution: Substitution,
    *,
    key: str,
    filling: Filling | None = None,
    divide: bool = False,
) -> None:
    """Puts other channels in the place of some, in all layers that have them.

    Arguments:
        ctx: the step's view of the model.
        substitution: what comes in their place.
        key: the key of the step at which errors are.
        filling: gives the values in new channels. Default: the initializers of the layers.
        divide: whether weights that sum over a channel are divided by the number of its copies, so that the sum
            stays what it was.

    Raises:
        PlanError: a layer cannot take what it gets then.
    """
    context = ctx.context
    weights = _weights(context)
    added: dict[str, AddedLayer] = {}
    changed: dict[str, dict[str, Entry]] = defaultdict(dict)
    calls: dict[str, dict[str, Any]] = defaultdict(dict)
    written: list[tuple[TensorSpec, Expression]] = []
    for layer in substitution.layers:
        owner, _, name = layer.path.rpartition("/")
        network = ctx.network(owner)
        entry, arguments = network.layers[name], network.calls[name]
        assert not isinstance(entry, Network)
        in_config = {keys: each for keys, each in layer.arguments.items() if keys[0] == "config"}
        others = {
            keys: substitution.argument(each) for keys, each in in_config.items() if substitution.is_changed(each)
        }
        in_calls = {keys: each for keys, each in layer.arguments.items() if keys[0] == "calls"}
        for keys, each in in_calls.items():
            if substitution.is_changed(each):
                arguments = put(arguments, keys[1:], substitution.argument(each))
        if arguments is not network.calls[name]:
            calls[owner][name] = tuple(arguments)
        own = weights.get(layer.path, {})
        values = _Values(context, layer, substitution, own, filling, divide)
        if not others and not any(values.is_resized(below) for below in layer.weights):
            written += values.written()
            continue
        new = _with_arguments(entry, others)
        changed[owner][name] = new
        added[layer.path] = AddedLayer(new, layer.path, values.first)
        written += values.written()
    for tensor, value in written:
        ctx.write(tensor, value)
    ctx.edit("", partial(_edited, layers=changed, calls=calls), key=key, added=added, configured=added)


def _edited(
    network: Network, layers: Mapping[str, Mapping[str, Entry]], calls: Mapping[str, Mapping[str, Any]]
) -> Network:
    """Returns the outermost network with other layers, and other arguments of calls, by the path of their network."""
    for owner in {**layers, **calls}:
        changed = partial(Network.changed, layers=layers.get(owner), calls=calls.get(owner))
        network = edits.edited(network, owner, changed)
    return network


def _with_arguments(entry: Entry, others: Mapping[Keys, Any]) -> Entry:
    """Returns a serialised layer with other arguments. A layer in it that it does not state is stated then."""
    for part in list(parts_of(entry)):
        if part.is_derived and any(keys[1 : 1 + len(part.keys)] == part.keys for keys in others):
            entry = with_part(entry, part, part.entry)
    for keys, value in others.items():
        entry = put(entry, keys, value)
    return entry


@dataclass(frozen=True, slots=True)
class _Values:
    """The weights of a layer, with other channels.

    Arguments:
        context: where the step is lowered.
        layer: the layer.
        substitution: what comes in the place of which channels.
        old: its weights before.
        filling: gives the values in new channels.
        divide: whether sums over copies stay what they were.
    """

    context: LoweringContext
    layer: CoupledLayer
    substitution: Substitution
    old: Mapping[str, TensorSpec]
    filling: Filling | None
    divide: bool

    def _maps(self, below: str) -> list[tuple[int, ...] | None]:
        """Returns the index map of each axis of a weight."""
        axes = self.layer.weights.get(below, ())
        return [None if axis.labels is None else self.substitution.index_map(axis.labels) for axis in axes]

    def is_resized(self, below: str) -> bool:
        """Returns whether a weight gets another shape."""
        tensor = self.old.get(below)
        return tensor is not None and any(
            found is not None and len(found) != extent
            for found, extent in zip(self._maps(below), tensor.shape, strict=True)
        )

    def first(self, new: NewWeight) -> Expression | None:
        """Returns the values of a weight that has another shape now."""
        return self._value(new.below, new) if new.below in self.old else None

    def written(self) -> Iterable[tuple[TensorSpec, Expression]]:
        """Yields the weights that keep their shape, and get other values."""
        for below, tensor in self.old.items():
            if not self.is_resized(below) and any(each is not None for each in self._maps(below)):
                key = self.context.key(tensor.origin, "init")
                new = NewWeight(self.context.builder, tensor, key, below)
                yield tensor, self._value(below, new)

    def _value(self, below: str, new: NewWeight) -> Expression:
        tensor, maps, axes = self.old[below], self._maps(below), self.layer.weights[below]
        value = self.context.read(tensor)
        for axis, found in enumerate(maps):
            if found is not None:
                value = value.take(axis, [max(at, 0) for at in found])
        if self.divide:
            value = self._divided(value, axes, maps)
        return self._filled(value, new, axes, maps)

    def _divided(
        self, value: Expression, axes: tuple[WeightAxis, ...], maps: list[tuple[int, ...] | None]
    ) -> Expression:
        """Returns a weight in which each copy of a channel that is summed over has its part of the sum."""
        copies = self.substitution.copies
        for axis, (each, found) in enumerate(zip(axes, maps, strict=True)):
            if found is None or each.use is not Use.SUMS or each.labels is None:
                continue
            counts: dict[int, list[int]] = defaultdict(list)
            for at, source in enumerate(found):
                if source != NEW:
                    counts[copies.get(self.substitution.coupling.groups[each.labels[source]], 1)].append(at)
            for count, places in counts.items():
                if count > 1:
                    value = (value / float(count)).where(
                        _slices(value.shape, axis).choose(Listed(tuple(places))), value
                    )
        return value

    def _filled(
        self, value: Expression, new: NewWeight, axes: tuple[WeightAxis, ...], maps: list[tuple[int, ...] | None]
    ) -> Expression:
        """Returns a weight with first values in the channels that are new."""
        places = {
            axis: tuple(at for at, source in enumerate(found) if source == NEW)
            for axis, found in enumerate(maps)
            if found is not None and NEW in found
        }
        if not places:
            return value
        first = self.filling(new, axes) if self.filling is not None else None
        if first is None:
            first = value_by_initializer(self.context, new)
        if first is None:
            raise PlanError(
                f"the first values of `{new.tensor.path}` are made by an initializer that mutspec does not know",
                path=("op",),
                hint="choose a method that makes them of the old values",
            )
        first = first.cast(value.dtype)
        for axis, at in places.items():
            value = first.where(_slices(value.shape, axis).choose(Listed(at)), value)
        return value


def _slices(shape: tuple[int, ...], axis: int) -> StridedSlices:
    return StridedSlices(shape[axis], size_of(shape[axis + 1 :]))
