"""Requests about pruning: filters and units that go, on chains, residuals, depthwise blocks and recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from tests.requests.asked import remade, request
from tests.requests.models import chain, convnet, seeded, series

Gone = Mapping[str, Mapping[tuple[int, int], Sequence[int]]]
"""What a layer loses: of a weight by number, along an axis, which indices."""


def pruned(base: Any, sizes: Mapping[str, Mapping[str, int]], gone: Gone) -> Any:
    """A copy of a model whose layers have other sizes, with the weights that are left."""

    def smaller(old: Any) -> Any:
        return type(old).from_config({**old.get_config(), **sizes[old.name]}) if old.name in sizes else None

    copy = remade(base, layer=smaller)
    for name, lost in gone.items():
        values = base.get_layer(name).get_weights()
        for (number, axis), indices in lost.items():
            values[number] = np.delete(values[number], indices, axis)
        copy.get_layer(name).set_weights(values)
    return copy


def filters(indices: Sequence[int]) -> dict[tuple[int, int], Sequence[int]]:
    """What a convolution loses: the last axis of its kernel, and entries of its bias."""
    return {(0, -1): indices, (1, 0): indices}


def statistics(indices: Sequence[int]) -> dict[tuple[int, int], Sequence[int]]:
    """What a batch normalization loses."""
    return {(number, 0): indices for number in range(4)}


def mobile() -> Any:
    """A block of MobileNetV2: it gets wider, is filtered channel by channel, and gets narrower."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 1, use_bias=False, name="expand")(image)
    x = layers.ReLU(6.0, name="relu")(layers.BatchNormalization(name="expand_bn")(x))
    x = layers.DepthwiseConv2D(3, use_bias=False, name="depthwise")(x)
    x = layers.ReLU(6.0, name="relu_2")(layers.BatchNormalization(name="depthwise_bn")(x))
    x = layers.Conv2D(3, 1, use_bias=False, name="project")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return seeded(keras.Model(image, layers.Dense(2, name="classes")(x), name="mobile"))


@request("keras-surgeon #60", chain, "steps: [{op: remove_neurons, target: conv_2, indices: [0, 2]}]")
def filters_of_a_chain(base: Any, mutant: Any) -> Any:
    sizes = {"conv_2": {"filters": 2}}
    return pruned(base, sizes, {"conv_2": filters([0, 2]), "conv_3": {(0, 2): [0, 2]}})


@request(
    "keras-surgeon #14, tf-keras-surgeon #3, #7",
    convnet,
    "steps: [{op: remove_neurons, target: conv_2, indices: [1]}]",
)
def filters_that_are_added_to_others(base: Any, mutant: Any) -> Any:
    sizes = {"conv_1": {"filters": 3}, "conv_2": {"filters": 3}}
    rows = range(1, 64, 4)  # of an image of 4 by 4 pixels with 4 channels
    return pruned(
        base,
        sizes,
        {
            "conv_1": filters([1]),
            "bn_1": statistics([1]),
            "conv_2": {(0, 2): [1], **filters([1])},
            "fc1": {(0, 0): rows},
        },
    )


@request("keras-surgeon #35", mobile, "steps: [{op: remove_neurons, target: expand, indices: [0, 5]}]")
def filters_before_a_depthwise_convolution(base: Any, mutant: Any) -> Any:
    gone = [0, 5]
    return pruned(
        base,
        {"expand": {"filters": 4}},
        {
            "expand": {(0, -1): gone},
            "expand_bn": statistics(gone),
            "depthwise": {(0, 2): gone},
            "depthwise_bn": statistics(gone),
            "project": {(0, 2): gone},
        },
    )


@request("keras-surgeon #1", series, "steps: [{op: remove_neurons, target: lstm, indices: [1, -1]}]")
def units_of_an_lstm(base: Any, mutant: Any) -> Any:
    units = [1, 4]
    in_gates = [5 * gate + unit for gate in range(4) for unit in units]
    lost = {(0, 1): in_gates, (1, 0): units, (1, 1): in_gates, (2, 0): in_gates}
    return pruned(base, {"lstm": {"units": 3}}, {"lstm": lost, "out": {(0, 0): units}})


@request(
    "keras-surgeon #7",
    chain,
    "steps: [{op: remove_neurons, target: {type: Conv2D}, fraction: 50%, rank: smallest, by: l1}]",
)
def the_smaller_half_of_all_filters(base: Any, mutant: Any) -> Any:
    kernels = {name: base.get_layer(name).kernel.numpy() for name in ("conv_1", "conv_2", "conv_3")}
    norms = {name: np.abs(kernel).sum(axis=(0, 1, 2)) for name, kernel in kernels.items()}
    one, two, three = (np.argsort(each)[: len(each) // 2].tolist() for each in norms.values())
    return pruned(
        base,
        {"conv_1": {"filters": 2}, "conv_2": {"filters": 2}, "conv_3": {"filters": 3}},
        {
            "conv_1": filters(one),
            "bn_1": statistics(one),
            "conv_2": {(0, 2): one, **filters(two)},
            "conv_3": {(0, 2): two, **filters(three)},
            "classes": {(0, 0): three},
        },
    )
