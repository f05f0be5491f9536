"""Live models that cannot be read say why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mutspec.errors import ModelError
from mutspec.model.files.opening import open_archive
from mutspec.model.live import read_live
from mutspec.model.loading import load_model
from tests.model.conftest import Zoo


def test_an_unbuilt_model_is_refused() -> None:
    import keras

    with pytest.raises(ModelError, match="no weights yet"):
        read_live(keras.Sequential([keras.layers.Dense(2)]))


def test_what_is_not_a_model_is_refused() -> None:
    with pytest.raises(ModelError, match="is not a Keras 3 model"):
        read_live("model.keras")


def test_a_file_of_weights_alone_cannot_be_loaded_as_a_model(tmp_path: Path, zoo: Zoo) -> None:
    file = tmp_path / "model.weights.h5"
    zoo["residual"].model.save_weights(file)
    with pytest.raises(ModelError, match="holds weights and no architecture") as caught:
        load_model(file)
    assert "whole model" in caught.value.problems[0].hint


def test_weights_that_are_computed_when_saved_are_refused_by_name() -> None:
    import keras

    class Doubled(keras.layers.Layer):
        """Saves twice what it holds."""

        def build(self, shape: tuple[int | None, ...]) -> None:
            self.factor = self.add_weight(shape=(shape[-1],))

        def call(self, x: Any) -> Any:
            return x * self.factor

        def save_own_variables(self, store: Any) -> None:
            store["0"] = self.factor * 2.0

        def get_config(self) -> dict[str, Any]:
            return {"name": self.name}

    inputs = keras.Input((3,))
    model = keras.Model(inputs, Doubled(name="doubled")(inputs))
    with pytest.raises(ModelError, match="layers/doubled/vars/0 are computed when they are saved"):
        read_live(model)


def test_reading_changes_nothing(zoo: Zoo) -> None:
    model = zoo["residual"].model
    before = [value.tobytes() for value in model.get_weights()]
    first, second = read_live(model), read_live(model)
    assert first.spec == second.spec
    assert [value.tobytes() for value in model.get_weights()] == before


def test_layers_whose_names_keras_does_not_keep_have_the_names_that_keras_gives_them_on_loading(tmp_path: Path) -> None:
    import keras

    class Squeeze(keras.layers.Layer):
        """Two weights and no get_config, so that Keras writes a config without a name."""

        def build(self, shape: tuple[int | None, ...]) -> None:
            self.factor = self.add_weight(shape=(shape[-1],))
            self.inner = keras.layers.Dense(3, name="inner")
            self.inner.build(shape)

        def call(self, x: Any) -> Any:
            return self.inner(x * self.factor)

    model = keras.Sequential([keras.Input((3,)), Squeeze(), keras.layers.Dense(3, name="dense"), Squeeze()])
    model.save(tmp_path / "model.keras")
    keras.backend.clear_session(free_memory=False)
    again = keras.saving.load_model(tmp_path / "model.keras", custom_objects={"Squeeze": Squeeze})
    assert [layer.name for layer in again.layers] == ["squeeze", "dense", "squeeze_1"]
    for spec in (read_live(model).spec, read_live(again).spec, open_archive(tmp_path / "model.keras").spec):
        layers = dict.fromkeys(tensor.layer for tensor in spec.tensors)
        assert [name for name in layers if "/" not in name] == ["squeeze", "dense", "squeeze_1"]
