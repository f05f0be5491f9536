"""The models of the table: builders, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.zoo import ZOO

APPLICATIONS = {
    "ResNet50": 32,
    "MobileNetV2": 32,
    "EfficientNetB0": 32,
    "ConvNeXtTiny": 32,
    "DenseNet121": 32,
    "InceptionV3": 75,
    "NASNetMobile": 32,
    "Xception": 71,
}
"""Models of keras.applications, and the smallest images that they take."""

_OF_THE_ZOO = (
    "residual",
    "siamese",
    "nested_twice_deep",
    "bidirectional",
    "gru",
    "stacked_cells",
    "embedding_mask",
    "transformer",
    "multiple_io",
    "multiple_io_lists",
    "grouped",
    "separable",
    "mixed_float16",
    "quantized_int8",
    "operators",
    "shared_layers",
)

RECOMPUTED = ("digits", "nested_twice_deep", "masked_rnn")
"""The models whose rows a test computes again."""

ALSO_RECOMPUTED = ("siamese", "transformer")
"""Those whose rows only a thorough test computes again."""


def application(name: str) -> Any:
    """A model of keras.applications with random weights, among them statistics that are not 0 and 1."""
    import keras
    import numpy as np

    keras.backend.clear_session()
    keras.utils.set_random_seed(3)
    size = APPLICATIONS[name]
    build = getattr(keras.applications, name)
    model = build(weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None)
    random = np.random.default_rng(5)
    around = {"moving_mean": (-0.1, 0.1), "moving_variance": (0.5, 1.5), "beta": (-0.1, 0.1), "bias": (-0.1, 0.1)}
    for variable in model.weights:
        low, high = around.get(variable.name, (0.8, 1.2))
        if variable.name in around or "gamma" in variable.name:  # ConvNeXt's scales begin at 1e-6
            variable.assign(random.uniform(low, high, variable.shape).astype("float32"))
    return model


def digits() -> Any:
    """The classifier of digits that ships."""
    import keras

    return keras.saving.load_model(Path(__file__).parents[2] / "conf" / "model" / "digits.keras")


def masked_rnn() -> Any:
    """Recurrent layers of several kinds, one after another, all masked."""
    import keras

    layers = keras.layers
    keras.backend.clear_session()
    keras.utils.set_random_seed(4)
    inputs = keras.Input((4,), dtype="int32", name="tokens")
    x = layers.Embedding(11, 6, mask_zero=True, name="embedding")(inputs)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="both")(x)
    x = layers.GRU(6, return_sequences=True, name="gru")(layers.LayerNormalization(name="norm")(x))
    x = layers.RNN([layers.LSTMCell(4), layers.GRUCell(6)], name="stacked")(x)
    return keras.Model(inputs, layers.Dense(2, name="head")(x), name="masked_rnn")


MODELS: dict[str, Callable[[], Any]] = {
    **{name: partial(application, name) for name in APPLICATIONS},
    "digits": digits,
    "masked_rnn": masked_rnn,
    **{name: ZOO[name] for name in _OF_THE_ZOO},
}
"""Every row of the table."""
