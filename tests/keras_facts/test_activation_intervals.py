"""The intervals of activations are those of the installed Keras."""

from __future__ import annotations

import numpy as np
import pytest

from mutspec.keras_facts.activation_intervals import (
    ALL,
    OUTPUTS,
    UNCHANGED,
    Interval,
    leaves_unchanged,
    outputs_of,
)

VALUES = np.concatenate([np.linspace(-40, 40, 20_001), np.linspace(-1.5, 1.5, 3_001)]).astype("float32")


def _computed(name: str, values: np.ndarray) -> np.ndarray:
    import keras

    return np.asarray(keras.activations.get(name)(values.reshape(1, -1))).reshape(-1)


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_activation_outputs_values_of_its_interval(name: str) -> None:
    found, interval = _computed(name, VALUES), OUTPUTS[name]
    assert interval.low <= found.min()
    assert found.max() <= interval.high
    finite = [each for each in (interval.low, interval.high) if np.isfinite(each)]
    reached = (found.min(), found.max()) if name not in ("softmax", "sparsemax", "log_softmax") else finite
    assert finite
    assert all(min(abs(each - one) for one in reached) < 0.05 for each in finite)


@pytest.mark.parametrize("name", sorted(UNCHANGED))
def test_an_activation_returns_the_values_of_its_interval_and_no_others(name: str) -> None:
    unchanged = UNCHANGED[name]
    same = _computed(name, VALUES) == VALUES
    inside = (unchanged.low <= VALUES) & (unchanged.high >= VALUES)
    assert same[inside].all()
    if unchanged != ALL:
        assert not same[~inside].any()


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        (("Activation", {"activation": "relu"}), ("ReLU", {"max_value": None}), True),
        (("ReLU", {"max_value": 6.0}), ("ReLU", {"max_value": 6.0}), True),
        (("ReLU", {"max_value": None}), ("ReLU", {"max_value": 6.0}), False),
        (("ReLU", {"negative_slope": 0.1}), ("ReLU", {"negative_slope": 0.1}), False),
        (("ReLU", {"threshold": 1.0}), ("ReLU", {"threshold": 1.0}), False),
        (("LeakyReLU", {"negative_slope": 0.3}), ("LeakyReLU", {"negative_slope": 0.3}), False),
        (("Dense", {"activation": "sigmoid"}), ("LeakyReLU", {"negative_slope": 0.3}), True),
        (("Dense", {"activation": "sigmoid"}), ("Dense", {"activation": "sigmoid"}), False),
    ],
)
def test_layers_follow_their_activations(first: tuple, second: tuple, is_same: bool) -> None:
    assert leaves_unchanged(*second, outputs_of(*first)) is is_same


def test_intervals_hold_smaller_ones() -> None:
    assert ALL.holds(Interval(0, 1))
    assert not Interval(0, 1).holds(ALL)
