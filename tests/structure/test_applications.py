"""Structural steps on the first stages of networks that people use, of plain convolutions and of depthwise ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from tests.structure.real_networks import first_stages

NEW = ("new_convolution", "new_depthwise", "new_normalisation")
LAYERS: tuple[dict[str, Any], ...] = (
    {"type": "Conv2D", "filters": "same", "kernel_size": 3, "padding": "same"},
    {"type": "DepthwiseConv2D", "kernel_size": 3, "padding": "same"},
    {"type": "BatchNormalization"},
)
STEM = {"ResNet50": "conv1_conv", "EfficientNetB0": "stem_conv"}
ACTIVATION = {"ResNet50": "conv2_block1_1_relu", "EfficientNetB0": "block2a_expand_activation"}
ADD = {"ResNet50": "conv3_block2_add", "EfficientNetB0": "block2b_add"}


@cache
def network(name: str) -> Any:
    """An untrained network, whose biases, scales and statistics are none of the usual ones."""
    import keras

    keras.utils.set_random_seed(3)
    model = first_stages(name)
    random = np.random.default_rng(5)
    for variable in model.weights:
        if len(variable.shape) == 1:
            variable.assign(random.uniform(0.5, 1.5, variable.shape).astype("float32"))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it keeps what it works out from its statistics, until it is loaded
    return model


@cache
def deeper(name: str) -> Any:
    """The network with three identities after one of its layers, which has another name."""
    steps = [
        {"op": "insert_layer", "id": new, "after": ACTIVATION[name], "layer": layer, "initialize": "identity"}
        for new, layer in zip(NEW, LAYERS, strict=True)
    ]
    return mutant(network(name), *steps, {"op": "rename_layer", "target": ACTIVATION[name], "to": "renamed"})


def predict(model: Any) -> np.ndarray:
    images = np.random.default_rng(1).uniform(0, 1, (2, 64, 64, 3)).astype("float32")
    return np.asarray(model(images, training=False))


def mutant(model: Any, *steps: dict[str, Any]) -> Any:
    return mutspec.apply(mutspec.plan({"steps": list(steps)}), model)


@contextmanager
def noise_in(model: Any, *layers: str) -> Iterator[None]:
    """Gives the first weights of layers other values for the length of a block."""
    weights = [model.get_layer(layer).weights[0] for layer in layers]
    before = [weight.numpy() for weight in weights]
    for weight in weights:
        weight.assign(np.random.default_rng(9).normal(0, 0.1, weight.shape).astype("float32"))
    yield
    for weight, values in zip(weights, before, strict=True):
        weight.assign(values)


def others_are_equal(model: Any, mutant: Any, *but: str) -> bool:
    """Whether every layer that both have has the same weights, to the bit."""
    by_name = {layer.name: layer for layer in model.layers}
    return all(
        one.tobytes() == other.tobytes()
        for layer in mutant.layers
        if layer.name in by_name and layer.name not in but
        for one, other in zip(by_name[layer.name].get_weights(), layer.get_weights(), strict=True)
    )


@pytest.mark.parametrize("name", ACTIVATION)
def test_identities_are_inserted_and_a_layer_renamed_without_a_trace_in_the_outputs(name: str) -> None:
    before, as_inserted = predict(network(name)), predict(deeper(name))
    np.testing.assert_allclose(as_inserted, before, rtol=1e-6, atol=1e-6 * np.abs(before).max())
    assert others_are_equal(network(name), deeper(name))
    for new in NEW:
        with noise_in(deeper(name), new):
            assert not np.array_equal(predict(deeper(name)), as_inserted), f"{new} is not on the path to the output"


@pytest.mark.parametrize("name", ACTIVATION)
def test_layers_are_removed_replaced_and_configured(name: str) -> None:
    model = network(name)
    head = model.layers[-1].name
    kept = model.get_layer(ADD[name]).input[0]._keras_history[0].name
    changed = mutant(
        model,
        {"op": "remove_layer", "target": ADD[name], "keep": kept},
        {"op": "replace_layer", "id": "elu", "target": ACTIVATION[name], "layer": {"type": "ELU"}},
        {"op": "configure_layer", "target": STEM[name], "set": {"activation": "relu"}},
        {"op": "replace_layer", "id": "head", "target": head, "layer": {"type": "Dense", "units": 3, "name": "same"}},
    )
    assert others_are_equal(model, changed, head)
    config = json.dumps(changed.get_config())
    assert f'"{ADD[name]}"' not in config
    assert type(changed.get_layer(ACTIVATION[name])).__name__ == "ELU"
    assert changed.get_layer(STEM[name]).activation.__name__ == "relu"
    assert predict(changed).shape == (2, 3)


def test_a_saved_mutant_loads_and_predicts_the_same(tmp_path: Path) -> None:
    """That Keras needs nothing of ours for it, `test_structural_ops.py` and `tests/cli/test_real_networks.py` say."""
    import keras

    made, path = deeper("EfficientNetB0"), tmp_path / "mutant.keras"
    with noise_in(made, *NEW):
        made.save(path)
        wanted = predict(made)
    np.testing.assert_allclose(predict(keras.saving.load_model(path)), wanted, rtol=1e-5, atol=1e-6)


def parts(name: str, first: str, last: str) -> tuple[Any, Any, Any]:
    """A network in three models: up to what enters a block, the block, and what comes after it."""
    import keras

    model = network(name)
    start, end = model.get_layer(first).input, model.get_layer(last).output
    return keras.Model(model.input, start), keras.Model(start, end), keras.Model(end, model.output)


BLOCK = ("block2b_expand_conv", "block2b_add")


def test_a_whole_block_is_removed_and_duplicated() -> None:
    base = network("EfficientNetB0")
    before, block, after = parts("EfficientNetB0", *BLOCK)
    images = np.random.default_rng(1).uniform(0, 1, (2, 64, 64, 3)).astype("float32")
    target = {"between": list(BLOCK)}
    shorter = mutant(base, {"op": "remove_layer", "target": target})
    once = before(images, training=False)
    np.testing.assert_allclose(predict(shorter), after(once, training=False), rtol=1e-4, atol=1e-6)
    longer = mutant(base, {"op": "duplicate_layers", "id": "copy", "target": target})
    twice = block(block(once, training=False), training=False)
    np.testing.assert_allclose(predict(longer), after(twice, training=False), rtol=1e-4, atol=1e-6)
    assert len(longer.layers) - len(base.layers) == len(base.layers) - len(shorter.layers) == 15


def test_a_block_after_each_residual_block_and_a_prefix_for_all_layers() -> None:
    open_gate = {"kernel_initializer": "zeros", "bias_initializer": {"type": "Constant", "value": 100.0}}
    block = [
        {"name": "squeeze", "type": "GlobalAveragePooling2D", "keepdims": True},
        {"type": "Dense", "units": 8, "activation": "relu"},
        {"name": "gate", "type": "Dense", "units": "same", "activation": "sigmoid", **open_gate},
        {"type": "Multiply", "of": ["input", "gate"]},
    ]
    steps = [
        {"op": "insert_layer", "id": "se", "after": "*_add", "layer": {"block": "se"}},
        {"op": "rename_layer", "target": "*", "to": "{model}_{name}"},
        {"op": "rename_model", "to": "left"},
    ]
    base = network("EfficientNetB0")
    changed = mutspec.apply(mutspec.plan({"blocks": {"se": block}, "steps": steps}), base)
    assert changed.name == "left"
    assert all(layer.name.startswith(f"{base.name}_") for layer in changed.layers)
    gates = [layer.units for layer in changed.layers if "_gate" in layer.name]
    assert gates == [layer.output.shape[-1] for layer in base.layers if layer.name.endswith("_add")]
    np.testing.assert_allclose(predict(changed), predict(base), rtol=1e-5, atol=1e-7)
