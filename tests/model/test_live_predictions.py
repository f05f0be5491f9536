"""What a model predicts, and why it cannot."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from mutspec.errors import ModelError
from mutspec.model.live.predictions import predict


def test_a_model_that_cannot_be_called_says_what_keras_says_and_not_what_it_puts_around_it() -> None:
    model = keras.Sequential([keras.Input((None,)), keras.layers.Reshape((4,), name="four")], name="toy")
    with pytest.raises(ModelError, match="the model `toy` cannot be called: The total size of the tensor must"):
        predict(model, [np.zeros((1, 6), "float32")])
