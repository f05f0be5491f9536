"""Keras loads what mutspec wrote, and predicts with it as with weights that NumPy computed."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mutspec.execute.files import apply
from mutspec.model.files.opening import open_archive
from tests.execute.model_files import DIGITS, WEIGHTS, rezip
from tests.oracle import expected
from tests.toys import plan_of

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
keras = pytest.importorskip("keras")

STEPS: list[dict[str, Any]] = [
    {"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.3, "relative_to": "std"},
    {"op": "zero", "target": {"weights": "kernels"}, "fraction": 0.05, "per": "all"},
    {"op": "scale", "target": {"weights": ["biases", "norms"]}, "factor": 0.9},
]
GROUPS = (("kernels",), ("kernels",), ("biases", "norms"))


def variables(model: Any) -> dict[str, Any]:
    """The variables of a flat model by layer and attribute name."""
    roles = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
    found = {
        f"{layer.name}/{role}": getattr(layer, role, None) for layer in model.layers for role in roles if layer.weights
    }
    return {path: variable for path, variable in found.items() if variable is not None}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The digits model in every kind of file."""
    folder = tmp_path_factory.mktemp("digits")
    model = keras.saving.load_model(DIGITS)
    paths = {kind: folder / f"digits{kind}" for kind in (".keras", ".h5", ".weights.h5")}
    paths[".keras"].write_bytes(DIGITS.read_bytes())
    model.save(paths[".h5"])
    model.save_weights(paths[".weights.h5"])
    paths["deflated"] = folder / "deflated.keras"
    rezip(DIGITS, paths["deflated"], compression=zipfile.ZIP_DEFLATED)
    return paths


@pytest.mark.parametrize("kind", [".keras", ".h5", ".weights.h5", "deflated"])
def test_keras_predicts_with_the_mutant(kind: str, files: dict[str, Path], tmp_path: Path) -> None:
    base = files[kind]
    output = tmp_path / f"mutant{'.keras' if kind == 'deflated' else kind}"
    apply(plan_of(*STEPS), base, output, architecture=DIGITS if kind == ".weights.h5" else None)
    model = keras.saving.load_model(DIGITS)
    spec = open_archive(DIGITS).spec
    places = variables(model)
    assert places.keys() == {tensor.path for tensor in spec.tensors}
    wanted = {tensor.path: places[tensor.path].numpy() for tensor in spec.tensors}
    for step, groups in zip(STEPS, GROUPS, strict=True):
        wanted = expected(step, wanted, [tensor.path for tensor in spec.tensors if tensor.group in groups])
    if kind == ".weights.h5":
        mutant = keras.saving.load_model(DIGITS)
        mutant.load_weights(output)
    else:
        mutant = keras.saving.load_model(output)
    for path, variable in variables(mutant).items():
        np.testing.assert_array_equal(variable.numpy(), wanted[path])
    for path, variable in places.items():
        variable.assign(wanted[path])
    images = np.random.default_rng(0).uniform(0, 1, (8, *model.input_shape[1:])).astype("float32")
    np.testing.assert_array_equal(mutant.predict(images, verbose=0), model.predict(images, verbose=0))


def test_keras_still_finds_the_damage_that_was_in_the_input(tmp_path: Path) -> None:
    archive = open_archive(DIGITS)
    content = bytearray(DIGITS.read_bytes())
    offset = archive.extents["dense_1/kernel"].offset
    assert offset is not None
    content[offset + 1000] ^= 1
    base, output = tmp_path / "base.keras", tmp_path / "mutant.keras"
    base.write_bytes(content)
    apply(plan_of({"op": "scale", "target": {"type": "Conv2D"}, "factor": 2.0}), base, output, verify=False)
    with pytest.raises((zipfile.BadZipFile, OSError, ValueError), match=r"CRC|checksum|Unable"):
        keras.saving.load_model(output)


def test_every_stored_copy_of_a_tensor_is_written(tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((4, 4, 2)), layers.SpectralNormalization(layers.Conv2D(3, 2, name="inner"), name="outer")]
    )
    for suffix in (".keras", ".weights.h5"):
        base, output = tmp_path / f"base{suffix}", tmp_path / f"mutant{suffix}"
        model.save(base) if suffix == ".keras" else model.save_weights(base)
        architecture = tmp_path / "base.keras" if suffix == ".weights.h5" else None
        archive = open_archive(base, architecture=architecture)
        (path,) = (tensor.path for tensor in archive.spec.tensors if tensor.role == "kernel")
        apply(plan_of({"op": "gaussian_noise", "target": path, "std": 1.0}), base, output, architecture=architecture)
        with open_weights(output, tmp_path) as file:
            first = file[archive.extents[path].dataset][()]
            copies = [file[extent.dataset][()] for extent in archive.copies[path]]
        assert copies
        assert all(copy.tobytes() == first.tobytes() for copy in copies)
        if suffix == ".keras":
            with zipfile.ZipFile(output) as opened:
                assert opened.testzip() is None
            kernel = keras.saving.load_model(output).layers[0].layer.kernel
        else:
            model.load_weights(output)
            kernel = model.layers[0].layer.kernel
        np.testing.assert_array_equal(kernel.numpy(), first)


def open_weights(path: Path, folder: Path) -> h5py.File:
    if path.suffix != ".keras":
        return h5py.File(path)
    with zipfile.ZipFile(path) as archive:
        (folder / "inner.h5").write_bytes(archive.read(WEIGHTS))
    return h5py.File(folder / "inner.h5")


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "float64"])
def test_weights_of_other_precisions_are_loaded(policy: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(4, dtype=policy, name="dense")])
    base, output = tmp_path / "base.keras", tmp_path / "mutant.keras"
    model.save(base)
    step = {"op": "gaussian_noise", "target": {"weights": "kernels"}, "std": 0.5, "relative_to": "max_abs"}
    apply(plan_of(step), base, output)
    before = np.asarray(model.layers[0].kernel.value)
    wanted = expected(step, {"dense/kernel": before}, ["dense/kernel"])["dense/kernel"]
    after = np.asarray(keras.saving.load_model(output).layers[0].kernel.value)
    assert after.dtype == before.dtype == policy
    assert after.tobytes() == wanted.tobytes()
