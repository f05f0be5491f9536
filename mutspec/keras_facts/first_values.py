"""The initializers of the weights of Keras's layers, by role: the argument that states one, and its default. Pure data.

Checked against Keras 3.15 by `tests/structure/test_first_values.py`. A weight that is not here gets its first value
from Keras: the windows of STFTSpectrogram, the weights of quantised layers and of LoRA.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Initialized:
    """The initializer of a weight.

    Arguments:
        argument: the argument of the layer that states it; empty if the class fixes it.
        default: what it is by default, by name or in Keras's form.
        is_root: whether the weight is the square root of what the initializer draws.
    """

    argument: str
    default: str | Mapping[str, Any]
    is_root: bool = False


_BY_ROLE: Mapping[str, Initialized] = {
    "kernel": Initialized("kernel_initializer", "glorot_uniform"),
    "depthwise_kernel": Initialized("depthwise_initializer", "glorot_uniform"),
    "pointwise_kernel": Initialized("pointwise_initializer", "glorot_uniform"),
    "recurrent_kernel": Initialized("recurrent_initializer", "orthogonal"),
    "bias": Initialized("bias_initializer", "zeros"),
    "embeddings": Initialized("embeddings_initializer", "uniform"),
    "reverse_embeddings": Initialized("embeddings_initializer", "uniform"),
    "gamma": Initialized("gamma_initializer", "ones"),
    "beta": Initialized("beta_initializer", "zeros"),
    "alpha": Initialized("alpha_initializer", "zeros"),
    "moving_mean": Initialized("moving_mean_initializer", "zeros"),
    "moving_variance": Initialized("moving_variance_initializer", "ones"),
    "moving_stddev": Initialized("moving_variance_initializer", "ones", is_root=True),
    "renorm_mean": Initialized("moving_mean_initializer", "zeros"),
    "renorm_stddev": Initialized("moving_variance_initializer", "ones", is_root=True),
    "mean": Initialized("", "zeros"),
    "variance": Initialized("", "ones"),
    "count": Initialized("", "zeros"),
    "concat_score_weight": Initialized("", "ones"),
    "vector_u": Initialized("", {"class_name": "TruncatedNormal", "config": {"stddev": 0.02}}),
}

_BY_CLASS: Mapping[tuple[str, str], Initialized] = {
    ("DepthwiseConv1D", "kernel"): Initialized("depthwise_initializer", "glorot_uniform"),
    ("DepthwiseConv2D", "kernel"): Initialized("depthwise_initializer", "glorot_uniform"),
    ("RMSNormalization", "scale"): Initialized("", "ones"),
    ("Attention", "scale"): Initialized("", "ones"),
    ("AdditiveAttention", "scale"): Initialized("", "glorot_uniform"),
}
"""Roles that mean something else in one class."""

FORGET_GATE = 1
"""The place of the forget gate among the four gates of an LSTM or a ConvLSTM. By `unit_forget_bias`, which is true by
default, its biases begin at 1, and the other gates' biases are drawn by themselves (Jozefowicz et al. 2015)."""

_HAS_FORGET_GATE = ("LSTM", "ConvLSTM")


def initialized_by(class_name: str, role: str) -> Initialized | None:
    """Returns the initializer of a weight; None if only Keras has it.

    Arguments:
        class_name: the class of the layer that owns the weight.
        role: the weight's role.
    """
    return _BY_CLASS.get((class_name, role), _BY_ROLE.get(role))


def has_forget_gate(class_name: str, role: str) -> bool:
    """Returns whether a weight is a bias of which a quarter is that of the forget gate."""
    return role == "bias" and class_name.startswith(_HAS_FORGET_GATE)
