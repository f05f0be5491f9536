"""The multiply–adds of a Keras model, counted in the operations of TensorFlow that it is traced to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any


def traced_products(model: Any) -> int:
    """Counts the multiply–adds of TensorFlow's matrix products and convolutions for one sample."""
    import keras
    import tensorflow as tf

    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN):
            layer.unroll = True  # a loop in the graph does not say how often it runs
    structure = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    one = [tf.TensorSpec((1, *each.shape[1:]), each.dtype) for each in keras.tree.flatten(structure)]

    @tf.function(autograph=False)
    def predict(*tensors: Any) -> Any:
        return model(keras.tree.pack_sequence_as(structure, tensors), training=False)

    return sum(_products(each) for each in _operations(predict.get_concrete_function(*one).graph))


def _operations(graph: Any) -> Iterator[Any]:
    """Yields the operations that the outputs are made of. Keras traces cells once more to find the shapes of states."""
    waiting = [each.op for each in graph.outputs]
    seen = set()
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        assert "While" not in each.type, f"{each.name} runs an unknown number of times"
        yield each
        waiting += [tensor.op for tensor in each.inputs]
        if each.type in ("PartitionedCall", "StatefulPartitionedCall"):
            yield from _operations(graph._get_function(each.get_attr("f").name).graph)


def _products(operation: Any) -> int:
    count = _PRODUCTS.get(operation.type)
    return 0 if count is None else count(operation)


def _made(operation: Any) -> int:
    return prod(operation.outputs[0].shape)


def _matrices(operation: Any) -> int:
    is_turned = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    return _made(operation) * operation.inputs[0].shape[-2 if is_turned else -1]


def _convolved(operation: Any) -> int:
    return _made(operation) * prod(operation.inputs[1].shape[:-1])


def _spread(operation: Any) -> int:
    return prod(operation.inputs[2].shape) * prod(operation.inputs[1].shape[:-1])


def _by_channel(operation: Any) -> int:
    return _made(operation) * prod(operation.inputs[1].shape[:2])


def _einsum(operation: Any) -> int:
    operands = operation.get_attr("equation").decode().split("->")[0]
    extents = {}
    for letters, tensor in zip(operands.split(","), operation.inputs, strict=True):
        under = "XYZ"[: len(tensor.shape) - len(letters) + 3]
        extents |= dict(zip(letters.replace("...", under), tensor.shape, strict=True))
    return prod(extents.values()) if len(operation.inputs) > 1 else 0


_PRODUCTS: Mapping[str, Callable[[Any], int]] = {
    "MatMul": _matrices,
    "BatchMatMulV2": _matrices,
    "BatchMatMulV3": _matrices,
    "Conv2D": _convolved,
    "Conv3D": _convolved,
    "Conv2DBackpropInput": _spread,
    "Conv3DBackpropInputV2": _spread,
    "DepthwiseConv2dNative": _by_channel,
    "Einsum": _einsum,
}
