"""Convolutions of all kinds."""

from __future__ import annotations

__all__ = ["conv_transpose", "convolutions_1d", "convolutions_3d", "depthwise", "grouped", "separable"]


def separable():
    """Separable convolutions in one and two dimensions' worth of kernels."""
    import keras

    return keras.Sequential(
        [
            keras.Input((7, 7, 3)),
            keras.layers.SeparableConv2D(4, 3, depth_multiplier=2),
            keras.layers.SeparableConv2D(2, 2, use_bias=False),
            keras.layers.Reshape((16, 2)),
            keras.layers.SeparableConv1D(3, 2),
        ]
    )


def depthwise():
    """Depthwise convolutions, as in mobile networks."""
    import keras

    return keras.Sequential(
        [
            keras.Input((7, 7, 3)),
            keras.layers.DepthwiseConv2D(3, depth_multiplier=2),
            keras.layers.DepthwiseConv2D(3, use_bias=False),
            keras.layers.Reshape((9, 6)),
            keras.layers.DepthwiseConv1D(2),
        ]
    )


def grouped():
    """A convolution in groups."""
    import keras

    return keras.Sequential(
        [keras.Input((5, 5, 4)), keras.layers.Conv2D(6, 2, groups=2), keras.layers.Flatten(), keras.layers.Dense(2)]
    )


def conv_transpose():
    """Transposed convolutions, whose kernels hold the output channels before the input's."""
    import keras

    return keras.Sequential(
        [
            keras.Input((3, 3, 2)),
            keras.layers.Conv2DTranspose(4, 2),
            keras.layers.Conv2DTranspose(3, 2, use_bias=False),
            keras.layers.Reshape((5, 15)),
            keras.layers.Conv1DTranspose(2, 2),
        ]
    )


def convolutions_1d():
    """Sequences: dilated and causal."""
    import keras

    return keras.Sequential(
        [keras.Input((9, 2)), keras.layers.Conv1D(3, 2, dilation_rate=2, padding="causal"), keras.layers.Conv1D(2, 3)]
    )


def convolutions_3d():
    """Volumes."""
    import keras

    return keras.Sequential([keras.Input((4, 4, 4, 2)), keras.layers.Conv3D(3, 2), keras.layers.Conv3DTranspose(2, 2)])
