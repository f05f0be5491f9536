"""The variables, inner layers and base classes of Keras's layer classes, as data.

Checked against Keras 3.15 by `tests/keras_facts/test_classes.py`; where older versions differ, a row says so. A class
that is in none of the tables is treated as a user's own: its variables are `var0`, `var1`, ….
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mutspec.keras_facts.roles import Group

KERNELS, BIASES, NORMS, EMBEDDINGS, STATISTICS, STATE, OTHER = (
    Group.KERNELS,
    Group.BIASES,
    Group.NORMS,
    Group.EMBEDDINGS,
    Group.STATISTICS,
    Group.STATE,
    Group.OTHER,
)


@dataclass(frozen=True, slots=True)
class When:
    """A condition on a layer's config: the value of `key` (by default `default`) is true, or one of `values`."""

    key: str
    default: object = True
    values: tuple[object, ...] = ()


_OFF = (False, None)


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a class, in the order in which `.keras` files number them.

    Arguments:
        role: Keras's attribute name.
        group: its group, such as kernels or statistics.
        when: conditions that must all hold for the variable to exist.
        is_trainable: whether an unfrozen layer trains it.
        rank: the number of dimensions; None if it depends on the config.
        channel_axis: the axis of output channels, a negative one counted from the end; None without such an axis.
        extent: the config key that states the length of the channel axis.
        is_optional: whether it may be missing for reasons that are not in the config.
        copy_of: the part whose first variable this one is: the same storage, written to the file a second time.
    """

    role: str
    group: Group
    when: tuple[When, ...] = ()
    is_trainable: bool = True
    rank: int | None = None
    channel_axis: int | None = None
    extent: str = ""
    is_optional: bool = False
    copy_of: str = ""


@dataclass(frozen=True, slots=True)
class LayerPart:
    """A layer inside a layer.

    Arguments:
        stored: its path in a `.keras` file, below its owner's; alternatives by version, current first.
        config: the key of the owner's config that holds it serialised; empty if the class implies it.
        fallback: the key to use where that one is absent.
        is_list: whether the key holds a list, whose items are stored below `stored` by snake-cased class.
        class_name: the class of an implied part.
        passes: for an implied part, pairs of a key of its config and the key of the owner's config that it comes from.
        name: the name of an implied part in canonical paths; empty to elide it.
        prefix: the beginning of its own name; it is added where missing, unless `fallback` was not needed.
        when: conditions that must all hold for the part to exist.
    """

    stored: tuple[str, ...]
    config: str = ""
    fallback: str = ""
    is_list: bool = False
    class_name: str = ""
    passes: tuple[tuple[str, str], ...] = ()
    name: str = ""
    prefix: str = ""
    when: tuple[When, ...] = ()


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """The weights and inner layers of a class.

    Arguments:
        variables: its own variables.
        parts: the layers in it, in the order in which Keras lists their weights.
        bases: its public Keras base classes, nearest first.
        quantized: its own variables in each quantisation mode.
    """

    variables: tuple[Variable, ...] = ()
    parts: tuple[LayerPart, ...] = ()
    bases: tuple[str, ...] = ("Layer",)
    quantized: Mapping[str, tuple[Variable, ...]] = field(default_factory=dict)


_USE_BIAS = (When("use_bias"),)


def _dense_like(kernel: Variable, bias: Variable) -> tuple[tuple[Variable, ...], dict[str, tuple[Variable, ...]]]:
    """Returns the variables of Dense and EinsumDense: plain, and by quantisation mode.

    They are listed in the layers' `variable_serialization_spec` in Keras.
    """
    scale = Variable("kernel_scale", STATE, is_trainable=False)
    zero = Variable("kernel_zero", STATE, is_trainable=False, is_optional=True)
    indices = Variable("g_idx", STATE, is_trainable=False, is_optional=True)
    frozen = Variable("kernel", KERNELS, is_trainable=False)
    packed = Variable("quantized_kernel", KERNELS, is_trainable=False)
    float8 = tuple(
        Variable(f"{what}_{kind}", STATE, is_trainable=kind == "grad_scale")
        for what, kind in (
            ("inputs", "scale"),
            ("inputs", "amax_history"),
            ("kernel", "scale"),
            ("kernel", "amax_history"),
            ("outputs", "grad_scale"),
            ("outputs", "grad_amax_history"),
        )
    )
    int8_kernel = Variable("kernel", KERNELS, is_trainable=False, channel_axis=kernel.channel_axis)
    return (kernel, bias), {
        "int8": (int8_kernel, bias, scale),
        "int4": (frozen, bias, scale, zero, indices),
        "float8": (kernel, bias, *float8),
        "gptq": (bias, packed, scale, zero, indices),
        "awq": (bias, packed, scale, zero, Variable("awq_scales", STATE, is_trainable=False), indices),
    }


def _dense() -> ClassFacts:
    plain, quantized = _dense_like(
        Variable("kernel", KERNELS, rank=2, channel_axis=-1, extent="units"),
        Variable("bias", BIASES, when=_USE_BIAS, rank=1, channel_axis=-1, extent="units"),
    )
    return ClassFacts(plain, quantized=quantized)


def _einsum_dense() -> ClassFacts:
    # The axes of channels follow from the equation.
    plain, quantized = _dense_like(
        Variable("kernel", KERNELS), Variable("bias", BIASES, when=(When("bias_axes", None),))
    )
    return ClassFacts(plain, quantized=quantized)


def _convolution(dimensions: int, channel_axis: int = -1) -> ClassFacts:
    return ClassFacts(
        (
            Variable("kernel", KERNELS, rank=dimensions + 2, channel_axis=channel_axis, extent="filters"),
            Variable("bias", BIASES, when=_USE_BIAS, rank=1, channel_axis=-1, extent="filters"),
        )
    )


def _depthwise(dimensions: int) -> ClassFacts:
    return ClassFacts(
        (
            Variable("kernel", KERNELS, rank=dimensions + 2, channel_axis=-2),
            Variable("bias", BIASES, when=_USE_BIAS, rank=1, channel_axis=-1),
        )
    )


def _separable(dimensions: int) -> ClassFacts:
    return ClassFacts(
        (
            Variable("depthwise_kernel", KERNELS, rank=dimensions + 2, channel_axis=-2),
            Variable("pointwise_kernel", KERNELS, rank=dimensions + 2, channel_axis=-1, extent="filters"),
            Variable("bias", BIASES, when=_USE_BIAS, rank=1, channel_axis=-1, extent="filters"),
        )
    )


def _norm(*, scale: tuple[When, ...], center: tuple[When, ...], rest: tuple[Variable, ...] = ()) -> ClassFacts:
    gamma = Variable("gamma", NORMS, when=scale, channel_axis=-1)
    return ClassFacts((gamma, Variable("beta", NORMS, when=center, channel_axis=-1), *rest))


def _statistic(role: str, *when: When) -> Variable:
    return Variable(role, STATISTICS, when=when, is_trainable=False, channel_axis=-1)


def _cell() -> ClassFacts:
    # The last axis has the units of all gates.
    return ClassFacts(
        (
            Variable("kernel", KERNELS, channel_axis=-1),
            Variable("recurrent_kernel", KERNELS, channel_axis=-1),
            Variable("bias", BIASES, when=_USE_BIAS, channel_axis=-1),
        )
    )


def _recurrent(cell: str) -> ClassFacts:
    passes = tuple((key, key) for key in ("use_bias", "trainable"))
    return ClassFacts(parts=(LayerPart(("cell",), class_name=cell, passes=passes),), bases=("RNN", "Layer"))


def _projection(name: str, stored: tuple[str, ...], *when: When) -> LayerPart:
    passes = (("bias_axes", "use_bias"), ("dtype", "dtype"), ("trainable", "trainable"))
    return LayerPart(stored, class_name="EinsumDense", passes=passes, name=name, when=when)


def _attention_projections(*, public: bool) -> ClassFacts:
    # Keras 3's MultiHeadAttention also has public attributes, and saves these first; its GroupQueryAttention, and other
    # versions, have private ones.
    def projection(name: str, attribute: str, *when: When) -> LayerPart:
        stored = (f"{attribute}_dense", f"_{attribute}_dense")
        return _projection(name, stored if public else stored[::-1], *when)

    return ClassFacts(
        parts=(
            projection("query", "query"),
            projection("key", "key"),
            projection("gate", "gate", When("use_gate", False)),
            projection("value", "value"),
            projection("attention_output", "output"),
        )
    )


def _embedding(*, reversible: bool) -> ClassFacts:
    table = Variable("embeddings", EMBEDDINGS, rank=2, channel_axis=-1, extent="output_dim")
    frozen = Variable("embeddings", EMBEDDINGS, is_trainable=False)
    scale = Variable("embeddings_scale", STATE, is_trainable=False)
    zero = Variable("embeddings_zero", STATE, is_trainable=False, is_optional=True)
    indices = Variable("g_idx", STATE, is_trainable=False, is_optional=True)
    untied = (When("tie_weights", values=_OFF),)
    back = Variable("reverse_embeddings", EMBEDDINGS, when=untied, channel_axis=-1)
    back_scale = Variable("reverse_embeddings_scale", STATE, when=untied, is_trainable=False)
    back_zero = Variable("reverse_embeddings_zero", STATE, when=untied, is_trainable=False, is_optional=True)
    if not reversible:
        return ClassFacts((table,), quantized={"int8": (frozen, scale), "int4": (frozen, scale, zero, indices)})
    return ClassFacts(
        (table, back),
        bases=("Embedding", "Layer"),
        quantized={
            "int8": (frozen, scale, back, back_scale),
            "int4": (frozen, scale, zero, indices, back, back_scale, back_zero),
        },
    )


_BATCH_NORM = _norm(
    scale=(When("scale"),),
    center=(When("center"),),
    rest=(
        _statistic("moving_mean"),
        _statistic("moving_variance"),
        *(_statistic(role, When("renorm", False)) for role in ("moving_stddev", "renorm_mean", "renorm_stddev")),
    ),
)
_NO_INPUT_MEAN = When("mean", None, values=(None,))
_USE_SCALE = When("use_scale", False)
_SPECTRA = ("log", "magnitude", "psd", "angle", "stft")

CLASSES: Mapping[str, ClassFacts] = {
    "Dense": _dense(),
    "EinsumDense": _einsum_dense(),
    "Embedding": _embedding(reversible=False),
    "ReversibleEmbedding": _embedding(reversible=True),
    "Conv1D": _convolution(1),
    "Conv2D": _convolution(2),
    "Conv3D": _convolution(3),
    # In transposed convolutions the output channels come before the input channels.
    "Conv1DTranspose": _convolution(1, -2),
    "Conv2DTranspose": _convolution(2, -2),
    "Conv3DTranspose": _convolution(3, -2),
    "DepthwiseConv1D": _depthwise(1),
    "DepthwiseConv2D": _depthwise(2),
    "SeparableConv1D": _separable(1),
    "SeparableConv2D": _separable(2),
    "BatchNormalization": _BATCH_NORM,
    "LayerNormalization": _norm(
        scale=(When("scale"),), center=(When("center"), When("rms_scaling", False, values=_OFF))
    ),
    "GroupNormalization": _norm(scale=(When("scale"),), center=(When("center"),)),
    "RMSNormalization": ClassFacts((Variable("scale", NORMS, channel_axis=-1),)),
    "Normalization": ClassFacts(
        (
            _statistic("mean", _NO_INPUT_MEAN),
            _statistic("variance", _NO_INPUT_MEAN),
            Variable("count", STATE, when=(_NO_INPUT_MEAN,), is_trainable=False),
        )
    ),
    "SpectralNormalization": ClassFacts(
        (
            Variable("kernel", KERNELS, copy_of="layer"),
            Variable("vector_u", STATISTICS, is_trainable=False, rank=2),
        ),
        parts=(LayerPart(("layer",), config="layer"),),
        bases=("Wrapper", "Layer"),
    ),
    "PReLU": ClassFacts((Variable("alpha", KERNELS, channel_axis=-1),)),
    "Attention": ClassFacts(
        (
            Variable("scale", KERNELS, when=(_USE_SCALE,)),
            Variable("concat_score_weight", KERNELS, when=(When("score_mode", "dot", values=("concat",)),)),
        )
    ),
    "AdditiveAttention": ClassFacts(
        (Variable("scale", KERNELS, when=(When("use_scale"),)),), bases=("Attention", "Layer")
    ),
    "MultiHeadAttention": _attention_projections(public=True),
    "GroupQueryAttention": _attention_projections(public=False),
    "LSTM": _recurrent("LSTMCell"),
    "GRU": _recurrent("GRUCell"),
    "SimpleRNN": _recurrent("SimpleRNNCell"),
    "ConvLSTM1D": _recurrent("ConvLSTMCell"),
    "ConvLSTM2D": _recurrent("ConvLSTMCell"),
    "ConvLSTM3D": _recurrent("ConvLSTMCell"),
    "LSTMCell": _cell(),
    "GRUCell": _cell(),
    "SimpleRNNCell": _cell(),
    "ConvLSTMCell": _cell(),
    "RNN": ClassFacts(parts=(LayerPart(("cell",), config="cell"),)),
    "StackedRNNCells": ClassFacts(parts=(LayerPart(("cells",), config="cells", is_list=True),)),
    "Bidirectional": ClassFacts(
        parts=(
            LayerPart(("forward_layer",), config="layer", prefix="forward_"),
            LayerPart(("backward_layer",), config="backward_layer", fallback="layer", prefix="backward_"),
        )
    ),
    "TimeDistributed": ClassFacts(parts=(LayerPart(("layer",), config="layer"),), bases=("Wrapper", "Layer")),
    "STFTSpectrogram": ClassFacts(
        (
            Variable("real_kernel", STATE, when=(When("mode", "log", values=(*_SPECTRA, "real")),)),
            Variable("imag_kernel", STATE, when=(When("mode", "log", values=(*_SPECTRA, "imag")),)),
        )
    ),
}
"""Classes with weights."""

LORA: Mapping[str, Variable] = {
    role: Variable(role, OTHER, channel_axis=axis, is_optional=True)
    for base in ("kernel", "embeddings")
    for role, axis in ((f"lora_{base}_a", None), (f"lora_{base}_b", -1))
}
"""The adapters of LoRA. Live layers have them in addition to the variables of the table; `.keras` files are merged."""
