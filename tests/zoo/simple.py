"""Sequential models, and the plainest layers."""

from __future__ import annotations

__all__ = [
    "embedding_mask",
    "frozen",
    "normalization",
    "normalizers",
    "prelu",
    "preprocessing",
    "sequential",
    "sequential_deferred",
    "spectral_embedding",
]


def sequential():
    """A small classifier, with an InputLayer and without own names."""
    import keras

    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(3, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3, use_bias=False),
        ]
    )


def sequential_deferred():
    """A Sequential model that was built by its first call."""
    import keras
    import numpy as np

    model = keras.Sequential(
        [keras.layers.Dense(4, name="first"), keras.layers.Dense(2, name="second")], name="deferred"
    )
    model(np.zeros((1, 3), "float32"))
    return model


def frozen():
    """Layers with `trainable=False`, one of them inside a frozen nested model."""
    import keras

    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4), keras.layers.BatchNormalization()], name="inner"
    )
    inner.layers[0].trainable = False
    whole = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4), keras.layers.BatchNormalization()], name="whole"
    )
    inputs = keras.Input((4,))
    x = keras.layers.Dense(4, name="thawed")(whole(inner(inputs)))
    x = keras.layers.BatchNormalization(name="still")(x)
    model = keras.Model(inputs, keras.layers.Dense(2, name="ice")(x))
    model.get_layer("ice").trainable = False
    model.get_layer("still").trainable = False
    whole.trainable = False
    return model


def normalization():
    """A Normalization layer with adapted statistics, and one with given ones."""
    import keras
    import numpy as np

    adapted = keras.layers.Normalization(name="adapted")
    adapted.adapt(np.arange(24, dtype="float32").reshape(8, 3))
    given = keras.layers.Normalization(mean=1.0, variance=2.0, name="given")
    return keras.Sequential([keras.Input((3,)), adapted, given, keras.layers.Dense(2)])


def normalizers():
    """Every normalisation layer, some with parts switched off."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4, 4, 6)),
            layers.BatchNormalization(scale=False, name="unscaled"),
            layers.BatchNormalization(center=False, name="uncentered"),
            layers.BatchNormalization(scale=False, center=False, name="bare"),
            layers.LayerNormalization(name="layer_norm"),
            layers.LayerNormalization(axis=[1, 2], scale=False, name="two_axes"),
            layers.GroupNormalization(groups=3, name="group_norm"),
            layers.RMSNormalization(name="rms_norm"),
            layers.UnitNormalization(name="unit_norm"),
            layers.SpectralNormalization(layers.Conv2D(2, 2), name="spectral_norm"),
            layers.GlobalAveragePooling2D(),
            layers.SpectralNormalization(layers.Dense(3, name="bounded")),
        ]
    )


def prelu():
    """Learned slopes, per unit and shared over space."""
    import keras

    return keras.Sequential(
        [
            keras.Input((5, 5, 2)),
            keras.layers.Conv2D(3, 2),
            keras.layers.PReLU(),
            keras.layers.PReLU(shared_axes=[1, 2]),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
            keras.layers.PReLU(),
        ]
    )


def embedding_mask():
    """An embedding whose mask reaches the recurrent layers."""
    import keras

    inputs = keras.Input((7,), dtype="int32")
    x = keras.layers.Embedding(11, 4, mask_zero=True)(inputs)
    x = keras.layers.LSTM(3, return_sequences=True)(x)
    x = keras.layers.Masking()(x)
    x = keras.layers.SimpleRNN(2)(x)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


def preprocessing():
    """Lookup tables, which are no weights, before an embedding."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((3,), dtype="int64"),
            layers.IntegerLookup(vocabulary=[3, 5, 7]),
            layers.Embedding(4, 3),
            layers.Flatten(),
            layers.Rescaling(0.5),
            layers.Dense(2),
        ]
    )


def spectral_embedding():
    """A wrapper that stores the table of the embedding in it a second time."""
    import keras

    layers = keras.layers
    return keras.Sequential([keras.Input((4,), dtype="int32"), layers.SpectralNormalization(layers.Embedding(5, 2))])
