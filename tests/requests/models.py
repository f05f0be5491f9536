"""The models of which things are asked: small, real, and with no two weights alike."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from keras.src.applications.densenet import DenseNet
from keras.src.applications.efficientnet import DEFAULT_BLOCKS_ARGS, EfficientNet

Model = Any


def seeded(model: Model, seed: int = 1) -> Model:
    """A model whose weights are all random, biases and statistics too."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if "float" in weight.dtype:
            low = 0.5 if "variance" in weight.path else -0.7
            weight.assign(random.uniform(low, 0.9, weight.shape))
    return model


def convnet(seed: int = 1) -> Model:
    """A classifier of images: normalization, an addition, a flattening, a few Dense layers."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="conv_1")(image)
    x = relu_1 = layers.ReLU(name="relu_1")(layers.BatchNormalization(name="bn_1")(x))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv_2")(x)
    x = layers.Add(name="add")([relu_1, x])
    x = layers.MaxPooling2D(name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(6, activation="relu", name="fc1")(x)
    x = layers.Dense(5, activation="relu", name="fc2")(x)
    x = layers.Dense(3, activation="softmax", name="classes")(x)
    return seeded(keras.Model(image, x, name="convnet"), seed)


def another_convnet() -> Model:
    """One with other values."""
    return convnet(2)


def compiled() -> Model:
    """A classifier that is compiled, and has been trained for a step."""
    model = convnet()
    model.compile("adam", "mse", metrics=["mae"], run_eagerly=True)
    model.train_on_batch(np.ones((2, 8, 8, 3)), np.ones((2, 3)))
    return model


def chain(classes: int = 3) -> Model:
    """A VGG in small, without branches, that keeps its extents up to a global pooling."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="conv_1")(image)
    x = layers.BatchNormalization(name="bn_1")(x)
    x = layers.ReLU(name="relu_1")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv_2")(x)
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv_3")(x)
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    return seeded(keras.Model(image, layers.Dense(classes, name="classes")(x), name="chain"))


def chain_of_four() -> Model:
    """One of four classes, with other values."""
    return seeded(chain(4), 2)


def chain_functional_of(size: int, model: Model) -> Model:
    """The layers of a chain on images of another size."""
    image = x = keras.Input((size, size, 3))
    for layer in model.layers[1:]:
        x = layer(x)
    return keras.Model(image, x)


def row() -> Model:
    """A Sequential model."""
    made = [
        layers.Conv2D(4, 3, activation="relu", name="conv"),
        layers.Flatten(name="flatten"),
        layers.Dense(5, activation="relu", name="hidden"),
        layers.Dense(2, name="out"),
    ]
    return seeded(keras.Sequential([keras.Input((6, 6, 3), name="image"), *made], name="row"))


def transfer() -> Model:
    """A classifier on a backbone that is a model of its own."""
    inner = keras.Input((8, 8, 3), name="inner")
    x = layers.Conv2D(4, 3, name="conv_1")(inner)
    x = layers.BatchNormalization(name="bn_1")(x)
    x = layers.Conv2D(5, 3, activation="relu", name="conv_2")(x)
    backbone = keras.Model(inner, layers.GlobalMaxPooling2D(name="pool")(x), name="backbone")
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Dense(4, activation="relu", name="hidden")(backbone(image))
    return seeded(keras.Model(image, layers.Dense(2, name="classes")(x), name="transfer"))


def augmented() -> Model:
    """A classifier with layers that act in training only, and one that acts always."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.RandomRotation(0.1, name="rotate")(layers.RandomFlip(name="flip")(image))
    x = layers.Rescaling(1 / 2, name="rescale")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Conv2D(4, 3, name="conv")(x))
    return seeded(keras.Model(image, layers.Dense(2, name="classes")(x), name="augmented"))


def texts() -> Model:
    """A classifier of texts whose padding is masked."""
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    x = layers.Embedding(7, 4, mask_zero=True, name="embed")(tokens)
    x = layers.LSTM(5, name="lstm")(x)
    return seeded(keras.Model(tokens, layers.Dense(2, name="classes")(x), name="texts"))


def series() -> Model:
    """A forecaster of series."""
    steps = keras.Input((6, 3), name="steps")
    x = layers.LSTM(5, name="lstm")(steps)
    return seeded(keras.Model(steps, layers.Dense(2, name="out")(x), name="series"))


def series_and_context() -> Model:
    """A forecaster of series that also knows something else."""
    steps, context = keras.Input((6, 3), name="steps"), keras.Input((2,), name="context")
    x = layers.Concatenate(name="join")([layers.LSTM(5, name="lstm")(steps), context])
    return seeded(keras.Model([steps, context], layers.Dense(2, name="out")(x), name="two_inputs"))


def masked_series() -> Model:
    """A forecaster of series whose padding is masked, by two layers of LSTM."""
    steps = keras.Input((6, 3), name="steps")
    x = layers.Masking(name="mask")(steps)
    x = layers.LSTM(3, return_sequences=True, name="lstm_1")(x)
    x = layers.LSTM(4, name="lstm_2")(x)
    return seeded(keras.Model(steps, layers.Dense(2, name="out")(x), name="masked"))


def padded_series() -> list[np.ndarray]:
    """Series that end at different times."""
    values = np.random.default_rng(0).uniform(-1, 1, (3, 6, 3)).astype("float32")
    values[0, 2:] = values[1, 4:] = 0
    return [values]


def densenet() -> Model:
    """A DenseNet as it ships with Keras, but with two layers in each block: DenseNet121 takes Keras a minute in all."""
    made = DenseNet([2, 2, 2, 2], weights=None, input_shape=(32, 32, 3), classes=3)
    return seeded_lightly(made)


def efficientnet() -> Model:
    """The EfficientNetB0 that ships with Keras, but with three of its seven stages, for small images."""
    stages = DEFAULT_BLOCKS_ARGS[:3]
    return seeded_lightly(
        EfficientNet(1.0, 1.0, 224, blocks_args=stages, weights=None, input_shape=(32, 32, 3), classes=3)
    )


def seeded_lightly(model: Model) -> Model:
    """A deep model whose statistics are random; its kernels are as Keras draws them, so that values stay finite."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        if "moving" in weight.path or "gamma" in weight.path:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
    return model
