"""The examples on the ops' pages: each is a step that does something to a model."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import yaml

import mutspec
from mutspec.cli.manual import example, manual
from mutspec.ops import catalogue
from tests.zoo.play import outputs

PAGES = {name: manual(name, kind) for name, kind in catalogue(plugins=False).items()}


def model(seed: int) -> Any:
    """A model with layers of the names that the examples use."""
    import keras

    layers = keras.layers
    made = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(8, 3, name="conv_1"),
            layers.BatchNormalization(name="norm_1"),
            keras.Sequential([keras.Input((4, 4, 8)), layers.ReLU()], name="backbone"),
            layers.Flatten(),
            layers.Dense(16, activation="relu", name="stem"),
            layers.Dense(16, activation="relu", name="dense_1"),
            layers.Dropout(0.5, name="dropout_1"),
            layers.Dense(16, activation="relu", name="dense_2"),
        ]
    )
    random = np.random.default_rng(seed)
    for variable in made.trainable_variables:
        variable.assign(random.normal(0, 2.0, variable.shape).astype("float32"))
    return made


def with_auxiliary(model: Any) -> Any:
    """The model with a second output, of the name that an example uses."""
    import keras

    head = keras.layers.Dense(2, name="auxiliary")(model.get_layer("dense_1").output)
    return keras.Model(model.inputs, [*model.outputs, head])


def with_a_shared_model(model: Any) -> Any:
    """A model that calls another one twice, of the name that an example uses."""
    import keras

    encoder = keras.Sequential([keras.Input((16,)), keras.layers.Dense(16, activation="relu")], name="encoder")
    return keras.Model(model.inputs, encoder(encoder(model.outputs[0])))


def of_tokens(_: Any) -> Any:
    """A model with an Embedding."""
    import keras

    layers = keras.layers
    head = layers.Dense(2, name="head")
    return keras.Sequential([keras.Input((5,)), layers.Embedding(20, 4), layers.GlobalAveragePooling1D(), head])


PREPARED = {
    "remove_output": with_auxiliary,
    "unshare_weights": with_a_shared_model,
    "resize_embedding": of_tokens,
}


@pytest.fixture(scope="module")
def models() -> tuple[Any, ...]:
    return tuple(model(seed) for seed in range(3))


@pytest.mark.filterwarnings(
    "ignore:.*becomes a Functional model", "ignore:.*put between Permute layers", "ignore:.*the values of .* are read"
)
@pytest.mark.parametrize("op", PAGES)
def test_an_ops_example_is_a_step_that_does_something_to_a_model(op: str, models: tuple[Any, ...]) -> None:
    steps = yaml.safe_load(example(PAGES[op]))
    names = re.findall(r"'(\w+):", str([*steps[0].values()]))
    plan = mutspec.plan({"inputs": {name: {} for name in names}, "steps": steps})
    base = PREPARED.get(op, lambda model: model)(models[0])
    mutant = mutspec.apply(plan, base, inputs=dict(zip(names, models[1:], strict=False)))
    assert not mutspec.diff(base, mutant).identical or mutant.name != base.name
    given = [np.ones([1, *each.shape[1:]], "float32") for each in mutant.inputs]
    assert all(np.isfinite(each).all() for each in outputs(mutant, given))
