"""Rules of convolutions and poolings, by their data format and groups."""

from __future__ import annotations

from collections.abc import Mapping

from mutspec.keras_facts.layer_axes import LayerAxes
from mutspec.structure.coupling.axis_call import AxisCall, Rule, Traced, UncoupledError
from mutspec.structure.coupling.patterns import follow


def _image(call: AxisCall, before: str, after: str) -> str:
    """Returns the pattern of a call on an image, with the channels where the layer has them."""
    return f"_ {before} * -> _ {after} *" if call.channels_first else f"_ * {before} -> _ * {after}"


def convolution(call: AxisCall) -> Traced:
    """Each group of filters sees a group of channels. What is removed in one group is removed in all of them.

    Where there are more groups than channels in a group, whole groups are removed instead.
    """
    groups, filters = int(call.config.get("groups") or 1), int(call.config["filters"])
    if groups == 1:
        axes = LayerAxes(_image(call, "i", "o"), {"kernel": "... i > o", "bias": "o"}, {"filters": "o"})
        return follow(axes, call)
    at = 1 if call.channels_first else -1
    channels = call.shapes[call.inputs[0]][at]
    if channels is None:
        raise UncoupledError("is called on an unknown number of channels")
    inside, outside = channels // groups, filters // groups
    image, weights = _image(call, "(g p)", "(g q)"), {"kernel": "... p > (g q)", "bias": "(g q)"}
    if groups > max(inside, outside):
        widths = {"filters": "(g q)", "groups": "g"}
        axes = LayerAxes(image, weights, widths, sizes={"p": inside, "q": outside})
    else:
        axes = LayerAxes(image, weights, {"filters": "(g q)"}, sizes={"g": groups}, made={"q": outside})
    traced = follow(axes, call)
    if max(inside, outside) > 1:
        call.note_counted(call.axes[call.inputs[0]][at])
        call.note_counted(traced.widths["filters"])
    return traced


def transposed(call: AxisCall) -> Traced:
    """Keras has the channels out before those in, in kernels of transposed convolutions."""
    weights = {"kernel": "... o < i", "bias": "o"}
    return follow(LayerAxes(_image(call, "i", "o"), weights, {"filters": "o"}), call)


def depthwise(call: AxisCall) -> Traced:
    """Each channel of the input makes as many as the multiplier says, next to each other."""
    weights = {"kernel": "... c m", "bias": "(c m)"}
    sizes = {"m": int(call.config.get("depth_multiplier") or 1)}
    return follow(LayerAxes(_image(call, "c", "(c m)"), weights, {"channels": "(c m)"}, sizes=sizes), call)


def separable(call: AxisCall) -> Traced:
    """A depthwise kernel, whose channels a pointwise one sums."""
    weights = {"depthwise_kernel": "... c m", "pointwise_kernel": "... (c m) > o", "bias": "o"}
    sizes = {"m": int(call.config.get("depth_multiplier") or 1)}
    return follow(LayerAxes(_image(call, "c", "o"), weights, {"filters": "o"}, sizes=sizes), call)


def pooling(call: AxisCall) -> Traced:
    """Slides over the image, and keeps the channels."""
    return follow(LayerAxes(_image(call, "c", "c")), call)


def global_pooling(call: AxisCall) -> Traced:
    """Takes the image together, and keeps the channels."""
    after = "c" if not call.config.get("keepdims") else "c *" if call.channels_first else "* c"
    before = "_ c *" if call.channels_first else "_ * c"
    return follow(LayerAxes(f"{before} -> _ {after}"), call)


def _each(names: str, rule: Rule) -> dict[str, Rule]:
    return {f"{name}D": rule for name in names.split()}


CONVOLUTIONAL: Mapping[str, Rule] = {
    **_each("Conv1 Conv2 Conv3", convolution),
    **{f"Conv{count}DTranspose": transposed for count in (1, 2, 3)},
    **_each("DepthwiseConv1 DepthwiseConv2", depthwise),
    **_each("SeparableConv1 SeparableConv2", separable),
    **_each("MaxPooling1 MaxPooling2 MaxPooling3 AveragePooling1 AveragePooling2 AveragePooling3", pooling),
    **_each("AdaptiveMaxPooling1 AdaptiveMaxPooling2 AdaptiveMaxPooling3", pooling),
    **_each("AdaptiveAveragePooling1 AdaptiveAveragePooling2 AdaptiveAveragePooling3", pooling),
    **_each("GlobalMaxPooling1 GlobalMaxPooling2 GlobalMaxPooling3", global_pooling),
    **_each("GlobalAveragePooling1 GlobalAveragePooling2 GlobalAveragePooling3", global_pooling),
}
"""The rules by class."""
