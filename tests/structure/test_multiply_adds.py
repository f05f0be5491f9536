"""The multiply–adds of a network are those of the operations that TensorFlow runs for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mutspec.keras_facts.tensor_types import Shape
from mutspec.model.live import read_live
from mutspec.structure.multiply_adds import MultiplyAdds, multiply_adds
from mutspec.structure.network_config import network_of
from tests.effort import share
from tests.structure.layer_cases import CASES
from tests.structure.traced_products import traced_products
from tests.zoo import ZOO

UNKNOWN: Mapping[str, str] = {
    "custom_layer": "`gate` (Gate) is of a class whose multiply–adds are not known",
    "nested_custom": "`mine` (Subclassed) is of a class whose multiply–adds are not known",
    "einsum": "`einsum_dense_1` (EinsumDense) has a tensor of (None, None, 5), of which not all extents are known",
    "quantized_int8": "`dense_1` (Dense) has a tensor of (None, None, 4), of which not all extents are known",
}
"""The models of the zoo whose multiply–adds are not known, and why."""

OTHERWISE = {"convolutions_1d", "subclassed"}
"""For a causal convolution with a dilation TensorFlow pads more than it must. A subclassed model is no network."""


def counted(model: Any) -> MultiplyAdds:
    return multiply_adds(network_of(read_live(model).config))


@pytest.mark.parametrize("name", share(sorted(ZOO.keys() - UNKNOWN - OTHERWISE), of=2, turn=1))
def test_a_model_has_the_multiply_adds_that_tensorflow_makes(name: str) -> None:
    model = ZOO[name]()
    assert counted(model) == MultiplyAdds(traced_products(model))


@pytest.mark.parametrize("name", UNKNOWN)
def test_where_they_are_not_known_the_layer_is_named(name: str) -> None:
    assert counted(ZOO[name]()) == MultiplyAdds(None, UNKNOWN[name])


def _has_products(case: tuple[str, Mapping[str, Any], tuple[Shape, ...]]) -> bool:
    name, config, shapes = case
    is_known = all(None not in shape[1:] and shape[0] is None for shape in shapes)
    is_padded = name == "Conv1D" and config.get("padding") == "causal" and "dilation_rate" in config
    kinds = ("Dense", "Conv", "RNN", "LSTM", "GRU", "Dot")
    return is_known and not is_padded and any(kind in name for kind in kinds)


@pytest.mark.parametrize(("name", "config", "shapes"), [case for case in CASES if _has_products(case)])
def test_a_layer_has_the_multiply_adds_that_tensorflow_makes(
    name: str, config: Mapping[str, Any], shapes: tuple[Shape, ...]
) -> None:
    import keras

    inputs = [keras.Input(batch_shape=shape) for shape in shapes]
    layer = getattr(keras.layers, name)(**config)
    states = {"initial_state": inputs[1:]} if isinstance(layer, keras.layers.RNN) and inputs[1:] else {}
    model = keras.Model(inputs, layer(inputs if name == "Dot" else inputs[0], **states))
    made = traced_products(model)
    assert made > 0
    assert counted(model) == MultiplyAdds(made)


def _gated(query: Any, value: Any) -> Any:
    import keras

    return keras.layers.MultiHeadAttention(2, 3, value_dim=5, output_shape=(7,), use_gate=True)(query, value)


def _along_one_axis(query: Any, value: Any) -> Any:
    import keras

    folded = keras.layers.Reshape((2, 3, 8))(keras.layers.Concatenate(axis=1)([query, value]))
    return keras.layers.MultiHeadAttention(2, 3, attention_axes=2)(folded, folded)


def _shared_by_heads(query: Any, value: Any) -> Any:
    import keras

    return keras.layers.GroupQueryAttention(3, 4, 2, use_gate=True)(query, value)


def _by_operations(query: Any, value: Any) -> Any:
    import keras

    scores = keras.ops.softmax(keras.ops.matmul(query, keras.ops.transpose(value, (0, 2, 1))))
    return keras.ops.einsum("bqv,bvd->bqd", scores, value) * 0.5


def _in_a_model(query: Any, value: Any) -> Any:
    import keras

    rows = keras.Input((None, 8))
    inner = keras.Model(rows, keras.layers.Dense(2)(keras.layers.Dense(5)(rows)))
    each = keras.layers.TimeDistributed(keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)]))
    return [inner(query), inner(value), each(query)]


@pytest.mark.parametrize("build", [_gated, _along_one_axis, _shared_by_heads, _by_operations, _in_a_model])
def test_products_of_two_tensors_count(build: Any) -> None:
    import keras

    query, value = keras.Input((2, 8)), keras.Input((4, 8))
    model = keras.Model([query, value], build(query, value))
    assert counted(model) == MultiplyAdds(traced_products(model))


def test_an_embedding_costs_nothing_forwards_and_a_dense_backwards() -> None:
    import keras

    tokens = keras.Input((6,), dtype="int32")
    layer = keras.layers.ReversibleEmbedding(50, 4)
    assert counted(keras.Model(tokens, layer(tokens))) == MultiplyAdds(0)
    assert counted(keras.Model(tokens, layer(layer(tokens), reverse=True))) == MultiplyAdds(6 * 4 * 50)


def test_an_axis_of_unknown_length_is_named() -> None:
    import keras

    model = keras.Sequential([keras.Input((None, 4)), keras.layers.Dense(3, name="each"), keras.layers.LSTM(2)])
    what = "`each` (Dense) has a tensor of (None, None, 3), of which not all extents are known"
    assert counted(model) == MultiplyAdds(None, what)


def test_a_layer_in_a_layer_is_named_by_the_layer_that_holds_it() -> None:
    import keras

    inner = keras.layers.Lambda(lambda x: x)
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.TimeDistributed(inner, name="each")])
    assert counted(model) == MultiplyAdds(None, "`each` (Lambda) is of a class whose multiply–adds are not known")


@pytest.mark.parametrize(("name", "published"), [("MobileNetV2", 300e6), ("ResNet50", 3.8e9)])
def test_networks_have_the_multiply_adds_that_their_papers_state(name: str, published: float) -> None:
    import keras

    found = counted(getattr(keras.applications, name)(weights=None)).count
    assert found == pytest.approx(published, rel=0.02)
