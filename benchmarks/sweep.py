"""Measures sweeps, as a table.

    python benchmarks/sweep.py

Fifty mutants of the digits model, from Python and as jobs of Hydra, are compared with a plain script that loads,
perturbs, compiles and evaluates each of them. Twenty mutants of ResNet50 with noise in its last stage, on 200 images,
are compared with running the whole network for each, and with forward passes alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from turns import in_turns

import mutspec
from mutspec.experiment.data import digits
from mutspec.experiment.evaluation import shortcut
from mutspec.experiment.jobs.application import ApplicationCall, run
from mutspec.resources import resource_folder

MODEL = resource_folder("conf") / "model" / "digits.keras"
PLAN = resource_folder("conf") / "plan" / "dense_noise.yaml"
SCALES = np.geomspace(0.01, 1, 10)
SEEDS = range(5)
ROUNDS = 3
IMAGES = 200


def by_hand(x: Any, y: Any) -> list[float]:
    """Returns the accuracy of each mutant, computed as in a plain script."""
    found = []
    for scale in SCALES:
        for seed in SEEDS:
            model = keras.models.load_model(MODEL)
            random = np.random.default_rng(seed)
            for layer in model.layers:
                if isinstance(layer, keras.layers.Dense):
                    kernel = layer.kernel.numpy()
                    layer.kernel.assign(kernel + random.normal(0, scale * kernel.std(), kernel.shape))
            model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
            found.append(model.evaluate(x, y, batch_size=512, verbose=0)[1])
    return found


def by_mutspec(x: Any, y: Any) -> list[float]:
    """Does the same with `mutspec.sweep`, including the loading of model and plan."""
    sweep = mutspec.sweep(mutspec.load_plan(PLAN), MODEL, (x, y), {"params.std": SCALES}, seeds=SEEDS)
    return [row["metrics.accuracy"] for row in sweep.rows]


def by_jobs(launcher: str, folder: str) -> Path:
    """Does the same with `mutspec run -m`, without its start and report: each mutant is a job with files of its own."""
    scales = ",".join(str(float(scale)) for scale in SCALES)
    overrides = ("plan=dense_noise", f"plan.params.std={scales}", f"plan.seed=range({len(SEEDS)})")
    settings = (f"hydra.sweep.dir={mkdtemp(dir=folder)}", f"hydra/launcher={launcher}")
    return run(ApplicationCall((*overrides, *settings), is_sweep=True)).folder


def late_noise(model: Any, x: Any, *, takes_shortcuts: bool) -> None:
    """Evaluates twenty mutants of ResNet50 that differ only in the last stage."""
    step = {"op": "gaussian_noise", "target": {"regex": "conv5_.*", "weights": "kernels"}, "std": "${params.std}"}
    plan = mutspec.plan({"params": {"std": 0}, "steps": [step]})
    shortcut.WORTH_SECONDS = 1.0 if takes_shortcuts else float("inf")
    mutspec.sweep(plan, model, (x, None), {"params.std": np.geomspace(0.001, 0.1, 10)}, seeds=2, batch_size=64)


def forward_passes(model: Any, x: Any) -> None:
    """Runs as many forward passes as there are mutants."""
    for _ in range(20):
        model.predict(x, batch_size=64, verbose=0)


def show(spent: dict[str, float]) -> None:
    """Prints the seconds of each, and how many times faster it is than the first."""
    first = next(iter(spent.values()))
    for name, taken in spent.items():
        print(f"{name:<34} {taken:7.2f} s  {first / taken:5.1f} x")


def main() -> None:
    """Measures, and prints."""
    x, y = digits()
    with TemporaryDirectory() as folder:
        ways = {
            "digits, by hand": lambda: by_hand(x, y),
            "digits, mutspec.sweep": lambda: by_mutspec(x, y),
            "digits, hydra/launcher=basic": lambda: by_jobs("basic", folder),
            "digits, hydra/launcher=mutspec": lambda: by_jobs("mutspec", folder),
        }
        show(in_turns(ways, ROUNDS))
    model = keras.applications.ResNet50(weights=None)
    images = np.random.default_rng(0).normal(size=(IMAGES, 224, 224, 3)).astype(np.float32)
    show(
        in_turns(
            {
                "ResNet50, forward passes alone": lambda: forward_passes(model, images),
                "ResNet50, the whole for each": lambda: late_noise(model, images, takes_shortcuts=False),
                "ResNet50, from the last stage on": lambda: late_noise(model, images, takes_shortcuts=True),
            },
            1,
        )
    )


if __name__ == "__main__":
    main()
