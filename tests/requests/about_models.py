"""Requests about whole models: their form, their data format, models in models, what stands before them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from tests.requests.asked import like, request, run
from tests.requests.models import chain, row, transfer


@request("keras #3190, #10386", row, "steps: [{op: convert, to: functional}]")
def functional_of_sequential(base: Any, mutant: Any) -> Any:
    assert type(mutant) is keras.Model or type(mutant).__name__ == "Functional"
    image = like(base)
    return keras.Model(image, run(base, "conv flatten hidden out", image))


@request("keras #3190", chain, "steps: [{op: convert, to: sequential}]")
def sequential_of_functional(base: Any, mutant: Any) -> Any:
    assert type(mutant) is keras.Sequential
    return base


def backwards(base: Any) -> Any:
    """A model that takes images whose channels come first, and computes with channels last."""
    image = keras.Input((3, 8, 8))
    return keras.Model(image, base(layers.Permute((2, 3, 1))(image)))


@request("keras #10522, #21889, tensorflow #42430", chain, "steps: [{op: convert, to: channels_first}]", needs_xla=True)
def channels_first(base: Any, mutant: Any) -> Any:
    assert mutant.input_shape == (None, 3, 8, 8)
    assert {layer.data_format for layer in mutant.layers if hasattr(layer, "data_format")} == {"channels_first"}
    return backwards(base)


def with_channels_first() -> Any:
    """A model with channels before height and width, and weights behind a Flatten."""
    image = keras.Input((3, 6, 6), name="image")
    x = layers.Conv2D(4, 3, data_format="channels_first", name="conv")(image)
    x = layers.BatchNormalization(axis=1, name="bn")(x)
    x = layers.Flatten(data_format="channels_first", name="flatten")(x)
    return keras.Model(image, layers.Dense(2, name="out")(x))


@request("keras #10522, #21889", with_channels_first, "steps: [{op: convert, to: channels_last}]")
def channels_last(base: Any, mutant: Any) -> Any:
    image = keras.Input((6, 6, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(image))
    made = keras.Model(image, layers.Dense(2)(layers.Flatten()(x)))  # Flatten has one order in both formats
    made.set_weights(base.get_weights())
    return made


@request(
    "keras #3836",
    chain,
    """
steps:
  - id: normal
    op: insert_layer
    after: image
    layer: {type: Normalization, mean: [0.1, 0.2, 0.3], variance: [1, 4, 9]}
""",
)
def normalization_before_a_pretrained_model(base: Any, mutant: Any) -> Any:
    image = like(base)
    mean, deviation = np.array([0.1, 0.2, 0.3], "float32"), np.array([1, 2, 3], "float32")
    return keras.Model(image, base((image - mean) / deviation))


@request(
    "keras #3836",
    chain,
    "steps: [{id: normal, op: insert_layer, after: image, layer: {type: BatchNormalization, epsilon: 0.25}}]",
)
def batch_normalization_before_a_pretrained_model(base: Any, mutant: Any) -> Any:
    image = like(base)
    return keras.Model(image, base(image / np.sqrt(1.25).astype("float32")))


@request(
    "keras #10094, #14166",
    transfer,
    "steps: [{op: inline_model, target: backbone}]",
)
def a_nested_model_inlined(base: Any, mutant: Any) -> Any:
    assert [layer.name for layer in mutant.layers] == [
        *("image", "conv_1", "bn_1", "conv_2", "pool", "hidden", "classes")
    ]
    return base


@request(
    "keras #5074, #9184",
    chain,
    "steps: [{op: nest_layers, target: {between: [conv_1, conv_3]}, name: trunk}]",
)
def a_trunk_as_a_model_of_its_own(base: Any, mutant: Any) -> Any:
    assert [layer.name for layer in mutant.layers] == ["image", "trunk", "pool", "classes"]
    return base
