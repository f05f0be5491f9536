"""A sensitivity sweep over every convolution of MobileNetV2, beside the forward passes that its mutants cost.

    python benchmarks/sensitivity.py

52 convolutions, five scales, three seeds: 780 mutants on 64 images, with random weights. The floor is 780 times a
`predict_on_batch` of the same images by the same model, measured in batches between parts of the sweep so that a slow
phase of the machine meets both alike. Loading and compiling are in neither.
"""

from __future__ import annotations

import os
import sys
from statistics import median
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
PASSES = 5
"""Forward passes that are timed before and after each part."""
PARTS = 4
"""In how many parts the layers are swept."""


def passes(model: Any, images: Any) -> list[float]:
    """The seconds of a few forward passes of all images."""
    taken = []
    for _ in range(PASSES):
        start = perf_counter()
        model.predict_on_batch(images)
        taken.append(perf_counter() - start)
    return taken


def main() -> int:
    """Measure, and print."""
    model = keras.applications.MobileNetV2(input_shape=(SIZE, SIZE, 3), weights=None)
    random = np.random.default_rng(0)
    images = random.normal(size=(IMAGES, SIZE, SIZE, 3)).astype(np.float32)
    labels = random.integers(0, 1000, IMAGES)
    plan = mutspec.load_plan(PLAN)
    layers = mutspec.matching(model, SELECT)
    passes(model, images)  # compiles
    forward, swept, mutants = passes(model, images), 0.0, 0
    for part in range(PARTS):
        some = layers[part::PARTS]
        start = perf_counter()
        sweep = mutspec.sweep(
            plan, model, (images, labels), {"params.layer": some, "params.std": SCALES}, seeds=SEEDS, batch_size=IMAGES
        )
        swept += perf_counter() - start
        mutants += len(sweep.rows)
        forward += passes(model, images)
    floor = mutants * median(forward)
    print(f"{len(layers)} layers, {mutants} mutants, {IMAGES} images of {SIZE} x {SIZE}")
    print(f"forward passes {floor:8.1f} s   {1000 * median(forward):.0f} ms each")
    print(f"sweep          {swept:8.1f} s   {swept / floor:.2f} x")
    return 0


if __name__ == "__main__":
    sys.exit(main())
