"""A lock of a file is that of the model in memory too."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import mutspec
from mutspec.errors import CheckError
from mutspec.recipes.lock_file import read_lock
from tests.cli.conftest import ROOT

STEPS = """
  - {op: insert_layer, id: adapter, after: dense_1, layer: {type: Dense, units: same}, initialize: identity}
  - {op: gaussian_noise, id: later, target: adapter/kernel, std: 0.1}
"""


def test_a_lock_of_a_file_replays_on_the_model_in_memory_and_names_what_differs(folder: Path) -> None:
    import keras

    with open("plan.yaml", "a") as plan:
        plan.write(STEPS.lstrip("\n"))
    lock = mutspec.lock("plan.yaml", "model.keras", inputs={"teacher": "teacher.keras"}, force=True).path
    model, teacher = (keras.saving.load_model(f"{name}.keras") for name in ("model", "teacher"))
    before = [value.tobytes() for value in model.get_weights()]
    assert mutspec.verify(lock, model).now.result.tensors == read_lock(lock).lock.result.tensors
    assert mutspec.verify(lock, model, inputs={"teacher": teacher}).notes == ()
    assert [value.tobytes() for value in model.get_weights()] == before
    bias = model.get_layer("logits").bias
    bias.assign(bias.numpy() + 1)
    with pytest.raises(CheckError, match="the model: `logits/bias` has other values than in the lock"):
        mutspec.verify(lock, model)


def test_a_model_of_an_older_keras_means_the_same_in_this_one(tmp_path: Path) -> None:
    """The newer Keras writes more arguments into its configuration."""
    import keras

    plan = tmp_path / "plan.yaml"
    plan.write_text(f"mutspec: 1\nsteps:\n{STEPS.lstrip(chr(10)).replace('dense_1', 'fc1')}")
    model = tmp_path / "model.keras"
    shutil.copy(ROOT / "tests/data/generations/keras-3.6/dense.keras", model)
    lock = mutspec.lock(plan, model).path
    with pytest.warns(mutspec.MutspecWarning, match="written in another way than that of the lock, and means the same"):
        mutspec.verify(lock, keras.saving.load_model(model))
