"""Layers that pass their input on as it is: their classes, and the values that their weights must have.

Sources: Net2DeeperNet (Chen et al. 2016), where ReLU after ReLU changes nothing; Dirac kernels of convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mutspec.graph.expression import Expression, dirac
from mutspec.keras_facts.activation_intervals import Interval, activation_of, leaves_unchanged
from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.class_names import TRAINING_ONLY
from mutspec.lowering.initial_values import NewWeight

Config = Mapping[str, Any]

_PASSES = TRAINING_ONLY | {"Identity"}
"""Layers without weights that change nothing when a model predicts."""

_ACTIVATIONS = frozenset({"Activation", "ELU", "LeakyReLU", "ReLU"})
"""Layers that are an activation, which may leave the values as they are that it gets."""


def identity_problem(class_name: str, config: Config, width: int | None, before: Interval) -> str:
    """Returns why a layer cannot be made an identity; empty if it can.

    Arguments:
        class_name: the layer's class.
        config: its config.
        width: the channels of the tensor that it is put on.
        before: the values that the layer before it outputs: ReLU after ReLU changes nothing.
    """
    is_unchanged = leaves_unchanged(class_name, config, before)
    if class_name in _PASSES or (class_name in _ACTIVATIONS and is_unchanged):
        return ""
    if class_name == "BatchNormalization" or class_name == "PReLU":
        return ""
    if class_name not in ("Dense", *_CONVOLUTIONS):
        return f"{a(class_name)} cannot be an identity"
    if not is_unchanged:
        return f"with `activation: {activation_of(config)}` {a(class_name)} is not an identity"
    return _convolution_problem(class_name, config, width)


_CONVOLUTIONS = (
    "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
)  # fmt: skip


def _convolution_problem(class_name: str, config: Config, width: int | None) -> str:
    size = config.get("units", config.get("filters"))
    if size is not None and size != width:
        return f"it has {width} channels in and {size} out"
    if class_name == "Dense":
        return ""
    if config.get("depth_multiplier", 1) != 1:
        return f"its depth multiplier is {config['depth_multiplier']}"
    if any(step != 1 for step in _list(config.get("strides", 1))):
        return f"its strides are {config['strides']}"
    try:
        centre(class_name, config)
    except ValueError as error:
        return str(error)
    return ""


def centre(class_name: str, config: Config) -> tuple[int, ...]:
    """Returns the position in a convolution's window that sees the entry that it writes.

    Raises:
        ValueError: no position does.
    """
    rank = int(class_name[-2])
    sizes, rates = (_list(config.get(key, 1), rank) for key in ("kernel_size", "dilation_rate"))
    padding = config.get("padding", "valid")
    positions = []
    for size, rate in zip(sizes, rates, strict=True):
        if padding == "causal":
            positions.append(size - 1)
            continue
        ahead = (size - 1) * rate // 2 if padding == "same" else 0
        if (padding == "valid" and size != 1) or ahead % rate:
            raise ValueError(f"with `padding: {padding}` and a window of {size} it changes the shape, or has no centre")
        positions.append(ahead // rate)
    return tuple(positions)


def _list(value: Any, rank: int = 1) -> list[int]:
    return [int(each) for each in value] if isinstance(value, list | tuple) else [int(value)] * rank


def identity_value(new: NewWeight, class_name: str, config: Config) -> Expression:
    """Returns what a weight must be for its layer to pass its input on. `identity_problem` has said that it can."""
    role = new.tensor.role
    if role in ("kernel", "pointwise_kernel", "depthwise_kernel"):
        window = len(new.shape) - 2
        is_depthwise = role == "depthwise_kernel" or class_name.startswith("Depthwise")
        at = (0,) * window if role == "pointwise_kernel" or class_name == "Dense" else centre(class_name, config)
        value = dirac(new.builder, new.shape, new.dtype, at, is_depthwise=is_depthwise)
    elif role == "moving_variance":
        # A BatchNormalization divides by √(variance + epsilon).
        value = new.full(1.0 - float(config.get("epsilon", 1e-3)))
    else:
        value = new.full(1.0 if role in ("gamma", "alpha") else 0.0)
    return value.cast(new.tensor.dtype)
