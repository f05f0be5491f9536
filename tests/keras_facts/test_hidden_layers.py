"""The table of layers that Keras makes inside other layers is compared with what the installed Keras saves."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import h5py
import pytest

from mutspec.keras_facts.hidden_layers import HIDDEN_LAYERS
from mutspec.model.files.archive import WEIGHTS
from tests.keras_facts.installed import layer_classes

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "MultiHeadAttention": (2, 3),
    "GroupQueryAttention": (3, 2, 1),
    "AugMix": ((0, 1),),
    "RandAugment": ((0, 1),),
}


def saved_inside(layer: Any, image: Any) -> dict[str, str]:
    """The layers without weights in a layer: the attribute that holds each, and its name."""
    import keras

    output = layer(image, image) if "Attention" in type(layer).__name__ else layer(image)
    path = io.BytesIO()
    keras.src.saving.saving_lib._save_model_to_fileobj(keras.Model(image, output), path, "h5")
    with zipfile.ZipFile(path) as file, h5py.File(io.BytesIO(file.read(WEIGHTS))) as weights:
        group = next(each for name, each in weights["layers"].items() if name != "input_layer")
        inside = {name: each["vars"] for name, each in group.items() if name != "vars" and "vars" in each}
        return {name: each.attrs["name"] for name, each in inside.items() if not len(each)}


@pytest.mark.parametrize("name", HIDDEN_LAYERS)
def test_the_layers_inside_a_class_are_those_that_keras_saves(name: str) -> None:
    import keras

    keras.backend.clear_session(free_memory=False)  # it numbers automatic names
    image = keras.Input((4, 6) if "Attention" in name else (8, 8, 3))
    assert saved_inside(getattr(keras.layers, name)(*ARGUMENTS[name]), image) == HIDDEN_LAYERS[name]


def test_no_other_class_that_needs_no_arguments_has_such_layers() -> None:
    others = {"TextVectorization"}  # it holds a lookup layer, and is in no table
    for name, layer_class in layer_classes().items():
        try:
            made = layer_class()
        except Exception:  # what takes arguments makes the layers in it of these
            continue
        assert not made._layers or name in HIDDEN_LAYERS or name in others, name
