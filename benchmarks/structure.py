"""Measures structural steps on ResNet50 in memory against Keras's from_config and a copy of the weights, as a table."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from turns import in_turns

import mutspec

ROUNDS = 5


def main() -> None:
    """Measures, and prints."""
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
    taken = in_turns(runs, ROUNDS)
    base = taken["from_config + copying the weights"]
    for name, spent in taken.items():
        print(f"{name:<36} {spent:6.2f} s  {spent / base:5.2f} x")


if __name__ == "__main__":
    main()
