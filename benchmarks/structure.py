"""Structural steps on ResNet50 in memory, against Keras's from_config and copying the weights; seconds, as a table."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import mutspec

ROUNDS = 5


def seconds(run: Callable[[], Any]) -> float:
    """How long a call takes, without clearing away what the calls before it left."""
    gc.collect()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Measure in turns, so that a slow phase of the machine meets all alike."""
    model = keras.applications.ResNet50(weights=None)
    after = [layer.name for layer in model.layers if layer.name.endswith("_relu")][:20]
    steps = [
        {"op": "insert_layer", "id": f"drop_{number}", "after": name, "layer": {"type": "Dropout", "rate": 0.1}}
        for number, name in enumerate(after)
    ]
    one, twenty = (mutspec.plan({"steps": steps[:count]}) for count in (1, 20))

    def rebuild() -> None:
        copy = keras.Model.from_config(model.get_config())
        for source, target in zip(model.layers, copy.layers, strict=True):
            target.set_weights(source.get_weights())

    runs = {
        "from_config + copying the weights": rebuild,
        "one structural step": lambda: mutspec.apply(one, model),
        "twenty structural steps": lambda: mutspec.apply(twenty, model),
    }
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(ROUNDS + 1):
        for name, run in runs.items():
            spent = seconds(run)
            if round_number:
                taken[name].append(spent)
    base = median(taken["from_config + copying the weights"])
    for name, spent in taken.items():
        print(f"{name:<36} {median(spent):6.2f} s  {median(spent) / base:5.2f} x")


if __name__ == "__main__":
    main()
