"""The gates and heads of Keras's layers, and where their weights have them. Pure data."""

from __future__ import annotations

from collections.abc import Mapping

GATES: Mapping[str, tuple[str, ...]] = {
    "LSTM": ("input", "forget", "candidate", "output"),
    "GRU": ("update", "reset", "candidate"),
    "ConvLSTM": ("input", "forget", "candidate", "output"),
}
"""The gates of recurrent layers in the order of Keras's weights, by the beginning of class names."""

GATED_ROLES = ("kernel", "recurrent_kernel", "bias")
"""The roles of weights whose last axis has the gates one after the other."""

ATTENTION = ("MultiHeadAttention", "GroupQueryAttention")
HEAD_PROJECTIONS = ("query", "key", "value", "gate")
"""Attention layers, and their projections whose last axes are heads and the width of a head."""

WITHOUT_NEURONS = {("SeparableConv1D", "depthwise_kernel"), ("SeparableConv2D", "depthwise_kernel")}
"""Weights whose outputs are not those of the layer. A separable convolution has its neurons in the pointwise kernel."""
