"""MobileNetV2 on the whole path: every command without TensorFlow, then Keras loads and predicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.without_keras import BLOCKER

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras")

ROOT = Path(__file__).parents[2]
PLAN = """
mutspec: 1
seed: 3
steps:
  - op: gaussian_noise
    target: {type: "*Conv2D", weights: kernels}
    std: 0.01
    relative_to: std
  - op: zero
    target: {type: Dense, weights: kernel}
    fraction: 1%
"""
COMMANDS = (
    BLOCKER
    + """
from mutspec.cli.boundary import run
from mutspec.cli.main import cli
for suffix in ("keras", "h5"):
    model, mutant = f"model.{suffix}", f"mutant.{suffix}"
    for expected, call in (
        (0, f"validate plan.yaml --model {model}"),
        (0, f"inspect {model}"),
        (0, f"apply plan.yaml {model} --dry-run"),
        (0, f"apply plan.yaml {model} -o {mutant} --json"),
        (1, f"diff {model} {mutant} -q"),
    ):
        code = int(run(cli, call.split(), "mutspec"))
        assert code == expected, (call, code)
"""
)


def test_a_real_network_is_mutated_without_tensorflow_and_runs_in_keras(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2(weights=None)
    for suffix in ("keras", "h5"):
        network.save(tmp_path / f"model.{suffix}")
    (tmp_path / "plan.yaml").write_text(PLAN)
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout[done.stdout.rindex('{\n  "format_version"') :])
    touched = {(row["layer"], row["weight"]): row for step in document["steps"] for row in step["targets"]}
    mutant, other = (keras.saving.load_model(tmp_path / f"mutant.{each}", compile=False) for each in ("keras", "h5"))
    assert all(np.array_equal(one, two) for one, two in zip(mutant.get_weights(), other.get_weights(), strict=True))
    for layer, changed in zip(network.layers, mutant.layers, strict=True):
        for before, after in zip(layer.weights, changed.weights, strict=True):
            one, two = before.numpy(), after.numpy()
            row = touched.pop((layer.name, before.name), None)
            assert (0 if row is None else row["changed"]) == np.count_nonzero(one != two), before.path
    assert not touched
    images = np.random.default_rng(0).random((1, 224, 224, 3), np.float32)
    probabilities = mutant(images, training=False)
    assert probabilities.shape == (1, 1000)
    network.set_weights(mutant.get_weights())
    np.testing.assert_allclose(probabilities, network(images, training=False), rtol=1e-6)
