"""Each form of a model file: found by its content, read as Keras wrote it, edited to the same values."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from shutil import copy, copytree
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.access.read import TensorReader
from mutspec.errors import CallError, ModelError
from mutspec.model.files.formats import FORMATS, FileKind
from mutspec.model.files.opening import open_archive
from tests.formats.conftest import NOISE, RENAME, Saved, apply, same, values_in

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

FORMS = {
    "model.keras": FileKind.KERAS,
    "model.h5": FileKind.LEGACY_H5,
    "model.weights.h5": FileKind.WEIGHTS_H5,
    "parts.weights.json": FileKind.SHARDED,
    "unpacked": FileKind.KERAS_FOLDER,
    "checkpoint": FileKind.CHECKPOINT,
    "model.safetensors": FileKind.SAFETENSORS,
}
WHOLE = {name for name, kind in FORMS.items() if FORMATS[kind].is_whole}


def architecture(name: str, saved: Saved) -> dict[str, Path]:
    return {} if name in WHOLE else {"architecture": saved["model.keras"]}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_found_and_holds_the_values_of_the_model(name: str, saved: Saved) -> None:
    archive = open_archive(saved[name], **architecture(name, saved))
    assert archive.kind is FORMS[name]
    assert {tensor.path for tensor in archive.spec.tensors} == set(saved.weights)
    assert archive.spec.structure_digest == open_archive(saved["model.keras"]).spec.structure_digest
    with TensorReader(archive) as reader:
        for path, value in saved.weights.items():
            assert np.array_equal(reader.read(path, 0, value.size), value.reshape(-1)), path


@pytest.mark.parametrize("name", sorted(set(FORMS) - WHOLE))
def test_weights_alone_are_known_by_their_names_without_an_architecture(name: str, saved: Saved) -> None:
    spec = open_archive(saved[name]).spec
    assert spec.is_partial
    ours = {path.removeprefix("small/"): tensor for path, tensor in spec.tensor_by_path.items()}
    assert {path: tensor.shape for path, tensor in ours.items()} == {
        path: value.shape for path, value in saved.weights.items()
    }
    groups = {path: tensor.group.value for path, tensor in ours.items()}
    assert groups["first/kernel"] == "kernels"
    assert groups["norm/gamma"] == "norms"
    assert groups["norm/moving_mean"] == "statistics"


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name, own in FORMS.items() for kind in FORMATS[own].becomes if kind is not FileKind.LEGACY_H5],
)
def test_noise_comes_to_the_same_values_in_whatever_form(
    name: str, kind: FileKind, saved: Saved, tmp_path: Path
) -> None:
    apply(saved["model.keras"], expected := tmp_path / "expected.keras")
    output = tmp_path / f"mutant{FORMATS[kind].suffixes[0]}"
    before = {path: path.read_bytes() for path in saved.folder.rglob("*") if path.is_file()}
    apply(saved[name], output, **architecture(name, saved))
    assert same(values_in(output), values_in(expected))
    assert open_archive(output, **({} if kind is FileKind.KERAS else {"architecture": expected})).kind is kind
    assert {path: path.read_bytes() for path in saved.folder.rglob("*") if path.is_file()} == before
    beside = [] if kind is FileKind.KERAS else [f"{output.name}.provenance.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["expected.keras", output.name, *beside])


@pytest.mark.parametrize("name", ["parts.weights.json", "unpacked", "checkpoint", "model.safetensors"])
def test_keras_loads_what_a_form_became(name: str, saved: Saved, tmp_path: Path) -> None:
    import keras

    is_whole = name in WHOLE
    output = tmp_path / ("mutant.keras" if is_whole else "mutant.weights.h5")
    apply(saved[name], output, **architecture(name, saved))
    model = keras.saving.load_model(output if is_whole else saved["model.keras"])
    if not is_whole:
        model.load_weights(output)
    loaded = {values.tobytes() for values in model.get_weights()}
    assert {values.tobytes() for values in values_in(output).values()} <= loaded
    assert saved.weights["first/kernel"].tobytes() not in loaded


def test_diff_finds_no_difference_between_the_forms_of_one_model(saved: Saved) -> None:
    for name in sorted(WHOLE):
        assert mutspec.diff(saved["model.keras"], saved[name]).identical, name
    assert mutspec.diff(saved["parts.weights.json"], saved["model.weights.h5"]).identical


def test_an_unpacked_model_is_restructured_as_its_zip_is(saved: Saved, tmp_path: Path) -> None:
    for name in ("model.keras", "unpacked"):
        apply(saved[name], tmp_path / f"{name}.keras", RENAME)
    assert mutspec.diff(tmp_path / "model.keras.keras", tmp_path / "unpacked.keras").identical


@pytest.mark.parametrize("name", sorted(set(FORMS) - WHOLE))
def test_weights_and_their_architecture_are_restructured_as_the_whole_model_is(
    name: str, saved: Saved, tmp_path: Path
) -> None:
    for model in (name, "model.keras"):
        apply(saved[model], tmp_path / f"{model}.keras", RENAME, **architecture(model, saved))
    assert mutspec.diff(tmp_path / "model.keras.keras", tmp_path / f"{name}.keras").identical


@pytest.mark.parametrize(
    ("plan", "output"), [(RENAME, "out.keras"), (RENAME, "out.weights.h5"), (NOISE, "out.keras"), (NOISE, "out.h5")]
)
def test_weights_without_an_architecture_become_no_whole_model(
    plan: dict[str, Any], output: str, saved: Saved, tmp_path: Path
) -> None:
    with pytest.raises(CallError, match="holds weights only") as caught:
        apply(saved["model.weights.h5"], tmp_path / output, plan)
    assert "--architecture FILE" in caught.value.problems[0].hint
    assert not list(tmp_path.iterdir())


def test_assets_of_an_unpacked_model_come_along(saved: Saved, tmp_path: Path) -> None:
    copytree(saved["unpacked"], tmp_path / "in")
    (tmp_path / "in/assets/words").mkdir(parents=True)
    (tmp_path / "in/assets/words/vocabulary.txt").write_text("a\nb\n")
    apply(tmp_path / "in", tmp_path / "out.keras")
    with zipfile.ZipFile(tmp_path / "out.keras") as archive:
        assert archive.read("assets/words/vocabulary.txt") == b"a\nb\n"
        assert archive.testzip() is None


def test_sharded_weights_are_not_written_and_the_refusal_says_what_is(saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(CallError, match="reads and does not write") as caught:
        apply(saved["parts.weights.json"], tmp_path / "out.weights.json")
    assert ".weights.h5" in caught.value.problems[0].hint


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoint"])
def test_names_alone_do_not_tell_where_keras_keeps_a_weight(name: str, saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(CallError, match="does not tell where Keras keeps"):
        apply(saved[name], tmp_path / "out.weights.h5")
    assert not list(tmp_path.iterdir())


def test_a_file_that_a_model_consists_of_is_never_the_output(saved: Saved, tmp_path: Path) -> None:
    for path in saved.folder.glob("parts*"):
        copy(path, tmp_path)
    copytree(saved["unpacked"], tmp_path / "unpacked")
    os.link(tmp_path / "unpacked/model.weights.h5", tmp_path / "out.keras")
    for model, output in (
        ("parts.weights.json", "parts_00000.weights.h5"),
        ("unpacked", "out.keras"),
    ):
        before = (tmp_path / output).read_bytes()
        with pytest.raises(CallError, match="same file as the input"):
            apply(tmp_path / model, tmp_path / output, force=True)
        assert (tmp_path / output).read_bytes() == before


@pytest.mark.parametrize("part", ["parts_00001.weights.h5", "unpacked/config.json", "checkpoint.data-00000-of-00001"])
def test_a_part_that_changes_while_it_is_read_is_an_error(part: str, saved: Saved, tmp_path: Path) -> None:
    copytree(saved.folder, tmp_path / "in")
    name = {"p": "parts.weights.json", "u": "unpacked", "c": "checkpoint"}[part[0]]
    archive = open_archive(tmp_path / "in" / name, **architecture(name, saved))
    os.utime(tmp_path / "in" / part, ns=(1, 1))
    with pytest.raises(ModelError, match="was changed while it was read"):
        archive.check_unchanged()


def test_a_checkpoint_of_cells_and_of_models_in_models_is_explained_by_its_architecture(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf

    layers = keras.layers
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="a"), layers.Dense(4, name="b")], name="inner")
    x = keras.Input((5, 2))
    h = layers.Bidirectional(layers.GRU(2, name="gru"), name="both")(layers.LSTM(3, return_sequences=True)(x))
    model = keras.Model(x, inner(h))
    model.save(tmp_path / "model.keras")
    tf.train.Checkpoint(model=model).write(str(tmp_path / "checkpoint"))
    whole = open_archive(tmp_path / "model.keras")
    archive = open_archive(tmp_path / "checkpoint", architecture=tmp_path / "model.keras")
    assert archive.spec.structure_digest == whole.spec.structure_digest
    with TensorReader(archive) as ours, TensorReader(whole) as theirs:
        for tensor in whole.spec.tensors:
            values = (reader.read(tensor.path, 0, tensor.size) for reader in (ours, theirs))
            assert np.array_equal(*values), tensor.path
