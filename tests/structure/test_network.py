"""Taking a model apart and putting it together again gives the same model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mutspec.language.errors import ModelError
from mutspec.model.live import read_live
from mutspec.model.live.rebuild import custom_classes
from mutspec.structure.network import entry_of, network_of
from tests.models import ZOO
from tests.models.play import inputs_of, outputs, shared

SHARING = {"shared_with_nested", "shared_everywhere"}
"""Layers that two models hold: Keras itself builds them anew as two."""

GRAPHS = [name for name in ZOO if name != "subclassed"]


def _without(value: Any, *keys: str) -> Any:
    if isinstance(value, dict):
        return {key: _without(item, *keys) for key, item in value.items() if key not in keys}
    return [_without(item, *keys) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", GRAPHS)
def test_put_together_again_a_config_says_the_same(name: str) -> None:
    config = read_live(shared(name)).config
    before = json.dumps(config, sort_keys=True)
    again = entry_of(network_of(config))
    ours, theirs = (_without(each, "build_config", "shared_object_id") for each in (again, config))
    assert json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True)
    assert json.dumps(config, sort_keys=True) == before
    assert entry_of(network_of(again)) == again


@pytest.mark.parametrize("name", [name for name in GRAPHS if name not in SHARING])
def test_put_together_again_a_model_predicts_the_same(name: str) -> None:
    import keras

    model = shared(name)
    config = entry_of(network_of(read_live(model).config))
    again = keras.saving.deserialize_keras_object(config, custom_objects=dict(custom_classes(model)), safe_mode=False)
    assert type(again) is type(model)
    names = [[each.name for each in one.layers if type(each).__name__ != "Subclassed"] for one in (again, model)]
    assert names[0] == names[1]  # but for a class that forgets its name in its config
    assert [each.shape for each in again.weights] == [each.shape for each in model.weights]
    if name in ("normalization", "preprocessing"):
        return  # what they worked out from data comes along with the rebuild, not with the config
    again.set_weights(model.get_weights())
    x = inputs_of(model)
    for one, other in zip(outputs(again, x), outputs(model, x), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_subclassed_model_cannot_be_taken_apart() -> None:
    with pytest.raises(ModelError, match="called by code"):
        network_of(read_live(shared("subclassed")).config)
