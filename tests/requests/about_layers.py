"""Requests about single layers: put in, exchanged, moved, doubled, given other arguments."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from tests.requests.asked import layer_at, like, remade, request, run
from tests.requests.models import chain, compiled, convnet, densenet, efficientnet, transfer


@keras.saving.register_keras_serializable("requests")
class Gain(layers.Layer):
    """A layer of one's own, with a weight."""

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, inputs: Any) -> Any:
        return inputs * self.gain


def after(name: str, *new: Any) -> Any:
    """Calls layers after another."""

    def called(layer: Any, *values: Any, **options: Any) -> Any:
        made = layer(*values, **options)
        for each in new if layer.name == name else ():
            made = each(made)
        return made

    return called


@request(
    "tensorflow/models #9593",
    densenet,
    """
steps:
  - {id: gain, op: insert_layer, after: conv3_block1_concat, layer: {type: "requests>Gain"}}
""",
    is_deep=True,
    tolerance=1e-4,
)
def a_layer_of_ones_own_inside_densenet(base: Any, mutant: Any) -> Any:
    assert len(mutant.weights) == len(base.weights) + 1
    assert np.array_equal(mutant.get_layer("gain").gain, np.ones(64 + 32))
    return base


@request(
    "tensorflow #47208",
    efficientnet,
    """
steps:
  - {op: configure_layer, target: {where: {activation: swish}}, set: {activation: relu}}
""",
    is_deep=True,
    tolerance=1e-4,
)
def relu_for_swish_in_efficientnet(base: Any, mutant: Any) -> Any:
    def relu(layer: Any) -> Any:
        if getattr(layer, "activation", None) is keras.activations.swish:
            return type(layer).from_config({**layer.get_config(), "activation": "relu"})
        return None

    return remade(base, layer=relu)


@request(
    "keras #3259, DL-Discuss-Implement-Group #6, tf-keras-surgeon #5",
    compiled,
    """
steps:
  - id: more
    op: insert_layer
    after: conv_1
    layers: [{type: Conv2D, name: extra, filters: same, kernel_size: 1}, {type: LayerNormalization, name: norm}]
""",
    new=("extra", "norm"),
)
def layers_in_the_middle_of_a_compiled_model(base: Any, mutant: Any) -> Any:
    assert mutant.compiled
    return remade(base, call=after("conv_1", layers.Conv2D(4, 1, name="extra"), layers.LayerNormalization(name="norm")))


@request(
    "keras #10182",
    convnet,
    """
steps:
  - {id: layers, op: replace_layer, target: {type: ReLU}, layer: {type: LeakyReLU, negative_slope: 0.3}}
  - id: arguments
    op: configure_layer
    target: {where: {activation: relu}}
    set: {activation: {type: LeakyReLU, negative_slope: 0.3}}
""",
)
def leaky_relu_everywhere(base: Any, mutant: Any) -> Any:
    def leaky(layer: Any) -> Any:
        if isinstance(layer, layers.ReLU):
            return layers.LeakyReLU(0.3, name=layer.name)
        if getattr(layer, "activation", None) is keras.activations.relu:
            return type(layer).from_config({**layer.get_config(), "activation": layers.LeakyReLU(0.3)})
        return None

    return remade(base, layer=leaky)


@request(
    "keras #10182",
    chain,
    """
steps:
  - op: replace_layer
    target: {type: ReLU}
    layer: {type: PReLU, alpha_initializer: {type: Constant, value: 0.25}, shared_axes: [1, 2]}
""",
)
def trainable_slopes_for_relu(base: Any, mutant: Any) -> Any:
    return remade(base, layer=lambda old: layers.LeakyReLU(0.25) if old.name == "relu_1" else None)


@request(
    "keras #3259",
    convnet,
    """
steps:
  - id: drop
    op: insert_layer
    after: {type: Dense, followed_by: {type: Dense}}
    layer: {type: Dropout, rate: 0.4}
""",
)
def dropout_between_pretrained_dense_layers(base: Any, mutant: Any) -> Any:
    assert [layer.name for layer in mutant.layers][-5:] == ["fc1", "drop", "fc2", "drop_1", "classes"]
    assert mutant.get_layer("drop_1").rate == 0.4
    return base


@request(
    "segmentation_models #425",
    convnet,
    """
steps:
  - op: replace_layer
    target: {type: BatchNormalization}
    layer: {type: GroupNormalization, groups: 2}
    keep_weights: true
""",
)
def group_for_batch_normalization(base: Any, mutant: Any) -> Any:
    normalization = layers.GroupNormalization(2, name="groups")
    copy = remade(base, layer=lambda old: normalization if old.name == "bn_1" else None)
    normalization.set_weights(base.get_layer("bn_1").get_weights()[:2])
    return copy


@request(
    "webdnn #639",
    chain,
    """
steps:
  - {op: replace_layer, target: {type: Conv2D}, layer: {type: SeparableConv2D}, inherit: true}
""",
    new=("conv_1", "conv_2", "conv_3"),
)
def separable_convolutions(base: Any, mutant: Any) -> Any:
    def separable(layer: Any) -> Any:
        if not isinstance(layer, layers.Conv2D):
            return None
        return layers.SeparableConv2D(
            layer.filters, 3, padding="same", activation=layer.activation.__name__, name=layer.name
        )

    return remade(base, layer=separable)


@request(
    "keras #10182",
    convnet,
    """
steps:
  - {op: replace_layer, target: {type: Add}, layer: {type: Average}}
""",
)
def average_for_add(base: Any, mutant: Any) -> Any:
    return remade(base, layer=lambda old: layers.Average(name="add") if old.name == "add" else None)


@request(
    "keras #10182",
    convnet,
    """
steps:
  - {op: replace_layer, target: add, layers: [{type: Concatenate}, {type: Conv2D, filters: same, kernel_size: 1}]}
""",
    new=("add",),
)
def concatenate_for_add(base: Any, mutant: Any) -> Any:
    def joined(layer: Any, *values: Any, **options: Any) -> Any:
        made = layer(*values, **options)
        return layers.Conv2D(4, 1, name="add")(made) if layer.name == "joined" else made

    return remade(base, layer=lambda old: layers.Concatenate(name="joined") if old.name == "add" else None, call=joined)


@request(
    "LAm of DeepMutation, deepcrime",
    convnet,
    """
steps:
  - {id: again, op: duplicate_layers, target: conv_2}
""",
)
def a_layer_twice(base: Any, mutant: Any) -> Any:
    copy = layers.Conv2D.from_config({**base.get_layer("conv_2").get_config(), "name": "again"})
    made = remade(base, call=after("conv_2", copy))
    copy.set_weights(base.get_layer("conv_2").get_weights())
    return made


@request(
    "LAm of DeepMutation, deepcrime",
    convnet,
    """
steps:
  - {id: second, op: duplicate_layers, target: {between: [conv_2, add]}}
""",
)
def a_block_twice(base: Any, mutant: Any) -> Any:
    image = like(base)
    x = relu = run(base, "conv_1 bn_1 relu_1", image)
    x = base.get_layer("add")([relu, base.get_layer("conv_2")(x)])
    x = base.get_layer("add")([x, base.get_layer("conv_2")(x)])
    return keras.Model(image, run(base, "pool flatten fc1 fc2 classes", x))


@request(
    "LS of LEMON, keras #3259",
    chain,
    """
steps:
  - {op: swap_layers, target: bn_1, other: relu_1}
""",
)
def normalization_after_relu(base: Any, mutant: Any) -> Any:
    image = like(base)
    return keras.Model(image, run(base, "conv_1 relu_1 bn_1 conv_2 conv_3 pool classes", image))


@request(
    "keras #8470",
    convnet,
    """
steps:
  - {id: pool_all, op: replace_layer, target: flatten, layer: {type: GlobalAveragePooling2D}}
  - {id: narrower, op: replace_layer, target: fc1, layer: {type: Dense}, inherit: true}
""",
    new=("fc1",),
)
def pooling_for_flatten(base: Any, mutant: Any) -> Any:
    def pooled(layer: Any) -> Any:
        if layer.name == "flatten":
            return layers.GlobalAveragePooling2D()
        return layers.Dense(6, activation="relu", name="fc1") if layer.name == "fc1" else None

    return remade(base, layer=pooled)


@request(
    "keras #8470",
    transfer,
    """
steps:
  - {op: replace_layer, target: backbone/pool, layer: {type: GlobalAveragePooling2D}}
""",
)
def average_pooling_in_a_nested_base(base: Any, mutant: Any) -> Any:
    backbone = base.get_layer("backbone")
    image = like(base)
    x = layers.GlobalAveragePooling2D()(run(backbone, "conv_1 bn_1 conv_2", image))
    assert type(layer_at(mutant, "backbone/pool")) is layers.GlobalAveragePooling2D
    return keras.Model(image, run(base, "hidden classes", x))


@request(
    "segmentation_models.pytorch #183, semantic-segmentation-pytorch #246",
    chain,
    """
steps:
  - {op: replace_layer, target: conv_3, layer: {type: Conv2D, dilation_rate: 2}, inherit: true, keep_weights: true}
""",
)
def dilation_with_kept_weights(base: Any, mutant: Any) -> Any:
    return remade(base, layer=lambda old: remade_convolution(old, dilation_rate=2) if old.name == "conv_3" else None)


@request(
    "segmentation_models.pytorch #183",
    chain,
    """
steps:
  - {op: replace_layer, target: conv_2, layer: {type: Conv2D, strides: 2}, inherit: true, keep_weights: true}
""",
)
def strides_with_kept_weights(base: Any, mutant: Any) -> Any:
    assert mutant.get_layer("conv_2").output.shape[1:] == (4, 4, 4)
    return remade(base, layer=lambda old: remade_convolution(old, strides=2) if old.name == "conv_2" else None)


def remade_convolution(old: Any, **options: Any) -> Any:
    return layers.Conv2D.from_config({**old.get_config(), **options})


@request(
    "squeeze-and-excitation, wished for in many threads",
    chain,
    """
blocks:
  se:
    - {name: squeeze, type: GlobalAveragePooling2D, keepdims: true}
    - {name: less, type: Dense, units: 2, activation: relu}
    - {name: gate, type: Dense, units: same, activation: sigmoid}
    - {type: Multiply, of: [input, gate]}
steps:
  - {op: insert_layer, after: conv_2, layer: {block: se}}
""",
    new=("less", "gate"),
)
def squeeze_and_excitation(base: Any, mutant: Any) -> Any:
    def excited(layer: Any, *values: Any, **options: Any) -> Any:
        made = layer(*values, **options)
        if layer.name != "conv_2":
            return made
        gate = layers.GlobalAveragePooling2D(keepdims=True)(made)
        gate = layers.Dense(2, activation="relu", name="less")(gate)
        return layers.Multiply()([made, layers.Dense(4, activation="sigmoid", name="gate")(gate)])

    return remade(base, call=excited)


@request(
    "skip connections, add skip of network morphism",
    chain,
    """
steps:
  - {id: skip, op: insert_layer, after: conv_2, with: conv_1, layer: {type: Add}}
""",
)
def a_skip_connection(base: Any, mutant: Any) -> Any:
    image = like(base)
    early = base.get_layer("conv_1")(image)
    late = run(base, "bn_1 relu_1 conv_2", early)
    return keras.Model(image, run(base, "conv_3 pool classes", layers.Add()([late, early])))


@request(
    "keras #3491, #3503, leela-zero #704",
    chain,
    """
steps:
  - {id: deeper, op: deepen, target: [conv_1, conv_2]}
""",
)
def deeper_with_the_same_predictions(base: Any, mutant: Any) -> Any:
    assert sum(isinstance(layer, layers.Conv2D) for layer in mutant.layers) == 5
    return base
