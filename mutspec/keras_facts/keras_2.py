"""Differences of configurations of Keras 2 from those of Keras 3: modules, classes and arguments. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OLD_MODULES = ("tf_keras", "tensorflow", "keras.engine", "keras.src.engine", "keras.layers.", "keras.mixed_precision")
"""The beginnings of modules that Keras 2 wrote, and that Keras 3 does not have."""

RECURRENT = frozenset({"Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU", "LSTM", "RNN", "SimpleRNN"})
"""Recurrent layers. Keras 2 wrote their initial states as further inputs."""

WITHOUT_GROUPS = frozenset({"DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"}) | {
    f"Conv{rank}DTranspose" for rank in (1, 2, 3)
}
"""Convolutions that have an argument `groups` only in Keras 2."""

_SEPARABLE = frozenset({"DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"})

ANY_VALUE = object()
DROPPED_ARGUMENTS: tuple[tuple[str, object, frozenset[str]], ...] = (
    ("batch_input_shape", ANY_VALUE, frozenset()),
    ("implementation", ANY_VALUE, RECURRENT | {"GRUCell", "LSTMCell", "SimpleRNNCell"}),
    ("input_length", ANY_VALUE, frozenset({"Embedding"})),
    ("noise_shape", None, frozenset({"SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"})),
    ("noise_shape", None, frozenset({"AlphaDropout", "GaussianDropout"})),
    ("num_constants", None, RECURRENT),
    ("time_major", False, RECURRENT),
    ("trainable", ANY_VALUE, frozenset({"Discretization", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"})),
    ("groups", 1, WITHOUT_GROUPS),
    ("ragged", False, frozenset({"InputLayer"})),
    ("kernel_initializer", ANY_VALUE, _SEPARABLE),
    ("kernel_regularizer", None, _SEPARABLE),
    ("kernel_constraint", None, _SEPARABLE),
    *((f"{each}_shape", ANY_VALUE, frozenset({"MultiHeadAttention"})) for each in ("query", "key", "value")),
)
"""Arguments that Keras 3 does not have: name, the value with which it can be dropped, and the classes (none for all).

Arguments that are dropped with any value do not change what a layer computes: shapes, implementations, `trainable` of
layers without weights."""

RENAMED_ARGUMENTS: Mapping[tuple[str, str], str] = {
    ("InputLayer", "batch_input_shape"): "batch_shape",
    ("LeakyReLU", "alpha"): "negative_slope",
}
"""The names in Keras 3 of arguments, by class and former name."""

FORMER_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "GRU": {"reset_after": False},
    "GRUCell": {"reset_after": False},
}
"""Defaults of arguments in versions that did not have the argument yet. Keras 3 has another default."""

REMOVED_CLASSES: Mapping[str, str] = {
    **dict.fromkeys(("TFOpLambda", "SlicingOpLambda", "ClassMethod"), "calls a function of TensorFlow"),
    **dict.fromkeys(("CuDNNGRU", "CuDNNLSTM"), "has its weights in the order of cuDNN"),
    **dict.fromkeys(
        ("LocallyConnected1D", "LocallyConnected2D", "RandomHeight", "RandomWidth", "ThresholdedReLU"),
        "is of a class that was removed",
    ),
}
"""Classes of Keras 2 that Keras 3 does not have, and the reason why a layer of such a class cannot be built."""
