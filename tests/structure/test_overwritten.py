"""New weights whose first values only Keras knows: overwritten as a whole they need none."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError


@keras.saving.register_keras_serializable("overwritten")
class Halves(keras.initializers.Initializer):
    """An initializer that only Keras knows."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.full(shape, 0.5, dtype=dtype)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(5)
    layers = [keras.layers.LSTM(3, name="lstm"), keras.layers.Dense(2, name="last")]
    return keras.Sequential([keras.Input((4, 3)), *layers])


def replaced(model: keras.Model, *steps: dict[str, Any]) -> keras.Model:
    """A mutant with a new LSTM, whose recurrent kernel Keras makes, and further steps."""
    layer = {"type": "LSTM", "units": 3, "name": "same", "recurrent_initializer": "overwritten>Halves"}
    first = {"op": "replace_layer", "id": "new", "target": "lstm", "layer": layer, "keep_weights": False}
    inputs = {"old": model} if any(str(step.get("source")).startswith("old:") for step in steps) else {}
    plan = mutspec.plan({"inputs": {name: {} for name in inputs}, "steps": [first, *steps]})
    return mutspec.apply(plan, model, inputs=inputs)


COPY = {"op": "transfer_weights", "source": "old:lstm", "target": "lstm"}


def test_a_transfer_of_whole_weights_needs_no_first_values(model: keras.Model) -> None:
    assert all(
        np.array_equal(a, b) for a, b in zip(replaced(model, COPY).get_weights(), model.get_weights(), strict=True)
    )


def test_a_first_value_that_only_keras_knows_is_made_by_keras(model: keras.Model) -> None:
    assert (replaced(model).get_layer("lstm").get_weights()[1] == 0.5).all()


def test_what_is_overwritten_can_be_read_and_changed_by_later_steps(model: keras.Model) -> None:
    scale = {"op": "scale", "target": "lstm/recurrent_kernel", "factor": 2.0}
    made = replaced(model, COPY, scale).get_layer("lstm").get_weights()[1]
    assert np.array_equal(made, 2 * model.get_layer("lstm").get_weights()[1])


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"op": "fill", "value": 0.25}, 0.25),
        ({"op": "zero"}, 0.0),
        ({"op": "reinitialize", "initializer": "ones"}, 1.0),
    ],
)
def test_weights_are_set_whatever_their_initializer(step: dict[str, Any], expected: float, model: keras.Model) -> None:
    made = replaced(model, {**step, "target": "lstm/recurrent_kernel"}).get_layer("lstm").get_weights()[1]
    assert (made == expected).all()


NEEDS_THEM = {
    "a part": {"op": "zero", "target": "lstm/recurrent_kernel", "fraction": 0.5},
    "a part by rank": {"op": "prune_weights", "target": "lstm/recurrent_kernel", "fraction": 0.5},
    "a slice": {**COPY, "target": "lstm/recurrent_kernel", "source": "old:lstm/recurrent_kernel", "axis": 0, "stop": 1},
    "noise": {"op": "gaussian_noise", "target": "lstm/recurrent_kernel", "std": 0.1},
    "a copy of it": {"op": "transfer_weights", "source": "lstm/recurrent_kernel", "target": "lstm/kernel"},
}


@pytest.mark.parametrize("case", NEEDS_THEM)
def test_a_step_that_needs_them_is_refused(case: str, model: keras.Model) -> None:
    with pytest.raises(PlanError, match=r"the first value of `lstm/recurrent_kernel` is made by Keras"):
        replaced(model, NEEDS_THEM[case])
