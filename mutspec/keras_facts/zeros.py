"""What makes 0 of 0. So it is known whether a channel without weights is 0, or a number such as sigmoid(0) = 0.5.

Checked against Keras 3.15 by `tests/keras_facts/test_zeros.py`.
"""

from __future__ import annotations

from typing import Any


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ACTIVATIONS = _names(
    """
    celu elu gelu hard_shrink hard_silu hard_swish hard_tanh leaky_relu linear mish relu relu6 selu silu soft_shrink
    softsign swish tanh tanh_shrink
    """
)
"""Activations that return 0 for 0."""

MIXING_ACTIVATIONS = _names("softmax log_softmax sparsemax glu")
"""Activations that compute with all channels together."""

OPERATIONS = _names(
    """
    Absolute Abs Ceil Erf Expm1 Floor Log1p Sign Sin Sqrt Square Tan Tanh Celu Elu Gelu HardSilu HardTanh LeakyRelu
    Relu6 Selu Silu SoftShrink Softsign Negative Relu StopGradient Cast Add Subtract Maximum Minimum
    """
)
"""Operations that compute entry by entry, and make 0 of tensors and numbers that are all 0."""

REARRANGING = _names(
    """
    Mean Sum Max Min Prod Std Var Reshape Transpose Swapaxes Moveaxis ExpandDims Squeeze Repeat Tile BroadcastTo Flip
    GetItem Split Unstack Concatenate Stack Take AveragePool MaxPool Ravel Roll
    """
)
"""Operations over other axes, or on the places of entries, that make 0 of tensors that are all 0."""

LAYERS = _names(
    """
    Activation ReLU LeakyReLU ELU PReLU Dropout GaussianNoise GaussianDropout AlphaDropout SpatialDropout1D
    SpatialDropout2D SpatialDropout3D ActivityRegularization Identity Masking UnitNormalization RMSNormalization Add
    Subtract Average Maximum Minimum Concatenate Flatten Reshape Permute RepeatVector Attention AdditiveAttention
    DepthwiseConv1D DepthwiseConv2D MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D
    AveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalAveragePooling3D AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D
    AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
    Resizing CenterCrop RandomCrop Cropping1D Cropping2D Cropping3D UpSampling1D UpSampling2D UpSampling3D
    """
)
"""Layers that make 0 of tensors that are all 0, if their activation does."""


def is_nonzero(value: Any) -> bool:
    """Returns whether an argument of a call is a constant other than 0."""
    return isinstance(value, dict) or (isinstance(value, int | float) and value != 0)
