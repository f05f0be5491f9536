"""The tables of data formats say what the installed Keras does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mutspec.keras_facts.data_formats import (
    ALONG_LAST_AXIS,
    AXES,
    AXES_DEFAULT,
    CONVOLUTIONS,
    EITHER,
    ENTRYWISE,
    ENTRYWISE_OPERATIONS,
    SPATIAL,
)
from mutspec.keras_facts.layer_arguments import arguments_of
from mutspec.keras_facts.object_names import ACTIVATIONS, OPERATIONS

PREPROCESSING = (
    *("AugMix", "AutoContrast", "CenterCrop", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "Equalization"),
    *("MixUp", "MaxNumBoundingBoxes", "RandAugment", "Resizing", "Solarization", "STFTSpectrogram"),
)


def _classes() -> list[str]:
    import keras

    return [name for name in dir(keras.layers) if arguments_of(name) is not None]


def test_the_table_has_all_layers_with_a_data_format_but_those_that_prepare_images() -> None:
    has_format = {name for name in _classes() if "data_format" in (arguments_of(name) or {})}
    left_out = {name for name in has_format if name.startswith(("Random", "Adaptive", "ConvLSTM", *PREPROCESSING))}
    assert has_format - left_out == CONVOLUTIONS | SPATIAL | EITHER


def test_the_table_has_the_argument_that_names_axes() -> None:
    for name, key in AXES.items():
        argument = (arguments_of(name) or {})[key]
        assert argument.default == AXES_DEFAULT.get(name, -1)


def _made(name: str) -> Any:
    import keras

    needed = {"Activation": ("relu",), "Dropout": (0.5,), "AlphaDropout": (0.5,), "GaussianDropout": (0.5,)}
    needed |= {"GaussianNoise": (1.0,), "Rescaling": (2.0, 1.0)}
    return getattr(keras.layers, name)(*needed.get(name, ()))


@pytest.mark.parametrize("name", sorted(ENTRYWISE))
def test_entrywise_layers_do_not_depend_on_the_order_of_axes(name: str) -> None:
    values = np.random.default_rng(1).normal(size=(2, 2, 3, 4)).astype("float32")
    others = values[::-1].copy()
    merges = name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract")
    layer = _made(name)

    def called(change: Any) -> np.ndarray:
        return np.asarray(layer([change(values), change(others)] if merges else change(values)))

    moved = called(lambda each: np.moveaxis(each, -1, 1).copy())
    assert np.array_equal(np.moveaxis(moved, 1, -1), called(lambda each: each))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS - {"glu", "threshold"}))
def test_activations_along_an_axis_are_in_the_table(name: str) -> None:
    import keras

    values = np.random.default_rng(1).normal(size=(2, 3, 4)).astype("float32")
    function = keras.activations.get(name)
    moved = np.moveaxis(np.asarray(function(np.moveaxis(values, -1, 1).copy())), 1, -1)
    is_same = np.allclose(moved, np.asarray(function(values)), atol=1e-6)
    assert is_same is (name not in ALONG_LAST_AXIS)


def test_entrywise_operations_exist() -> None:
    assert {name for names in OPERATIONS.values() for name in names} >= ENTRYWISE_OPERATIONS


def test_flatten_outputs_the_same_entries_in_both_formats() -> None:
    import keras

    values = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype("float32")
    first = keras.layers.Flatten(data_format="channels_first")(np.moveaxis(values, -1, 1).copy())
    assert np.array_equal(first, keras.layers.Flatten(data_format="channels_last")(values))


@pytest.mark.parametrize("name", sorted(CONVOLUTIONS))
def test_kernels_are_stored_in_one_order_for_both_formats(name: str) -> None:
    import keras

    rank = next(int(each) for each in name if each.isdigit())
    made = {"kernel_size": 2} if name.startswith("Depthwise") else {"filters": 3, "kernel_size": 2}
    shapes = []
    for data_format, shape in (("channels_first", (5, *(4,) * rank)), ("channels_last", (*(4,) * rank, 5))):
        layer = getattr(keras.layers, name)(**made, data_format=data_format)
        layer.build((None, *shape))
        shapes.append([tuple(each.shape) for each in layer.weights])
    assert shapes[0] == shapes[1]
