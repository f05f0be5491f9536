"""The neurons and gates of a weight, as slices of it.

A neuron is an output unit or channel with its incoming weights. Most weights have an axis of neurons, which is in the
class table. This module adds the weights in which neurons are combinations of several axes, or parts of one.
"""

from __future__ import annotations

from dataclasses import dataclass

from mutspec.errors import PlanError
from mutspec.graph.choice import StridedSlices
from mutspec.keras_facts.neurons import ATTENTION, GATED_ROLES, GATES, HEAD_PROJECTIONS, WITHOUT_NEURONS
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec


@dataclass(frozen=True, slots=True)
class NeuronSlices(StridedSlices):
    """The neurons of a weight, as slices of it.

    Arguments:
        owner: the path of the layer whose neurons they are; the weights of one owner and length share its neurons.
    """

    owner: str


def gates_of(layer: LayerSpec, tensor: TensorSpec) -> tuple[str, ...]:
    """Returns the names of the gates that a weight holds, in its own order; empty if it has none."""
    kinds = (layer.class_name, *layer.ancestry)
    names = (gates for start, gates in GATES.items() if any(kind.startswith(start) for kind in kinds))
    return next(names, ()) if tensor.role in GATED_ROLES else ()


def gate_slices(tensor: TensorSpec, gates: tuple[str, ...]) -> StridedSlices:
    """Returns the gates of a weight, which its last axis holds one after the other."""
    return StridedSlices(len(gates), tensor.shape[-1] // len(gates))


def neurons_of(spec: ModelSpec, tensor: TensorSpec) -> NeuronSlices | None:
    """Returns the neurons of a weight; None if it has none, or they are unknown.

    They are the heads of attention (in the projections of queries, keys and values), the units of a recurrent layer,
    the combinations of the output's own axes of EinsumDense, and the output channels of a depthwise convolution.
    """
    layer, shape = spec.layer_by_path[tensor.layer], tensor.shape
    if (layer.class_name, tensor.role) in WITHOUT_NEURONS or not shape:
        return None
    if gates := gates_of(layer, tensor):
        return NeuronSlices(shape[-1] // len(gates), 1, tensor.layer)
    if layer.class_name.startswith("DepthwiseConv") and tensor.role == "kernel":
        return NeuronSlices(shape[-2] * shape[-1], 1, tensor.layer)
    if "EinsumDense" in (layer.class_name, *layer.ancestry):
        return _einsum_neurons(spec, layer, tensor)
    if tensor.channel_axis is None:
        return None
    axis = tensor.channel_axis % len(shape)
    return NeuronSlices(shape[axis], _size(shape[axis + 1 :]), tensor.layer)


def known_neurons(spec: ModelSpec, tensor: TensorSpec) -> NeuronSlices:
    """Returns the neurons of a weight that must have some.

    Raises:
        PlanError: it has none, or they are unknown.
    """
    neurons = neurons_of(spec, tensor)
    if neurons is None:
        raise PlanError(
            f"`{tensor.path}` has no known neurons",
            path=("target",),
            hint="choose kernels of Dense, convolution, recurrent or attention layers with `weights:`",
        )
    return neurons


def _einsum_neurons(spec: ModelSpec, layer: LayerSpec, tensor: TensorSpec) -> NeuronSlices | None:
    owner, _, name = layer.path.rpartition("/")
    parent = spec.layer_by_path.get(owner)
    is_of_attention = parent is not None and not {parent.class_name, *parent.ancestry}.isdisjoint(ATTENTION)
    # Inside classes of the user's own, projections have the names of Keras's attributes: `query_dense`.
    if is_of_attention and name.removeprefix("_").removesuffix("_dense") in HEAD_PROJECTIONS:
        axis = len(tensor.shape) - 2
        return NeuronSlices(tensor.shape[axis], tensor.shape[axis + 1], owner)
    if is_of_attention:
        return NeuronSlices(tensor.shape[-1], 1, layer.path)
    inputs, _, output = str(layer.config.get("equation", "")).partition("->")
    inputs, _, kernel = inputs.partition(",")
    if tensor.role == "bias":
        kernel = str(layer.config.get("bias_axes") or "")
    own = [axis for axis, letter in enumerate(kernel) if letter in output and letter not in inputs]
    if not own or len(kernel) != len(tensor.shape) or own != list(range(own[0], own[-1] + 1)):
        return None
    after = tensor.shape[own[-1] + 1 :]
    return NeuronSlices(_size(tensor.shape[own[0] : own[-1] + 1]), _size(after), layer.path)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for extent in shape:
        size *= extent
    return size
