"""Output shapes of preprocessing and augmentation layers, and of adaptive pooling: their config states the output.

Checked against Keras 3.15 by `tests/structure/test_shape_rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from mutspec.keras_facts.layer_call import Extents, LayerCall, Rule, RuleResult, UncertainError
from mutspec.keras_facts.tensor_types import Shape, TensorType


def _images(call: LayerCall) -> Shape:
    """Returns the shape of a batch of images. Single images, and dicts with labels or boxes, are left to Keras."""
    if len(call.inputs) != 1 or len(call.inputs[0].shape) != 4:
        raise UncertainError
    return call.inputs[0].shape


def _augmentation(call: LayerCall, *, keeps_dtype: bool = False) -> RuleResult:
    return RuleResult((_images(call),), keeps_dtype=keeps_dtype)


def _sized(call: LayerCall) -> RuleResult:
    shape, size = _images(call), (call.whole("height"), call.whole("width"))
    return RuleResult(((*shape[:2], *size) if call.is_channels_first else (shape[0], *size, shape[3]),))


def _adaptive_pooling(call: LayerCall, *, dimensions: int) -> RuleResult:
    shape, size = call.shape(), call.sizes("output_size", dimensions)
    if len(shape) != dimensions + 2:
        raise UncertainError
    return RuleResult(((*shape[:2], *size) if call.is_channels_first else (shape[0], *size, shape[-1]),))


def _category_encoding(call: LayerCall) -> RuleResult:
    if len(call.inputs) != 1 or call.flag("sparse", default=False) or not call.inputs[0].shape:
        raise UncertainError
    shape, tokens = call.inputs[0].shape, call.whole("num_tokens")
    mode = call.choice("output_mode", "multi_hot", "multi_hot", "one_hot", "count", "binary")
    is_longer = mode == "one_hot" and (shape[-1] != 1 or len(shape) == 1)
    return RuleResult(((*(shape if is_longer else shape[:-1]), tokens),))


def _hashing(call: LayerCall) -> RuleResult:
    if call.config.get("output_mode", "int") != "int" or len(call.inputs) != 1:
        raise UncertainError
    call.whole("num_bins")
    return RuleResult((call.inputs[0].shape,))


def _normalization(call: LayerCall) -> RuleResult:
    shape, axes = call.shape(at_least=1), call.config.get("axis", -1)
    axes = [] if axes is None else axes if isinstance(axes, list | tuple) else [axes]
    mean = call.config.get("mean")
    if not all(isinstance(axis, int) for axis in axes) or isinstance(mean, list | tuple):
        raise UncertainError
    for axis in axes:
        call.extent(shape, axis)
    kept: Extents = tuple(call.extent(shape, axis) for axis in sorted(axis % len(shape) for axis in axes))
    count = TensorType((), "int64")  # Keras's `int` on TensorFlow
    return RuleResult((shape,), {"mean": kept, "variance": kept, "count": count})


_AUGMENTATIONS = (
    "AugMix AutoContrast ContrastLimitedAdaptiveHistogramEqualization CutMix MixUp RandAugment RandomBrightness "
    "RandomColorDegeneration RandomColorJitter RandomContrast RandomElasticTransform RandomErasing RandomFlip "
    "RandomGaussianBlur RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation "
    "RandomSharpness RandomShear RandomTranslation RandomZoom Solarization"
)

PREPROCESSING_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_AUGMENTATIONS.split(), _augmentation),
    "RandomGrayscale": partial(_augmentation, keeps_dtype=True),
    **dict.fromkeys(("CenterCrop", "RandomCrop", "Resizing"), _sized),
    **{
        f"Adaptive{kind}Pooling{dimensions}D": partial(_adaptive_pooling, dimensions=dimensions)
        for kind in ("Average", "Max")
        for dimensions in (1, 2, 3)
    },
    "CategoryEncoding": _category_encoding,
    "Hashing": _hashing,
    "Normalization": _normalization,
}
"""The rules by class."""
