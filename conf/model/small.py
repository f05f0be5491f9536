"""The small models that recipes are tested and locked on where the demo's model does not fit them.

    python small.py        # writes images.keras and series.keras again, in this folder

They are not trained: their weights, and the statistics of their normalisation, are drawn from fixed seeds.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from mutspec.model.live import import_keras

SEED = 17


def images(keras: Any) -> Any:
    """Returns a classifier of images in colour: augmentation, a backbone that is a model, a residual block, softmax."""
    layers = keras.layers
    inner = keras.Input((None, None, 3), name="inner")
    hidden = layers.BatchNormalization(name="bn")(layers.Conv2D(8, 3, padding="same", name="conv")(inner))
    backbone = keras.Model(inner, layers.ReLU(name="relu")(hidden), name="backbone")
    image = keras.Input((8, 8, 3), name="image")
    hidden = layers.RandomTranslation(0.1, 0.1, seed=SEED, name="shift")(
        layers.RandomFlip("horizontal", seed=SEED, name="flip")(image)
    )
    hidden = backbone(hidden, training=False)
    stem = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv_1")(hidden)
    hidden = layers.Conv2D(8, 3, padding="same", activation="relu", name="conv_2")(stem)
    hidden = layers.GlobalAveragePooling2D(name="pool")(layers.Add(name="add")([stem, hidden]))
    return keras.Model(image, layers.Dense(4, activation="softmax", name="classes")(hidden), name="images")


def series(keras: Any) -> Any:
    """Returns a Sequential forecaster with a recurrent layer."""
    layers = keras.layers
    row = [layers.LSTM(4, name="memory"), layers.Dropout(0.2, seed=SEED, name="drop"), layers.Dense(1, name="out")]
    return keras.Sequential([keras.Input((5, 3), name="series"), *row], name="series")


def write(path: Path, model: Any, random: np.random.Generator) -> None:
    """Draws the weights of a model, and writes its file."""
    for variable in model.weights:
        if variable.dtype != "float32":
            continue
        if variable.name in ("moving_variance", "gamma"):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        else:
            fan = max(1, int(np.prod(variable.shape[:-1])))
            variable.assign(random.normal(0, (2 / fan) ** 0.5 if len(variable.shape) > 1 else 0.1, variable.shape))
    model.save(path)
    print(f"{path.name}: {model.count_params():,} parameters, {path.stat().st_size:,} bytes")


def main() -> int:
    """Writes all of them."""
    keras = import_keras()
    folder = Path(__file__).parent
    for number, build in enumerate((images, series)):
        keras.utils.set_random_seed(SEED)
        write(folder / f"{build.__name__}.keras", build(keras), np.random.default_rng((SEED, number)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
