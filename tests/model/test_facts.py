"""Roles, groups, channel axes and calls, told from Keras itself where it can tell."""

from __future__ import annotations

import pytest

from mutspec.model import Call, Group, LayerSpec, TensorRef
from tests.model.conftest import Zoo
from tests.zoo import ZOO

KNOWN = [name for name in ZOO if name not in {"custom_layer", "subclassed", "nested_custom"}]
GROUPS = {
    "bias": Group.BIASES,
    "gamma": Group.NORMS,
    "beta": Group.NORMS,
    "embeddings": Group.EMBEDDINGS,
    "moving_mean": Group.STATISTICS,
    "moving_variance": Group.STATISTICS,
    "mean": Group.STATISTICS,
    "variance": Group.STATISTICS,
    "vector_u": Group.STATISTICS,
    "count": Group.STATE,
    "kernel_scale": Group.STATE,
    "embeddings_scale": Group.STATE,
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_role_is_what_keras_calls_the_variable(zoo: Zoo, name: str) -> None:
    for tensor in zoo[name].live.spec.tensors:
        assert zoo[name].live.variables[tensor.path].name == tensor.role


@pytest.mark.parametrize("name", KNOWN)
def test_a_group_says_what_a_weight_is_for(zoo: Zoo, name: str) -> None:
    for tensor in zoo[name].live.spec.tensors:
        norm_scale = tensor.role == "scale" and zoo[name].live.spec.layer_by_path[tensor.layer].name == "rms_norm"
        assert tensor.group is (Group.NORMS if norm_scale else GROUPS.get(tensor.role, Group.KERNELS)), tensor.path


@pytest.mark.parametrize(
    ("model", "path", "axis"),
    [
        ("sequential", "conv2d/kernel", 3),
        ("sequential", "dense/kernel", 1),
        ("conv_transpose", "conv2d_transpose/kernel", 2),
        ("depthwise", "depthwise_conv2d/kernel", 2),
        ("separable", "separable_conv2d/pointwise_kernel", 3),
        ("sequential", "batch_normalization/gamma", 0),
        ("einsum", "einsum_dense/kernel", None),
    ],
)
def test_the_channel_axis_runs_over_output_channels(zoo: Zoo, model: str, path: str, axis: int | None) -> None:
    assert zoo[model].live.spec.tensor_by_path[path].channel_axis == axis


@pytest.mark.parametrize("name", [name for name in ZOO if name not in {"subclassed"}])
def test_a_models_ports_are_those_of_keras(zoo: Zoo, name: str) -> None:
    import keras

    model, spec = zoo[name].model, zoo[name].live.spec
    if isinstance(model, keras.Sequential):
        assert (spec.inputs, spec.outputs) == ((), ())
        return
    assert [ref.layer for ref in spec.inputs] == [tensor._keras_history.operation.name for tensor in model.inputs]
    assert [(ref.layer, ref.output) for ref in spec.outputs] == [
        (tensor._keras_history.operation.name, tensor._keras_history.tensor_index) for tensor in model.outputs
    ]


@pytest.mark.parametrize("name", ["residual", "siamese", "called_twice", "operators", "initial_state", "shared_layers"])
def test_calls_are_the_edges_of_keras_own_graph(zoo: Zoo, name: str) -> None:
    model, spec = zoo[name].model, zoo[name].live.spec
    for operation in model.operations:
        nodes = [node for index, node in enumerate(operation._inbound_nodes) if _belongs(model, operation, index)]
        expected = [
            [
                (tensor._keras_history.operation.name, tensor._keras_history.tensor_index)
                for tensor in node.input_tensors
            ]
            for node in nodes
            if node.input_tensors
        ]
        calls = spec.layer_by_path[operation.name].calls
        assert [[(ref.layer, ref.output) for ref in call.inputs] for call in calls] == expected


def _belongs(model: object, operation: object, index: int) -> bool:
    from keras.src.ops.function import make_node_key

    return make_node_key(operation, index) in model._nodes  # type: ignore[attr-defined]


def test_a_nested_model_called_twice_is_called_by_number(zoo: Zoo) -> None:
    layers = zoo["called_twice"].live.spec.layer_by_path
    assert layers["inner"].calls == (Call((TensorRef("input_layer_1"),)), Call((TensorRef("inner", 0),)))
    assert layers["dense_1"].calls == (Call((TensorRef("inner", 1),)),)


def test_an_operator_is_not_a_layer(zoo: Zoo) -> None:
    layers: dict[str, LayerSpec] = dict(zoo["operators"].live.spec.layer_by_path)
    assert layers["add"].ancestry == ("Add", "Operation")
    assert zoo["residual"].live.spec.layer_by_path["add"].ancestry == ("Add", "Layer")
