"""Content decides what a file is; names only say what an output is to be. Legacy weights keep their kind of name."""

from __future__ import annotations

import warnings
from pathlib import Path
from shutil import copy, copytree
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.access.read import TensorReader
from mutspec.errors import CallError, ModelError
from mutspec.model.files.formats import FileKind
from mutspec.model.files.opening import open_archive
from tests.formats.conftest import RENAME, Saved, apply, same, values_in

LEGACY = Path(__file__).parents[1] / "data" / "generations" / "keras-2.12" / "dense.legacy.h5"


@pytest.fixture
def misnamed(saved: Saved, tmp_path: Path) -> Path:
    """A folder with HDF5 called `hdf5.keras`, as Keras 2 wrote it, and a zip called `zip.h5`."""
    copy(saved["model.h5"], tmp_path / "hdf5.keras")
    copy(saved["model.keras"], tmp_path / "zip.h5")
    return tmp_path


@pytest.mark.parametrize("name", ["hdf5.keras", "zip.h5"])
def test_a_copy_under_the_same_kind_of_name_is_what_the_file_is_and_the_report_says_so(
    name: str, misnamed: Path
) -> None:
    output = misnamed / f"out{Path(name).suffix}"
    report = apply(misnamed / name, output)
    assert open_archive(output).kind is open_archive(misnamed / name).kind
    texts = [warning.message for warning in report.warnings]
    assert any("by its content, whatever its name says" in text for text in texts)
    assert any(str(output) in text and "as the model's file is" in text for text in texts)


@pytest.mark.parametrize("name", ["hdf5.keras", "zip.h5"])
def test_its_own_name_gives_it_back_without_a_word(name: str, misnamed: Path) -> None:
    output = misnamed / ("out.h5" if name == "hdf5.keras" else "out.keras")
    report = apply(misnamed / name, output)
    assert open_archive(output).kind is open_archive(misnamed / name).kind
    assert not any(str(output) in warning.message for warning in report.warnings)
    assert same(values_in(output), values_in(_expected(misnamed)))


def _expected(folder: Path) -> Path:
    apply(folder / "zip.h5", folder / "expected.keras")
    return folder / "expected.keras"


@pytest.mark.parametrize("name", ["hdf5.keras", "zip.h5"])
def test_a_structural_plan_loads_it_for_what_it_is_and_writes_what_the_name_asks(name: str, misnamed: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        apply(misnamed / name, misnamed / "out.keras", RENAME)
    archive = open_archive(misnamed / "out.keras")
    assert archive.kind is FileKind.KERAS
    assert "head" in archive.spec.layer_by_path


def test_legacy_weights_keep_their_kind_of_name_and_keras_loads_them(tmp_path: Path) -> None:
    import keras

    whole = LEGACY.with_name("dense.h5")
    output = tmp_path / "mutant.h5"
    apply(LEGACY, output, architecture=whole)
    assert open_archive(output, architecture=whole).kind is FileKind.LEGACY_WEIGHTS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: Any = keras.saving.load_model(whole, compile=False)
        model.load_weights(output)
    assert same({str(index): value for index, value in enumerate(model.get_weights())}, values_in(output))
    assert not np.array_equal(values_in(output)["fc1/fc1/kernel:0"], values_in(LEGACY)["fc1/fc1/kernel:0"])


def test_legacy_weights_are_not_given_a_name_under_which_no_keras_loads_them(tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"does not load under a name that ends in \.weights\.h5") as caught:
        apply(LEGACY, tmp_path / "out.weights.h5", architecture=LEGACY.with_name("dense.h5"))
    assert caught.value.problems[0].hint == "name the output ….h5"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("generation", ["keras-2.12", "keras-2.13", "keras-2.15"])
def test_a_weights_file_is_written_as_keras_3_loads_it(generation: str, tmp_path: Path) -> None:
    import keras

    saved, whole = (LEGACY.parents[1] / generation / name for name in ("dense.weights.h5", "dense.keras"))
    output = tmp_path / "mutant.weights.h5"
    apply(saved, output, architecture=whole)
    layers = keras.layers
    model: Any = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="fc1"), layers.Dense(2, name="out")])
    model.load_weights(output)
    after = {f"{layer.name}/{each.name}": np.asarray(each.value) for layer in model.layers for each in layer.weights}
    with TensorReader(open_archive(saved, architecture=whole)) as reader:
        before = {path: reader.read(path, 0, value.size).reshape(value.shape) for path, value in after.items()}
    changed = {path for path, value in after.items() if not np.array_equal(before[path], value)}
    assert changed == {"fc1/kernel", "out/kernel"}
    assert same(after, values_in(output))


REFUSED = {
    "m.tflite": (b"\x1c\0\0\0TFL3" + bytes(60), "TensorFlow Lite", "convert the mutant"),
    "m.onnx": (b"\x08\x08\x12\x07pytorch" + bytes(60), "ONNX", "export the mutant"),
    "anything": (b"\x08\x08\x12\x07pytorch" + bytes(60), "ONNX", "export the mutant"),
    "m.pb": (b"\x0a\x10\x0a\x01x" + bytes(60), "frozen TensorFlow graph", "SavedModel"),
    "saved_model.pb": (b"\x08\x01\x12" + bytes(60), "graph of a SavedModel", "folder"),
    "c.data-00000-of-00001": (bytes(60), "values of a TensorFlow checkpoint", ".index"),
    "m.gguf": (b"GGUF" + bytes(60), "GGUF", ".keras"),
    "m.npy": (b"\x93NUMPY" + bytes(60), "NumPy", ".keras"),
    "m.pkl": (b"\x80\x04" + bytes(60), "pickle", ".keras"),
    "config.json": (b'{"class_name": "Sequential", "config": {}}', "configuration of a model", "--architecture"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_refused_by_its_name_with_the_way_on(name: str, tmp_path: Path) -> None:
    content, title, hint = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=title) as caught:
        open_archive(tmp_path / name)
    assert hint in caught.value.problems[0].hint


@pytest.mark.parametrize(("member", "title"), [("archive/data.pkl", "PyTorch"), ("kernel.npy", "NumPy")])
def test_zips_of_others_are_refused_by_their_names(member: str, title: str, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr(member, b"\x80\x02")
    with pytest.raises(ModelError, match=title):
        open_archive(tmp_path / "model.keras")


def test_a_folder_that_is_not_a_model_names_the_checkpoints_in_it(saved: Saved, tmp_path: Path) -> None:
    copytree(saved.folder, tmp_path / "folder")
    with pytest.raises(ModelError, match="is a folder") as caught:
        open_archive(tmp_path / "folder")
    assert "checkpoint.index" in caught.value.problems[0].hint


def test_weights_alone_cannot_be_loaded_as_a_model(saved: Saved, tmp_path: Path) -> None:
    for name in ("parts.weights.json", "model.safetensors", "model.weights.h5"):
        with pytest.raises(ModelError, match="holds weights and no architecture"):
            mutspec.apply(mutspec.plan(RENAME), saved[name])


def test_a_saved_model_of_keras_2_tells_of_layers_in_layers_what_each_weight_is(tmp_path: Path) -> None:
    archive = open_archive(LEGACY.parents[1] / "keras-2.15" / "nested")
    roles = ["kernel", "bias", *["kernel", "recurrent_kernel", "bias"] * 2, *["kernel", "bias"] * 2]
    layers = ["all/each"] * 2 + ["both/forward_gru"] * 3 + ["both/backward_gru"] * 3 + ["inner/a"] * 2 + ["inner/b"] * 2
    assert [tensor.path for tensor in archive.spec.tensors] == [
        f"{layer}/{role}" for layer, role in zip(layers, roles, strict=True)
    ]
    with TensorReader(archive) as reader:  # weight number n holds n alone
        for number, tensor in enumerate(archive.spec.tensors):
            assert set(reader.read(tensor.path, 0, tensor.size)) == {number}, tensor.path
    apply(archive.path, tmp_path / "out.weights.h5")
    biases = {value.tobytes() for path, value in values_in(tmp_path / "out.weights.h5").items() if value.ndim == 1}
    assert biases == {np.full(size, number, np.float32).tobytes() for number, size in ((1, 3), (9, 3), (11, 2))}


def test_a_saved_model_of_keras_2_need_not_call_weights_as_its_configuration_does() -> None:
    archive = open_archive(LEGACY.parents[1] / "keras-2.15" / "renamed")
    recurrent = ("kernel", "recurrent_kernel", "bias")
    paths = ["inner/depth/kernel", "inner/depth/bias"]
    paths += [f"both/{layer}/{role}" for layer in ("forward_gru", "back") for role in recurrent]
    assert [tensor.path for tensor in archive.spec.tensors] == paths  # and not the states of random generators
    with TensorReader(archive) as reader:  # weight number n holds n alone
        for number, path in enumerate(paths):
            assert set(reader.read(path, 0, archive.spec.tensor_by_path[path].size)) == {number}, path
