"""What mutants cost, in the results of trials: held against plain Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.errors import CallError

RANDOM = np.random.default_rng(11)
X = RANDOM.normal(size=(40, 6)).astype(np.float32)
Y = RANDOM.integers(0, 4, 40)
PRUNE = {
    "params": {"count": 2},
    "steps": [{"op": "remove_neurons", "target": "hidden", "count": "${params.count}"}],
}
JITTER = {"params": {"std": 0.1}, "steps": [{"op": "gaussian_noise", "target": "*", "std": "${params.std}"}]}


@pytest.fixture
def model() -> Any:
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu", name="hidden"),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )


def products(model: Any) -> int:
    """The multiply–adds of a model of Dense layers on vectors: one for each entry of a kernel."""
    return sum(int(layer.kernel.shape[0] * layer.kernel.shape[1]) for layer in model.layers)


def test_rows_have_the_costs_of_the_mutant_and_results_those_of_its_base(model: Any) -> None:
    plan = mutspec.plan(PRUNE)
    sweep = mutspec.sweep(plan, model, (X, Y), {"params.count": [1, 3, 5]}, seeds=2)
    for result in sweep.results:
        mutant = mutspec.apply(plan.with_(count=result.parameters["count"]), model)
        assert mutant.count_params() < model.count_params()
        assert {(row.parameters, row.multiply_adds) for row in result.rows} == {
            (mutant.count_params(), products(mutant))
        }
        assert (result.model.parameters, result.model.multiply_adds) == (model.count_params(), products(model))
    assert [row["multiply_adds"] for row in sweep.rows] == [10 * (8 - count) for count in (1, 1, 3, 3, 5, 5)]


def test_mutants_of_another_weight_cost_what_their_base_costs(model: Any) -> None:
    (result,) = mutspec.sweep(mutspec.plan(JITTER), model, (X, Y), {"params.std": [0.1]}, seeds=1).results
    assert (result.rows[0].parameters, result.rows[0].multiply_adds) == (model.count_params(), products(model))


def test_a_model_whose_layers_are_called_by_code_has_parameters_alone() -> None:
    @keras.saving.register_keras_serializable(package="costs")
    class Own(keras.Model):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.head = keras.layers.Dense(4)

        def call(self, inputs: Any) -> Any:
            return self.head(inputs)

    own = Own()
    own(X)
    (result,) = mutspec.sweep(mutspec.plan(JITTER), own, (X, Y), {"params.std": [0.1]}, seeds=1).results
    assert (result.model.parameters, result.model.multiply_adds) == (28, None)
    assert result.rows[0].multiply_adds is None


def test_a_cost_can_be_an_objective_and_a_gate(model: Any) -> None:
    plan, most = mutspec.plan(PRUNE), 10 * 8 - 25
    sweep = mutspec.sweep(
        plan,
        model,
        (X, Y),
        {"params.count": [2, 3]},
        seeds=1,
        objective="multiply_adds",
        require=[{"metric": "multiply_adds", "max": most}],
    )
    assert [result.value for result in sweep.results] == [60, 50]
    assert [not result.failed_gates for result in sweep.results] == [False, True]


def test_an_unknown_measure_names_the_costs_among_those_that_there_are(model: Any) -> None:
    with pytest.raises(CallError, match="multiply_adds"):
        mutspec.sweep(mutspec.plan(PRUNE), model, (X, Y), {"params.count": [2]}, seeds=1, objective="multiply_add")
