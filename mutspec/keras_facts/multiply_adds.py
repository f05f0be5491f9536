"""Multiply–adds of layers and operations: how many a call makes for one sample, by class.

What counts are products of arrays: of kernels with inputs, and of inputs with each other. A bias, an activation, a
normalization, pooling and all that is done entry by entry count as 0, and so does looking up an embedding.
Checked against Keras 3.15 by `tests/keras_facts/test_multiply_adds.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

from mutspec.keras_facts.attention_shapes import headed
from mutspec.keras_facts.class_names import WEIGHTLESS
from mutspec.keras_facts.layer_call import Entry, LayerCall
from mutspec.keras_facts.recurrent_shapes import GATES
from mutspec.keras_facts.tensor_types import Shape


class UncountedError(Exception):
    """Raised where the multiply–adds of a call are not known. The message says why, as a clause without a subject."""


Part = Callable[[Entry, Shape], int]
"""Counts the multiply–adds of a layer in a layer, called on a tensor of a shape."""


@dataclass(frozen=True, slots=True)
class CountedCall:
    """A call whose multiply–adds are counted.

    Arguments:
        call: the layer, and what it is called on.
        made: finds the shape of its first output.
        part: counts a layer in this layer.
    """

    call: LayerCall
    made: Callable[[], Shape]
    part: Part

    @property
    def first(self) -> Shape:
        """The shape of the first input."""
        return self.call.shapes[0]

    @property
    def output(self) -> Shape:
        """The shape of the first output."""
        return self.made()


CountRule = Callable[[CountedCall], int]


def entries(extents: Shape, *, of: Shape | None = None) -> int:
    """Returns the number of entries that some extents make.

    Arguments:
        extents: the extents, without that of the batch.
        of: the shape that they are of, for the error.

    Raises:
        UncountedError: one of them is not known.
    """
    if None in extents:
        raise UncountedError(f"has a tensor of {of or extents}, of which not all extents are known")
    return prod(extent or 0 for extent in extents)


def _per_sample(shape: Shape) -> int:
    return entries(shape[1:], of=shape)


# Kernels


def _dense(counted: CountedCall) -> int:
    return _per_sample(counted.output) * counted.call.extent(counted.first, -1)


def _einsum_dense(counted: CountedCall) -> int:
    return _by_equation(str(counted.call.config.get("equation")), counted.output, counted.first)


def _by_equation(equation: str, output: Shape, *inputs: Shape) -> int:
    """Returns the product of the extents of all axes of an equation, but for the first one of the output: the batch.

    An extent that one tensor does not have may be known from another: the config of an EinsumDense states its output.
    """
    operands, _, result = equation.replace(" ", "").partition("->")
    extents: dict[str, int | None] = {}
    for letters, shape in zip((result, *operands.split(",")), (output, *inputs), strict=False):
        for axis, extent in zip(_axes(letters, shape), shape, strict=True):
            if extents.get(axis) in (None, 1):
                extents[axis] = extent
    return entries(tuple(extents.values())[1:], of=output)


def _axes(letters: str, shape: Shape) -> tuple[str, ...]:
    """Returns the names of a tensor's axes in an equation: letters, and `.1`, `.0` for those under its dots."""
    before, _, after = letters.partition("...")
    under = len(shape) - len(before) - len(after)
    axes = (*before, *(f".{number}" for number in reversed(range(under))), *after)
    if len(axes) != len(shape):
        raise UncountedError(f"has an equation with {letters}, which does not fit {shape}")
    return axes


def _channels(counted: CountedCall) -> int:
    return counted.call.extent(counted.first, 1 if counted.call.is_channels_first else -1)


def _convolution(counted: CountedCall, *, dimensions: int) -> int:
    call = counted.call
    window = prod(call.sizes("kernel_size", dimensions)) * _channels(counted) // call.whole("groups", 1)
    return _per_sample(counted.output) * window


def _transposed_convolution(counted: CountedCall, *, dimensions: int) -> int:
    """Counts the products with every entry of the input, also those that padding cuts off the output."""
    call = counted.call
    return _per_sample(counted.first) * prod(call.sizes("kernel_size", dimensions)) * call.whole("filters")


def _depthwise_convolution(counted: CountedCall, *, dimensions: int) -> int:
    return _per_sample(counted.output) * prod(counted.call.sizes("kernel_size", dimensions))


def _separable_convolution(counted: CountedCall, *, dimensions: int) -> int:
    call = counted.call
    filters = call.whole("filters")
    positions = _per_sample(counted.output) // filters
    depthwise = _channels(counted) * call.whole("depth_multiplier", 1)
    return positions * depthwise * (prod(call.sizes("kernel_size", dimensions)) + filters)


def _embedding(counted: CountedCall) -> int:
    """Counts a lookup as 0; used backwards, the embedding is a Dense."""
    call = counted.call
    is_backwards = bool(call.bound("inputs", "reverse").get("reverse", False))
    return _per_sample(counted.first) * call.whole("input_dim") if is_backwards else 0


# Steps in time


def _cell(counted: CountedCall, *, kind: str) -> int:
    units = counted.call.whole("units")
    return GATES[kind] * units * (counted.call.extent(counted.first, -1) + units)


def _recurrent(counted: CountedCall, *, kind: str) -> int:
    return _length(counted) * _cell(counted, kind=kind)


def _length(counted: CountedCall) -> int:
    return entries(counted.first[1:2], of=counted.first)


def _recurrent_with_cell(counted: CountedCall) -> int:
    first = counted.first
    return _length(counted) * counted.part(_inner(counted, "cell"), (first[0], *first[2:]))


def _stacked_cells(counted: CountedCall) -> int:
    cells, at, total = counted.call.config.get("cells"), counted.first, 0
    for cell in cells if isinstance(cells, list | tuple) else ():
        total += counted.part(cell, at)
        at = (at[0], LayerCall("", "", cell.get("config") or {}, ()).whole("units"))
    return total


def _convolutional(counted: CountedCall, *, dimensions: int) -> int:
    call, first = counted.call, counted.first
    filters = call.whole("filters")
    # Each of four gates convolves the input and the state, whose positions are those of the output of a step.
    step = counted.output[2:] if call.flag("return_sequences", default=False) else counted.output[1:]
    channels = call.extent(first, 2 if call.is_channels_first else -1)
    window = prod(call.sizes("kernel_size", dimensions)) * (channels + filters)
    return _length(counted) * 4 * entries(step, of=counted.output) * window


# Layers in layers


def _inner(counted: CountedCall, key: str) -> Entry:
    entry = counted.call.config.get(key)
    if not isinstance(entry, Mapping):
        raise UncountedError(f"has no `{key}` in its config")
    return entry


def _bidirectional(counted: CountedCall) -> int:
    back = "backward_layer" if counted.call.config.get("backward_layer") else "layer"
    return sum(counted.part(_inner(counted, key), counted.first) for key in ("layer", back))


def _time_distributed(counted: CountedCall) -> int:
    first = counted.first
    return _length(counted) * counted.part(_inner(counted, "layer"), (first[0], *first[2:]))


def _wrapper(counted: CountedCall) -> int:
    return counted.part(_inner(counted, "layer"), counted.first)


# Products of inputs


def _multi_head_attention(counted: CountedCall) -> int:
    call = counted.call
    query, value, key, _ = headed(call)
    heads, width = call.whole("num_heads"), call.whole("key_dim")
    value_width = call.whole("value_dim", width)
    asked, kept = (entries(shape[1:-1], of=shape) for shape in (query, value))
    features, value_features, key_features = (call.extent(shape, -1) for shape in (query, value, key))
    gate = features * value_width if call.flag("use_gate", default=False) else 0
    made = call.extent(counted.output, -1) if len(counted.output) == len(query) else _output_width(call)
    axes = call.config.get("attention_axes")
    attended = [axis % len(value) for axis in ((axes,) if isinstance(axes, int) else axes or range(1, len(value) - 1))]
    weighed = entries(tuple(value[axis] for axis in attended), of=value)
    projections = asked * (features * width + gate + value_width * made)
    projections += kept * (key_features * width + value_features * value_width)
    return heads * (projections + asked * weighed * (width + value_width))


def _output_width(call: LayerCall) -> int:
    stated: Any = call.config.get("output_shape")
    return prod(call.sizes("output_shape", len(stated)))


def _group_query_attention(counted: CountedCall) -> int:
    call = counted.call
    query, value, _, _ = headed(call)
    heads, groups, width = (call.whole(name) for name in ("num_query_heads", "num_key_value_heads", "head_dim"))
    asked, kept = (entries(shape[1:-1], of=shape) for shape in (query, value))
    features = call.extent(query, -1)
    of_query = (3 if call.flag("use_gate", default=False) else 2) * heads * features * asked
    return width * (of_query + 2 * groups * features * kept + 2 * heads * asked * kept)


def _attention(counted: CountedCall) -> int:
    tensors = counted.call.without_masks
    query, value = tensors[0].shape, tensors[1].shape
    is_dot = counted.call.class_name == "Attention" and counted.call.config.get("score_mode", "dot") == "dot"
    scored = counted.call.extent(query, -1) if is_dot else 0  # other scores are computed entry by entry
    weighed = entries(value[-2:-1], of=value)
    return entries(query[1:-1], of=query) * weighed * (scored + counted.call.extent(value, -1))


def _dot(counted: CountedCall) -> int:
    axes: Any = counted.call.config.get("axes")
    axis = axes if isinstance(axes, int) else axes[0]
    return _per_sample(counted.output) * counted.call.extent(counted.first, axis)


def _matmul(counted: CountedCall) -> int:
    _two_tensors(counted)
    return _per_sample(counted.output) * counted.call.extent(counted.first, -1)


def _einsum(counted: CountedCall) -> int:
    _two_tensors(counted)
    return _by_equation(str(counted.call.config.get("subscripts")), counted.output, *counted.call.shapes)


def _two_tensors(counted: CountedCall) -> None:
    if len(counted.call.inputs) != 2:
        raise UncountedError("multiplies other things than two tensors")


_CONVOLUTIONS: Mapping[str, Callable[..., int]] = {
    "Conv{}D": _convolution,
    "Conv{}DTranspose": _transposed_convolution,
    "DepthwiseConv{}D": _depthwise_convolution,
    "SeparableConv{}D": _separable_convolution,
    "ConvLSTM{}D": _convolutional,
}

LAYER_COUNTS: Mapping[str, CountRule] = {
    "Dense": _dense,
    "EinsumDense": _einsum_dense,
    "ReversibleEmbedding": _embedding,
    **{
        family.format(dimensions): partial(rule, dimensions=dimensions)
        for family, rule in _CONVOLUTIONS.items()
        for dimensions in (1, 2, 3)
    },
    **{kind: partial(_recurrent, kind=kind) for kind in GATES},
    **{f"{kind}Cell": partial(_cell, kind=kind) for kind in GATES},
    "StackedRNNCells": _stacked_cells,
    "RNN": _recurrent_with_cell,
    "Bidirectional": _bidirectional,
    "TimeDistributed": _time_distributed,
    "SpectralNormalization": _wrapper,
    "MultiHeadAttention": _multi_head_attention,
    "GroupQueryAttention": _group_query_attention,
    "Attention": _attention,
    "AdditiveAttention": _attention,
    "Dot": _dot,
}
"""The rules of layers by class."""

OPERATION_COUNTS: Mapping[str, CountRule] = {"Matmul": _matmul, "Einsum": _einsum}
"""The rules of operations by class."""


def _names(*names: str) -> frozenset[str]:
    return frozenset(name for some in names for name in some.split())


UNCOUNTED_LAYERS = _names("Lambda MelSpectrogram STFTSpectrogram TFOpLambda SlicingOpLambda ClassMethod")
"""Keras's layers in the class table whose multiply–adds no rule knows."""

FREE_LAYERS = (frozenset(WEIGHTLESS) - LAYER_COUNTS.keys() - UNCOUNTED_LAYERS) | _names(
    "BatchNormalization LayerNormalization RMSNormalization GroupNormalization Normalization PReLU Embedding",
    "Discretization IntegerLookup StringLookup TextVectorization",
    "LayerScale",  # of ConvNeXt in keras.applications
)
"""Keras's layers without products of arrays."""

UNCOUNTED_OPERATIONS = _names(
    "Conv ConvTranspose DepthwiseConv SeparableConv DotProductAttention",
    "Dot Tensordot Inner Vdot Outer Kron Correlate Corrcoef CDist SSIM SobelEdges GaussianBlur ElasticTransform",
    "FFT FFT2 IFFT2 RFFT IRFFT STFT ISTFT",
    "Cholesky CholeskyInverse Det Eig Eigh Inv JVP Logdet Lstsq LuFactor MatrixRank Pinv Qr SVD Slogdet Solve",
    "SolveTriangular AssociativeScan Cond ForiLoop Map Scan Switch VectorizedMap WhileLoop",
)
"""Keras's operations that multiply arrays and have no rule, or that run functions."""


def count_of(counted: CountedCall, *, is_operation: bool) -> int:
    """Returns the multiply–adds of a call of one of Keras's layers or operations, for one sample.

    Raises:
        UncountedError: they are not known.
        ModelError: the layer's config is invalid.
    """
    name = counted.call.class_name
    rule = (OPERATION_COUNTS if is_operation else LAYER_COUNTS).get(name)
    if rule is not None:
        return rule(counted)
    if name in UNCOUNTED_OPERATIONS if is_operation else name not in FREE_LAYERS:
        raise UncountedError("is of a class whose multiply–adds are not known")
    return 0


def is_free(class_name: str, *, is_operation: bool) -> bool:
    """Returns whether calls of one of Keras's classes have no multiply–adds at all."""
    if is_operation:
        return class_name not in OPERATION_COUNTS and class_name not in UNCOUNTED_OPERATIONS
    return class_name in FREE_LAYERS
