"""Fifty mutants of the digits model, beside a plain script that loads, perturbs, compiles and evaluates each.

    python benchmarks/sweep.py

Ten scales of noise and five seeds; both evaluate on the same images, and both begin with Keras loaded.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from turns import in_turns

import mutspec
from mutspec.experiment.data import digits
from mutspec.resources import resource_folder

MODEL = resource_folder("conf") / "model" / "digits.keras"
PLAN = resource_folder("conf") / "plan" / "dense_noise.yaml"
SCALES = np.geomspace(0.01, 1, 10)
SEEDS = range(5)
ROUNDS = 3


def by_hand(x: Any, y: Any) -> list[float]:
    """The accuracy of each mutant, as a script would find it."""
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
    """The same by `mutspec.sweep`, the loading of model and plan included."""
    sweep = mutspec.sweep(mutspec.load_plan(PLAN), MODEL, (x, y), {"params.std": SCALES}, seeds=SEEDS)
    return [row["metrics.accuracy"] for row in sweep.rows]


def main() -> None:
    """Measure, and print."""
    x, y = digits()
    spent = in_turns({"by hand": lambda: by_hand(x, y), "mutspec.sweep": lambda: by_mutspec(x, y)}, ROUNDS)
    for name, taken in spent.items():
        print(f"{name:<14} {taken:6.2f} s  {spent['by hand'] / taken:5.1f} x")


if __name__ == "__main__":
    main()
