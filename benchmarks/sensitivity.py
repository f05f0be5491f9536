"""A sensitivity sweep over every convolution of MobileNetV2, compared with the forward passes of its mutants.

    python benchmarks/sensitivity.py

52 convolutions, five scales, three seeds: 780 mutants on 64 images, with random weights. The least work is 780
calls of `predict_on_batch` with the same images and model. They are measured throughout the sweep, so that a slow phase
of the machine affects both.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from statistics import fmean
from time import perf_counter
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import mutspec
from mutspec.resources import resource_folder

PLAN = resource_folder("conf") / "plan" / "weight_noise.yaml"
SELECT = {"type": "*Conv2D", "weights": "kernels"}
SCALES = [0.1, 0.2, 0.5, 1, 2]
SEEDS = 3
IMAGES, SIZE = 64, 96
EVERY = 15
"""The number of mutants between two timed forward passes."""


@dataclass
class Passes:
    """Times forward passes of all images by the base, between the mutants of a sweep."""

    model: Any
    images: Any
    seconds: list[float] = field(default_factory=list)

    def __call__(self, done: int, _: int) -> None:
        """Times a forward pass after every `EVERY` mutants."""
        if done % EVERY == 0:
            start = perf_counter()
            self.model.predict_on_batch(self.images)
            self.seconds.append(perf_counter() - start)


def main() -> int:
    """Measures, and prints."""
    model = keras.applications.MobileNetV2(input_shape=(SIZE, SIZE, 3), weights=None)
    random = np.random.default_rng(0)
    images = random.normal(size=(IMAGES, SIZE, SIZE, 3)).astype(np.float32)
    labels = random.integers(0, 1000, IMAGES)
    plan = mutspec.load_plan(PLAN)
    layers = mutspec.matching(model, SELECT)
    model.predict_on_batch(images)  # compiles
    passes = Passes(model, images)
    values = {"params.layer": layers, "params.std": SCALES}
    start = perf_counter()
    sweep = mutspec.sweep(plan, model, (images, labels), values, seeds=SEEDS, batch_size=IMAGES, on_progress=passes)
    swept, mutants, each = perf_counter() - start - sum(passes.seconds), len(sweep.rows), fmean(passes.seconds)
    floor = mutants * each
    print(f"{len(layers)} layers, {mutants} mutants, {IMAGES} images of {SIZE} x {SIZE}")
    print(f"forward passes {floor:8.1f} s   {1000 * each:.0f} ms each")
    print(f"sweep          {swept:8.1f} s   {swept / floor:.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
