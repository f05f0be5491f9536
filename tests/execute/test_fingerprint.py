"""A fingerprint knows a model by its structure and bits, in files and in memory, and tells which weight differs."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np

from mutspec.access.fingerprint import fingerprint
from mutspec.model.files.opening import open_archive
from mutspec.model.live import read_live
from tests.zoo.play import fresh


def test_a_file_and_the_model_in_memory_have_the_same_fingerprint_in_each_format(tmp_path: Path) -> None:
    model = fresh("residual")
    expected = fingerprint(read_live(model))
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"other{suffix}")
        assert fingerprint(open_archive(tmp_path / f"other{suffix}")) == expected


def test_one_bit_of_one_weight_and_the_name_of_a_layer_change_the_fingerprint() -> None:
    import keras

    def built(name: str = "dense") -> keras.Model:
        model = keras.Sequential([keras.Input((2,), name="given"), keras.layers.Dense(3, name=name)], name="net")
        model.set_weights([np.arange(6, dtype="float32").reshape(2, 3), np.ones(3, "float32")])
        return model

    base, other, renamed = (fingerprint(read_live(each)) for each in (built(), flipped(built()), built("thick")))
    digest = sha256(np.arange(6, dtype="<f4").tobytes()).hexdigest()[:32]
    assert base.tensors["dense/kernel"] == f"float32 2×3 {digest}"
    assert {path for path in base.tensors if base.tensors[path] != other.tensors[path]} == {"dense/bias"}
    assert base.structure == other.structure != renamed.structure
    assert len({each.digest for each in (base, other, renamed)}) == 3


def flipped(model):  # type: ignore[no-untyped-def]
    bias = model.layers[0].bias
    bits = bias.numpy().view("uint32")
    bits[1] ^= 1
    bias.assign(bits.view("float32"))
    return model
