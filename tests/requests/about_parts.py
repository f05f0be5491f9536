"""Requests about parts of models, their inputs and outputs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from tests.requests.asked import like, remade, request, run
from tests.requests.models import chain, chain_functional_of, chain_of_four, convnet, texts, transfer
from tests.zoo.play import part


@request("keras #2371, #3442, #8909, #15636, tensorflow #22479", convnet, "steps: [{op: extract, to: fc2}]")
def without_the_last_layer(base: Any, mutant: Any) -> Any:
    return part(base, "fc2")


@request(
    "keras #2371, #3442",
    convnet,
    "steps: [{op: remove_layer, target: {type: Dense, pick: {skip_first: 1}}}]",
)
def last_layers_removed(base: Any, mutant: Any) -> Any:
    return part(base, "fc1")


@request("keras #588, #3988", convnet, "steps: [{op: extract, to: add}]")
def a_trunk_up_to_an_intermediate_layer(base: Any, mutant: Any) -> Any:
    assert "flatten" not in [layer.name for layer in mutant.layers]
    return part(base, "add")


@request("keras #9648", convnet, "steps: [{op: extract, from: flatten}]")
def without_the_first_layers(base: Any, mutant: Any) -> Any:
    pooled = keras.Input((4, 4, 4))
    assert mutant.input_shape == (None, 4, 4, 4)
    return keras.Model(pooled, run(base, "flatten fc1 fc2 classes", pooled))


@request("keras #9648", texts, "steps: [{op: extract, from: lstm}]")
def without_the_embedding(base: Any, mutant: Any) -> Any:
    vectors = keras.Input((6, 4))
    return keras.Model(vectors, run(base, "lstm classes", vectors))


@request(
    "keras #3988, #10094, #5074, tensorflow #43025",
    convnet,
    "steps: [{op: extract, from: conv_2, to: pool}]",
)
def a_block_in_the_middle(base: Any, mutant: Any) -> Any:
    assert len(mutant.inputs) == 1
    features = keras.Input((8, 8, 4))
    x = base.get_layer("add")([features, base.get_layer("conv_2")(features)])
    return keras.Model(features, base.get_layer("pool")(x))


@request(
    "keras #14166, #9184",
    transfer,
    "steps: [{op: extract, from: backbone/bn_1, to: backbone/conv_2}]",
)
def a_block_of_a_nested_model(base: Any, mutant: Any) -> Any:
    features = keras.Input((6, 6, 4))
    return keras.Model(features, run(base.get_layer("backbone"), "bn_1 conv_2", features))


@request(
    "keras #871, #3095",
    chain,
    """
steps:
  - {op: replace_layer, target: classes, layer: {type: Dense, units: 7}, inherit: true}
""",
    new=("classes",),
)
def another_number_of_classes(base: Any, mutant: Any) -> Any:
    assert mutant.output_shape == (None, 7)
    return remade(base, layer=lambda old: layers.Dense(7, name="classes") if old.name == "classes" else None)


@request(
    "keras #7924, keras-applications #57",
    convnet,
    """
steps:
  - {op: replace_layer, target: classes, layer: {type: Dense, units: 4}, inherit: true, keep_weights: slice}
""",
)
def a_class_more_and_the_old_ones_kept(base: Any, mutant: Any) -> Any:
    kernel, bias = base.get_layer("classes").get_weights()
    new_kernel, new_bias = mutant.get_layer("classes").get_weights()
    assert np.array_equal(new_kernel[:, :3], kernel)
    assert np.array_equal(new_bias[:3], bias)
    head = layers.Dense(4, activation="softmax", name="more")
    copy = remade(base, layer=lambda old: head if old.name == "classes" else None)
    head.set_weights([np.concatenate([kernel, new_kernel[:, 3:]], axis=1), np.concatenate([bias, new_bias[3:]])])
    return copy


@request(
    "keras #7924, keras-applications #57",
    convnet,
    """
steps:
  - {op: replace_layer, target: classes, layer: {type: Dense, units: 4, activation: softmax}}
  - {op: transfer_weights, source: "base:classes", target: classes, on_mismatch: slice}
""",
)
def a_class_more_from_the_base(base: Any, mutant: Any) -> Any:
    return a_class_more_and_the_old_ones_kept(base, mutant)


@request("keras #8142, keras_cv_attention_models #87", chain, "steps: [{op: set_input, size: 12}]")
def images_of_another_size(base: Any, mutant: Any) -> Any:
    assert mutant.input_shape == (None, 12, 12, 3)
    return chain_functional_of(12, base)


@request("keras #8142", chain, "steps: [{op: set_input, shape: [null, null, 3]}]")
def images_of_any_size(base: Any, mutant: Any) -> Any:
    assert mutant.input_shape == (None, None, None, 3)
    return chain_functional_of(5, base)


@request(
    "keras #8142",
    convnet,
    """
steps:
  - {op: set_input, size: 12}
  - {op: replace_layer, target: fc1, layer: {type: Dense}, inherit: true}
""",
    new=("fc1",),
)
def images_of_another_size_before_a_flatten(base: Any, mutant: Any) -> Any:
    image = keras.Input((12, 12, 3))
    x = relu = run(base, "conv_1 bn_1 relu_1", image)
    x = run(base, "pool flatten", base.get_layer("add")([relu, base.get_layer("conv_2")(x)]))
    return keras.Model(image, run(base, "fc2 classes", layers.Dense(6, activation="relu", name="fc1")(x)))


@request("keras #6306, #2664", convnet, "steps: [{op: add_output, target: fc1}]")
def a_second_output(base: Any, mutant: Any) -> Any:
    return part(base, "classes", "fc1")


@request("efficientnet #141, keras #6306", convnet, "steps: [{op: extract, outputs: [relu_1, add, fc1]}]")
def features_at_several_layers(base: Any, mutant: Any) -> Any:
    return part(base, "relu_1", "add", "fc1")


@request(
    "keras #6306",
    transfer,
    "steps: [{op: add_output, target: backbone/conv_2}]",
)
def an_output_from_a_nested_model(base: Any, mutant: Any) -> Any:
    backbone = base.get_layer("backbone")
    image = like(base)
    features = run(backbone, "conv_1 bn_1 conv_2", image)
    return keras.Model(image, [run(base, "hidden classes", backbone.get_layer("pool")(features)), features])


@request(
    "keras #1330, #7101",
    convnet,
    """
steps:
  - {id: joined, op: add_input, name: meta, after: fc1, shape: [2], layer: {type: Concatenate}}
  - {op: replace_layer, target: fc2, layer: {type: Dense}, inherit: true, keep_weights: slice}
""",
)
def another_input_in_the_middle(base: Any, mutant: Any) -> Any:
    kernel, bias = base.get_layer("fc2").get_weights()
    wider, new_bias = mutant.get_layer("fc2").get_weights()
    assert np.array_equal(wider[:6], kernel)
    assert np.array_equal(new_bias, bias)
    meta = keras.Input((2,))
    fc2 = layers.Dense(5, activation="relu")
    x = layers.Concatenate()([base.get_layer("fc1").output, meta])
    made = keras.Model([base.input, meta], base.get_layer("classes")(fc2(x)))
    fc2.set_weights([wider, bias])
    return made


@request(
    "innvestigate #85, keras-vis #196",
    convnet,
    "steps: [{op: configure_layer, target: {where: {activation: softmax}}, set: {activation: linear}}]",
)
def logits_for_probabilities(base: Any, mutant: Any) -> Any:
    fc2 = part(base, "fc2")
    given = np.random.default_rng(3).normal(size=(2, 8, 8, 3)).astype("float32")
    exp = np.exp(np.asarray(mutant(given)))
    np.testing.assert_allclose(exp / exp.sum(-1, keepdims=True), base(given), atol=1e-6)
    logits = layers.Dense(3, name="logits")
    made = keras.Model(fc2.input, logits(fc2.output))
    logits.set_weights(base.get_layer("classes").get_weights())
    return made


@request(
    "keras #3836, #3199",
    chain,
    'steps: [{op: transfer_weights, source: "old:", target: "*", on_mismatch: skip}]',
    inputs={"old": chain_of_four},
)
def weights_by_name_where_they_fit(base: Any, mutant: Any, old: Any) -> Any:
    features = part(old, "pool")
    return keras.Model(features.input, base.get_layer("classes")(features.output))
