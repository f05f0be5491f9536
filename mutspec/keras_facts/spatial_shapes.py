"""Output shapes of convolutions, pooling, padding, cropping and upsampling.

Formulas as in Keras 3.15: `ops/operation_utils.py`, `backend/common/backend_utils.py`, `layers/reshaping`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from mutspec.keras_facts.layer_call import Extents, LayerCall, Rule, RuleResult, UncertainError


def _windows(extent: int, size: int, stride: int, padding: str) -> int:
    """Returns the number of windows of a size that fit, a stride apart."""
    return (extent - size) // stride + 1 if padding == "valid" else (extent - 1) // stride + 1


def _channels(call: LayerCall, dimensions: int) -> int:
    shape = call.shape(rank=dimensions + 2)
    return call.extent(shape, 1 if call.is_channels_first else len(shape) - 1)


def _slide(call: LayerCall, dimensions: int, sizes: Extents, channels: int) -> tuple[int | None, ...]:
    """Returns the output shape of a convolution, whose kernel is spread by the dilation."""
    paddings = ("valid", "same", "causal") if call.class_name == "Conv1D" else ("valid", "same")
    padding = call.choice("padding", "valid", *paddings)
    strides = call.sizes("strides", dimensions, 1)
    dilation = call.sizes("dilation_rate", dimensions, 1)
    spread = [(size - 1) * rate + 1 for size, rate in zip(sizes, dilation, strict=True)]
    return call.with_spatial(
        lambda dimension, extent: _windows(extent, spread[dimension], strides[dimension], padding), channels=channels
    )


def _check_steps(call: LayerCall, dimensions: int) -> None:
    strides, dilation = (call.sizes(key, dimensions, 1) for key in ("strides", "dilation_rate"))
    if max(strides) > 1 and max(dilation) > 1:
        call.refuse(f"has strides {strides} and dilation_rate {dilation}, but one of them must be 1")


def _convolution(call: LayerCall, *, dimensions: int) -> RuleResult:
    if call.config.get("lora_rank"):
        raise UncertainError
    channels, sizes = _channels(call, dimensions), call.sizes("kernel_size", dimensions)
    filters, groups = call.whole("filters"), call.whole("groups", 1)
    _check_steps(call, dimensions)
    if filters % groups:
        call.refuse(f"has filters = {filters}, which groups = {groups} does not divide")
    if channels % groups:
        call.refuse(f"needs a number of channels that groups = {groups} divides, not {call.shape()}")
    output = _slide(call, dimensions, sizes, filters)
    return RuleResult((output,), {"kernel": (*sizes, channels // groups, filters), "bias": (filters,)})


def _transposed_convolution(call: LayerCall, *, dimensions: int) -> RuleResult:
    channels, sizes = _channels(call, dimensions), call.sizes("kernel_size", dimensions)
    filters, strides = call.whole("filters"), call.sizes("strides", dimensions, 1)
    dilation = call.sizes("dilation_rate", dimensions, 1)
    padding = call.choice("padding", "valid", "valid", "same")
    stated = call.config.get("output_padding") is not None
    extra = call.sizes("output_padding", dimensions, 0, minimum=0)
    _check_steps(call, dimensions)
    if stated and any(more >= stride for more, stride in zip(extra, strides, strict=True)):
        call.refuse(f"has output_padding {extra}, which must be less than its strides {strides}")

    def grown(dimension: int, extent: int) -> int:
        stride, size = strides[dimension], (sizes[dimension] - 1) * dilation[dimension] + 1
        if padding == "valid":
            return (extent - 1) * stride + (size + extra[dimension] if stated else max(size, stride))
        return (extent - 1) * stride + size % 2 + extra[dimension] if stated else extent * stride

    output = call.with_spatial(grown, channels=filters)
    return RuleResult((output,), {"kernel": (*sizes, filters, channels), "bias": (filters,)})


def _depthwise_convolution(call: LayerCall, *, dimensions: int) -> RuleResult:
    channels, sizes = _channels(call, dimensions), call.sizes("kernel_size", dimensions)
    multiplier = call.whole("depth_multiplier", 1)
    output = _slide(call, dimensions, sizes, channels * multiplier)
    return RuleResult((output,), {"kernel": (*sizes, channels, multiplier), "bias": (channels * multiplier,)})


def _separable_convolution(call: LayerCall, *, dimensions: int) -> RuleResult:
    channels, sizes = _channels(call, dimensions), call.sizes("kernel_size", dimensions)
    multiplier, filters = call.whole("depth_multiplier", 1), call.whole("filters")
    weights = {
        "depthwise_kernel": (*sizes, channels, multiplier),
        "pointwise_kernel": (*(1,) * dimensions, channels * multiplier, filters),
        "bias": (filters,),
    }
    return RuleResult((_slide(call, dimensions, sizes, filters),), weights)


def _pooling(call: LayerCall, *, dimensions: int) -> RuleResult:
    call.shape(rank=dimensions + 2)
    sizes = call.sizes("pool_size", dimensions, 2)
    strides = call.sizes("strides", dimensions, sizes)
    padding = call.choice("padding", "valid", "valid", "same")
    return RuleResult(
        (call.with_spatial(lambda dimension, extent: _windows(extent, sizes[dimension], strides[dimension], padding)),)
    )


def _global_pooling(call: LayerCall, *, dimensions: int) -> RuleResult:
    shape = call.shape(rank=dimensions + 2)
    channels = (shape[1],) if call.is_channels_first else (shape[-1],)
    ones = (1,) * dimensions if call.flag("keepdims", default=False) else ()
    return RuleResult(((shape[0], *channels, *ones) if call.is_channels_first else (shape[0], *ones, *channels),))


def _margins(call: LayerCall, key: str, dimensions: int, default: int) -> tuple[Extents, ...]:
    """Returns the padding or cropping before and after each dimension."""
    value = call.config.get(key)
    if dimensions == 1:
        return (call.sizes(key, 2, default, minimum=0),)
    value = default if value is None else value
    if not isinstance(value, list | tuple):
        value = call.sizes(key, dimensions, default, minimum=0)
    if len(value) != dimensions:
        call.refuse(f"has {key} = {value!r}, but needs a pair for each of {dimensions} dimensions")
    pairs = (LayerCall(call.name, call.class_name, {key: item}, call.inputs) for item in value)
    return tuple(pair.sizes(key, 2, minimum=0) for pair in pairs)


def _zero_padding(call: LayerCall, *, dimensions: int) -> RuleResult:
    call.shape(rank=dimensions + 2)
    margins = _margins(call, "padding", dimensions, 1)
    return RuleResult((call.with_spatial(lambda dimension, extent: extent + sum(margins[dimension])),))


def _cropping(call: LayerCall, *, dimensions: int) -> RuleResult:
    call.shape(rank=dimensions + 2)
    margins = _margins(call, "cropping", dimensions, {1: 1, 2: 0, 3: 1}[dimensions])
    return RuleResult((call.with_spatial(lambda dimension, extent: extent - sum(margins[dimension])),))


def _up_sampling(call: LayerCall, *, dimensions: int) -> RuleResult:
    call.shape(rank=dimensions + 2)
    sizes = call.sizes("size", dimensions, 2)
    return RuleResult((call.with_spatial(lambda dimension, extent: extent * sizes[dimension]),))


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
"""The rules by class. DepthwiseConv3D and SeparableConv3D do not exist in Keras, so no file has them."""
