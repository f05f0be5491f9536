"""The place of an old window in a new one is where the installed Keras computes the same with both."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from mutspec.keras_facts.windows import WindowAxis

LENGTHS = (6, 7)
SIZES = ((1, 3), (1, 5), (2, 3), (2, 4), (3, 5))


@cache
def _layer(layer: str, size: int, axis: WindowAxis) -> Any:
    """A convolution without bias."""
    import keras

    arguments: dict[str, Any] = {"filters": 2} if layer != "DepthwiseConv1D" else {}
    if axis.output_padding is not None:
        arguments["output_padding"] = axis.output_padding
    made = getattr(keras.layers, layer)(
        kernel_size=size,
        strides=axis.stride,
        dilation_rate=axis.dilation,
        padding=axis.padding,
        use_bias=False,
        **arguments,
    )
    made.build((None, None, 2))
    return made


def _output(layer: str, kernel: np.ndarray, length: int, axis: WindowAxis) -> np.ndarray:
    """What a convolution makes of a sequence."""
    made = _layer(layer, len(kernel), axis)
    made.kernel.assign(kernel)
    return np.asarray(made(np.random.default_rng(length).normal(size=(1, length, 2)).astype("float32")))


def _kernel(layer: str, size: int) -> np.ndarray:
    shape = (size, 2, 1) if layer == "DepthwiseConv1D" else (size, 2, 2)
    return np.random.default_rng(size).uniform(0.5, 1.5, shape).astype("float32")


def _placed(kernel: np.ndarray, size: int, at: int) -> np.ndarray:
    grown = np.zeros((size, *kernel.shape[1:]), "float32")
    grown[at : at + len(kernel)] = kernel
    return grown


AXES = {
    "Conv1D": [
        *(WindowAxis(stride, 1, padding) for stride in (1, 2, 3) for padding in ("same", "causal")),
        *(WindowAxis(1, dilation, padding) for dilation in (2, 3) for padding in ("same", "causal")),
    ],
    "DepthwiseConv1D": [WindowAxis(2, 1, "same"), WindowAxis(1, 2, "same"), WindowAxis(2, 2, "same")],
    "Conv1DTranspose": [
        *(WindowAxis(stride, 1, "same", is_transposed=True) for stride in (1, 2, 3)),
        WindowAxis(2, 1, "same", is_transposed=True, output_padding=0),
        WindowAxis(2, 1, "same", is_transposed=True, output_padding=1),
        WindowAxis(3, 1, "valid", is_transposed=True),
    ],
}


@pytest.mark.parametrize(("layer", "axis"), [(layer, axis) for layer, axes in AXES.items() for axis in axes])
def test_the_offset_is_the_one_place_where_the_output_stays(layer: str, axis: WindowAxis) -> None:
    for (small, large), length in product(SIZES, LENGTHS):
        if axis.output_padding is not None and not (small % 2 and large % 2):
            continue  # TensorFlow computes none with an even window
        kernel = _kernel(layer, small)
        before = _output(layer, kernel, length, axis)
        made = [_output(layer, _placed(kernel, large, at), length, axis) for at in range(large - small + 1)]
        assert axis.keeps_shape(small, large) is (made[0].shape == before.shape), (small, large, length)
        if not axis.keeps_shape(small, large):
            continue
        right = [at for at, each in enumerate(made) if np.allclose(each, before, atol=1e-5)]
        assert axis.offset(small, large, length) == (right[0] if right else None), (small, large, length)


@pytest.mark.parametrize("axis", [WindowAxis(stride, 1, "same") for stride in (1, 2, 3)])
def test_of_an_unknown_length_the_offset_is_known_if_all_lengths_agree(axis: WindowAxis) -> None:
    for small, large in product((1, 2, 3, 4), (5, 6, 7)):
        offsets = {axis.offset(small, large, length) for length in range(1, 20)}
        assert axis.offset(small, large, None) == (offsets.pop() if len(offsets) == 1 else None)
