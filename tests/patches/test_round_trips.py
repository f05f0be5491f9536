"""A patch leads from either model to the other, to the bit: files of every format, architectures, dtypes."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mutspec
from mutspec.access.read import TensorReader
from mutspec.model.files.opening import open_archive
from mutspec.patches.payload import as_entries, as_words
from tests.execute.model_files import CNN, DIGITS, OLD, ROOT, make_file
from tests.patches.making import SOME_WEIGHTS, Step, assert_leads_both_ways, digest_of, mutant_of, patch_of
from tests.without_keras import BLOCKER

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

KINDS = ("keras, big-endian", "h5", "h5 of Keras 2", "weights", "keras, deflated, gzipped datasets")


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_files_of_every_format_and_storage(kind: str, tmp_path: Path) -> None:
    before = make_file(kind, tmp_path)
    architecture = CNN if kind == "weights" else None
    made = assert_leads_both_ways(
        before, mutant_of(before, *SOME_WEIGHTS, architecture=architecture), architecture=architecture
    )
    assert (made.weights, made.is_structural) == (3, False)


INSERT: Step = {"op": "insert_layer", "after": "conv_1", "layer": {"type": "BatchNormalization"}, "id": "new"}
OF_STRUCTURE: tuple[tuple[Step, ...], ...] = (
    (INSERT, *SOME_WEIGHTS),
    ({"op": "remove_neurons", "target": "dense_1", "indices": [0]},),
    ({"op": "set_dtype_policy", "policy": "bfloat16"},),
)


@pytest.mark.parametrize("steps", OF_STRUCTURE)
def test_other_architectures(steps: tuple[Step, ...], tmp_path: Path) -> None:
    before = Path(shutil.copy(DIGITS, tmp_path / "base.keras"))
    assert assert_leads_both_ways(before, mutant_of(before, *steps)).is_structural


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (CNN, OLD / "keras_3.6.0" / "residual.h5"),
        (ROOT / "tests" / "fuzz" / "corpus" / "models" / "tiny.weights.h5", OLD / "keras_2.0.9" / "cnn.h5"),
    ],
    ids=["whole models", "weights alone and a model of Keras 2"],
)
def test_any_two_models_of_different_formats(one: Path, other: Path, tmp_path: Path) -> None:
    before, after = (Path(shutil.copy(path, tmp_path / path.name)) for path in (one, other))
    assert assert_leads_both_ways(before, after).is_structural


def test_a_model_that_was_moved_and_saved_in_another_format_is_the_same_model(tmp_path: Path) -> None:
    before = Path(shutil.copy(CNN, tmp_path / "base.keras"))
    after = mutant_of(before, *SOME_WEIGHTS)
    patch, _ = patch_of(before, after)
    report = mutspec.patch(OLD / "keras_3.6.0" / "cnn.h5", patch, tmp_path / "patched.h5")
    assert report.after == digest_of(after) == digest_of(tmp_path / "patched.h5")
    again = mutspec.patch(tmp_path / "patched.h5", patch, tmp_path / "again.keras", reverse=True)
    assert again.after == digest_of(before) == digest_of(tmp_path / "again.keras")


DTYPES = ("bool", "int8", "uint16", "float16", "bfloat16", "float8_e4m3fn", "float32", "int64", "float64", "complex64")
_CODES = dict(zip(DTYPES, ("BOOL", "I8", "U16", "F16", "BF16", "F8_E4M3", "F32", "I64", "F64", "C64"), strict=True))


@pytest.mark.parametrize("dtype", [*DTYPES, "int4", "complex128"])
def test_words_are_the_bits_of_entries_of_each_dtype(dtype: str) -> None:
    values = np.arange(24, dtype=np.uint8).view(np.uint8)
    entries = np.resize(values, 48).view(np.dtype(getattr(ml_dtypes, dtype, dtype)))
    again = as_entries(as_words(entries, dtype), dtype)
    assert again.dtype == entries.dtype
    assert again.tobytes() == entries.tobytes()


@st.composite
def two_models(draw: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Weights by path. Of each, the other model has the same, other bits in some entries, another form, or nothing."""
    before: dict[str, np.ndarray] = {}
    after: dict[str, np.ndarray] = {}
    seed = np.random.default_rng(draw(st.integers(0, 1000)))
    for number in range(draw(st.integers(1, 5))):
        path, dtype = f"d{number}/kernel", np.dtype(getattr(ml_dtypes, name := draw(st.sampled_from(DTYPES)), name))
        shape = tuple(draw(st.lists(st.integers(0, 6), max_size=3)))
        size = int(np.prod(shape)) * dtype.itemsize
        values = seed.integers(0, 2 if name == "bool" else 256, size, dtype=np.uint8)
        how = draw(st.sampled_from(["same", "few", "all", "reshaped", "removed", "added", "moved"]))
        other = values.copy()
        if how == "few" and size:
            other[seed.integers(size)] ^= 1
        elif how == "all":
            other ^= 1
        if how != "added":
            before[path] = values.view(dtype).reshape(shape)
        if how != "removed":
            name = f"m{number}/kernel" if how == "moved" else path
            after[name] = other.view(dtype).reshape((*shape, 1) if how == "reshaped" else shape)
    return before or {"x/bias": np.ones(1)}, after or {"x/bias": np.ones(2)}


def write_weights(path: Path, weights: dict[str, np.ndarray]) -> Path:
    """A safetensors file, written by hand."""
    header, end = {}, 0
    for name, values in weights.items():
        code = _CODES[values.dtype.name]
        header[name] = {"dtype": code, "shape": values.shape, "data_offsets": [end, end + values.nbytes]}
        end += values.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(each.tobytes() for each in weights.values()))
    return path


@settings(max_examples=15)
@given(two_models())
def test_weights_that_change_appear_vanish_move_and_take_other_forms(
    tmp_path_factory: pytest.TempPathFactory, models: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
) -> None:
    folder = tmp_path_factory.mktemp("models")
    before, after = (write_weights(folder / f"{number}.safetensors", each) for number, each in enumerate(models))
    if digest_of(before) != digest_of(after):
        assert_leads_both_ways(before, after)
    shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["nested_custom", "quantized_int8", "preprocessing"])
def test_models_with_classes_that_only_keras_knows(name: str, tmp_path: Path) -> None:
    import keras

    from tests.zoo.play import shared

    before = tmp_path / "base.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shared(name).save(before)
    after = mutant_of(
        before, {"op": "shuffle", "target": "*"}, {**INSERT, "after": {"type": "Dense", "pick": {"last": 1}}}
    )
    assert assert_leads_both_ways(before, after).is_structural
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = keras.saving.load_model(tmp_path / "forwards.keras", safe_mode=False)
    assert loaded.get_layer("new").weights


def state_of(file: Path) -> dict[str, bytes]:
    """The variables of the optimizer in a file."""
    archive = open_archive(file)
    with TensorReader(archive) as reader:
        return {
            path: reader.read_extent(extent, 0, int(np.prod(extent.shape))).tobytes()
            for path, extent in archive.stored.items()
            if path.startswith("optimizer/")
        }


FEW: Step = {"op": "gaussian_noise", "target": "conv2d/kernel", "std": 0.1, "count": 2}


def trained_by_adam(path: Path) -> Path:
    """A model with a state of Adam. The file that Keras 3.6 wrote has the state, and does not name the optimizer."""
    with zipfile.ZipFile(CNN) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                settings = {"name": "adam", "learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "amsgrad": False}
                adam = {"module": "keras.optimizers", "class_name": "Adam", "config": settings, "registered_name": None}
                config["compile_config"]["optimizer"] = adam
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return path


def test_the_state_of_the_optimizer_goes_with_the_weights_that_stay(tmp_path: Path) -> None:
    before = trained_by_adam(tmp_path / "base.keras")
    after = mutant_of(before, {"op": "rename_layer", "target": "dense", "to": "renamed"}, FEW)
    patch, _ = patch_of(before, after)
    report = mutspec.patch(before, patch, tmp_path / "patched.keras")
    assert report.warnings == ()
    assert state_of(tmp_path / "patched.keras") == state_of(after) != {}


def test_a_patched_model_with_another_optimizer_begins_without_its_state(tmp_path: Path) -> None:
    before, after = Path(shutil.copy(DIGITS, tmp_path / "base.keras")), CNN
    patch, _ = patch_of(before, after)
    report = mutspec.patch(before, patch, tmp_path / "patched.keras")
    assert report.warnings == ("the output has no state of the optimizer. compile it again before you train it",)
    assert state_of(tmp_path / "patched.keras") == {}


def test_patches_need_no_keras(tmp_path: Path) -> None:
    code = (
        f"{BLOCKER}\nimport mutspec\n"
        "plan = mutspec.plan({'steps': [{'op': 'rename_layer', 'target': 'logits', 'to': 'n'}]})\n"
        "mutspec.apply(plan, 'base.keras', 'other.keras')\n"
        "mutspec.diff('base.keras', 'other.keras', patch='p.safetensors')\n"
        "print(mutspec.patch('base.keras', 'p.safetensors', 'out.h5').structure)\n"
    )
    shutil.copy(DIGITS, tmp_path / "base.keras")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")
