"""Tells rounding from a step that is wrong: the step is applied in float64, and predictions are compared there.

The outputs of a right step may differ by much more than float32 rounds a number: where large sums cancel before a
sigmoid, for instance. In float64 the same step makes no such difference. If the weights of the mutant are then those
that the step makes in float64, rounded, what differs in float32 is rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mutspec.execute.live import apply
from mutspec.language.plan import Plan
from mutspec.lowering.base import Op
from mutspec.model.live import predict, read_live
from mutspec.ops.conversion import PolicyName, SetDtypePolicy

Model = Any
Outputs = tuple[Any, ...]

_ROUNDING = 1e-6
"""The largest difference of a weight in float32 from the same in float64, as a part of the largest entry."""


def in_float64(plan: Plan[Op], base: Model, *, unsafe: bool) -> Model:
    """Returns a model that computes in float64, with the same weights.

    Arguments:
        plan: the plan that is checked.
        base: the model.
        unsafe: whether code in the model may run.

    Raises:
        ModelError, PlanError: it cannot be built.
    """
    written = {"op": "set_dtype_policy", "policy": "float64"}
    steps = (SetDtypePolicy(id="float64", policy=PolicyName.FLOAT64),)
    alone = replace(plan, inputs=(), steps=steps, document={**plan.document, "inputs": {}, "steps": [written]})
    return apply(alone, base, unsafe=unsafe).model


def step_in_float64(
    step: int, after: Model, model_after: Callable[[int], Model], inputs: Sequence[Any]
) -> tuple[Outputs, Outputs] | None:
    """Returns the predictions in float64 before and after a step; None if it makes other weights in float32.

    Arguments:
        step: the number of the step.
        after: the model after it in float32.
        model_after: returns the model in float64 after a number of steps.
        inputs: what the models are called on.

    Raises:
        ModelError, PlanError: a model cannot be built or called.
    """
    before, exact = model_after(step), model_after(step + 1)
    if not _are_same(after, exact):
        return None
    return predict(before, inputs), predict(exact, inputs)


def _are_same(rounded: Model, exact: Model) -> bool:
    one, other = (read_live(model).variables for model in (rounded, exact))
    return one.keys() == other.keys() and all(_is_same(one[path].numpy(), other[path].numpy()) for path in one)


def _is_same(rounded: Any, exact: Any) -> bool:
    if rounded.shape != exact.shape:
        return False
    if exact.dtype != np.float64 or not exact.size:
        return bool(np.array_equal(rounded, exact))
    return bool(np.max(np.abs(rounded - exact)) <= _ROUNDING * np.max(np.abs(exact)))
