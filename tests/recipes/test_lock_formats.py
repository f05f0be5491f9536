"""Locks of models in each kind of file, and of data; without Keras."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import ROOT, called

FILES = ROOT / "tests/data/generations"
MODELS = {
    "whole HDF5": ("keras-3.6/dense.h5", ()),
    "weights": ("keras-3.6/dense.weights.h5", ()),
    "weights with an architecture": ("keras-3.6/dense.weights.h5", ("--architecture", "layout.keras")),
    "safetensors": ("safetensors/dense.safetensors", ("--architecture", "layout.keras")),
    "of Keras 2": ("keras-2.2/dense.h5", ()),
    "sharded": ("keras-3.15/dense.weights.json", ("--architecture", "layout.keras")),
}


@pytest.mark.parametrize("what", MODELS)
def test_each_kind_of_file_has_a_lock_that_replays(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name, options = MODELS[what]
    source = FILES / name
    for each in [source, *source.parent.glob("dense_0*")]:
        shutil.copy(each, tmp_path)
    shutil.copy(FILES / "keras-3.6/dense.keras", "layout.keras")
    Path("plan.yaml").write_text("mutspec: 1\nsteps: [{op: gaussian_noise, target: {weights: '*'}, std: 0.1}]\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    made = called("lock", "plan.yaml", source.name, *options)
    assert made.code == 0, made.err
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "plan.lock.yaml"])
    for call in (["lock", "--check"], ["verify", "plan.lock.yaml"]):
        assert (result := called(*call)).code == 0, result.err
    output = f"out{''.join(source.suffixes)}" if what != "sharded" else "out.weights.h5"
    applied = called("apply", "plan.yaml", source.name, *options, "-o", output, "--locked", "-q")
    assert applied.code == 0, applied.err
    assert (known := called("verify", "plan.lock.yaml", "--output", output)).code == 0, known.err


def test_the_architecture_of_weights_alone_is_that_of_the_model_of_the_lock(folder: Path) -> None:
    call = ["apply", "plan.yaml", "model.keras", "--input", "teacher=teacher.keras", "-q", "-o"]
    for output in ("out.weights.h5", "out.safetensors"):
        assert called(*call, output).code == 0
        assert (known := called("verify", "plan.lock.yaml", "--output", output)).code == 0, known.err
    (folder / "model.keras").rename(folder / "renamed.keras")
    assert "found by its fingerprint" in called("verify", "plan.lock.yaml", "--output", "out.safetensors").err
    (folder / "renamed.keras").unlink()
    missing = called("verify", "plan.lock.yaml", "--output", "out.weights.h5")
    assert (missing.code, "name the model: mutspec verify LOCK --output OUT --model MODEL" in missing.err) == (2, True)


def test_weights_alone_are_not_compared_with_a_result_of_another_structure(folder: Path) -> None:
    (folder / "deeper.yaml").write_text("mutspec: 1\nsteps: [{op: remove_layer, target: dropout}]\n")
    assert called("lock", "deeper.yaml", "model.keras", "-q").code == 0
    for output in ("deeper.keras", "deeper.weights.h5"):
        assert called("apply", "deeper.yaml", "model.keras", "-o", output, "-q").code == 0
    refused = called("verify", "deeper.lock.yaml", "--output", "deeper.weights.h5")
    assert (refused.code, "--architecture MODEL" in refused.err) == (2, True)
    call = ["verify", "deeper.lock.yaml", "--output", "deeper.weights.h5", "--architecture", "deeper.keras"]
    assert called(*call).code == 0


def test_data_that_no_step_reads_are_not_part_of_a_lock(folder: Path) -> None:
    np.savez("data.npz", image=np.zeros((2, 8, 8, 1), "float32"))
    call = ["plan.yaml", "model.keras", "--input", "teacher=teacher.keras"]
    before = (folder / "plan.lock.yaml").read_text()
    assert called("lock", *call, "--data", "data.npz", "--force", "-q").code == 0
    assert (folder / "plan.lock.yaml").read_text() == before
    assert called("apply", *call, "--data", "data.npz", "-o", "out.keras", "--locked", "-q").code == 0
