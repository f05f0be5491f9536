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


@pytest.fixture(scope="module")
def models() -> tuple[Any, ...]:
    return tuple(model(seed) for seed in range(3))


@pytest.mark.parametrize("op", PAGES)
def test_an_ops_example_is_a_step_that_does_something_to_a_model(op: str, models: tuple[Any, ...]) -> None:
    steps = yaml.safe_load(example(PAGES[op]))
    names = re.findall(r"'(\w+):", str([*steps[0].values()]))
    plan = mutspec.plan({"inputs": {name: {} for name in names}, "steps": steps})
    mutant = mutspec.apply(plan, models[0], inputs=dict(zip(names, models[1:], strict=False)))
    assert not mutspec.diff(models[0], mutant).identical
    assert np.isfinite(mutant(np.ones((1, 6, 6, 3), "float32"), training=False)).all()
