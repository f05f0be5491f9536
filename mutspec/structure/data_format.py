"""The conversion of a network from channels_last to channels_first, and back.

Some layers have a `data_format`, some name axes, some compute each entry by itself: these are converted. All others
compute on tensors as they were. Where a converted layer meets one of these, a Permute is put between the two. So the
converted model predicts the same, whatever classes are in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mutspec.keras_facts.classes import is_keras_class, plain_class_name
from mutspec.keras_facts.data_formats import (
    AXES,
    AXES_DEFAULT,
    CONVOLUTIONS,
    EITHER,
    ENTRYWISE,
    ENTRYWISE_OPERATIONS,
    FIRST,
    LAST,
    SPATIAL,
    WEIGHT_AXES,
    depends_on_last_axis,
)
from mutspec.keras_facts.tensor_types import Shape
from mutspec.model.outline import is_operation
from mutspec.model.spec import TensorRef
from mutspec.structure import edits
from mutspec.structure.network import Entry, Network, refs

ShapeOf = Callable[[TensorRef], Shape]
"""Returns the shape of a tensor in the network before the conversion."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Which inputs and outputs of a model are converted, in order."""

    inputs: tuple[bool, ...]
    outputs: tuple[bool, ...]


@dataclass(frozen=True)
class Conversion:
    """The conversion of one network.

    Arguments:
        network: the network after it.
        changed: the names of the layers with another config.
        orders: for weights with an axis for each of several axes of the input, by layer: the new order of their axes.
        permutes: the names of the layers that it adds.
        unchanged: the layers on images that keep their format, each with its class.
        misread: the layers whose bias TensorFlow adds along the wrong axis.
        ports: which inputs and outputs are converted.
    """

    network: Network
    changed: tuple[str, ...]
    orders: Mapping[str, tuple[int, ...]]
    permutes: tuple[str, ...]
    unchanged: Mapping[str, str]
    misread: tuple[str, ...]
    ports: Ports


@dataclass
class _Groups:
    """Tensors in groups: all of a group are converted, or none."""

    parent: dict[TensorRef, TensorRef] = field(default_factory=dict)
    converted: set[TensorRef] = field(default_factory=set)

    def root(self, ref: TensorRef) -> TensorRef:
        while (above := self.parent.get(ref, ref)) != ref:
            self.parent[ref] = self.parent.get(above, above)
            ref = above
        return ref

    def join(self, tensors: Iterable[TensorRef]) -> None:
        roots = list(dict.fromkeys(map(self.root, tensors)))
        for other in roots[1:]:
            self.parent[other] = roots[0]
            if other in self.converted:
                self.converted.add(roots[0])

    def convert(self, tensors: Iterable[TensorRef]) -> None:
        self.converted |= {self.root(ref) for ref in tensors}

    def has(self, ref: TensorRef) -> bool:
        return self.root(ref) in self.converted


class DataFormat:
    """The conversion to one data format.

    Arguments:
        to: `channels_first` or `channels_last`.
        prefix: the name of the first added layer; others have a number after it.
    """

    def __init__(self, to: str, prefix: str) -> None:
        self._to = to
        self._prefix = prefix
        self._added = 0

    def converted(self, network: Network, models: Mapping[str, Ports], shape_of: ShapeOf) -> Conversion:
        """Returns the conversion of one network.

        Arguments:
            network: the network; the models in it are converted already.
            models: the ports of these, by name.
            shape_of: returns the shape that a tensor had before.
        """
        groups = self._groups(network, models, shape_of)
        layers, orders, unchanged = {}, {}, {}
        for name, layer in network.layers.items():
            if isinstance(layer, Network):
                continue
            tensors = self._tensors(network, name, shape_of)
            kind = self._kind(layer, network, name, shape_of)
            if kind == "kept" and tensors and any(map(groups.has, tensors)):
                unchanged[name] = plain_class_name(layer)
            is_moved = kind in ("input", "free", "either", "point") and any(map(groups.has, tensors))
            if kind == "image" or is_moved:
                rank = max(len(shape_of(ref)) for ref in tensors)
                entry, order = self._entry(layer, kind, rank)
                if entry != layer or order is not None:
                    layers[name] = entry
                if order is not None:
                    orders[name] = order
        wants = self._permutes(network, models, groups, shape_of)
        after = network.changed(layers=layers)
        names = []
        for ref, (is_converted, users) in wants.items():
            name = self._name(after)
            names.append(name)
            entry = _permute(name, self._order(len(shape_of(ref)), back=is_converted), _dtype_like(after, ref))
            after = edits.redirected(after, {ref: TensorRef(name)}, only=users, ports=False)
            after = edits.added(after, {name: entry}, {name: ({"args": [ref], "kwargs": {}},)})
        ports = Ports(
            tuple(self._is_converted(network, models, groups, shape_of, ref) for ref in refs(network.inputs)),
            tuple(self._is_converted(network, models, groups, shape_of, ref) for ref in refs(network.outputs)),
        )
        misread = tuple(name for name in layers if self._is_misread(after.layers[name], shape_of(TensorRef(name))))
        return Conversion(after, tuple(layers), orders, tuple(names), unchanged, misread, ports)

    # Which tensors are converted.

    def _groups(self, network: Network, models: Mapping[str, Ports], shape_of: ShapeOf) -> _Groups:
        groups = _Groups()
        for name, layer in network.layers.items():
            if isinstance(layer, Network):
                for ref, is_converted in _port_uses(network, models, name):
                    if is_converted:
                        groups.convert([ref])
                continue
            kind, tensors = self._kind(layer, network, name, shape_of), self._tensors(network, name, shape_of)
            if kind in ("free", "either"):
                groups.join(tensors)
            if kind == "image":
                groups.convert(tensors)
        return groups

    def _kind(self, layer: Entry, network: Network, name: str, shape_of: ShapeOf) -> str:
        """Returns how a layer is converted.

        Returns:
            `image`: it is on images, and so are its tensors. `either`, `free`: it can be converted with its tensors, by
            its data format, or otherwise. `point`: it makes a pixel of a vector. `input`; `kept`: it is not converted.
        """
        class_name, config = plain_class_name(layer), layer.get("config") or {}
        if class_name == "InputLayer":
            return "input"
        used = [ref for call in network.uses[name] for ref in call]
        ranks = {len(shape_of(ref)) for ref in used}
        if is_operation(layer):
            is_free = class_name in ENTRYWISE_OPERATIONS and len(ranks) == 1 and _has_only_numbers(network, name)
            return "free" if is_free else "kept"
        if not is_keras_class(layer) or depends_on_last_axis(class_name, config):
            return "kept"
        if class_name in CONVOLUTIONS | SPATIAL | EITHER:
            if (config.get("data_format") or LAST) == self._to:
                return "kept"
            return "either" if class_name in EITHER else "image"
        if class_name == "Reshape" and ranks == {2}:
            target = config.get("target_shape") or ()
            spatial = target[1:] if self._to == LAST else target[:-1]
            return "point" if len(target) > 1 and set(spatial) == {1} else "kept"
        is_free = class_name in AXES or class_name in ENTRYWISE
        return "free" if is_free and len(ranks) == 1 else "kept"

    def _tensors(self, network: Network, name: str, shape_of: ShapeOf) -> list[TensorRef]:
        """Returns the tensors with channels that a layer takes and makes."""
        calls = network.uses[name]
        taken = [ref for call in calls for ref in call]
        made = [TensorRef(name, call) for call in range(max(1, len(calls)))]
        return [ref for ref in (*taken, *made) if len(shape_of(ref)) > 2]

    def _is_converted(
        self, network: Network, models: Mapping[str, Ports], groups: _Groups, shape_of: ShapeOf, ref: TensorRef
    ) -> bool:
        """Returns whether a tensor is converted where it is made."""
        layer = network.layers.get(ref.layer)
        if len(shape_of(ref)) < 3:
            return False
        if isinstance(layer, Network):
            return models[ref.layer].outputs[ref.output]
        if layer is None:
            return groups.has(ref)
        kind = self._kind(layer, network, ref.layer, shape_of)
        return kind == "image" or (kind != "kept" and groups.has(ref))

    def _permutes(
        self, network: Network, models: Mapping[str, Ports], groups: _Groups, shape_of: ShapeOf
    ) -> dict[TensorRef, tuple[bool, list[str]]]:
        """Returns the tensors that some layers need in the other format: whether it is converted, and these layers."""
        wants: dict[TensorRef, tuple[bool, list[str]]] = {}
        for name, layer in network.layers.items():
            if isinstance(layer, Network):
                uses = list(_port_inputs(network, models, name))
            else:
                kind = self._kind(layer, network, name, shape_of)
                tensors = (ref for call in network.uses[name] for ref in call)
                uses = [(ref, kind == "image" or (kind in ("free", "either") and groups.has(ref))) for ref in tensors]
            for ref, wanted in uses:
                if len(shape_of(ref)) < 3:
                    continue
                is_converted = self._is_converted(network, models, groups, shape_of, ref)
                if wanted != is_converted:
                    users = wants.setdefault(ref, (is_converted, []))[1]
                    if name not in users:
                        users.append(name)
        return wants

    # What becomes of layers.

    def _entry(self, layer: Entry, kind: str, rank: int) -> tuple[Entry, tuple[int, ...] | None]:
        """Returns a converted layer, and the new order of its weights' axes if that is another one."""
        class_name, config = plain_class_name(layer), dict(layer["config"])
        order = None
        if kind == "input":
            key = "batch_shape" if "batch_shape" in config else "batch_input_shape"
            config[key] = [config[key][axis] for axis in self._axes(rank)]
        elif kind in ("image", "either"):
            config["data_format"] = self._to
        elif kind == "point":
            target = config["target_shape"]
            config["target_shape"] = [*target[1:], target[0]] if self._to == LAST else [target[-1], *target[:-1]]
        elif class_name in AXES:
            key = AXES[class_name]
            before = config.get(key, AXES_DEFAULT.get(class_name, -1))
            config[key] = self._moved(before, rank)
            order = self._weight_order(class_name, before, rank)
        elif config.get("noise_shape"):
            config["noise_shape"] = [config["noise_shape"][axis] for axis in self._axes(rank)]
        return {**layer, "config": config}, order

    def _is_misread(self, layer: Entry | Network, before: Shape) -> bool:
        """Returns whether TensorFlow adds a layer's bias along the last axis, because that has as many entries."""
        if isinstance(layer, Network) or self._to == LAST or plain_class_name(layer) not in CONVOLUTIONS:
            return False
        return bool(layer["config"].get("use_bias", True)) and before[-1] == before[-2] != 1

    def _axes(self, rank: int) -> list[int]:
        """Returns for each axis of a converted tensor its axis before."""
        return [0, rank - 1, *range(1, rank - 1)] if self._to == FIRST else [0, *range(2, rank), 1]

    def _moved(self, axes: Any, rank: int) -> Any:
        """Returns where axes are in the converted tensor."""
        if axes is None:
            return None
        if isinstance(axes, list | tuple):
            return sorted(self._moved(axis, rank) for axis in axes)
        return self._axes(rank).index(axes % rank)

    def _weight_order(self, class_name: str, axes: Any, rank: int) -> tuple[int, ...] | None:
        """Returns the new order of the axes of a layer's weights; None if it is the same."""
        if class_name not in WEIGHT_AXES:
            return None
        if class_name == "PReLU":
            own = list(range(1, rank))
        else:
            own = sorted(axis % rank for axis in (axes if isinstance(axes, list | tuple) else [axes]))
        moved = [axis for axis in self._axes(rank) if axis in own]
        order = tuple(own.index(axis) for axis in moved)
        return None if order == tuple(range(len(own))) else order

    def _order(self, rank: int, *, back: bool) -> list[int]:
        """Returns the axes of a Permute, counted from 1: to the other format, or back."""
        axes = self._axes(rank)
        return [axes.index(axis) for axis in range(1, rank)] if back else axes[1:]

    def _name(self, network: Network) -> str:
        while True:
            name = self._prefix if self._added == 0 else f"{self._prefix}_{self._added}"
            self._added += 1
            if name not in network.layers:
                return name


def _port_uses(network: Network, models: Mapping[str, Ports], name: str) -> Iterator[tuple[TensorRef, bool]]:
    """Yields the tensors that a model takes and makes, each with whether the model has it converted."""
    yield from _port_inputs(network, models, name)
    for call in range(len(network.calls[name])):
        yield from (
            (TensorRef(name, call, each), is_converted) for each, is_converted in enumerate(models[name].outputs)
        )


def _port_inputs(network: Network, models: Mapping[str, Ports], name: str) -> Iterator[tuple[TensorRef, bool]]:
    for call in network.uses[name]:
        yield from zip(call, models[name].inputs, strict=False)


def _has_only_numbers(network: Network, name: str) -> bool:
    """Returns whether the arguments of an operation are tensors and numbers."""

    def is_plain(value: Any) -> bool:
        if isinstance(value, Mapping):
            return all(map(is_plain, value.values()))
        return value is None or isinstance(value, bool | int | float | str | TensorRef)

    return all(is_plain(each) for call in network.calls[name] for each in (*call["args"], call.get("kwargs", {})))


def _permute(name: str, order: list[int], dtype: Any) -> dict[str, Any]:
    config = {"name": name, "trainable": True, "dtype": dtype, "dims": order}
    return {"module": "keras.layers", "class_name": "Permute", "config": config, "registered_name": None, "name": name}


def _dtype_like(network: Network, ref: TensorRef) -> Any:
    """Returns the dtype policy of the layer that makes a tensor."""
    layer = network.layers.get(ref.layer)
    config = layer["config"] if layer is not None and not isinstance(layer, Network) else {}
    is_input = layer is not None and not isinstance(layer, Network) and layer["class_name"] == "InputLayer"
    return "float32" if is_input or not config.get("dtype") else config["dtype"]
