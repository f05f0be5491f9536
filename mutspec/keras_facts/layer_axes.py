"""How the axes of a layer's inputs, outputs and weights hang together, as data.

A pattern names the axes. Axes of one name have the same channels, in the same order. This is all that is known of a
layer where channels are removed, added or repeated: which of its weights change with them, which argument counts them,
and which layers before and after it have to follow.

- `i` a named axis; `_` an axis without channels, such as the batch
- `...` any number of axes that are passed on as they are
- `*` any number of axes whose entries are mixed, such as the height and width that a convolution slides over
- `(4 u)` an axis of 4 · u entries: u units in each of 4 gates; `(c m)`, c channels with m entries each
- `i > o` of a weight, or `o < i`: it is summed over i to make o. Without either, it acts on each channel alone.

Checked against Keras 3.15 by `tests/structure/test_layer_axes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class LayerAxes:
    """The axes of a layer.

    Arguments:
        call: the axes of its inputs and outputs: `... i -> ... o`.
        weights: the axes of its weights, by role.
        widths: the axis that an argument counts, by argument; the first is what is meant by the layer's units. An
            argument that is a list of extents names an axis for each. A layer may have no such argument, as its units
            are the channels of its input: then it is `channels`.
        sizes: the extents of axes without channels, as in `(4 u)` with a letter for the 4.
        made: the extents of axes that the layer makes, where no argument of a single axis states them.
        mixes: the axes that are no channels of their own to the layer, each with the reason: with fewer of them, what
            it makes of the others is something else.
    """

    call: str
    weights: Mapping[str, str] = field(default_factory=lambda: _NONE)
    widths: Mapping[str, str] = field(default_factory=lambda: _NONE)
    sizes: Mapping[str, int] = field(default_factory=dict)
    made: Mapping[str, int] = field(default_factory=dict)
    mixes: Mapping[str, str] = field(default_factory=lambda: _NONE)


_PASSES = LayerAxes("... -> ...")
_MIXES_SPACE = LayerAxes("_ * c -> _ * c")


def _each(names: str, axes: LayerAxes) -> dict[str, LayerAxes]:
    return dict.fromkeys(names.split(), axes)


LAYER_AXES: Mapping[str, LayerAxes] = {
    "Dense": LayerAxes(
        "... i -> ... o",
        {
            "kernel": "i > o",
            "bias": "o",
            "kernel_scale": "o",
            "lora_kernel_a": "i > _",
            "lora_kernel_b": "_ > o",
        },
        {"units": "o"},
    ),
    "Embedding": LayerAxes("* -> * o", {"embeddings": "v > o"}, {"output_dim": "o", "input_dim": "v"}),
    **_each(
        "Activation ReLU LeakyReLU ELU Dropout GaussianNoise GaussianDropout AlphaDropout SpatialDropout1D "
        "SpatialDropout2D SpatialDropout3D ActivityRegularization Identity Masking Rescaling",
        _PASSES,
    ),
}
"""The axes of classes by name, where they do not depend on the config."""
