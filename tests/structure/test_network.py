"""Taking a model apart and putting it together again gives the same model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mutspec.errors import ModelError
from mutspec.model.live import read_live
from mutspec.model.live.rebuild import custom_classes
from mutspec.structure.network_config import entry_of, network_of
from tests.effort import share
from tests.zoo import ZOO
from tests.zoo.play import inputs_of, outputs, shared

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


@pytest.mark.parametrize("name", share([name for name in GRAPHS if name not in SHARING], of=2, turn=1))
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


def _layer(name: str, *sources: str) -> dict[str, Any]:
    config = {"shape": [None, 3], "dtype": "float32"}
    tensors = [
        {"class_name": "__keras_tensor__", "config": {**config, "keras_history": [source, 0, 0]}} for source in sources
    ]
    nodes = [{"args": tensors, "kwargs": {}}] if sources else []
    kind = "Add" if sources else "InputLayer"
    return {
        "class_name": kind,
        "module": "keras.layers",
        "config": {"name": name},
        "name": name,
        "inbound_nodes": nodes,
    }


def _model(*layers: dict[str, Any], output: str, name: str = "m") -> dict[str, Any]:
    config = {"name": name, "layers": list(layers), "input_layers": [["x", 0, 0]], "output_layers": [[output, 0, 0]]}
    return {"class_name": "Functional", "module": "keras", "config": config}


LOOP = _model(_layer("x"), _layer("a", "x", "c"), _layer("b", "a"), _layer("c", "b"), output="c")

BROKEN = {
    "has a cycle.*`b` → `c` → `a` → `b`|has a cycle.*`a` → `b` → `c` → `a`|has a cycle.*`c` → `a` → `b` → `c`": LOOP,
    "has a cycle.*: `a` → `a`": _model(_layer("x"), _layer("a", "a", "x"), output="a"),
    "`a` is called on an output of `nowhere`, but the model has no such layer": _model(
        _layer("x"), _layer("a", "nowhere"), output="a"
    ),
    "begins or ends with an output of `nowhere`": _model(_layer("x"), output="nowhere"),
    "two layers of a model are called `x`": _model(_layer("x"), _layer("x"), output="x"),
    "has no name": _model(_layer("x"), _layer(""), output="x"),
    "has a cycle.*`c` →|has a cycle.*→ `c`": _model(
        _layer("x"), {**LOOP, "name": "m", "inbound_nodes": _layer("m", "x")["inbound_nodes"]}, output="m"
    ),
}


@pytest.mark.parametrize("said", BROKEN)
def test_a_graph_that_cannot_be_run_is_refused_at_once(said: str) -> None:
    with pytest.raises(ModelError, match=said):
        network_of(BROKEN[said])


def test_a_graph_as_deep_as_it_is_long_is_taken_apart() -> None:
    layers = [_layer("x"), *(_layer(f"l{number}", f"l{number - 1}" if number else "x") for number in range(5000))]
    assert len(network_of(_model(*reversed(layers), output="l4999")).layers) == 5001


def test_a_call_that_was_not_made_is_refused() -> None:
    layer = _layer("a", "x")
    layer["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["x", 4, 0]
    with pytest.raises(ModelError, match="call 4 of `x`"):
        network_of(_model(_layer("x"), layer, output="a"))
