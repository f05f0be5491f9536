"""Structural steps on networks of the size that people use."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec

ACTIVATION = {
    "ResNet50": "conv2_block1_1_relu",
    "MobileNetV2": "block_1_expand_relu",
    "EfficientNetB0": "block2a_expand_activation",
}
ADD = {"ResNet50": "conv3_block2_add", "MobileNetV2": "block_2_add", "EfficientNetB0": "block2b_add"}
LAYERS: dict[str, dict[str, Any]] = {
    "Conv2D": {"type": "Conv2D", "filters": "same", "kernel_size": 3, "padding": "same"},
    "DepthwiseConv2D": {"type": "DepthwiseConv2D", "kernel_size": 3, "padding": "same"},
    "BatchNormalization": {"type": "BatchNormalization"},
}


@cache
def network(name: str) -> Any:
    """An untrained network, whose biases, scales and statistics are none of the usual ones."""
    import keras

    keras.utils.set_random_seed(3)
    model = getattr(keras.applications, name)(weights=None, input_shape=(64, 64, 3), classes=7)
    random = np.random.default_rng(5)
    for variable in model.weights:
        if len(variable.shape) == 1:
            variable.assign(random.uniform(0.5, 1.5, variable.shape).astype("float32"))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it keeps what it works out from its statistics, until it is loaded
    return model


def predict(model: Any) -> np.ndarray:
    images = np.random.default_rng(1).uniform(0, 1, (2, 64, 64, 3)).astype("float32")
    return np.asarray(model(images, training=False))


def mutant(model: Any, *steps: dict[str, Any]) -> Any:
    return mutspec.apply(mutspec.plan({"steps": list(steps)}), model)


def others_are_equal(model: Any, mutant: Any, new: str = "") -> bool:
    """Whether every layer that both have has the same weights, to the bit."""
    known = {layer.name: layer for layer in model.layers}
    return all(
        one.tobytes() == other.tobytes()
        for layer in mutant.layers
        if layer.name in known and layer.name != new
        for one, other in zip(known[layer.name].get_weights(), layer.get_weights(), strict=True)
    )


@pytest.mark.parametrize("name", ACTIVATION)
def test_an_identity_is_inserted_and_a_layer_renamed_without_a_trace_in_the_outputs(name: str) -> None:
    model = network(name)
    before = predict(model)
    for kind, layer in LAYERS.items():
        deeper = mutant(
            model,
            {"op": "insert_layer", "id": "new", "after": ACTIVATION[name], "layer": layer, "initialize": "identity"},
            {"op": "rename_layer", "target": ACTIVATION[name], "to": "renamed"},
        )
        as_inserted = predict(deeper)
        np.testing.assert_allclose(as_inserted, before, rtol=1e-6, atol=1e-6 * np.abs(before).max(), err_msg=kind)
        assert others_are_equal(model, deeper)
        weight = deeper.get_layer("new").weights[0]
        weight.assign(np.random.default_rng(9).normal(0, 0.1, weight.shape).astype("float32"))
        assert not np.array_equal(predict(deeper), as_inserted), f"{kind} is not on the path to the output"


@pytest.mark.parametrize("name", ACTIVATION)
def test_layers_are_removed_replaced_and_configured(name: str) -> None:
    model = network(name)
    (head,) = (layer.name for layer in model.layers[-1:])
    kept = model.get_layer(ADD[name]).input[0]._keras_history[0].name
    changed = mutant(
        model,
        {"op": "remove_layer", "target": ADD[name], "keep": kept},
        {"op": "replace_layer", "id": "elu", "target": ACTIVATION[name], "layer": {"type": "ELU"}},
        {"op": "configure_layer", "target": head, "set": {"activation": "linear"}},
    )
    assert others_are_equal(model, changed)
    config = json.dumps(changed.get_config())
    assert f'"{ADD[name]}"' not in config
    assert f'"{ACTIVATION[name]}"' not in config
    assert changed.get_layer(head).activation.__name__ == "linear"
    wider = mutant(model, {"op": "replace_layer", "id": "head", "target": head, "layer": {"type": "Dense", "units": 3}})
    assert predict(wider).shape == (2, 3)


def test_mutants_load_and_predict_in_a_fresh_process_of_plain_keras(tmp_path: Path) -> None:
    outputs = {}
    for name, activation in ACTIVATION.items():
        layer = {"type": "Conv2D", "filters": "same", "kernel_size": 3, "padding": "same"}
        made = mutant(
            network(name),
            {"op": "insert_layer", "id": "new", "after": activation, "layer": layer},
            {"op": "gaussian_noise", "target": "new/kernel", "std": 0.01},
        )
        made.save(tmp_path / f"{name}.keras")
        outputs[name] = predict(made).tolist()
    code = (
        "import sys, json, keras, numpy as np\n"
        "x = np.random.default_rng(1).uniform(0, 1, (2, 64, 64, 3)).astype('float32')\n"
        "load = lambda p: np.asarray(keras.saving.load_model(p)(x, training=False)).tolist()\n"
        "print(json.dumps([load(path) for path in sys.argv[1:]]))"
    )
    paths = [str(tmp_path / f"{name}.keras") for name in outputs]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    for name, loaded in zip(outputs, json.loads(done.stdout.splitlines()[-1]), strict=True):
        np.testing.assert_allclose(loaded, outputs[name], rtol=1e-5, atol=1e-6, err_msg=name)
