"""A file's spec is that of the live model it came from, and its extents hold that model's values."""

from __future__ import annotations

import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mutspec.errors import ModelError
from mutspec.keras_facts.class_table import CLASSES
from mutspec.model import ModelSpec
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FileKind
from mutspec.model.files.opening import open_archive
from tests.model.conftest import Kept, Zoo
from tests.zoo import NO_LEGACY_H5, ZOO

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

NO_PARTIAL = {
    "bidirectional": "bidirectional/forward_lstm, bidirectional/backward_lstm",
    "normalizers": "unscaled, uncentered, two_axes",
    "rnn_cell": "rnn/lstm_cell, outer/simple",
    "spectral_embedding": "spectral_normalization/embedding",
    "time_distributed": "time_distributed/dense",
    "wrapped_cells": "bidirectional/forward_rnn",
}
"""Models whose weights file does not tell what some weights are, and the layers concerned, or the first of them."""


def assert_same(found: ModelSpec, expected: ModelSpec) -> None:
    """Compare piece by piece, so that a failure shows the piece."""
    for mine, theirs in zip(found.layers, expected.layers, strict=True):
        assert mine == theirs
    assert found.tensors == expected.tensors
    assert (found.name, found.class_name) == (expected.name, expected.class_name)
    assert (found.inputs, found.outputs) == (expected.inputs, expected.outputs)
    assert found == expected
    assert found.structure_digest == expected.structure_digest


def assert_values(archive: Archive, kept: Kept) -> None:
    """Every extent holds the bytes of the variable that Keras calls its own."""
    assert set(archive.extents) == {tensor.path for tensor in archive.spec.tensors}
    data = archive.path.read_bytes()
    for tensor in archive.spec.tensors:
        value = np.asarray(kept.live.variables[tensor.path].numpy())
        for extent in (archive.extents[tensor.path], *archive.copies.get(tensor.path, ())):
            assert extent.offset is not None
            assert data[extent.offset : extent.offset + extent.bytes] == value.tobytes(), tensor.path
            assert (extent.shape, extent.dtype) == (tensor.shape, tensor.dtype) == (value.shape, str(value.dtype))


@pytest.mark.parametrize("name", ZOO)
def test_a_keras_file_reads_as_the_live_model_does(zoo: Zoo, name: str) -> None:
    archive = open_archive(zoo[name].keras)
    assert archive.kind is FileKind.KERAS
    assert archive.keras_version
    assert_same(archive.spec, zoo[name].live.spec)
    assert_values(archive, zoo[name])


@pytest.mark.parametrize("name", ZOO)
def test_every_weight_of_the_live_model_has_one_tensor(zoo: Zoo, name: str) -> None:
    kept = zoo[name]
    mine = {id(variable) for variable in kept.live.variables.values()}
    assert mine == {id(variable) for variable in kept.model.weights}
    assert len(mine) == len(kept.live.variables)


@pytest.mark.parametrize("name", [name for name in ZOO if name not in NO_LEGACY_H5])
def test_a_legacy_file_reads_as_the_live_model_does(zoo: Zoo, name: str) -> None:
    archive = open_archive(zoo[name].h5)
    assert archive.kind is FileKind.LEGACY_H5
    assert_same(archive.spec, zoo[name].live.spec)
    assert_values(archive, zoo[name])


@pytest.mark.parametrize("name", ["custom_layer", "nested_custom", "subclassed"])
def test_a_legacy_file_with_layers_inside_classes_that_nobody_imported_is_refused(
    zoo: Zoo, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = zoo[name].h5
    monkeypatch.delitem(sys.modules, "keras")
    with pytest.raises(ModelError, match=r"legacy \.h5 does not say") as caught:
        open_archive(file)
    assert ".keras" in caught.value.problems[0].hint


def test_a_legacy_file_stores_a_shared_layer_once_for_each_model_that_holds_it(zoo: Zoo) -> None:
    archive = open_archive(zoo["shared_with_nested"].h5)
    paths = [tensor.path for tensor in archive.spec.tensors]
    assert {"inner/shared/kernel", "shared/kernel"} <= set(paths)


@pytest.mark.parametrize("name", [name for name in ZOO if name not in NO_PARTIAL])
def test_a_weights_file_gives_the_same_tensors_without_a_graph(zoo: Zoo, name: str) -> None:
    archive = open_archive(zoo[name].weights)
    assert archive.kind is FileKind.WEIGHTS_H5
    assert archive.spec.is_partial
    # Only an architecture tells the layers' order, and which of them are shared.
    expected = {tensor.path: replace(tensor, aliases=()) for tensor in zoo[name].live.spec.tensors}
    assert {tensor.path: tensor for tensor in archive.spec.tensors} == expected
    assert_values(archive, zoo[name])


@pytest.mark.parametrize("name", NO_PARTIAL)
def test_a_weights_file_that_could_be_read_two_ways_is_refused_by_name(zoo: Zoo, name: str) -> None:
    with pytest.raises(ModelError, match=NO_PARTIAL[name]) as caught:
        open_archive(zoo[name].weights)
    assert "--architecture" in caught.value.problems[0].hint


@pytest.mark.parametrize("name", ZOO)
def test_a_weights_file_with_an_architecture_reads_as_the_live_model_does(zoo: Zoo, name: str) -> None:
    archive = open_archive(zoo[name].weights, architecture=zoo[name].keras)
    assert_same(archive.spec, zoo[name].live.spec)
    assert_values(archive, zoo[name])


def test_an_architecture_may_be_json_or_a_legacy_file(zoo: Zoo, tmp_path: Path) -> None:
    kept = zoo["residual"]
    written = tmp_path / "config.json"
    written.write_text(kept.model.to_json())
    for architecture in (written, kept.h5):
        assert_same(open_archive(kept.weights, architecture=architecture).spec, kept.live.spec)


def test_the_crc_stands_where_the_member_says(zoo: Zoo) -> None:
    archive = open_archive(zoo["residual"].keras)
    member = archive.member
    assert member is not None
    data = archive.path.read_bytes()
    with zipfile.ZipFile(archive.path) as whole:
        weights = whole.read(member.name)
    assert data[member.offset : member.offset + member.bytes] == weights
    assert member.crc32 == zlib.crc32(weights)
    assert len(set(member.crc32_offsets)) == 2
    for offset in member.crc32_offsets:
        assert int.from_bytes(data[offset : offset + 4], "little") == member.crc32


def test_training_leaves_the_spec_as_it_was(tmp_path: Path) -> None:
    import keras

    model = ZOO["sequential"]()
    untrained = open_archive(_saved(model, tmp_path / "untrained.keras")).spec
    model.compile("adam", "mse", metrics=["mae", keras.metrics.MeanSquaredError()])
    model.fit(np.zeros((4, 6, 6, 1)), np.zeros((4, 3)), verbose=0)
    assert open_archive(_saved(model, tmp_path / "trained.keras")).spec == untrained
    assert open_archive(_saved(model, tmp_path / "trained.h5")).spec == untrained


def test_a_reloaded_model_has_the_same_spec(zoo: Zoo, tmp_path: Path) -> None:
    import keras

    for name in ("nested_twice_deep", "bidirectional", "transformer"):
        reloaded = keras.models.load_model(zoo[name].keras)
        assert_same(open_archive(_saved(reloaded, tmp_path / f"{name}.keras")).spec, zoo[name].live.spec)


def _saved(model: object, path: Path) -> Path:
    model.save(path)  # type: ignore[attr-defined]
    return path


def test_the_zoo_holds_every_class_with_weights(zoo: Zoo) -> None:
    unused = {"RNN", "LSTMCell", "GRUCell", "SimpleRNNCell", "ConvLSTMCell"}
    unused |= {"ReversibleEmbedding", "STFTSpectrogram"}
    seen = {layer.class_name for name in ZOO for layer in zoo[name].live.spec.layers}
    assert set(CLASSES) - unused <= seen
