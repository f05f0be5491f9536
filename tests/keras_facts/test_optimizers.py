"""The table of optimizers is compared with the installed Keras."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mutspec.keras_facts.optimizers import OPTIMIZERS, optimizer_name, unknown_optimizer, variables_of_optimizer

CASES: tuple[tuple[str, dict[str, Any]], ...] = (
    *((name, {}) for name in sorted(OPTIMIZERS)),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("Adam", {"amsgrad": True, "learning_rate": 0.5}),
    ("AdamW", {"use_ema": True, "gradient_accumulation_steps": 2, "clipnorm": 1.0}),
    ("RMSprop", {"momentum": 0.1, "centered": True}),
    ("RMSprop", {"centered": True, "use_ema": True}),
    ("Adagrad", {"initial_accumulator_value": 0.5}),
    ("Ftrl", {"initial_accumulator_value": 0.25}),
)


def optimizer(name: str, config: dict[str, Any]) -> Any:
    import keras

    return getattr(keras.optimizers, name)(**config)


def assert_known(made: Any) -> None:
    """The variables of an optimizer, once it is built for some weights, are those of the table."""
    import keras

    weights = [
        keras.Variable("zeros", shape=shape, dtype=dtype, name=f"weight_{number}")
        for number, (shape, dtype) in enumerate(
            [((5, 3), "float32"), ((3,), "float32"), ((2, 1, 2), "float16"), ((), "float32")]
        )
    ]
    made.build(weights)
    entry = json.loads(json.dumps(keras.saving.serialize_keras_object(made)))
    assert unknown_optimizer(entry) == ""
    known = variables_of_optimizer(entry, [(tuple(weight.shape), weight.dtype) for weight in weights])
    ours = [each for part in known for each in part]
    assert [each.shape for each in ours] == [tuple(variable.shape) for variable in made.variables]
    assert [each.dtype for each in ours] == [variable.dtype for variable in made.variables]
    for each, variable in zip(ours, made.variables, strict=True):
        first = np.full(each.shape, each.first, str(variable.dtype))
        np.testing.assert_array_equal(first, variable.numpy())


@pytest.mark.parametrize(("name", "config"), CASES, ids=[f"{name}-{'-'.join(config)}" for name, config in CASES])
def test_the_variables_of_an_optimizer_are_those_of_keras(name: str, config: dict[str, Any]) -> None:
    assert_known(optimizer(name, config))


def test_a_schedule_of_rates_is_not_a_variable() -> None:
    import keras

    assert_known(keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)))


def test_an_optimizer_around_another_one_has_its_variables_before_them() -> None:
    import keras

    assert_known(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(momentum=0.5), initial_scale=8.0))


@pytest.mark.parametrize("name", sorted({"sgd", "rmsprop", "adam", "Adagrad"}))
def test_an_optimizer_that_is_only_named_is_the_one_that_keras_makes(name: str) -> None:
    import keras

    made = keras.optimizers.get(name)
    assert optimizer_name(name) == type(made).__name__
    (known,) = variables_of_optimizer(name, [])
    assert [each.first for each in known] == [pytest.approx(variable.numpy()) for variable in made.variables]


def test_every_optimizer_of_keras_is_in_the_table_or_known_to_be_missing() -> None:
    import keras

    missing = {
        name
        for name, each in vars(keras.optimizers).items()
        if isinstance(each, type) and issubclass(each, keras.optimizers.Optimizer) and unknown_optimizer(name)
    }
    assert missing <= {"Optimizer", "LossScaleOptimizer", "Muon", "MultiOptimizer", "ScheduleFreeAdamW"}


def test_an_optimizer_of_the_users_own_is_named() -> None:
    entry = {"module": "mine", "class_name": "Mine", "registered_name": "my>Mine", "config": {}}
    assert unknown_optimizer(entry) == "my>Mine"
    wrapper = {"module": "keras.optimizers", "class_name": "LossScaleOptimizer", "config": {"inner_optimizer": entry}}
    assert unknown_optimizer(wrapper) == "my>Mine"
