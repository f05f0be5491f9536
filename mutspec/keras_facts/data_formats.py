"""How Keras's layers depend on the place of the channels in a tensor: by `data_format`, by axes, or not at all.

Checked against Keras 3.15 by `tests/keras_facts/test_data_formats.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.keras_facts.activation_intervals import activation_of

FIRST, LAST = "channels_first", "channels_last"


def _ranks(name: str, *ranks: int) -> list[str]:
    return [name.format(rank) for rank in ranks]


CONVOLUTIONS = frozenset(
    {
        *_ranks("Conv{}D", 1, 2, 3),
        *_ranks("Conv{}DTranspose", 1, 2, 3),
        *_ranks("DepthwiseConv{}D", 1, 2),
        *_ranks("SeparableConv{}D", 1, 2),
    }
)
"""Convolutions, which have a `data_format`."""

SPATIAL = frozenset(
    {
        *_ranks("MaxPooling{}D", 2, 3),
        *_ranks("AveragePooling{}D", 2, 3),
        *_ranks("GlobalMaxPooling{}D", 2, 3),
        *_ranks("GlobalAveragePooling{}D", 2, 3),
        *_ranks("ZeroPadding{}D", 2, 3),
        *_ranks("Cropping{}D", 2, 3),
        *_ranks("UpSampling{}D", 2, 3),
        *_ranks("SpatialDropout{}D", 2, 3),
    }
)
"""Other layers on images and volumes, which have a `data_format`."""

EITHER = frozenset(
    {
        "Flatten",
        *_ranks("MaxPooling{}D", 1),
        *_ranks("AveragePooling{}D", 1),
        *_ranks("GlobalMaxPooling{}D", 1),
        *_ranks("GlobalAveragePooling{}D", 1),
        *_ranks("ZeroPadding{}D", 1),
    }
)
"""Layers with a `data_format` that are as common after layers without one, on sequences. Flatten outputs the entries in
the order of `channels_last` in both formats."""

AXES: Mapping[str, str] = {
    "BatchNormalization": "axis",
    "LayerNormalization": "axis",
    "GroupNormalization": "axis",
    "UnitNormalization": "axis",
    "Softmax": "axis",
    "Concatenate": "axis",
    "Normalization": "axis",
    "PReLU": "shared_axes",
}
"""The argument with which a class names axes of its inputs; its other arguments do not depend on them.
RMSNormalization is not here: its scale has the shape of the last axis, wherever its `axis` is (Keras 3.15)."""

AXES_DEFAULT: Mapping[str, Any] = {"PReLU": None}
"""The default of that argument, where it is not -1."""

ENTRYWISE = frozenset(
    {
        *("ReLU", "LeakyReLU", "ELU", "Activation", "Identity", "ActivityRegularization"),
        *("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise", "Rescaling"),
        *("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"),
    }
)
"""Layers that compute each entry by itself, so that the order of axes does not matter."""

ENTRYWISE_OPERATIONS = frozenset(
    {
        *("Absolute", "Add", "Clip", "Divide", "Exp", "Log", "Maximum", "Minimum", "Multiply", "Negative", "Power"),
        *("Sqrt", "Square", "Subtract", "Tanh", "TrueDivide"),
        *("Elu", "Gelu", "HardSigmoid", "HardSilu", "LeakyRelu", "Relu", "Relu6", "Sigmoid", "Silu", "Softplus"),
    }
)
"""Operations that compute each entry by itself."""

ALONG_LAST_AXIS = frozenset({"softmax", "log_softmax", "sparsemax", "glu"})
"""Activations that compute along the last axis, wherever the channels are."""

WEIGHT_AXES: Mapping[str, tuple[str, ...]] = {"LayerNormalization": ("gamma", "beta"), "PReLU": ("alpha",)}
"""Weights with an axis for each of several axes of the input."""


def depends_on_last_axis(class_name: str, config: Mapping[str, Any]) -> bool:
    """Returns whether a layer computes along the last axis, whatever its `data_format` and axes say."""
    if activation_of(config) in ALONG_LAST_AXIS:
        return True
    axis = config.get("axis")
    if class_name == "Normalization" and isinstance(axis, list | tuple) and len(axis) > 1:
        return True
    return any(isinstance(config.get(key), list | tuple) for key in ("scale", "offset", "max_value"))
