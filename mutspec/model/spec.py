"""The spec of a model: its layers, their calls, and its tensors with path, role, shape and dtype, without values."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mutspec.keras_facts.roles import Group
from mutspec.text.digest import text_digest

_NUMBERED = re.compile(r"var\d+")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One stored tensor.

    Arguments:
        path: the canonical path, `<layer names joined by />/<role>`. Inside classes of the user's own it ends with the
            weight's number (`blk/dense/var0`) whether its role is known or not: a path depends only on the model.
        layer: the path of the layer that owns it.
        role: Keras's attribute name (`kernel`, `gamma`, …), or `var0…` if it is unknown.
        group: its purpose.
        shape: the stored shape.
        dtype: the stored dtype by NumPy's name (`float32`, `bfloat16`, `int8`, …).
        channel_axis: the axis of output channels; None if it has none, or it is unknown.
        origin: its immutable identity for random streams: the path in the base, or `<step id>/<n>/<role>`.
        aliases: other canonical paths of the same storage.
    """

    path: str
    layer: str
    role: str
    group: Group
    shape: tuple[int, ...]
    dtype: str
    channel_axis: int | None = None
    origin: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The number of entries."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    @property
    def has_role(self) -> bool:
        """Whether its role is known."""
        return _NUMBERED.fullmatch(self.role) is None

    @property
    def names(self) -> tuple[str, ...]:
        """All paths that select it in a target: its own, the one with its role, and the aliases."""
        own = f"{self.layer}/{self.role}"
        return (self.path, *self.aliases) if own == self.path else (self.path, own, *self.aliases)


@dataclass(frozen=True, slots=True)
class TensorRef:
    """An output of a layer's call: the layer's name in its model, the number of the call, and that of the output."""

    layer: str
    call: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a layer: its input tensors in the order of the arguments, with those of keyword arguments."""

    inputs: tuple[TensorRef, ...]


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer.

    Arguments:
        path: layer names joined by `/`; nested models and wrapped layers are below their owner.
        name: the layer's own name.
        class_name: Keras's class name.
        ancestry: the class and its Keras base classes, nearest first; for a user's own class only itself.
        config: Keras's config as JSON values, without the layers in it, which are LayerSpecs of their own; empty for
            layers that a class holds implicitly.
        calls: the calls within the model that holds it; empty in Sequential, wrappers and subclassed models.
        aliases: other paths of the same layer.
        is_inner: whether it is inside a class of the user's own, whose code holds it. Its class and config are not
            always known, so they are not part of the model's identity.
        origin: the path that it had in the base, if its class is in no table and its config is still the same: what
            the base's file holds of it may be what a mutant's file has to hold. Empty for all other layers.
    """

    path: str
    name: str
    class_name: str
    ancestry: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    aliases: tuple[str, ...] = ()
    is_inner: bool = False
    origin: str = field(default="", compare=False)


@dataclass(frozen=True)
class ModelSpec:
    """A whole model.

    Arguments:
        name: the model's own name; empty if the file does not state it.
        class_name: `Functional`, `Sequential`, or a subclass's name; empty for a partial spec.
        layers: in model order, depth first: a nested layer follows its owner.
        tensors: in the order of their layers; one entry for one storage.
        inputs, outputs: the model's ports, flattened in Keras's order; empty if it has no graph.
        is_partial: whether only tensors are known (`.weights.h5` without an architecture). Such a file does not have
            the model's order either: layers are sorted by class, and those of one class are in the model's order.
        knows_classes: whether Keras knows all classes of the model, so that importing another module does not help.
    """

    name: str
    class_name: str
    layers: tuple[LayerSpec, ...]
    tensors: tuple[TensorSpec, ...]
    inputs: tuple[TensorRef, ...] = ()
    outputs: tuple[TensorRef, ...] = ()
    is_partial: bool = False
    knows_classes: bool = field(default=False, compare=False)

    @cached_property
    def tensor_by_path(self) -> Mapping[str, TensorSpec]:
        """All tensors, by each of their names."""
        by_path = {tensor.path: tensor for tensor in self.tensors}
        for tensor in self.tensors:
            for name in tensor.names:
                by_path.setdefault(name, tensor)
        return by_path

    @cached_property
    def layer_by_path(self) -> Mapping[str, LayerSpec]:
        """All layers, by path and alias."""
        by_path = {layer.path: layer for layer in self.layers}
        for layer in self.layers:
            for alias in layer.aliases:
                by_path.setdefault(alias, layer)
        return by_path

    def weights_of(self, layer: str) -> dict[str, TensorSpec]:
        """Returns the tensors of a layer and of all layers in it, by their paths below it."""
        below = f"{layer}/"
        owned = (tensor for tensor in self.tensors if tensor.layer == layer or tensor.layer.startswith(below))
        return {tensor.path.removeprefix(below): tensor for tensor in owned}

    @property
    def parameters(self) -> int:
        """The number of entries of all tensors."""
        return sum(tensor.size for tensor in self.tensors)

    @cached_property
    def structure_digest(self) -> str:
        """A digest of layers, calls and tensors, without values: equal for a file and the live model it came from."""
        owners = {tensor.layer for tensor in self.tensors}
        content = [
            [
                [
                    layer.path,
                    "" if layer.is_inner else layer.class_name,
                    {} if layer.is_inner else dict(layer.config),
                    [[[ref.layer, ref.call, ref.output] for ref in call.inputs] for call in layer.calls],
                ]
                for layer in self.layers
                if not layer.is_inner or layer.path in owners
            ],
            [[tensor.path, list(tensor.shape), tensor.dtype, list(tensor.aliases)] for tensor in self.tensors],
            [[ref.layer, ref.call, ref.output] for ref in (*self.inputs, *self.outputs)],
        ]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return text_digest(text)
