"""A place in a model where activations are measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerOutput:
    """An axis of the output of a layer, or of its first output: the others are states and scores.

    Arguments:
        layer: the path of the layer.
        axis: the axis, counted from the end: -1 is the last one. A layer may be called on tensors of several ranks.
    """

    layer: str
    axis: int
