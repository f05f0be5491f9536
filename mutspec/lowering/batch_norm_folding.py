"""The arithmetic of folding: what a batch normalization makes of the weights of the linear layer before or after it.

When a model predicts, a batch normalization is a scale γ/√(variance + ε) and a shift β − mean · scale of each channel.
All is computed in float64 and rounded once to the weight's dtype.
"""

from __future__ import annotations

from dataclasses import dataclass

from mutspec.errors import PlanError
from mutspec.graph.choice import size_of
from mutspec.graph.expression import Expression, constant
from mutspec.graph.index_map import AxisMap, IndexMap
from mutspec.keras_facts.linear_layers import LINEAR
from mutspec.lowering.found_layer import FoundLayer
from mutspec.lowering.initial_values import NewWeight
from mutspec.lowering.neuron_slices import known_neurons
from mutspec.lowering.structure_context import StructureContext
from mutspec.model.spec import TensorSpec


@dataclass(frozen=True, slots=True)
class Affine:
    """A scale and a shift of each channel, in float64."""

    scale: Expression
    shift: Expression


@dataclass(frozen=True, slots=True)
class Folded:
    """The weights of a linear layer after folding.

    Arguments:
        kernel: the weight that is multiplied.
        value: its new value.
        bias: the new value of the bias.
    """

    kernel: TensorSpec
    value: Expression
    bias: Expression

    def first_bias(self, new: NewWeight) -> Expression | None:
        """Returns the first value of a bias that the layer did not have; None for its other weights."""
        return self.bias.cast(new.tensor.dtype) if new.tensor.role == "bias" else None


def affine_of(ctx: StructureContext, layer: FoundLayer) -> Affine:
    """Returns what a batch normalization does to each channel when the model predicts."""
    mean, variance = (_read(ctx, layer.path, role) for role in ("moving_mean", "moving_variance"))
    gamma, beta = (_optional(ctx, layer.path, role) for role in ("gamma", "beta"))
    deviation = (variance + float(layer.config.get("epsilon", 1e-3))).square_root()
    ones = constant(ctx.context.builder, 1.0).spread(deviation.shape)
    scale = (ones if gamma is None else gamma) / deviation
    shift = -(mean * scale) if beta is None else beta - mean * scale
    return Affine(scale, shift)


def folded_before(ctx: StructureContext, layer: FoundLayer, affine: Affine) -> Folded:
    """Returns the weights of a linear layer that a batch normalization follows."""
    kernel = _weight(ctx, layer.path, LINEAR[layer.class_name].last)
    neurons = known_neurons(ctx.context.models[""], kernel)
    value = _value(ctx, kernel) * affine.scale.along_slices(neurons, kernel.shape)
    bias = _optional(ctx, layer.path, "bias")
    return Folded(kernel, value, affine.shift if bias is None else bias * affine.scale + affine.shift)


def folded_after(ctx: StructureContext, layer: FoundLayer, affine: Affine) -> Folded:
    """Returns the weights of a linear layer that follows a batch normalization."""
    facts = LINEAR[layer.class_name]
    kernel = _weight(ctx, layer.path, facts.first)
    before = _value(ctx, kernel)
    is_depthwise = layer.class_name.startswith("Depthwise") or facts.first != facts.last
    inputs = _inputs_of(kernel.shape, 0 if is_depthwise else int(layer.config.get("groups") or 1))
    shifted = _sum_of_inputs(before * affine.shift.gather(inputs, kernel.shape), is_depthwise=is_depthwise)
    if facts.last != facts.first:
        pointwise = _value(ctx, _weight(ctx, layer.path, facts.last))
        over = shifted.gather(_inputs_of(pointwise.shape, 1), pointwise.shape)
        shifted = _sum_of_inputs(pointwise * over, is_depthwise=False)
    bias = _optional(ctx, layer.path, "bias")
    value = before * affine.scale.gather(inputs, kernel.shape)
    return Folded(kernel, value, shifted if bias is None else bias + shifted)


def _inputs_of(shape: tuple[int, ...], groups: int) -> IndexMap:
    """Returns the input channel of each entry of a kernel `(window…, channels in, channels out)`.

    Arguments:
        shape: the kernel's shape.
        groups: the groups of the convolution, each of which sees channels of its own; 0 for a depthwise one.
    """
    window, channels, outputs = size_of(shape[:-2]), shape[-2], shape[-1]
    groups = groups or 1
    return IndexMap(
        (AxisMap(window, 0), AxisMap(channels, 1), AxisMap(groups, channels), AxisMap(outputs // groups, 0))
    )


def _sum_of_inputs(products: Expression, *, is_depthwise: bool) -> Expression:
    """Returns for each output channel the sum of what it gets from all inputs."""
    *_, channels, outputs = products.shape
    outputs = channels * outputs if is_depthwise else outputs
    return products.reshape((size_of(products.shape) // outputs, outputs)).sum_over(0)


def _weight(ctx: StructureContext, path: str, role: str) -> TensorSpec:
    weight = ctx.weight(path, role)
    if weight is None or not weight.dtype.startswith(("float", "bfloat")):
        what = f"has a {role} of {weight.dtype}" if weight is not None else f"has no weight `{role}`"
        raise PlanError(f"`{path}` {what}")
    return weight


def _value(ctx: StructureContext, weight: TensorSpec) -> Expression:
    return ctx.context.read(weight).cast(ctx.context.compute_dtype(weight)).cast("float64")


def _read(ctx: StructureContext, path: str, role: str) -> Expression:
    return _value(ctx, _weight(ctx, path, role))


def _optional(ctx: StructureContext, path: str, role: str) -> Expression | None:
    return None if ctx.weight(path, role) is None else _read(ctx, path, role)
