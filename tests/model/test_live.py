"""Live models that cannot be read say why."""

from __future__ import annotations

import pytest

from mutspec.language.errors import ModelError
from mutspec.model.live import read_live
from tests.model.conftest import Zoo


def test_an_unbuilt_model_is_refused() -> None:
    import keras

    with pytest.raises(ModelError, match="no weights yet"):
        read_live(keras.Sequential([keras.layers.Dense(2)]))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="no Keras 3 model"):
        read_live("model.keras")


def test_merged_lora_weights_are_refused_by_name() -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    model.layers[0].enable_lora(2)
    with pytest.raises(ModelError, match="layers/dense/vars/0") as caught:
        read_live(model)
    assert "LoRA" in caught.value.problems[0].hint


def test_reading_changes_nothing(zoo: Zoo) -> None:
    model = zoo["residual"].model
    before = [value.tobytes() for value in model.get_weights()]
    first, second = read_live(model), read_live(model)
    assert first.spec == second.spec
    assert [value.tobytes() for value in model.get_weights()] == before
