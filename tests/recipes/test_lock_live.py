"""A lock of a file is that of the model in memory too."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import mutspec
from mutspec.errors import CheckError
from mutspec.experiment import data
from mutspec.experiment.data import named_arrays
from mutspec.recipes.lock_file import read_lock
from tests.cli.conftest import ROOT, called

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


def test_the_data_by_which_steps_rank_are_part_of_a_lock_and_read_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(data, "named_arrays", lambda path: (read.append(str(path)), named_arrays(path))[1])
    (folder / "ranked.yaml").write_text(
        "mutspec: 1\nsteps: [{op: mask_neurons, target: dense_1, count: 2, by: activation}]\n"
    )
    for name, values in (("data", np.linspace(0, 1, 128)), ("other", np.linspace(1, 0, 128))):
        np.savez(f"{name}.npz", image=values.reshape(2, 8, 8, 1).astype("float32"))
    call = ["ranked.yaml", "model.keras"]
    assert (made := called("lock", *call, "--data", "data.npz", "-q")).code == 0, made.err
    lock = read_lock(folder / "ranked.lock.yaml").lock
    assert lock.data.file == "data.npz"  # type: ignore[union-attr]
    assert lock.versions.keras
    assert called("verify", "ranked.lock.yaml", "-q").code == 0
    applied = [*call, "-o", "out.keras", "--locked", "-q", "--data"]
    assert called("apply", *applied, "data.npz").code == 0
    assert read == ["data.npz"] * 3
    other = called("apply", *applied, "other.npz", "--force")
    assert (other.code, "the data are other ones" in other.err) == (1, True)
    none = called("apply", *applied[:-1], "--force")
    assert (none.code, "the call gives no data" in none.err) == (1, True)
