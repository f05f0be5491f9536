"""The demo's data and model: the split is what its page says, and the committed model is as good as promised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from mutspec.experiment.data import digits_split
from mutspec.resources import resource_folder

FOLDER = resource_folder("conf") / "model"


@pytest.fixture(scope="module")
def split() -> tuple[np.ndarray, np.ndarray]:
    """The images of the training and of the test data, a row each."""
    (train_images, _), (test_images, _) = digits_split()
    return train_images.reshape(len(train_images), -1), test_images.reshape(len(test_images), -1)


def test_training_and_test_images_together_are_the_data_set(split: tuple[np.ndarray, np.ndarray]) -> None:
    together = np.concatenate(split) * 16
    assert sorted(together.tolist()) == sorted(load_digits().data.tolist())


def test_no_test_image_is_a_training_image(split: tuple[np.ndarray, np.ndarray]) -> None:
    train, test = ({image.tobytes() for image in images} for images in split)
    assert len(split[1]) == 364
    assert not train & test


def test_the_committed_model_gets_at_least_97_percent_of_the_test_images_right() -> None:
    command = [sys.executable, str(FOLDER / "digits.py"), "accuracy", str(FOLDER / "digits.keras")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    path, accuracy, *_ = result.stdout.split()
    assert Path(path) == FOLDER / "digits.keras"
    assert 97 <= float(accuracy.rstrip("%")) <= 100
    assert result.stderr == ""
