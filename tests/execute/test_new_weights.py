"""New weights that begin as infinite or NaN: an error or a warning, as where a step makes them so."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.errors import CheckError

HUGE = {"class_name": "RandomNormal", "config": {"stddev": 1.0e39}}
"""Of which float32 has no values."""
OF_KERAS = "new_weights>Infinite"
"""An initializer that runs in Keras, with the same."""


@keras.saving.register_keras_serializable("new_weights")
class Infinite(keras.initializers.Initializer):
    """An initializer that mutspec does not know."""

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return keras.ops.full(shape, np.inf, dtype=dtype)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(4, name="first"), keras.layers.Dense(4, name="last")]
    return keras.Sequential([keras.Input((4,)), *layers])


def inserting(initializer: Any, *others: dict[str, Any], **document: Any) -> Any:
    layer = {"type": "Dense", "units": 4, "name": "new", "kernel_initializer": initializer}
    return mutspec.plan(
        {**document, "steps": [{"id": "big", "op": "insert_layer", "after": "first", "layer": layer}, *others]}
    )


def count(mutant: keras.Model) -> int:
    return int(np.count_nonzero(~np.isfinite(mutant.get_layer("new").kernel.numpy())))


@pytest.mark.parametrize("initializer", [HUGE, OF_KERAS], ids=["drawn here", "made by Keras"])
def test_new_weights_that_are_not_finite_are_an_error(initializer: Any, model: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"step `big` makes \d+ of 16 entries of `new/kernel` infinite or NaN"):
        mutspec.apply(inserting(initializer), model)
    model.save(tmp_path / "model.keras")
    with pytest.raises(CheckError):
        mutspec.apply(inserting(initializer), tmp_path / "model.keras", tmp_path / "out.keras")
    assert [each.name for each in tmp_path.iterdir()] == ["model.keras"]


@pytest.mark.parametrize("initializer", [HUGE, OF_KERAS], ids=["drawn here", "made by Keras"])
def test_where_the_plan_lets_them_stand_a_warning_counts_them(initializer: Any, model: keras.Model) -> None:
    with pytest.warns(mutspec.MutspecWarning) as told:
        mutant = mutspec.apply(inserting(initializer, non_finite="report"), model)
    assert count(mutant) > 0
    assert f"makes {count(mutant)} of 16 entries of `new/kernel` infinite or NaN" in str(told[0].message)


def test_the_step_that_makes_them_so_is_named_and_no_other_one(model: keras.Model) -> None:
    flips = {"id": "later", "op": "gaussian_noise", "target": "new/kernel", "std": 1e39, "relative_to": "absolute"}
    with pytest.raises(CheckError) as caught:
        mutspec.apply(inserting("glorot_uniform", flips), model)
    assert ["step `later`" in str(problem) for problem in caught.value.problems] == [True]


@pytest.mark.parametrize("later", [{"op": "zero", "target": "new/kernel"}, {"op": "remove_layer", "target": "new"}])
def test_what_a_later_step_overwrites_or_removes_does_not_count(later: dict[str, Any], model: keras.Model) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mutant = mutspec.apply(inserting(HUGE, later), model)
    assert all(np.isfinite(each).all() for each in mutant.get_weights())


@pytest.mark.parametrize("key", ["kernel_initializer", "activation"])
def test_an_object_that_nothing_registers_is_told_with_its_step(key: str, model: keras.Model) -> None:
    layer = {"type": "Dense", "units": 4, key: "mine>NotThere"}
    plan = mutspec.plan({"steps": [{"id": "new", "op": "insert_layer", "after": "first", "layer": layer}]})
    mutspec.dry_run(plan, model)
    with pytest.raises(mutspec.PlanError) as caught:
        mutspec.apply(plan, model)
    (problem,) = caught.value.problems
    assert problem.message == "step `new` names `mine>NotThere`, which nothing registers that the call imports"
    assert problem.path == ("steps", 0, "layer")
