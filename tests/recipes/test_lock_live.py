"""A lock of a file is that of the model in memory too."""

from __future__ import annotations

from pathlib import Path

import pytest

import mutspec
from mutspec.errors import CheckError
from mutspec.recipes.lock_file import read_lock

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
