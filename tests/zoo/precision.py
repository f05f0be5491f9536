"""Dtype policies and quantised layers."""

from __future__ import annotations

__all__ = ["bfloat16", "double", "mixed_float16", "quantized_int8"]


def _small(policy):
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 1), dtype="float32"),
            layers.Conv2D(3, 3, dtype=policy),
            layers.BatchNormalization(dtype=policy),
            layers.Flatten(dtype=policy),
            layers.Dense(2, dtype=policy),
        ]
    )


def mixed_float16():
    """Computes in float16, stores float32."""
    return _small("mixed_float16")


def bfloat16():
    """Stores bfloat16, which HDF5 has no type for."""
    return _small("bfloat16")


def double():
    """Stores float64."""
    return _small("float64")


def quantized_int8():
    """Dense, EinsumDense and Embedding layers quantised to int8, and one that stays as it was."""
    import keras

    layers = keras.layers
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 6)(inputs)
    x = layers.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d")(x)
    x = layers.Dense(3, use_bias=False)(layers.Dense(4)(x))
    x = layers.LayerNormalization()(x)
    model = keras.Model(inputs, x)
    model.quantize("int8")
    return model
