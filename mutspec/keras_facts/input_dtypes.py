"""Dtypes that layers cannot be called on, although Keras builds a model of them. Pure data.

Keras casts inputs of floats to a layer's dtype, and leaves whole numbers, truth values and texts as they are. Whether
TensorFlow has a kernel for them, it finds out when the model is called.
"""

from __future__ import annotations

from mutspec.keras_facts.dtypes import FLOATS

TEXT = "string"

_TAKES_TEXT = frozenset({
    "Add", "AlphaDropout", "Concatenate", "Cropping1D", "Cropping2D", "Cropping3D", "Dropout", "Flatten",
    "GaussianDropout", "GaussianNoise", "Hashing", "Identity", "InputLayer", "Permute", "RepeatVector", "Reshape",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "TimeDistributed", "UpSampling1D", "UpSampling3D",
    "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
})  # fmt: skip
"""Of the layers whose shapes the tables know, those that move texts or read them. A wrapper takes what its layer takes.
"""

_TAKES_FLOATS_ALONE = frozenset({
    "Attention", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "Conv1D", "Conv1DTranspose", "Conv2D",
    "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "DepthwiseConv1D", "DepthwiseConv2D", "ELU", "MaxPooling3D",
    "PReLU", "SeparableConv1D", "SeparableConv2D", "Softmax", "UnitNormalization",
})  # fmt: skip
"""Layers whose kernels multiply or average by floats, of the same dtype as their input."""


_TAKES_NUMBERS_ALONE = frozenset({
    "Activation", "Add", "Average", "LeakyReLU", "MaxPooling1D", "MaxPooling2D", "Maximum", "Minimum", "Multiply",
    "ReLU", "Subtract", "UpSampling2D",
})  # fmt: skip
"""Layers that take whole numbers, but no truth values."""


def refuses(class_name: str, dtype: str) -> str:
    """Returns what a layer takes instead of a dtype, as the rest of a sentence about it; empty if it takes the dtype.

    Arguments:
        class_name: a class of Keras whose shapes the tables know.
        dtype: the dtype of its first input.
    """
    if dtype == TEXT:
        return "" if class_name in _TAKES_TEXT else "takes numbers"
    if dtype == "bool" and class_name in _TAKES_NUMBERS_ALONE:
        return "takes numbers"
    return "takes floats" if class_name in _TAKES_FLOATS_ALONE and dtype not in FLOATS else ""
