"""Models that Keras writes to `.h5` files and does not load from them."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from mutspec.errors import ModelError
from mutspec.execute.saving import save_model


def test_a_model_with_the_mask_of_an_embedding_is_not_saved_as_h5(tmp_path: Path) -> None:
    tokens = keras.Input((5,))
    embedded = keras.layers.Embedding(9, 4, mask_zero=True)(tokens)
    attended = keras.layers.MultiHeadAttention(1, 2)(embedded, embedded)
    model = keras.Model(tokens, keras.layers.GlobalAveragePooling1D()(attended))
    with pytest.raises(ModelError, match="not_equal") as caught:
        save_model(model, tmp_path / "mutant.h5", force=False)
    assert caught.value.problems[0].hint == "name the output .keras"
    assert not list(tmp_path.iterdir())
