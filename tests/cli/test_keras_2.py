"""Files of Keras 2 on the command line: every command has one verdict, and what is lost of a file is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from mutspec import MutspecWarning, load_plan, sweep
from mutspec.execute.loading import load
from tests.cli.conftest import Call

DATA = Path(__file__).parents[1] / "data"
KERAS_2 = DATA / "keras2" / "keras_2.15.0"
FILES = {
    "stack.h5": KERAS_2 / "stack.h5",
    "stack.keras": DATA / "keras2" / "keras_2.13.1" / "stack.keras",
    "bare.h5": KERAS_2 / "stack.h5",
}
INSERT = "mutspec: 1\nsteps: [{op: insert_layer, after: fc1, layer: {type: Dropout, rate: 0.5}}]\n"
MISFIT = "mutspec: 1\nsteps: [{op: replace_layer, target: fc1, layer: {type: Dense, units: 9}}]\n"
NOISE = "mutspec: 1\nsteps: [{op: gaussian_noise, target: {name: fc1, weights: kernels}, std: 0.1}]\n"


@pytest.fixture
def old(room: Path) -> Path:
    """The folder of the call, with files of Keras 2 of each form, and plans for them."""
    for name, path in FILES.items():
        shutil.copy(path, room / name)
    shutil.copy(KERAS_2 / "stack.legacy.h5", room / "weights.h5")
    with h5py.File(room / "bare.h5", "a") as file:  # Keras before 2.2.3 wrote the layers of a Sequential as a list
        config = json.loads(file.attrs["model_config"])
        layers = [each for each in config["config"]["layers"] if each["class_name"] != "InputLayer"]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
        file.attrs["keras_version"] = "2.2.0"
    for name, text in (("insert", INSERT), ("misfit", MISFIT), ("noise", NOISE)):
        (room / f"{name}.yaml").write_text(text)
    return room


@pytest.mark.parametrize("model", FILES)
def test_a_structural_plan_has_one_verdict_in_every_command(model: str, old: Path, cli: Call) -> None:
    validated = cli("validate", "insert.yaml", "--model", model)
    tried = cli("apply", "insert.yaml", model, "--dry-run", "--json")
    drawn = cli("graph", "insert.yaml", model)
    applied = cli("apply", "insert.yaml", model, "-o", "mutant.keras", "--json")
    assert (validated.code, tried.code, drawn.code, applied.code) == (0, 0, 0, 0)
    assert "and the mutant is Keras 3's" in validated.err
    for result in (tried, applied):
        warnings = json.loads(result.out)["warnings"]
        assert sum("and the mutant is Keras 3's" in warning for warning in warnings) == 1
    assert tried.err == applied.err == ""
    base = np.load(FILES[model].with_suffix(".npz"))
    assert np.allclose(load(Path("mutant.keras")).model(base["x0"]), base["y0"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", FILES)
def test_what_is_wrong_with_a_structural_plan_is_the_same_in_every_command(model: str, old: Path, cli: Call) -> None:
    results = [
        cli("validate", "misfit.yaml", "--model", model),
        cli("apply", "misfit.yaml", model, "--dry-run"),
        cli("graph", "misfit.yaml", model),
        cli("apply", "misfit.yaml", model, "-o", "mutant.keras"),
    ]
    assert [result.code for result in results] == [2, 2, 2, 2]
    first = results[1].err.strip()
    assert "`fc2`" in first
    assert all(first in result.err for result in results)
    assert not Path("mutant.keras").exists()


def test_what_no_keras_3_has_is_refused_by_every_command_and_weights_are_edited_all_the_same(
    old: Path, cli: Call
) -> None:
    shutil.copy("stack.h5", "gone.h5")
    with h5py.File("gone.h5", "a") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"].append({"class_name": "ThresholdedReLU", "config": {"name": "gone", "theta": 1.0}})
        file.attrs["model_config"] = json.dumps(config)
    results = [
        cli("validate", "insert.yaml", "--model", "gone.h5"),
        cli("apply", "insert.yaml", "gone.h5", "--dry-run"),
        cli("graph", "insert.yaml", "gone.h5"),
        cli("apply", "insert.yaml", "gone.h5", "-o", "mutant.keras"),
        cli("apply", "noise.yaml", "gone.h5", "-o", "mutant.keras"),
    ]
    assert [result.code for result in results] == [2] * 5
    assert all("`gone` (ThresholdedReLU) is of a class that was removed" in result.err for result in results)
    assert cli("apply", "noise.yaml", "gone.h5", "-o", "mutant.h5").code == 0


def test_weights_of_keras_2_alone_have_one_verdict_too(old: Path, cli: Call) -> None:
    architecture = ("--architecture", "stack.h5")
    assert cli("validate", "noise.yaml", "--model", "weights.h5").code == 0
    assert cli("validate", "noise.yaml", "--model", "weights.h5", *architecture).code == 0
    assert cli("apply", "noise.yaml", "weights.h5", "--dry-run").code == 0
    refused = cli("validate", "insert.yaml", "--model", "weights.h5")
    assert refused.code == cli("apply", "insert.yaml", "weights.h5", "--dry-run").code == 2
    alone = cli("validate", "noise.yaml", *architecture)
    assert alone.code == 2
    assert "--model MODEL" in alone.err


def test_a_mutant_of_a_file_of_keras_2_differs_from_it_where_it_was_mutated_alone(old: Path, cli: Call) -> None:
    applied = cli("apply", "noise.yaml", "bare.h5", "-o", "mutant.keras")
    assert (applied.code, applied.err.count("\n")) == (0, 0)
    found = json.loads(cli("diff", "bare.h5", "mutant.keras", "--json").out)
    assert found["layers"] == {"added": [], "removed": [], "changed": []}
    assert [(each["layer"], each["weight"]) for each in found["tensors"]] == [("fc1", "kernel")]


def test_diff_takes_the_architecture_of_files_with_weights_alone(old: Path, cli: Call) -> None:
    same = cli("diff", "weights.h5", "stack.h5", "--architecture", "stack.h5")
    assert (same.code, same.err) == (0, "")
    twice = cli("diff", "stack.h5", "stack.h5", "--architecture", "stack.h5")
    assert twice.code == 2
    assert "has its own architecture" in twice.err


def test_a_sweep_runs_a_model_of_keras_2_as_it_predicted_there_and_says_what_it_lacks(old: Path) -> None:
    oracle, plan = np.load(KERAS_2 / "stack.npz"), load_plan("insert.yaml")
    options = {"loss": "mse", "metrics": ["mae"], "agreement": False}
    with pytest.warns(MutspecWarning, match="stack.h5 is loaded without its loss, optimizer and metrics"):
        found = sweep(plan, "stack.h5", (oracle["x0"], oracle["y0"]), **options)
    (result,) = found.results
    assert result.base["mae"] < 1e-6
    assert result.rows[0].metrics["mae"] < 1e-6
