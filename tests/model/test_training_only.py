"""The table of classes that act only in training, compared with the installed Keras."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest

from mutspec.keras_facts.class_names import TRAINING_ONLY, WEIGHTLESS

IMAGES = np.random.default_rng(0).uniform(0, 1, (3, 8, 8, 3)).astype(np.float32)
GIVEN = {
    "rate": 0.5, "factor": 0.5, "stddev": 1.0, "height_factor": 0.3, "width_factor": 0.3, "x_factor": 0.5,
    "y_factor": 0.5, "value_range": (0, 1), "scale": 1.0, "alpha": 10.0, "brightness_factor": 0.5,
}  # fmt: skip
"""Arguments with which a layer acts."""
OTHERWISE: dict[str, dict[str, Any]] = {
    "RandomPosterization": {"factor": 4},
    "RandomElasticTransform": {"scale": 1.0, "factor": 1.0},
    "RandomPerspective": {"factor": 1.0, "scale": 0.5},
    "RandomErasing": {"scale": (0.1, 0.2)},
    "RandomCrop": {"height": 6, "width": 6},
}
IDLE = {"ActivityRegularization"}
"""It adds to the loss alone."""
APART = {"RandomCrop", "Equalization"}
"""What Keras 3.15 passes on by mistake: the one has another shape, and no model can be built of the other."""


def made(name: str) -> Any:
    """A layer of a class, with arguments by which it acts; None if it needs others, or is not there."""
    made_of = getattr(keras.layers, name, None)
    if made_of is None:
        return None
    keys = set(inspect.signature(made_of.__init__).parameters)
    given = {key: value for key, value in {**GIVEN, **OTHERWISE.get(name, {})}.items() if key in keys}
    try:
        return made_of(**given)
    except (TypeError, ValueError):
        return None


def images(name: str) -> np.ndarray:
    """Something that the class takes."""
    return {"1D": IMAGES[:, 0], "3D": IMAGES[:, None]}.get(name[-2:], IMAGES)


def is_passed_on(layer: Any, data: np.ndarray, *, training: bool) -> bool:
    return np.array_equal(np.asarray(layer(data, training=training)), data)


@pytest.mark.parametrize("name", sorted(TRAINING_ONLY))
def test_a_class_of_the_table_passes_its_input_on_where_a_model_predicts(name: str) -> None:
    layer = made(name)
    assert layer is not None
    assert not layer.weights
    assert is_passed_on(layer, images(name), training=False)
    keras.utils.set_random_seed(0)
    acts = any(not is_passed_on(layer, images(name), training=True) for _ in range(20))
    assert acts == (name not in IDLE)


def test_no_class_that_changes_only_what_is_trained_on_is_missing() -> None:
    missing = []
    for name in sorted(WEIGHTLESS.keys() - TRAINING_ONLY - APART):
        layer = made(name)
        if layer is not None and "training" in inspect.signature(layer.call).parameters:
            acts = any(not is_passed_on(layer, images(name), training=True) for _ in range(20))
            missing += [name] if acts and is_passed_on(layer, images(name), training=False) else []
    assert not missing
