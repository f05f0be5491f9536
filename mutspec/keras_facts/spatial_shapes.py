"""What layers make that slide over space: convolutions, pooling, padding, cropping, upsampling.

Formulas as in Keras 3.15: `ops/operation_utils.py`, `backend/common/backend_utils.py`, `layers/reshaping`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from mutspec.keras_facts.shape_question import Asked, Extents, Made, Rule, UncertainError


def _windows(extent: int, size: int, stride: int, padding: str) -> int:
    """How many windows of a size fit, a stride apart."""
    return (extent - size) // stride + 1 if padding == "valid" else (extent - 1) // stride + 1


def _channels(asked: Asked, dimensions: int) -> int:
    shape = asked.shape(rank=dimensions + 2)
    return asked.known(shape, 1 if asked.is_channels_first else len(shape) - 1)


def _slide(asked: Asked, dimensions: int, sizes: Extents, channels: int) -> tuple[int | None, ...]:
    """The shape that a convolution makes, kernels spread by the dilation."""
    paddings = ("valid", "same", "causal") if asked.class_name == "Conv1D" else ("valid", "same")
    padding = asked.choice("padding", "valid", *paddings)
    strides = asked.sizes("strides", dimensions, 1)
    dilation = asked.sizes("dilation_rate", dimensions, 1)
    spread = [(size - 1) * rate + 1 for size, rate in zip(sizes, dilation, strict=True)]
    return asked.with_spatial(
        lambda dimension, extent: _windows(extent, spread[dimension], strides[dimension], padding), channels=channels
    )


def _check_steps(asked: Asked, dimensions: int) -> None:
    strides, dilation = (asked.sizes(key, dimensions, 1) for key in ("strides", "dilation_rate"))
    if max(strides) > 1 and max(dilation) > 1:
        asked.refuse(f"has strides {strides} and dilation_rate {dilation}, of which one must be 1")


def _convolution(asked: Asked, *, dimensions: int) -> Made:
    if asked.config.get("lora_rank"):
        raise UncertainError
    channels, sizes = _channels(asked, dimensions), asked.sizes("kernel_size", dimensions)
    filters, groups = asked.whole("filters"), asked.whole("groups", 1)
    _check_steps(asked, dimensions)
    if filters % groups:
        asked.refuse(f"has filters = {filters}, which groups = {groups} does not divide")
    if channels % groups:
        asked.refuse(f"needs a number of channels that groups = {groups} divides, not {asked.shape()}")
    output = _slide(asked, dimensions, sizes, filters)
    return Made((output,), {"kernel": (*sizes, channels // groups, filters), "bias": (filters,)})


def _transposed_convolution(asked: Asked, *, dimensions: int) -> Made:
    channels, sizes = _channels(asked, dimensions), asked.sizes("kernel_size", dimensions)
    filters, strides = asked.whole("filters"), asked.sizes("strides", dimensions, 1)
    dilation = asked.sizes("dilation_rate", dimensions, 1)
    padding = asked.choice("padding", "valid", "valid", "same")
    stated = asked.config.get("output_padding") is not None
    extra = asked.sizes("output_padding", dimensions, 0, minimum=0)
    _check_steps(asked, dimensions)
    if stated and any(more >= stride for more, stride in zip(extra, strides, strict=True)):
        asked.refuse(f"has output_padding {extra}, which must be less than its strides {strides}")

    def grown(dimension: int, extent: int) -> int:
        stride, size = strides[dimension], (sizes[dimension] - 1) * dilation[dimension] + 1
        if padding == "valid":
            return (extent - 1) * stride + (size + extra[dimension] if stated else max(size, stride))
        return (extent - 1) * stride + size % 2 + extra[dimension] if stated else extent * stride

    output = asked.with_spatial(grown, channels=filters)
    return Made((output,), {"kernel": (*sizes, filters, channels), "bias": (filters,)})


def _depthwise_convolution(asked: Asked, *, dimensions: int) -> Made:
    channels, sizes = _channels(asked, dimensions), asked.sizes("kernel_size", dimensions)
    multiplier = asked.whole("depth_multiplier", 1)
    output = _slide(asked, dimensions, sizes, channels * multiplier)
    return Made((output,), {"kernel": (*sizes, channels, multiplier), "bias": (channels * multiplier,)})


def _separable_convolution(asked: Asked, *, dimensions: int) -> Made:
    channels, sizes = _channels(asked, dimensions), asked.sizes("kernel_size", dimensions)
    multiplier, filters = asked.whole("depth_multiplier", 1), asked.whole("filters")
    weights = {
        "depthwise_kernel": (*sizes, channels, multiplier),
        "pointwise_kernel": (*(1,) * dimensions, channels * multiplier, filters),
        "bias": (filters,),
    }
    return Made((_slide(asked, dimensions, sizes, filters),), weights)


def _pooling(asked: Asked, *, dimensions: int) -> Made:
    asked.shape(rank=dimensions + 2)
    sizes = asked.sizes("pool_size", dimensions, 2)
    strides = asked.sizes("strides", dimensions, sizes)
    padding = asked.choice("padding", "valid", "valid", "same")
    return Made(
        (asked.with_spatial(lambda dimension, extent: _windows(extent, sizes[dimension], strides[dimension], padding)),)
    )


def _global_pooling(asked: Asked, *, dimensions: int) -> Made:
    shape = asked.shape(rank=dimensions + 2)
    channels = (shape[1],) if asked.is_channels_first else (shape[-1],)
    ones = (1,) * dimensions if asked.flag("keepdims", default=False) else ()
    return Made(((shape[0], *channels, *ones) if asked.is_channels_first else (shape[0], *ones, *channels),))


def _margins(asked: Asked, key: str, dimensions: int, default: int) -> tuple[Extents, ...]:
    """What is added or cut before and after each dimension."""
    value = asked.config.get(key)
    if dimensions == 1:
        return (asked.sizes(key, 2, default, minimum=0),)
    value = default if value is None else value
    if not isinstance(value, list | tuple):
        value = asked.sizes(key, dimensions, default, minimum=0)
    if len(value) != dimensions:
        asked.refuse(f"has {key} = {value!r}, where it needs a pair for each of {dimensions} dimensions")
    pairs = (Asked(asked.name, asked.class_name, {key: item}, asked.inputs) for item in value)
    return tuple(pair.sizes(key, 2, minimum=0) for pair in pairs)


def _zero_padding(asked: Asked, *, dimensions: int) -> Made:
    asked.shape(rank=dimensions + 2)
    margins = _margins(asked, "padding", dimensions, 1)
    return Made((asked.with_spatial(lambda dimension, extent: extent + sum(margins[dimension])),))


def _cropping(asked: Asked, *, dimensions: int) -> Made:
    asked.shape(rank=dimensions + 2)
    margins = _margins(asked, "cropping", dimensions, {1: 1, 2: 0, 3: 1}[dimensions])
    return Made((asked.with_spatial(lambda dimension, extent: extent - sum(margins[dimension])),))


def _up_sampling(asked: Asked, *, dimensions: int) -> Made:
    asked.shape(rank=dimensions + 2)
    sizes = asked.sizes("size", dimensions, 2)
    return Made((asked.with_spatial(lambda dimension, extent: extent * sizes[dimension]),))


_FAMILIES = {
    "Conv{}D": _convolution,
    "Conv{}DTranspose": _transposed_convolution,
    "DepthwiseConv{}D": _depthwise_convolution,
    "SeparableConv{}D": _separable_convolution,
    "MaxPooling{}D": _pooling,
    "AveragePooling{}D": _pooling,
    "GlobalMaxPooling{}D": _global_pooling,
    "GlobalAveragePooling{}D": _global_pooling,
    "ZeroPadding{}D": _zero_padding,
    "Cropping{}D": _cropping,
    "UpSampling{}D": _up_sampling,
}

SPATIAL_RULES: Mapping[str, Rule] = {
    family.format(dimensions): partial(rule, dimensions=dimensions)
    for family, rule in _FAMILIES.items()
    for dimensions in (1, 2, 3)
}
"""By class. The 3D classes of two families do not exist; no file has them."""
