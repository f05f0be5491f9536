"""The axes of layers and operations, as tables, against the installed Keras."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mutspec.keras_facts.class_names import ALIASES
from mutspec.keras_facts.class_table import CLASSES
from mutspec.keras_facts.layer_axes import BARRIERS, LayerAxes
from mutspec.keras_facts.operation_axes import ALONG, ENTRY_BY_ENTRY, IMAGES, REDUCTIONS, STACKED_ALONG
from mutspec.model.live import read_live
from mutspec.structure.coupling.operations import OPERATIONS
from mutspec.structure.coupling.patterns import tokens
from mutspec.structure.coupling.rules import LAYERS
from tests.structure.coupling_of import coupling_of_model

WITHOUT_CALLS = {"InputLayer", "InputSpec", "Layer", "Wrapper"}
"""Classes in `keras.layers` that no layer of a model is, or that a model has for its inputs."""

LAYERS_OF_WEIGHTS: dict[str, tuple[tuple[int, ...], Callable[[Any, int], Any]]] = {
    "Dense": ((3,), lambda layers, width: layers.Dense(width)),
    "EinsumDense": ((3, 4), lambda layers, width: layers.EinsumDense("abc,cd->abd", (None, width), bias_axes="d")),
    "Embedding": ((3,), lambda layers, width: layers.Embedding(7, width)),
    "ReversibleEmbedding": ((3,), lambda layers, width: layers.ReversibleEmbedding(7, width, tie_weights=False)),
    "Conv1D": ((5, 3), lambda layers, width: layers.Conv1D(width, 2)),
    "Conv2D": ((5, 5, 3), lambda layers, width: layers.Conv2D(width, 2)),
    "Conv3D": ((5, 5, 5, 3), lambda layers, width: layers.Conv3D(width, 2)),
    "Conv1DTranspose": ((5, 3), lambda layers, width: layers.Conv1DTranspose(width, 2)),
    "Conv2DTranspose": ((5, 5, 3), lambda layers, width: layers.Conv2DTranspose(width, 2)),
    "Conv3DTranspose": ((5, 5, 5, 3), lambda layers, width: layers.Conv3DTranspose(width, 2)),
    "SeparableConv1D": ((5, 3), lambda layers, width: layers.SeparableConv1D(width, 2)),
    "SeparableConv2D": ((5, 5, 3), lambda layers, width: layers.SeparableConv2D(width, 2)),
    "SimpleRNN": ((5, 3), lambda layers, width: layers.SimpleRNN(width)),
    "GRU": ((5, 3), lambda layers, width: layers.GRU(width)),
    "LSTM": ((5, 3), lambda layers, width: layers.LSTM(width)),
    "ConvLSTM1D": ((2, 5, 3), lambda layers, width: layers.ConvLSTM1D(width, 2)),
    "ConvLSTM2D": ((2, 5, 5, 3), lambda layers, width: layers.ConvLSTM2D(width, 2)),
    "ConvLSTM3D": ((2, 5, 5, 5, 3), lambda layers, width: layers.ConvLSTM3D(width, 2)),
    "RNN": ((5, 3), lambda layers, width: layers.RNN(layers.LSTMCell(width))),
    "Bidirectional": ((5, 3), lambda layers, width: layers.Bidirectional(layers.LSTM(width))),
    "TimeDistributed": ((5, 3), lambda layers, width: layers.TimeDistributed(layers.Dense(width))),
    "SpectralNormalization": ((3,), lambda layers, width: layers.SpectralNormalization(layers.Dense(width))),
}
"""Layers by class: the shape that they are called on, and a layer of a width."""

CHANNELS_OF_INPUT: dict[str, tuple[int, Callable[[Any], Any]]] = {
    "DepthwiseConv1D": (1, lambda layers: layers.DepthwiseConv1D(2, depth_multiplier=3)),
    "DepthwiseConv2D": (2, lambda layers: layers.DepthwiseConv2D(2, depth_multiplier=3)),
    "BatchNormalization": (2, lambda layers: layers.BatchNormalization(renorm=True)),
    "LayerNormalization": (2, lambda layers: layers.LayerNormalization()),
    "RMSNormalization": (2, lambda layers: layers.RMSNormalization()),
    "GroupNormalization": (2, lambda layers: layers.GroupNormalization(2)),
    "Normalization": (2, lambda layers: layers.Normalization()),
    "PReLU": (2, lambda layers: layers.PReLU()),
}
"""Layers by class whose channels are those of their input: the number of axes before these, and a layer."""

OTHERWISE_TESTED = {
    "MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention", "LSTMCell", "GRUCell",
    "SimpleRNNCell", "ConvLSTMCell", "StackedRNNCells", "STFTSpectrogram",
}  # fmt: skip
"""Classes with weights that are in models of `test_coupled_channels.py`, or are barriers."""


def test_every_layer_class_of_keras_has_a_rule_or_is_a_barrier_with_a_reason() -> None:
    import keras

    classes = {each.__name__ for each in vars(keras.layers).values() if isinstance(each, type)}
    named = {ALIASES.get(name, name) for name in classes - WITHOUT_CALLS}
    assert named <= LAYERS.keys() | BARRIERS.keys()
    of_applications = {"CustomScaleLayer", "LayerScale", "StochasticDepth"}
    assert (LAYERS.keys() | BARRIERS.keys()) - named == {"ConvLSTMCell", *of_applications}
    assert LAYERS.keys().isdisjoint(BARRIERS)


def test_every_class_with_weights_is_tested() -> None:
    assert CLASSES.keys() == LAYERS_OF_WEIGHTS.keys() | CHANNELS_OF_INPUT.keys() | OTHERWISE_TESTED


def weights_and_axes(
    layer: Any, shape: tuple[int, ...]
) -> dict[str, tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]]:
    """The shape of each weight of a layer, and the groups of channels along each axis, by its path in the layer."""
    import keras

    is_token = "Embedding" in type(layer).__name__
    inputs = keras.Input(shape, dtype="int32" if is_token else "float32")
    outputs = layer(inputs)
    if is_token:
        outputs = [outputs]
    model = keras.Model(inputs, outputs)
    found = coupling_of_model(model)
    coupled = found.layers[layer.name]
    shapes = {
        tensor.path.removeprefix(f"{layer.name}/"): tensor.shape
        for tensor in read_live(model).spec.tensors
        if tensor.path.startswith(f"{layer.name}/")
    }
    return {
        below: (shapes[below], [found.groups_of(axis.labels or ()) for axis in axes])
        for below, axes in coupled.weights.items()
    }


@pytest.mark.parametrize("name", LAYERS_OF_WEIGHTS)
def test_the_axes_that_a_width_changes_are_those_that_have_the_units(name: str) -> None:
    from keras import layers

    shape, build = LAYERS_OF_WEIGHTS[name]
    small, large = (weights_and_axes(build(layers, width), shape) for width in (2, 4))
    for (before, axes), (after, _) in zip(small.values(), large.values(), strict=True):
        changed = [one != other for one, other in zip(before, after, strict=True)]
        assert changed == [len(set(groups)) == 2 for groups in axes]  # no other axis has 2 channels


@pytest.mark.parametrize("name", CHANNELS_OF_INPUT)
def test_the_axes_that_the_input_changes_are_those_that_have_its_channels(name: str) -> None:
    from keras import layers

    spatial, build = CHANNELS_OF_INPUT[name]
    small, large = (weights_and_axes(build(layers), (*(4,) * spatial, width)) for width in (6, 10))
    for (before, axes), (after, _) in zip(small.values(), large.values(), strict=True):
        changed = [one != other for one, other in zip(before, after, strict=True)]
        assert changed == [bool(groups) for groups in axes]


def operations() -> dict[str, Any]:
    """The classes of all operations of Keras, by name."""
    from keras.src import ops

    modules = [ops.core, ops.image, ops.linalg, ops.math, ops.nn, ops.numpy]
    return {name: each for module in modules for name, each in vars(module).items() if isinstance(each, type)}


def test_all_operations_with_a_rule_are_in_keras() -> None:
    assert OPERATIONS.keys() <= operations().keys()


def called(operation: Any, dtype: str, changed: bool) -> np.ndarray:
    """What an operation makes of tensors of two rows and three columns; one row may have other entries."""
    random = np.random.default_rng(0)
    parameters = list(inspect.signature(operation.call).parameters.values())
    needed = [each for each in parameters if each.default is inspect.Parameter.empty]
    needed = parameters if type(operation).__name__ == "Where" else needed
    given = [random.uniform(0.2, 0.8, (2, 3)) * (10 if "int" in dtype else 1) for _ in needed]
    if changed:
        for each in given:
            each[1] = each[1] * 0.5
    return np.asarray(operation(*(each.astype(dtype) for each in given)))


@pytest.mark.parametrize("name", sorted(ENTRY_BY_ENTRY))
def test_an_operation_entry_by_entry_does_not_let_entries_of_one_row_change_those_of_another(name: str) -> None:
    arguments = {"Cast": ("float32",), "SaturateCast": ("float32",), "Clip": (0.3, 0.5), "Threshold": (0.5, 0.1)}
    operation = operations()[name](*arguments.get(name, ()))
    dtype = "int32" if "Bitwise" in name or "Shift" in name or name in ("Gcd", "Lcm", "Ldexp") else "float32"
    dtype = "bool" if name.startswith("Logical") else dtype
    first, second = called(operation, dtype, False), called(operation, dtype, True)
    assert first.shape == (2, 3)
    assert np.array_equal(first[0], second[0], equal_nan=first.dtype.kind == "f")


@pytest.mark.parametrize("name", sorted(REDUCTIONS))
def test_an_operation_over_an_axis_leaves_the_others(name: str) -> None:
    operation = operations()[name](axis=1)
    share = (0.5,) if name in ("Quantile", "Percentile") else ()
    values = np.random.default_rng(0).random((2, 3)).astype("float32")
    assert np.shape(operation(values, *share)) == (2,)
    if "sums" in REDUCTIONS[name]:
        with_zeros = np.concatenate([values, np.zeros((2, 1), "float32")], axis=1)
        assert np.allclose(operation(with_zeros), operation(values))


def test_every_table_of_operations_has_rules() -> None:
    assert {*ENTRY_BY_ENTRY, *REDUCTIONS, *ALONG, *IMAGES, *STACKED_ALONG} <= OPERATIONS.keys()


def test_patterns_are_read_axis_by_axis() -> None:
    assert tokens("... (4 u) > _ *") == (("...",), ("4", "u"), (">",), ("_",), ("*",))
    assert LayerAxes("... -> ...").widths == {}
