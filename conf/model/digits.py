"""The demo's model: a small CNN for scikit-learn's handwritten digits.

    python digits.py train                        # trains digits.keras again, in this folder
    python digits.py accuracy MODEL [MODEL ...]   # held-out accuracy of model files, in plain Keras

The data are the 1,797 real images of 8 x 8 pixels that come with scikit-learn. The test split is fixed and needs no
random numbers: of each digit, in the data set's order, every fifth image is held out. This gives 364 stratified test
images from the whole collection. Training never sees them. `mutspec run` evaluates on them too.

The committed `digits.keras` has 25,778 parameters and no optimizer state, and gets 98.9 % of the test images right.
Training is seeded and repeats on one machine. On another machine the last digits of the weights may differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mutspec.experiment.data import digits_split
from mutspec.model.live import import_keras

SEED = 2024
EPOCHS = 60
MODEL_FILE = Path(__file__).with_name("digits.keras")


def build(keras: Any) -> Any:
    """Returns the untrained network."""
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    hidden = layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv_1")(image)
    hidden = layers.BatchNormalization(name="bn_1")(hidden)
    hidden = layers.ReLU(name="relu_1")(hidden)
    hidden = layers.Conv2D(32, 3, padding="same", name="conv_2")(hidden)
    hidden = layers.ReLU(name="relu_2")(hidden)
    hidden = layers.MaxPooling2D(name="pool")(hidden)
    hidden = layers.Dropout(0.4, name="dropout", seed=SEED)(layers.Flatten(name="flatten")(hidden))
    hidden = layers.Dense(40, activation="relu", name="dense_1")(hidden)
    return keras.Model(image, layers.Dense(10, name="logits")(hidden), name="digits")


def train(path: Path) -> None:
    """Trains the network and saves it, without the optimizer's state."""
    keras = import_keras()
    keras.utils.set_random_seed(SEED)
    model = build(keras)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, decay_steps=EPOCHS * 23)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss)
    (images, digits), _ = digits_split()
    model.fit(images, digits, epochs=EPOCHS, batch_size=64, verbose=0)
    keras.Model(model.inputs, model.outputs, name=model.name).save(path)
    print(f"{path.name}: {model.count_params():,} parameters, {path.stat().st_size:,} bytes")


def count_right(path: Path) -> tuple[int, int]:
    """Returns the number of test images that a model file gets right, and the number of all test images."""
    keras = import_keras()
    _, (images, digits) = digits_split()
    logits = keras.models.load_model(path, compile=False).predict(images, batch_size=512, verbose=0)
    return int(np.count_nonzero(logits.argmax(axis=-1) == digits)), len(digits)


def report(paths: list[Path]) -> None:
    """Prints the accuracy of each model file."""
    width = max(len(str(path)) for path in paths)
    for path in paths:
        right, total = count_right(path)
        print(f"{path!s:<{width}}  {right / total:6.1%}  ({right} of {total} test images)")


def main() -> int:
    """Runs one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    trainer = commands.add_parser("train", help="train the model again")
    trainer.add_argument("-o", "--output", type=Path, default=MODEL_FILE, help="the file to write")
    accuracy = commands.add_parser("accuracy", help="print the held-out accuracy of model files")
    accuracy.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    options = parser.parse_args()
    if options.command == "train":
        train(options.output)
        report([options.output])
    else:
        report(options.models)
    return 0


if __name__ == "__main__":
    sys.exit(main())
