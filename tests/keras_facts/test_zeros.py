"""What mutspec says of zeros, against the installed Keras."""

from __future__ import annotations

import numpy as np
import pytest

from mutspec.keras_facts.object_names import ACTIVATIONS as EVERY
from mutspec.keras_facts.zeros import ACTIVATIONS, MIXING_ACTIVATIONS


@pytest.mark.parametrize("name", sorted(EVERY - MIXING_ACTIVATIONS - {"threshold"}))
def test_an_activation_is_listed_if_it_makes_zero_of_zero(name: str) -> None:
    import keras

    assert (float(keras.activations.get(name)(np.zeros((1, 1), "float32"))[0, 0]) == 0) == (name in ACTIVATIONS)


@pytest.mark.parametrize("name", sorted(EVERY - {"threshold"}))
def test_an_activation_mixes_channels_if_another_channel_changes_its_value(name: str) -> None:
    import keras

    given = np.random.default_rng(0).normal(size=(20, 4)).astype("float32")
    other = given.copy()
    other[:, 3] += 3
    activation = keras.activations.get(name)
    first, second = (np.asarray(activation(each)) for each in (given, other))
    is_same = first.shape == given.shape and np.array_equal(first[:, :3], second[:, :3])
    assert is_same == (name not in MIXING_ACTIVATIONS)
