"""The usual way, for comparison: load a model with Keras, add noise to its kernels, save it.

python benchmarks/keras_baseline.py MODEL OUTPUT
"""

from __future__ import annotations

import sys

import keras
import numpy as np

STANDARD_DEVIATION = 0.01


def main() -> None:
    """Adds noise to every kernel of a model file."""
    source, target = sys.argv[1:]
    model = keras.models.load_model(source, compile=False)
    random = np.random.default_rng(0)
    for variable in model.weights:
        if variable.name.endswith("kernel"):
            noise = random.standard_normal(variable.shape, dtype=np.float32)
            variable.assign(variable.numpy() + np.float32(STANDARD_DEVIATION) * noise)
    model.save(target)


if __name__ == "__main__":
    main()
