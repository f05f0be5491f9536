"""Attention, and layers written as einsum."""

from __future__ import annotations

__all__ = ["attentions", "einsum", "transformer"]


def transformer():
    """A transformer block: self-attention, residuals, layer normalisation, a feed-forward part."""
    import keras

    layers = keras.layers
    inputs = keras.Input((5, 8))
    x = layers.MultiHeadAttention(2, 3, name="mha")(inputs, inputs)
    x = layers.LayerNormalization(name="first_norm")(layers.Add()([inputs, x]))
    y = layers.Dense(8, name="down")(layers.Dense(12, activation="gelu", name="up")(x))
    x = layers.LayerNormalization(epsilon=1e-6, name="second_norm")(layers.Add()([x, y]))
    return keras.Model(inputs, layers.GlobalAveragePooling1D()(x))


def attentions():
    """All attention layers, with and without their optional weights; queries, keys and values by keyword."""
    import keras

    layers = keras.layers
    query, value = keras.Input((4, 6)), keras.Input((3, 6))
    x = layers.GroupQueryAttention(3, 4, 2, name="gqa")(query, value)
    x = layers.MultiHeadAttention(2, 3, value_dim=4, use_bias=False, output_shape=6, name="cross")(
        x, value=value, key=value
    )
    x = layers.Attention(use_scale=True, score_mode="concat", name="luong")([x, value])
    x = layers.Attention(name="plain")([x, value])
    x = layers.AdditiveAttention(name="bahdanau")([x, value])
    x = layers.AdditiveAttention(use_scale=False, name="unscaled")([x, value])
    return keras.Model([query, value], x)


def einsum():
    """EinsumDense with and without bias."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4, 6)),
            layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="de"),
            layers.EinsumDense("abde,dec->abc", output_shape=(None, 5)),
        ]
    )
