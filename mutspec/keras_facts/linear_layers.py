"""Layers that are linear in their input, but for the activation at their end: what a scale and a shift become in them.

Checked against Keras 3.15 by `tests/keras_facts/test_linear_layers.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinearLayer:
    """One class of linear layers, all of which have a `bias` of one entry for each output channel.

    Arguments:
        first: the kernel that the input meets first.
        last: the kernel that makes the output channels; the same one in most classes.
        takes_shift: whether a shift of its input is a shift of its output, the same at each position, if it does not
            pad. In transposed convolutions fewer inputs reach the positions at the edge.
    """

    first: str = "kernel"
    last: str = "kernel"
    takes_shift: bool = True


LINEAR: Mapping[str, LinearLayer] = {
    "Dense": LinearLayer(),
    **{f"Conv{count}D": LinearLayer() for count in (1, 2, 3)},
    **{f"Conv{count}DTranspose": LinearLayer(takes_shift=False) for count in (1, 2, 3)},
    **{f"DepthwiseConv{count}D": LinearLayer() for count in (1, 2)},
    **{f"SeparableConv{count}D": LinearLayer("depthwise_kernel", "pointwise_kernel") for count in (1, 2)},
}
"""The classes."""
