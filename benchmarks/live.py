"""Noise and bit flips on a model of 25 million weights in memory, compared with a script written by hand, as a table.

python benchmarks/live.py

Six Dense layers show the time for weights. ResNet50 has as many weights in 320 tensors, and shows the time for layers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from draws import CHUNK, THREADS, normals, on_threads
from turns import in_turns

import mutspec

ROUNDS = 7
STD = 0.01
NOISE = {"op": "gaussian_noise", "target": "*", "std": STD}
FLIPS = {"op": "bit_flip", "target": "*", "bits": "mantissa", "rate": 1e-4, "allow_empty": True}


def dense() -> Any:
    """Returns a model of 25.2 million weights in 6 layers."""
    return keras.Sequential([keras.Input((2048,)), *(keras.layers.Dense(2048) for _ in range(6))])


def resnet50() -> Any:
    """Returns a model of 25.6 million weights, in 107 of its layers."""
    return keras.applications.ResNet50(weights=None)


def step(model: Any, **what: Any) -> Callable[[], Any]:
    """Applies one step of a plan, in place."""
    plan = mutspec.plan({"steps": [what]})
    return lambda: mutspec.apply(plan, model, in_place=True, threads=THREADS)


def by_hand(model: Any) -> Callable[[], Any]:
    """Adds noise as a script would."""
    return lambda: model.set_weights([w + np.random.normal(0, STD, w.shape) for w in model.get_weights()])


def draw_and_add(weights: Sequence[np.ndarray]) -> Callable[[], Any]:
    """Does the least work of noise: draws with mutspec's bit generator on two threads, and adds to the weights."""
    spans = [(w.reshape(-1), start) for w in weights for start in range(0, w.size, CHUNK)]

    def add(span: tuple[np.ndarray, int]) -> None:
        values, start = span
        part = values[start : start + CHUNK]
        drawn = normals(start // CHUNK, len(part))
        drawn *= np.float32(STD)
        part += drawn

    return lambda: on_threads(add, spans)


def copy(weights: Sequence[np.ndarray]) -> Callable[[], Any]:
    """Copies the weights, because a mutant needs memory of its own."""
    return lambda: [np.array(w) for w in weights]


def copy_over(weights: Sequence[np.ndarray]) -> Callable[[], Any]:
    """Copies the weights into memory that was used before, so that the system need not find any."""
    buffers = [np.array(w) for w in weights]
    return lambda: [np.copyto(buffer, w) for buffer, w in zip(buffers, weights, strict=True)]


def main() -> None:
    """Measures both models, and prints."""
    print(f"{'model':<10} {'what':<34} {'seconds':>8}  compared with")
    for build in (dense, resnet50):
        model = build()
        weights = [np.array(w) for w in model.get_weights()]
        spent = in_turns(
            {
                "noise": step(model, **NOISE),
                "noise by hand": by_hand(model),
                "draw and add": draw_and_add(weights),
                "bit flips": step(model, **FLIPS),
                "copy": copy(weights),
                "copy over": copy_over(weights),
            },
            ROUNDS,
        )
        noise, flips = spent["noise"], spent["bit flips"]
        rows = [
            ("gaussian_noise on every weight", noise, f"{spent['noise by hand'] / noise:.2f} x faster than by hand"),
            ("  get, add np.random.normal, set", spent["noise by hand"], ""),
            (
                "  draw and add, on two threads",
                spent["draw and add"],
                f"the step takes {noise / spent['draw and add']:.2f} x this",
            ),
            ("bit_flip, rate 1e-4", flips, ""),
            ("  copy of the weights", spent["copy"], f"the step takes {flips / spent['copy']:.2f} x this"),
            ("  copy into memory that is there", spent["copy over"], f"{flips / spent['copy over']:.2f} x"),
        ]
        for what, taken, comparison in rows:
            print(f"{build.__name__:<10} {what:<34} {taken:8.3f}  {comparison}".rstrip())


if __name__ == "__main__":
    main()
