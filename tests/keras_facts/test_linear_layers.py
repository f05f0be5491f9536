"""The table of linear layers says what the installed Keras does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mutspec.keras_facts.linear_layers import LINEAR


def _layer(name: str) -> Any:
    import keras

    made = {"Dense": {"units": 3}, "Depthwise": {}}.get(
        name.removesuffix("Conv1D").removesuffix("Conv2D"), {"filters": 3}
    )
    window = {} if name == "Dense" else {"kernel_size": 2}
    return getattr(keras.layers, name)(**made, **window, bias_initializer="ones")


@pytest.mark.parametrize("name", LINEAR)
def test_the_layer_has_the_kernels_and_is_linear(name: str) -> None:
    layer, facts = _layer(name), LINEAR[name]
    rank = next((int(each) for each in name if each.isdigit()), 0)
    random = np.random.default_rng(3)
    one, other = (random.normal(size=(2, *(4,) * rank, 3)).astype("float32") for _ in range(2))
    computed = np.asarray(layer(one + other)) + 1
    np.testing.assert_allclose(computed, np.asarray(layer(one)) + np.asarray(layer(other)), rtol=1e-4, atol=1e-4)
    roles = [each.name for each in layer.weights]
    assert {facts.first, facts.last} == {*roles} - {"bias"}
    assert roles[-1] == "bias"


@pytest.mark.parametrize("name", LINEAR)
def test_a_shift_of_the_input_is_one_of_the_output_where_the_table_says_so(name: str) -> None:
    layer = _layer(name)
    rank = next((int(each) for each in name if each.isdigit()), 0)
    value = np.zeros((1, *(4,) * rank, 3), "float32")
    shifted = np.asarray(layer(value + 1.0)) - np.asarray(layer(value))
    is_uniform = np.ptp(shifted.reshape(-1, shifted.shape[-1]), axis=0).max() < 1e-5
    assert bool(is_uniform) is LINEAR[name].takes_shift
