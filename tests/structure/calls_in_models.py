"""The calls in a model that Keras has built: what each layer or operation was called on, and what it made there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.live import read_live
from mutspec.model.shapes import LayerShapes
from mutspec.model.spec import TensorSpec

Weight = tuple[str, Any, str, Any]
"""A weight's path, shape, dtype and channel axis."""


class CallInModel(NamedTuple):
    """A call of a layer or operation.

    Arguments:
        entry: the serialised layer, with this call only.
        inputs: the types of the tensors that it is called on.
        outputs: the types of its outputs.
        weights: its weights.
    """

    entry: dict[str, Any]
    inputs: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    weights: list[Weight]


def weights_of(made: LayerShapes) -> list[Weight]:
    """The weights of a layer that an oracle found."""
    return [(each.path, each.shape, each.dtype, each.channel_axis) for each in made.weights]


def calls_in(model: Any) -> Iterator[CallInModel]:
    """The calls in a Functional or Sequential model, and in the models in it."""
    import keras

    tensors = read_live(model).spec.tensors
    for graph, prefix in _models(model):
        serialised = json.loads(json.dumps(keras.saving.serialize_keras_object(graph)))
        entries = {entry["name"]: entry for entry in serialised["config"]["layers"]}
        nodes = {id(node) for each in graph._nodes_by_depth.values() for node in each}
        for operation in graph.operations:
            entry = entries[operation.name]
            made_here = [node for node in operation._inbound_nodes if id(node) in nodes]
            for index, node in enumerate(made_here):
                yield CallInModel(
                    {**entry, "inbound_nodes": entry["inbound_nodes"][index : index + 1]},
                    tuple(TensorType(tuple(each.shape), each.dtype) for each in node.input_tensors),
                    tuple(TensorType(tuple(each.shape), each.dtype) for each in node.outputs),
                    _below(tensors, prefix, operation.name),
                )


def _models(model: Any, path: str = "") -> Iterator[tuple[Any, str]]:
    """A model and the models in it, with their paths."""
    import keras

    if isinstance(model, keras.Sequential):
        model.build()
        yield model._functional, path
    elif hasattr(model, "operations"):
        yield model, path
    else:
        return
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _models(layer, f"{path}{layer.name}/")


def _below(tensors: tuple[TensorSpec, ...], prefix: str, name: str) -> list[Weight]:
    """The weights of a layer, by their paths below the model that it stands in."""
    return [
        (each.removeprefix(prefix), tensor.shape, tensor.dtype, tensor.channel_axis)
        for tensor in tensors
        for each in (tensor.path, *tensor.aliases)
        if each.startswith(f"{prefix}{name}/")
    ]
