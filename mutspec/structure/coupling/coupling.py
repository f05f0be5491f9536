"""The coupled channels of a network: a walk through its calls that relates all axes, and what it finds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from mutspec.keras_facts.classes import plain_class_name
from mutspec.keras_facts.tensor_types import Shape, TensorType
from mutspec.model.outline import join
from mutspec.model.spec import TensorRef
from mutspec.structure.call_order import calls_in_order
from mutspec.structure.channel_axis import is_channels_first
from mutspec.structure.coupling.axis_call import (
    Argument,
    AxisCall,
    Entries,
    Extents,
    Followed,
    Keys,
    Position,
    Traced,
    UncoupledError,
    WeightAxis,
    joined,
)
from mutspec.structure.coupling.labels import Axes, Axis, Labels, Mark, MarkKind, Ties
from mutspec.structure.coupling.patterns import WINDOW
from mutspec.structure.coupling.rules import related
from mutspec.structure.coupling.zeros import keeps_zeros
from mutspec.structure.network import Entry, Network, refs
from mutspec.structure.network_config import is_network, network_of
from mutspec.structure.parts import parts_of

Shapes = Callable[[Network, TensorRef, str], Shape]
"""Returns the shape of a tensor in the network of a path."""

WeightShapes = Callable[[str], Mapping[str, Shape]]
"""Returns the shapes of the weights of the layer at a path, by their paths below it."""


@dataclass(frozen=True)
class CoupledLayer:
    """The channels of a layer, in all of its calls.

    Arguments:
        path: its path.
        class_name: its class.
        weights: the axes of its weights, by their paths below it.
        arguments: the arguments that count channels, by where they are stated.
        widths: the channels that are meant by an argument of the layer: its units.
        joins: the channels that it ties together and that come from several layers.
        roots: the weights that it divides by the square root of a number of channels, by their paths below it.
        output: the labels of its first output, in its first call.
    """

    path: str
    class_name: str
    weights: Mapping[str, tuple[WeightAxis, ...]] = field(default_factory=dict)
    arguments: Mapping[Keys, Argument] = field(default_factory=dict)
    widths: Mapping[str, Labels] = field(default_factory=dict)
    joins: Labels = ()
    roots: Mapping[str, Labels] = field(default_factory=dict)
    output: Axes = ()

    def widths_of(self, inner: str) -> Mapping[str, Labels]:
        """Returns the widths of the layer itself, or of a layer in it.

        Arguments:
            inner: the path of the other below this one; empty for this one.
        """
        below = {tuple(name.rpartition("/")[::2]): labels for name, labels in self.widths.items()}
        return {argument: labels for (path, argument), labels in below.items() if path == inner}

    @cached_property
    def axes(self) -> tuple[Labels, ...]:
        """The labels of all axes that its weights and arguments have, each once."""
        found: dict[Labels, None] = {}
        for weight in self.weights.values():
            found.update((axis.labels, None) for axis in weight if axis.labels)
        for argument in self.arguments.values():
            found.update((labels, None) for labels in axes_of(argument))
        return tuple(found)


def axes_of(argument: Argument) -> tuple[Labels, ...]:
    """Returns the labels that an argument counts, axis by axis."""
    if isinstance(argument, Followed):
        return (argument.labels, argument.leader)
    if isinstance(argument, Entries):
        return (argument.labels,)
    if isinstance(argument, Position):
        return (argument.before, argument.axis)
    return argument.axes if isinstance(argument, Extents) else (argument,)


@dataclass(frozen=True)
class Coupling:
    """The coupled channels of a network.

    Arguments:
        groups: for each label the one that stands for its group.
        layers: the layers with channels, by path, in the order of the walk.
        marks: what is special about a group.
        inputs: the labels of the model's inputs, by the name of the input.
        outputs: the labels of the model's outputs.
        unknown: the layers of which nobody knows how their axes are related, each with the reason.
    """

    groups: Sequence[int]
    layers: Mapping[str, CoupledLayer]
    marks: Mapping[int, tuple[Mark, ...]]
    inputs: Mapping[str, Axes]
    outputs: tuple[Axes, ...]
    unknown: Mapping[str, str] = field(default_factory=dict)

    def groups_of(self, labels: Iterable[int]) -> tuple[int, ...]:
        """Returns the groups of labels, each once, in their order."""
        return tuple(dict.fromkeys(self.groups[label] for label in labels))

    @cached_property
    def members(self) -> Mapping[int, tuple[str, ...]]:
        """The layers that have channels of each group in their weights or arguments."""
        found: dict[int, dict[str, None]] = defaultdict(dict)
        groups = self.groups
        for path, layer in self.layers.items():
            for labels in (*layer.axes, layer.joins):
                for label in labels:
                    found[groups[label]][path] = None
        return {group: tuple(paths) for group, paths in found.items()}


def coupling_of(network: Network, shapes: Shapes, weights: WeightShapes) -> Coupling:
    """Returns the coupled channels of a network.

    Arguments:
        network: the outermost network.
        shapes: returns the shape of a tensor.
        weights: returns the shapes of a layer's weights.
    """
    walk = _Walk(shapes, weights)
    inputs = [_Tensor(walk.port(network, ref, "")) for ref in refs([network.inputs])]
    outputs = tuple(each.axes for each in walk.through(network, "", inputs))
    for axes in outputs:
        for axis in axes:
            walk.ties.mark(axis, MarkKind.OUTPUT, "", "are an output of the model")
    ports = {ref.layer: each.axes for ref, each in zip(refs([network.inputs]), inputs, strict=True)}
    return walk.found(ports, outputs)


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor of the network.

    Arguments:
        axes: its labels.
        is_zero: whether it is 0 in a channel without weights.
    """

    axes: Axes
    is_zero: bool = True


Tensors = dict[TensorRef, _Tensor]


class _Walk:
    """A walk through the calls of a network and of those in it.

    Arguments:
        shapes, weights: as for `coupling_of`.
        around: the walk through the network that a layer with this one is in; they share labels.
    """

    def __init__(self, shapes: Shapes, weights: WeightShapes, around: _Walk | None = None) -> None:
        self.ties: Ties = Ties() if around is None else around.ties
        self._shapes, self._weights = shapes, weights
        self._own: dict[tuple[str, str], Labels] = {} if around is None else around._own
        self._layers: dict[str, CoupledLayer] = {}
        self._unknown: dict[str, str] = {}

    def port(self, network: Network, ref: TensorRef, owner: str) -> Axes:
        """Returns labels for an input of the model: its channels are those of its last axis, or the first."""
        shape = self._shapes(network, ref, owner)
        at = 1 if len(shape) > 2 and is_channels_first(network, ref.layer) else len(shape) - 1
        extent = shape[at] if len(shape) > 1 else None
        if extent is None:
            return (None,) * len(shape)
        labels = self.ties.fresh(extent)
        self.ties.mark(labels, MarkKind.INPUT, ref.layer, "are an input of the model")
        return tuple(labels if axis == at else None for axis in range(len(shape)))

    def through(self, network: Network, owner: str, inputs: Sequence[_Tensor]) -> list[_Tensor]:
        """Walks through a network that is called on tensors, and returns its outputs."""
        tensors: Tensors = dict(zip(refs([network.inputs]), inputs, strict=False))
        for ref, each in tensors.items():
            entry = network.layers.get(ref.layer)
            if entry is not None and not isinstance(entry, Network):
                self._add(join(owner, ref.layer), entry, _input(entry, each.axes))
        for name, number in calls_in_order(network):
            outputs = self._call(network, owner, name, number, tensors)
            tensors |= {TensorRef(name, number, output): each for output, each in enumerate(outputs)}
        return [tensors[ref] for ref in refs([network.outputs])]

    def _call(self, network: Network, owner: str, name: str, number: int, tensors: Tensors) -> Sequence[_Tensor]:
        layer, path, used = network.layers[name], join(owner, name), network.uses[name][number]
        if isinstance(layer, Network):
            return self.through(layer, path, [tensors[ref] for ref in used])
        axes = {ref: tensors[ref].axes for ref in used}
        zeros = frozenset(ref for ref in used if tensors[ref].is_zero)
        shapes = {ref: self._shapes(network, ref, owner) for ref in used}
        outputs = tuple(self._outputs(network, owner, name, number))
        arguments = network.calls[name][number]
        call = AxisCall(
            path, layer, arguments, axes, shapes, outputs, self.ties, self._own, zeros, self._related, number
        )
        try:
            traced = self._related(call)
            self._add(path, layer, traced)
        except UncoupledError as error:
            return [_Tensor(each, is_zero=False) for each in self._uncoupled(call, str(error))]
        is_zero = keeps_zeros(call, traced)
        return [_Tensor(each, is_zero) for each in traced.outputs]

    def _related(self, call: AxisCall) -> Traced:
        """Returns how the axes of a layer are related; of a model in a layer too, such as in a TimeDistributed."""
        return self._model(call) if is_network(call.entry) else related(call)

    def _model(self, call: AxisCall) -> Traced:
        """Walks through a model in a layer. What it finds in the model is known of the layer."""
        network = network_of(call.entry)
        ports = tuple(refs([network.inputs]))
        types = {ref: TensorType(call.shapes[given]) for ref, given in zip(ports, call.inputs, strict=True)}
        types = {ref: replace(network.types.get(ref, each), shape=each.shape) for ref, each in types.items()}
        network = network.with_layers(network.layers, types)
        walk = _Walk(self._shapes, self._weights, self)
        inputs = [_Tensor(call.axes[ref], ref in call.zeros) for ref in call.inputs]
        outputs = walk.through(network, call.path, inputs)
        self._unknown |= walk._unknown
        places = {part.name: ("config", *part.keys) for part in call.parts()}
        traced = [_below(call, layer, places) for layer in walk._layers.values()]
        shape = call.config.get("build_input_shape")
        stated: dict[Keys, Argument] = {}
        if isinstance(shape, list | tuple) and len(shape) == len(inputs[0].axes):
            stated["config", "build_input_shape"] = Extents.of(inputs[0].axes, shape)
        return joined([*traced, Traced((), arguments=stated)], [each.axes for each in outputs])

    def _outputs(self, network: Network, owner: str, name: str, number: int) -> Iterable[Shape]:
        """Yields the shapes of the outputs of a call that something uses."""
        used = [ref for user in network.consumers(name) for call in network.uses[user] for ref in call]
        count = max(
            (ref.output for ref in (*used, *refs([network.outputs])) if (ref.layer, ref.call) == (name, number)),
            default=0,
        )
        return (self._shapes(network, TensorRef(name, number, output), owner) for output in range(count + 1))

    def _uncoupled(self, call: AxisCall, why: str) -> list[Axes]:
        """Returns the labels of the outputs of a layer of which nobody knows how its axes are related."""
        self._unknown[call.path] = why
        for ref in call.inputs:
            for axis in call.axes[ref]:
                self.ties.mark(axis, MarkKind.BARRIER, call.path, why)
        made: list[Axes] = []
        for number, shape in enumerate(call.outputs):
            extent = shape[-1] if len(shape) > 1 else None
            last = None if extent is None else call.fixed(f"output {number} of call {call.number}", extent, why)
            made.append((*(None,) * (len(shape) - 1), last) if shape else ())
        return made

    def _add(self, path: str, entry: Entry, traced: Traced) -> None:
        """Records a layer; one that is called again has the same weights."""
        shapes = self._weights_of(path)
        weights = {
            below: _with_window(axes, len(shapes[below])) for below, axes in traced.weights.items() if below in shapes
        }
        if missing := [below for below in shapes if below not in weights]:
            raise UncoupledError(f"has a weight `{missing[0]}`, of which mutspec does not know the axes")
        for below, axes in weights.items():
            for axis, extent in zip(axes, shapes[below], strict=True):
                if axis.labels is not None and len(axis.labels) != extent:
                    raise UncoupledError(f"has a weight `{below}` of other extents than its arguments say")
        before = self._layers.get(path)
        if before is None:
            self._layers[path] = CoupledLayer(
                path,
                plain_class_name(entry),
                weights=weights,
                arguments=traced.arguments,
                widths=traced.widths,
                joins=traced.joins,
                roots=traced.roots,
                output=next(iter(traced.outputs), ()),
            )
            return
        for below, axes in weights.items():
            for was, now in zip(before.weights[below], axes, strict=True):
                self._tie_again(path, was.labels, now.labels)
        arguments = {**before.arguments, **traced.arguments}
        for keys in before.arguments.keys() & traced.arguments.keys():
            for one, other in zip(axes_of(before.arguments[keys]), axes_of(traced.arguments[keys]), strict=False):
                self._tie_again(path, one, other)
        joins = tuple(dict.fromkeys((*before.joins, *traced.joins)))
        self._layers[path] = replace(before, arguments=arguments, joins=joins)

    def _weights_of(self, path: str) -> Mapping[str, Shape]:
        """Returns the shapes of the weights of a layer; of a layer in a layer they are among those of the other."""
        owner = path
        while owner and not self._weights(owner):
            owner = owner.rpartition("/")[0]
        below = path[len(owner) :].lstrip("/")
        start = f"{below}/" if below else ""
        found = self._weights(owner)
        return {name.removeprefix(start): shape for name, shape in found.items() if name.startswith(start)}

    def _tie_again(self, path: str, one: Axis, other: Axis) -> None:
        """Ties the channels of an axis of a layer in one call to those in another."""
        if one is None and other is None:
            return
        if one is None or other is None or not self.ties.tie(one, other):
            why = "is called on tensors of which only some have channels"
            self.ties.mark((*(one or ()), *(other or ())), MarkKind.BARRIER, path, why)

    def found(self, inputs: Mapping[str, Axes], outputs: tuple[Axes, ...]) -> Coupling:
        """Returns what the walk has found."""
        root = self.ties.root
        groups = [root(label) for label in range(len(self.ties.parents))]
        marks: dict[int, dict[Mark, None]] = defaultdict(dict)
        for labels, mark in self.ties.marks:
            for label in labels:
                marks[groups[label]][mark] = None
        facts = {group: tuple(each) for group, each in marks.items()}
        return Coupling(groups, self._layers, facts, inputs, outputs, self._unknown)


def _below(call: AxisCall, layer: CoupledLayer, places: Mapping[str, Keys]) -> Traced:
    """Returns what is known of a layer in a model that is in a layer.

    Arguments:
        call: the call of the model.
        layer: the layer.
        places: where the model states its layers, by their names.
    """
    inner = layer.path[len(call.path) + 1 :]
    name, *names = inner.split("/")
    keys, entry = places[name], next(part.entry for part in call.parts() if part.name == name)
    for each in names:
        part = next(part for part in parts_of(entry) if part.name == each)
        keys, entry = (*keys, "config", *part.keys), part.entry
    return Traced(
        (),
        {f"{inner}/{below}": axes for below, axes in layer.weights.items()},
        {(*keys, *at): argument for at, argument in layer.arguments.items()},
        {f"{inner}/{argument}": labels for argument, labels in layer.widths.items()},
        layer.joins,
        {f"{inner}/{below}": labels for below, labels in layer.roots.items()},
    )


def _with_window(axes: tuple[WeightAxis, ...], rank: int) -> tuple[WeightAxis, ...]:
    """Returns the axes of a weight, with those of its window."""
    found: list[WeightAxis] = []
    for axis in axes:
        found += [WeightAxis(None)] * (rank - len(axes) + 1) if axis is WINDOW else [axis]
    if len(found) != rank:
        raise UncoupledError(f"has a weight of rank {rank}")
    return tuple(found)


def _input(entry: Entry, axes: Axes) -> Traced:
    """Returns the channels of an InputLayer, which states its shape."""
    key = next((each for each in ("batch_shape", "batch_input_shape") if each in entry["config"]), "")
    stated = entry["config"].get(key)
    if not isinstance(stated, list | tuple) or len(stated) != len(axes):
        return Traced((axes,))
    return Traced((axes,), arguments={("config", key): Extents.of(axes, stated)})
