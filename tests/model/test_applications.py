"""A model of real size, from `keras.applications`; MobileNetV2 is in `tests/cli/test_real_networks.py`."""

from __future__ import annotations

from pathlib import Path

from mutspec.model.files.opening import open_archive
from mutspec.model.live import read_live


def test_a_real_network_reads_from_every_kind_of_file(tmp_path: Path) -> None:
    import keras

    model = keras.applications.ResNet50(weights=None)
    live = read_live(model)
    assert len(live.spec.tensors) == 320
    assert live.spec.parameters == model.count_params()
    model.save(tmp_path / "model.keras")
    model.save(tmp_path / "model.h5")
    model.save_weights(tmp_path / "model.weights.h5")
    for kind in ("keras", "h5"):
        archive = open_archive(tmp_path / f"model.{kind}")
        assert archive.spec == live.spec
        assert all(extent.offset is not None for extent in archive.extents.values())
    partial = open_archive(tmp_path / "model.weights.h5").spec
    assert set(partial.tensors) == set(live.spec.tensors)
