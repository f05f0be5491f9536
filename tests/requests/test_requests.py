"""Each request is a step or two, from file to file and in memory: the mutant predicts what the model by hand does."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from tests.requests import (  # noqa: F401 (the table)
    about_layers,
    about_models,
    about_parts,
    about_pruning,
    about_sequences,
    about_training,
    about_widths,
)
from tests.requests.asked import REQUESTS, Request, layer_at
from tests.zoo.play import by_xla, inputs_of, outputs, weights

pytestmark = pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask:UserWarning")


@pytest.fixture(params=REQUESTS.values(), ids=list(REQUESTS))
def asked(request: pytest.FixtureRequest) -> Request:
    found: Request = request.param
    return found


def test_a_request_is_a_plan_that_gives_the_model_made_by_hand(asked: Request, tmp_path: Path) -> None:
    keras.backend.clear_session(free_memory=False)  # operators in models have automatic names
    keras.utils.set_random_seed(1)
    base = asked.model()
    inputs = {name: build() for name, build in asked.inputs.items()}
    plan = plan_of(asked, tmp_path)
    mutant = from_file_to_file(plan, base, inputs, tmp_path)
    in_memory = None if asked.is_deep else quietly(mutspec.apply, plan, base, inputs=inputs)
    by_hand = asked.by_hand(base, mutant, **inputs)
    for path in asked.new:
        layer_at(by_hand, path).set_weights(layer_at(mutant, path).get_weights())
    given = asked.values() if asked.values else inputs_of(mutant)
    predict = by_xla if asked.needs_xla else outputs
    found = predict(mutant, given)
    assert_alike(found, outputs(by_hand, given), asked.tolerance)
    if in_memory is not None:
        assert weights(mutant) == weights(in_memory)
        assert_alike(predict(in_memory, given), found, 1e-6)
    if not asked.is_deep and not asked.needs_xla:
        train(mutant, given)


def plan_of(asked: Request, folder: Path) -> Any:
    """The plan, read from a file."""
    head = "".join(f"  {name}: {{}}\n" for name in asked.inputs)
    text = f"mutspec: 1\n{'inputs:' if head else ''}\n{head}{asked.plan}"
    (folder / "plan.yaml").write_text(text)
    return mutspec.load_plan(folder / "plan.yaml")


def from_file_to_file(plan: Any, base: Any, inputs: dict[str, Any], folder: Path) -> Any:
    """The mutant, as Keras loads it."""
    for name, model in {"base": base, **inputs}.items():
        model.save(folder / f"{name}.keras")
    files = {name: folder / f"{name}.keras" for name in inputs}
    quietly(mutspec.apply, plan, folder / "base.keras", folder / "mutant.keras", inputs=files)
    return keras.saving.load_model(folder / "mutant.keras")


def quietly(work: Any, *arguments: Any, **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mutspec.MutspecWarning)
        return work(*arguments, **options)


def assert_alike(found: list[np.ndarray], wanted: list[np.ndarray], tolerance: float) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def train(model: Any, given: list[np.ndarray]) -> None:
    """Trains for a step. It changes weights that are to be trained, and of the others statistics and states alone."""
    before = {weight.path: np.array(weight) for weight in model.weights}
    wanted = [np.ones_like(each) for each in outputs(model, given)]
    model.compile("sgd", ["mse"] * len(wanted) if len(wanted) > 1 else "mse", run_eagerly=True)
    loss = model.train_on_batch(given if len(given) > 1 else given[0], wanted if len(wanted) > 1 else wanted[0])
    assert np.all(np.isfinite(loss))
    changed = {weight.path for weight in model.weights if not np.array_equal(np.array(weight), before[weight.path])}
    assert changed or not model.trainable_weights
    frozen = {weight.path for weight in model.weights if not weight.trainable and "float" in weight.dtype}
    assert {path for path in changed & frozen if "moving" not in path and "state" not in path} == set()
