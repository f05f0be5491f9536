"""Other widths: channels are removed, repeated or added in all layers that have them, by one edit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt
from typing import Any

from mutspec.errors import ModelError, PlanError, Problem
from mutspec.graph.expression import Expression
from mutspec.keras_facts.layer_axes import DIVISORS
from mutspec.lowering.changed_weight import Adjustment, ChangedWeight, Filling
from mutspec.lowering.context import FIRST_VALUE, LoweringContext
from mutspec.lowering.initial_values import NewWeight
from mutspec.lowering.new_layer import AddedLayer
from mutspec.lowering.structure_context import StructureContext
from mutspec.lowering.units import origin_of_layer
from mutspec.model.outline import around
from mutspec.model.spec import TensorSpec
from mutspec.structure import edits
from mutspec.structure.coupling.axis_call import Keys
from mutspec.structure.coupling.coupling import CoupledLayer, Coupling, WeightShapes, coupling_of
from mutspec.structure.coupling.groups import coupled_groups
from mutspec.structure.coupling.substitution import NEW, Substitution, UnlikeError
from mutspec.structure.network import Entry, Network, paths_in
from mutspec.structure.parts import part_at, parts_of, put, with_part


def coupling(context: LoweringContext) -> Coupling:
    """Returns the coupled channels of the model as the steps so far have left it.

    Raises:
        PlanError: the model cannot be edited, or a layer in it cannot take what it gets.
    """
    network = context.architecture.network
    if context.coupling is None or context.coupling[0] is not network:
        flow = context.flow()
        try:
            found = coupling_of(
                network,
                lambda within, ref, owner: flow.type_of(within, ref, owner).shape,
                weight_shapes(context),
            )
        except ModelError as error:
            hint = "fix that first, in a step before this one"
            raise PlanError(
                Problem(each.message, path=("op",), hint=each.hint or hint) for each in error.problems
            ) from None
        context.coupling = (network, found)
    return context.coupling[1]


def weight_shapes(context: LoweringContext) -> WeightShapes:
    """Returns what tells the shapes of a layer's weights."""
    weights = layer_weights(context)
    return lambda path: {below: each.shape for below, each in weights.get(path, {}).items()}


def layer_weights(context: LoweringContext) -> Mapping[str, Mapping[str, TensorSpec]]:
    """Returns the weights of each layer of a network, with those of layers in it, by their paths below it."""
    spec = context.models[""]
    if context.layer_weights is None or context.layer_weights[0] is not spec:
        context.layer_weights = (spec, _layer_weights(context))
    return context.layer_weights[1]


def layer_origin(context: LoweringContext, layer: str) -> str:
    """Returns the immutable name of a layer, for random streams; of one without weights, its path.

    The layer may be in another that the network knows nothing inside of, such as a cell of an RNN.
    """
    tensor = next((each for each in context.models[""].tensors if each.path.startswith(f"{layer}/")), None)
    return layer if tensor is None else origin_of_layer(tensor, layer)


def _layer_weights(context: LoweringContext) -> Mapping[str, Mapping[str, TensorSpec]]:
    layers = set(paths_in(context.architecture.network))
    found: dict[str, dict[str, TensorSpec]] = defaultdict(dict)
    for tensor in context.models[""].tensors:
        path = around(tensor.layer, layers)
        found[path][tensor.path.removeprefix(f"{path}/")] = tensor
    return dict(found)


def report_coupled(
    context: LoweringContext, substitution: Substitution, targets: Mapping[str, str], *, meant: str = ""
) -> None:
    """Puts the layers that a substitution changes together into the step's report.

    Arguments:
        context: where the step is lowered.
        substitution: what comes in the place of which channels.
        targets: the paths of the layers whose units the step names, each with the argument that counts these.
        meant: the path of a layer that is meant to make something else, such as an embedding with other rows.
    """
    groups = coupled_groups(substitution, targets, weight_shapes(context), context.architecture.network)
    context.coupled += tuple(
        replace(group, mixtures=tuple(each for each in group.mixtures if each.layer != meant)) for group in groups
    )


def substitute(
    ctx: StructureContext,
    substitution: Substitution,
    *,
    key: str,
    filling: Filling | None = None,
    adjust: Adjustment | None = None,
) -> None:
    """Puts other channels in the place of some, in all layers that have them.

    Arguments:
        ctx: the step's view of the model.
        substitution: what comes in their place.
        key: the key of the step at which errors are.
        filling: gives the values in new channels. Default: the initializers of the layers.
        adjust: changes weights that have all of their channels, such as `divided`.

    Raises:
        PlanError: a layer cannot take what it gets then.
    """
    context = ctx.context
    _refuse_unlike(substitution, key)
    weights = layer_weights(context)
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
        values = _Values(context, layer, substitution, own, filling, adjust)
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
    """Returns a serialised layer with other arguments.

    A layer in it that is made of another one is stated, unless it is still what would be made of that.
    """
    derived = [part for part in parts_of(entry) if part.is_derived]
    for part in derived:
        entry = with_part(entry, part, part.entry)
    for keys, value in others.items():
        entry = put(entry, keys, value)
    for part in derived:
        without = with_part(entry, part, {})
        if part_at(without, (part.name,)) == part_at(entry, (part.name,)):
            entry = {**entry, "config": {key: each for key, each in entry["config"].items() if key not in part.keys}}
    return entry


def _refuse_unlike(substitution: Substitution, key: str) -> None:
    """Refuses a substitution that a layer has no place for.

    Raises:
        PlanError: there is such a layer.
    """
    for layer in substitution.layers:
        try:
            for labels in layer.axes:
                substitution.index_map(labels)
            for argument in layer.arguments.values():
                substitution.argument(argument)
        except UnlikeError as error:
            why = str(error) or "has some of these channels in an axis where it does not have the others"
            hint = (
                "copy channels, or replace that layer first" if str(error) else "name those that go to the same layers"
            )
            raise PlanError(f"`{layer.path}` {why}", path=(key,), hint=hint) from None


@dataclass(frozen=True, slots=True)
class _Values:
    """The weights of a layer, with other channels.

    Arguments:
        context: where the step is lowered.
        layer: the layer.
        substitution: what comes in the place of which channels.
        old: its weights before.
        filling: gives the values in new channels.
        adjust: changes weights that have all of their channels.
    """

    context: LoweringContext
    layer: CoupledLayer
    substitution: Substitution
    old: Mapping[str, TensorSpec]
    filling: Filling | None
    adjust: Adjustment | None

    def _maps(self, below: str) -> tuple[tuple[int, ...] | None, ...]:
        """Returns the index map of each axis of a weight."""
        axes = self.layer.weights.get(below, ())
        return tuple(None if axis.labels is None else self.substitution.index_map(axis.labels) for axis in axes)

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
            is_moved = any(each is not None for each in self._maps(below)) or self._root(below) != 1
            if not self.is_resized(below) and is_moved:
                key = self.context.key(tensor.origin, FIRST_VALUE)
                new = NewWeight(self.context.builder, tensor, key, below)
                yield tensor, self._value(below, new)

    def _value(self, below: str, new: NewWeight) -> Expression:
        tensor = self.old[below]
        maps, axes = self._maps(below), self.layer.weights[below]
        value = old = self.context.read(tensor)
        is_computed = self.adjust is not None or self._root(below) != 1
        if is_computed or any(found is not None and NEW in found for found in maps):
            value = old = old.cast(self.context.compute_dtype(tensor))
        weight = ChangedWeight(self.context, self.layer, new, old, axes, maps, self.substitution)
        for axis, found in enumerate(maps):
            if found is not None:
                value = value.take(axis, [max(at, 0) for at in found])
        value = self._filled(weight, value)
        if self.adjust is not None:
            value = self.adjust(weight, value)
        if (root := self._root(below)) != 1:
            value = value * root
        return value.cast(tensor.dtype)

    def _root(self, below: str) -> float:
        """Returns the factor of a weight that the layer divides by the square root of a number of channels."""
        labels = self.layer.roots.get(below)
        if not labels:
            return 1.0
        root = sqrt(self.substitution.extent(labels) / len(labels))
        return 1 / root if self.old[below].role in DIVISORS else root

    def _filled(self, weight: ChangedWeight, value: Expression) -> Expression:
        """Returns a weight with first values in the channels that are new."""
        places = weight.new_places()
        if not places:
            return value
        first = self.filling(weight) if self.filling is not None else None
        if first is None:
            first = weight.by_initializer()
        if first is None:
            raise PlanError(
                f"the first values of `{weight.new.tensor.path}` are made by an initializer that mutspec does not know",
                path=("op",),
                hint="choose a method that makes them of the old values",
            )
        first = first.cast(value.dtype)
        for axis, at in places.items():
            value = first.where(weight.slices(axis, at), value)
        return value
