"""What no step names stays: statistics, counters, the state of random generators, the optimizer's slots."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import mutspec
from tests.execute.test_every_op import STEPS
from tests.zoo.play import weights

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

NAMING = ("transfer_weights", "swap_weights", "share_values", "low_rank")
"""Ops whose step names single weights."""
EVERYTHING: list[dict[str, Any]] = [
    {
        "op": op,
        "target": "*",
        "allow_empty": True,
        "non_finite": "report",
        **{k: v for k, v in keys.items() if k != "target"},
    }
    for op, keys in STEPS.items()
    if op not in NAMING
]


@pytest.fixture(scope="module")
def trained() -> Any:
    """A model that has been trained for a step, with all kinds of state in addition to its weights."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    adapted = layers.Normalization(name="adapted")
    adapted.adapt(np.random.default_rng(0).normal(3, 2, (9, 4, 3)))
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            adapted,
            layers.Dropout(0.2, name="drop"),
            layers.GRU(3, dropout=0.1, recurrent_dropout=0.1, return_sequences=True, name="gru"),
            layers.BatchNormalization(name="norm"),
            layers.Conv1D(4, 2, name="conv"),
            layers.GaussianNoise(0.1, name="noise"),
            layers.Flatten(),
            layers.Dense(2, name="head"),
        ]
    )
    model.compile("adam", "mse")
    random = np.random.default_rng(1)
    model.fit(random.normal(size=(8, 4, 3)), random.normal(size=(8, 2)), verbose=0)
    return model


def state(model: Any) -> list[bytes]:
    """All that was not learned."""
    variables = [*model.non_trainable_variables, *model.optimizer.variables]
    for layer in model._flatten_layers():
        variables += [layer.seed_generator.state] if hasattr(layer, "seed_generator") else []
    return [np.asarray(each.numpy()).tobytes() for each in variables]


def datasets(path: Path) -> dict[str, bytes]:
    """All values of a model file."""
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        found: dict[str, bytes] = {}
        file.visititems(lambda name, item: _note(found, name, item))
        return found


def _note(found: dict[str, bytes], name: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
        found[name] = np.asarray(item[()]).tobytes()


def test_no_op_touches_state_in_memory_unless_it_is_named(trained: Any) -> None:
    before, learned = state(trained), weights(trained)
    assert trained.optimizer.variables
    assert any(hasattr(layer, "seed_generator") for layer in trained._flatten_layers())
    plan = mutspec.plan({"inputs": {"other": {}, "base": {}}, "steps": EVERYTHING})
    with mutspec.mutated(plan, trained, inputs={"other": trained, "base": trained}):
        assert state(trained) == before
        assert weights(trained) != learned
    assert state(trained) == before
    assert weights(trained) == learned


def test_no_op_touches_state_in_a_file_unless_it_is_named(trained: Any, tmp_path: Path) -> None:
    """Keras saves no states of random generators."""
    base, mutant = tmp_path / "base.keras", tmp_path / "mutant.keras"
    trained.save(base)
    plan = mutspec.plan({"inputs": {"other": {}, "base": {}}, "steps": EVERYTHING})
    mutspec.apply(plan, base, mutant, inputs={"other": base, "base": base})
    before, after = datasets(base), datasets(mutant)
    changed = {name for name in before if before[name] != after[name]}
    assert before.keys() == after.keys()
    assert len(changed) == len(trained.trainable_variables)
    kept = before.keys() - changed
    assert {name.split("/")[1] for name in changed} == {"gru", "batch_normalization", "conv1d", "dense"}
    assert {"layers/batch_normalization/vars/2", "layers/batch_normalization/vars/3"} <= kept
    assert sum(name.startswith("optimizer") for name in kept) == len(trained.optimizer.variables)
    assert sum("normalization/vars" in name and "batch" not in name for name in kept) == 3


@pytest.mark.parametrize("op", ["gaussian_noise", "scale", "fill", "zero", "shuffle", "bit_flip", "negate"])
def test_statistics_that_are_named_are_touched_and_nothing_else(op: str, trained: Any) -> None:
    step = {"op": op, "target": {"name": "norm", "weights": "statistics"}, "allow_empty": True, "non_finite": "report"}
    plan = mutspec.plan(
        {"steps": [{**step, **{k: v for k, v in STEPS[op].items() if k in ("std", "factor", "value")}}]}
    )
    norm, before = trained.get_layer("norm"), weights(trained)
    with mutspec.mutated(plan, trained):
        after = weights(trained)
    moved = [id(each) for each, one, two in zip(trained.weights, before, after, strict=True) if one != two]
    assert set(moved) == {id(norm.moving_mean), id(norm.moving_variance)}
