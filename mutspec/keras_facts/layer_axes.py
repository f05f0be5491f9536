"""How the axes of a layer's inputs, outputs and weights are related, as data.

A pattern names the axes. Axes of one name have the same channels, in the same order. This is all that is known of a
layer where channels are removed, added or repeated: which of its weights change with them, which argument counts them,
and which layers before and after it have to follow.

- `i` a named axis; `_` an axis without channels, such as the batch
- `...` any number of axes that are passed on as they are
- `*` any number of axes whose entries are mixed, such as the height and width that a convolution slides over
- `(4 u)` an axis of 4 · u entries: u units in each of 4 gates; `(c m)`, c channels with m entries each
- `i > o` of a weight, or `o < i`: it is summed over i to make o. Without either, or after `=`, it acts on each channel
  alone.

Checked against Keras 3.15 by `tests/structure/test_layer_axes.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


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


DIVISORS = frozenset(
    {
        "moving_variance", "variance", "moving_stddev", "renorm_stddev", "kernel_scale", "embeddings_scale",
        "reverse_embeddings_scale",
    }
)  # fmt: skip
"""Weights that a layer divides by."""


def _projection(name: str, kernel: str) -> dict[str, str]:
    """Returns the patterns of the weights of a projection in a layer, by that of its kernel."""
    before, _, after = kernel.partition(" > ")
    *outer, last = after.split()
    return {
        f"{name}/kernel": kernel,
        f"{name}/bias": after,
        f"{name}/kernel_scale": f"... {after}",
        f"{name}/lora_kernel_a": " ".join([before, ">", *outer, "_"]),
        f"{name}/lora_kernel_b": f"_ > {last}",
    }


HEADS = LayerAxes(
    "_ * i, _ * j, _ * k -> _ * o, _ h * *",
    {
        **_projection("query", "i > h d"),
        **_projection("key", "k > h d"),
        **_projection("value", "j > h v"),
        **_projection("gate", "i > h v"),
        **_projection("attention_output", "h v > o"),
    },
    {"num_heads": "h", "key_dim": "d", "value_dim": "v", "output_shape": "o"},
)
"""Multi-head attention of a query, a value and a key."""

GROUPED_HEADS = LayerAxes(
    "_ _ i, _ _ i, _ _ k -> _ _ i, _ (g r) _ _",
    {
        role: pattern.replace("q", "(g r)")
        for role, pattern in {
            **_projection("query", "i > q d"),
            **_projection("key", "k > g d"),
            **_projection("value", "i > g d"),
            **_projection("gate", "i > q d"),
            **_projection("attention_output", "q d > i"),
        }.items()
    },
    {"num_query_heads": "(g r)", "num_key_value_heads": "g", "head_dim": "d"},
)
"""Attention of groups of r query heads, each group with a key and a value of its own."""

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
    "Embedding": LayerAxes(
        "* -> * o",
        {
            "embeddings": "v > o",
            "embeddings_scale": "v",
            "lora_embeddings_a": "v > _",
            "lora_embeddings_b": "_ > o",
        },
        {"output_dim": "o", "input_dim": "v"},
        mixes={"v": "finds its rows by the number of a token, so that other tokens have the rows after a missing one"},
    ),
    # Of keras.applications: ConvNeXt.
    "LayerScale": LayerAxes("... c -> ... c", {"gamma": "c", "var0": "c"}, {"projection_dim": "c"}),
    # In a call with `reverse: true`, it compares a tensor with all rows.
    "ReversibleEmbedding": LayerAxes(
        "* -> * o",
        {
            "embeddings": "v > o",
            "embeddings_scale": "v",
            "reverse_embeddings": "o > v",
            "reverse_embeddings_scale": "v",
            "lora_embeddings_a": "v > _",
            "lora_embeddings_b": "_ > o",
        },
        {"output_dim": "o", "input_dim": "v"},
        mixes={"v": "finds its rows by the number of a token, so that other tokens have the rows after a missing one"},
    ),
    # Cells take and return their states. GRUs have two biases, or one.
    "SimpleRNNCell": LayerAxes(
        "_ i, _ u -> _ u, _ u", {"kernel": "i > u", "recurrent_kernel": "u > u", "bias": "u"}, {"units": "u"}
    ),
    "GRUCell": LayerAxes(
        "_ i, _ u -> _ u, _ u",
        {"kernel": "i > (3 u)", "recurrent_kernel": "u > (3 u)", "bias": "... (3 u)"},
        {"units": "u"},
    ),
    "LSTMCell": LayerAxes(
        "_ i, _ u, _ u -> _ u, _ u, _ u",
        {"kernel": "i > (4 u)", "recurrent_kernel": "u > (4 u)", "bias": "(4 u)"},
        {"units": "u"},
    ),
    # Not used with states of its own: ConvLSTM1D to ConvLSTM3D have the weights of one.
    "ConvLSTMCell": LayerAxes(
        "_ * i -> _ * u",
        {"kernel": "... i > (4 u)", "recurrent_kernel": "... u > (4 u)", "bias": "(4 u)"},
        {"filters": "u"},
    ),
    **_each(
        "Activation ReLU LeakyReLU ELU Dropout GaussianNoise GaussianDropout AlphaDropout SpatialDropout1D "
        "SpatialDropout2D SpatialDropout3D ActivityRegularization Identity StochasticDepth",
        _PASSES,
    ),
}
"""The axes of classes by name, where they do not depend on the config."""

IMAGES = _names(
    """
    Resizing CenterCrop RandomCrop RandomFlip RandomRotation RandomTranslation RandomZoom RandomShear RandomPerspective
    RandomErasing RandomElasticTransform RandomGaussianBlur RandomBrightness RandomContrast RandomInvert
    RandomPosterization Solarization AutoContrast Equalization CutMix MixUp
    """
)
"""Layers on images that treat each channel alike, and keep it."""

_COLOURS = "works on the three channels of colours"
_CATEGORIES = "makes numbers of categories, which are not channels"
_CODE = "runs code, of which nobody knows how its axes are related"

BARRIERS: Mapping[str, str] = {
    **dict.fromkeys(
        _names(
            """
            AugMix ContrastLimitedAdaptiveHistogramEqualization RandAugment RandomColorDegeneration RandomColorJitter
            RandomGrayscale RandomHue RandomSaturation RandomSharpness
            """
        ),
        _COLOURS,
    ),
    **dict.fromkeys(
        _names(
            """
            CategoryEncoding Discretization HashedCrossing Hashing IntegerLookup StringLookup TextVectorization
            """
        ),
        _CATEGORIES,
    ),
    **dict.fromkeys(_names("FlaxLayer JaxLayer Lambda TFSMLayer TorchModuleWrapper"), _CODE),
    **dict.fromkeys(_names("MelSpectrogram STFTSpectrogram"), "computes with a signal as a whole"),
    "MaxNumBoundingBoxes": "works on bounding boxes, which have no channels",
    "Pipeline": "calls layers that mutspec does not look into",
}
"""Layers that channels end at, each with the reason, as the rest of a sentence about the layer."""
