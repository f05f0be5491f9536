"""Requests about how a model is trained on: frozen layers, penalties, precision, names."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tests.requests.asked import like, request
from tests.requests.models import another_convnet, augmented, chain, convnet, transfer
from tests.zoo.play import part


def trained(model: Any) -> list[str]:
    """The names of the layers with weights that are to be trained."""
    return sorted({weight.path.split("/")[-2] for weight in model.trainable_weights})


@request(
    "keras #7688, #9106, #12053, #4852, tensorflow #37511, #33635",
    convnet,
    """
steps:
  - {op: configure_layer, target: {type: [Dense, Conv2D]}, set: {kernel_regularizer: {type: L2, l2: 0.01}}}
""",
)
def a_penalty_on_a_pretrained_model(base: Any, mutant: Any) -> Any:
    kernels = [layer.kernel for layer in base.layers if hasattr(layer, "kernel")]
    assert len(mutant.losses) == len(kernels) == 5
    wanted = [0.01 * np.sum(np.square(np.asarray(kernel, "float64"))) for kernel in kernels]
    np.testing.assert_allclose(np.sort(mutant.losses), np.sort(wanted), rtol=1e-5)
    return base


@request(
    "keras #4674, #7085",
    convnet,
    "steps: [{op: configure_layer, target: 're:(conv|bn)_.*', set: {trainable: false}}]",
)
def frozen_by_a_pattern(base: Any, mutant: Any) -> Any:
    assert trained(mutant) == ["classes", "fc1", "fc2"]
    return base


@request(
    "keras #7085, #4762",
    convnet,
    "steps: [{op: configure_layer, target: {pick: {skip_last: 1}}, set: {trainable: false}}]",
)
def all_frozen_but_the_last(base: Any, mutant: Any) -> Any:
    assert trained(mutant) == ["classes"]
    return base


@request(
    "keras #4674",
    convnet,
    "steps: [{op: configure_layer, target: {pick: {first: 4}}, set: {trainable: false}}]",
)
def the_first_layers_frozen(base: Any, mutant: Any) -> Any:
    assert not mutant.get_layer("bn_1").trainable
    assert trained(mutant) == ["classes", "conv_2", "fc1", "fc2"]
    return base


@request(
    "keras #4674, #7085",
    transfer,
    "steps: [{op: configure_layer, target: backbone, set: {trainable: false}}]",
)
def a_nested_base_frozen(base: Any, mutant: Any) -> Any:
    assert trained(mutant) == ["classes", "hidden"]
    return base


def frozen() -> Any:
    """A classifier on a backbone that is frozen."""
    model = transfer()
    model.get_layer("backbone").trainable = False
    return model


@request(
    "keras #4762",
    frozen,
    """
steps:
  - {id: all, op: configure_layer, target: backbone, set: {trainable: true}}
  - {id: but_normalization, op: configure_layer, target: {type: BatchNormalization}, set: {trainable: false}}
""",
)
def unfrozen_but_for_normalization(base: Any, mutant: Any) -> Any:
    assert trained(mutant) == ["classes", "conv_1", "conv_2", "hidden"]
    return base


@request(
    "autokeras #1524",
    augmented,
    "steps: [{op: remove_layer, target: {type: 'Random*'}}]",
)
def without_augmentation(base: Any, mutant: Any) -> Any:
    image = np.random.default_rng(0).uniform(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(mutant(image, training=True), base(image, training=False), atol=1e-6)
    return base


@request(
    "keras #17381, tf-keras #65, yolov3-tf2 #243",
    chain,
    "steps: [{op: set_dtype_policy, policy: mixed_float16}]",
    tolerance=2e-2,
)
def mixed_precision(base: Any, mutant: Any) -> Any:
    assert {each.dtype for each in mutant.weights} == {"float32"}
    assert {layer.compute_dtype for layer in mutant.layers if layer.name.startswith("conv")} == {"float16"}
    assert mutant.output.dtype == "float32"
    copy = keras.models.clone_model(base, clone_function=halved)
    copy.set_weights(base.get_weights())
    return copy


def halved(layer: Any) -> Any:
    if isinstance(layer, keras.layers.InputLayer) or layer.name == "classes":
        return layer.from_config(layer.get_config())
    return type(layer).from_config({**layer.get_config(), "dtype": "mixed_float16"})


@request(
    "yolov3-tf2 #243, keras #17381",
    chain,
    "steps: [{op: set_dtype_policy, policy: float16}]",
    tolerance=2e-2,
)
def half_precision(base: Any, mutant: Any) -> Any:
    assert {each.dtype for each in mutant.weights} == {"float16"}
    values, rounded = mutant.get_weights(), base.get_weights()
    assert all(np.array_equal(one, other.astype("float16")) for one, other in zip(values, rounded, strict=True))
    return base


@request(
    "keras #5540, #7412, #19689, #12187, keras-applications #119, tensorflow #32408",
    convnet,
    """
steps:
  - {op: rename_layer, target: "*", to: "first_{name}"}
  - {op: rename_model, to: first}
""",
)
def all_layers_with_a_prefix(base: Any, mutant: Any) -> Any:
    assert mutant.name == "first"
    assert [layer.name for layer in mutant.layers] == [f"first_{layer.name}" for layer in base.layers]
    image = keras.Input((8, 8, 3))
    both = keras.Model(image, [mutant(image), base(image)])
    assert len({layer.name for layer in both.layers}) == 3
    keras.Model([mutant.input, base.input], [mutant.output, base.output], name="one_graph")
    return base


@request(
    "keras #5540",
    transfer,
    "steps: [{op: rename_layer, target: backbone, to: encoder}]",
)
def a_nested_model_renamed(base: Any, mutant: Any) -> Any:
    assert mutant.get_layer("encoder").name == "encoder"
    return base


@request(
    "Keras-inference-time-optimizer #17, aimet #2155",
    chain,
    "steps: [{op: fold_batch_normalization, target: {type: BatchNormalization}}]",
)
def normalization_folded(base: Any, mutant: Any) -> Any:
    assert not [layer for layer in mutant.layers if isinstance(layer, keras.layers.BatchNormalization)]
    return base


def renamed(model: Any) -> Any:
    """A model in another, because Keras refuses two of one name."""
    return keras.Model(model.input, model.output, name="other_model")


@request(
    "keras #2775, #13696, #8613",
    convnet,
    """
steps:
  - {id: mean, op: join, source: "second:", layer: {type: Average}}
""",
    inputs={"second": another_convnet},
)
def an_ensemble(base: Any, mutant: Any, second: Any) -> Any:
    assert len(mutant.inputs) == 1
    image = like(base)
    return keras.Model(image, keras.layers.Average()([base(image), renamed(second)(image)]))


def a_third_convnet() -> Any:
    """One with other values again."""
    return convnet(3)


@request(
    "keras #13696",
    convnet,
    """
steps:
  - {id: mean, op: join, source: ["second:", "third:"], layer: {type: Average}}
""",
    inputs={"second": another_convnet, "third": a_third_convnet},
)
def the_mean_of_three_models(base: Any, mutant: Any, second: Any, third: Any) -> Any:
    image = like(base)
    third = keras.Model(third.input, third.output, name="third_model")
    return keras.Model(image, keras.layers.Average()([base(image), renamed(second)(image), third(image)]))


@request(
    "keras #2775, #8613",
    convnet,
    """
steps:
  - {op: extract, to: fc2}
  - {id: both, op: join, source: "second:", inputs: separate, layer: {type: Concatenate}}
""",
    inputs={"second": another_convnet},
)
def two_models_on_inputs_of_their_own(base: Any, mutant: Any, second: Any) -> Any:
    one, other = like(base), keras.Input((8, 8, 3), name="other")
    joined = keras.layers.Concatenate()([part(base, "fc2")(one), renamed(second)(other)])
    return keras.Model([one, other], joined)
