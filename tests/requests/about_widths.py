"""Requests about widths: wider layers, other input channels, more classes and tokens with the old ones kept."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from tests.requests.asked import remade, request, run
from tests.requests.models import chain, convnet, densenet, texts, transfer


def of_channels(base: Any, count: int, colours: Any) -> Any:
    """A model that calls the base on colours that it makes of an image of some channels."""
    image = keras.Input((*base.input_shape[1:3], count))
    return keras.Model(image, base(colours(image)))


@request("keras #3491, #3503, leela-zero #704", convnet, "steps: [{op: widen_layer, target: conv_2, to: 9}]")
def net2wider(base: Any, mutant: Any) -> Any:
    assert mutant.get_layer("conv_1").filters == mutant.get_layer("conv_2").filters == 9  # they are added up
    return base


@request(
    "keras #3491, #3503, leela-zero #704",
    densenet,
    "steps: [{op: widen_layer, target: conv3_block1_1_conv, factor: 1.5, method: zero_outgoing}]",
    is_deep=True,
    tolerance=1e-4,
)
def wider_within_a_densenet(base: Any, mutant: Any) -> Any:
    assert mutant.count_params() > base.count_params()
    return base


GREY = "keras #8766, #10786, qubvel/segmentation_models #36"


@request(GREY, chain, "steps: [{op: set_input, channels: 1, from: sum}]")
def grey_images(base: Any, mutant: Any) -> Any:
    return of_channels(base, 1, lambda image: layers.Concatenate()([image, image, image]))


@request(GREY, transfer, "steps: [{op: set_input, channels: 1, from: luminosity}]")
def grey_images_for_a_backbone(base: Any, mutant: Any) -> Any:
    assert mutant.get_layer("backbone").input_shape == (None, 8, 8, 1)
    return of_channels(base, 1, lambda image: image * np.array([0.299, 0.587, 0.114], "float32"))


@request(GREY, convnet, "steps: [{op: set_input, channels: 1, from: mean}]")
def grey_images_by_the_mean(base: Any, mutant: Any) -> Any:
    return of_channels(base, 1, lambda image: layers.Concatenate()([image, image, image]) / 3)


@request(
    "fizyr/keras-retinanet #361, matterport/Mask_RCNN #1753", convnet,
    "steps: [{op: set_input, channels: 4, from: zero}]",
)  # fmt: skip
def depth_besides_colours(base: Any, mutant: Any) -> Any:
    return of_channels(base, 4, lambda image: image[..., :3])


@request(
    "bonlime/keras-deeplab-v3-plus #150", chain,
    "steps: [{op: set_input, from: [0, 1, 2, 0, 1, 2, 0, 1], rescale: keep_sum}]",
)  # fmt: skip
def eight_channels_that_begin_as_copies(base: Any, mutant: Any) -> Any:
    def colours(image: Any) -> Any:
        means = [keras.ops.mean(image[..., first::3], axis=-1, keepdims=True) for first in range(3)]
        return layers.Concatenate()(means)

    return of_channels(base, 8, colours)


@request("keras #8766", chain, "steps: [{op: set_input, channels: 5, from: mean, rescale: keep_sum}]")
def two_more_channels_like_the_mean(base: Any, mutant: Any) -> Any:
    def colours(image: Any) -> Any:
        return (image[..., :3] + keras.ops.sum(image[..., 3:], axis=-1, keepdims=True) / 3) * 3 / 5

    return of_channels(base, 5, colours)


@request(
    "keras #7924, keras-applications #57", chain, "steps: [{op: resize_output, units: 4, initialize: mean}]"
)  # fmt: skip
def a_class_more_that_begins_as_the_mean_of_the_others(base: Any, mutant: Any) -> Any:
    logits = base.output
    return keras.Model(base.input, layers.Concatenate()([logits, keras.ops.mean(logits, axis=-1, keepdims=True)]))


@request(
    "keras #7924, keras-applications #57",
    convnet,
    """
steps:
  - op: resize_output
    old_classes: [dog, cat, horse]
    classes: [cat, bird, dog]
""",
)
def classes_by_name(base: Any, mutant: Any) -> Any:
    kernel, bias = base.get_layer("classes").get_weights()
    new_kernel, new_bias = mutant.get_layer("classes").get_weights()
    assert np.array_equal(new_kernel[:, [0, 2]], kernel[:, [1, 0]])
    assert np.array_equal(new_bias[[0, 2]], bias[[1, 0]])
    head = layers.Dense(3, activation="softmax", name="other")
    copy = remade(base, layer=lambda old: head if old.name == "classes" else None)
    head.set_weights([new_kernel, new_bias])
    return copy


@request("keras #871, #3095", transfer, "steps: [{op: resize_output, keep: [1]}]")
def fewer_classes(base: Any, mutant: Any) -> Any:
    assert mutant.output_shape == (None, 1)
    return keras.Model(base.input, base.output[:, 1:])


@request(
    "keras #12734",
    texts,
    "steps: [{op: resize_embedding, target: embed, input_dim: 12, initialize: mean}]",
    values=lambda: [np.array([[1, 2, 9, 3, 11, 0], [6, 5, 4, 0, 0, 0]], "int32")],
)
def more_tokens(base: Any, mutant: Any) -> Any:
    (table,) = base.get_layer("embed").get_weights()
    more = layers.Embedding(12, 4, mask_zero=True)
    tokens = keras.Input((6,), dtype="int32")
    vectors = more(tokens)
    more.set_weights([np.concatenate([table, np.tile(table.mean(axis=0), (5, 1))])])
    return keras.Model(tokens, run(base, "lstm classes", vectors))
