"""What of an optimizer's state comes along to a mutant, and why the rest does not."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from mutspec.model.live.optimizer import carry_optimizer


def _model(units: int = 3, *, optimizer: str = "adam", frozen: bool = False, more: bool = False) -> Any:
    first = keras.layers.Dense(units, name="first", trainable=not frozen)
    last = [keras.layers.Dense(2, name="more")] if more else []
    model = keras.Sequential([keras.Input((4,)), first, keras.layers.Dense(2, name="second"), *last])
    model.compile(optimizer=optimizer, loss=keras.losses.MeanSquaredError())
    model.optimizer.build(model.trainable_variables)
    return model


def _carried(base: Any, model: Any) -> list[Any]:
    kept = list(zip(base.weights, model.weights, strict=False))
    return list(carry_optimizer(base, model, kept))


def test_all_state_comes_along_where_nothing_changed() -> None:
    base, model = _model(), _model()
    for variable in base.optimizer.variables:
        variable.assign(np.full(variable.shape, 3, variable.dtype))
    assert _carried(base, model) == []
    assert all((variable.numpy() == 3).all() for variable in model.optimizer.variables)


@pytest.mark.parametrize(
    ("base", "mutant", "lost", "why"),
    [
        ({"frozen": True}, {}, "2 of 4", "2 were not trained in the base"),
        ({}, {"more": True}, "2 of 6", "2 are new"),
        ({}, {"units": 5}, "3 of 4", "3 have another shape"),
        ({"frozen": True}, {"more": True}, "4 of 6", "2 were not trained in the base, 2 are new"),
    ],
)
def test_the_reason_why_state_is_lost_is_the_true_one(
    base: dict[str, Any], mutant: dict[str, Any], lost: str, why: str
) -> None:
    (warning,) = _carried(_model(**base), _model(**mutant))
    assert f"{lost} trainable weights: {why}" in warning.message


def test_a_slot_that_the_bases_optimizer_does_not_keep_is_said_to_be_the_optimizers() -> None:
    base, model = _model(), _model()
    model.compile(optimizer=keras.optimizers.Adam(amsgrad=True), loss=keras.losses.MeanSquaredError())
    (warning,) = _carried(base, model)
    assert warning.message.endswith(": 4 are kept in another way by the optimizer")
