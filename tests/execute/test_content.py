"""Digests of what models and data hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from mutspec.access.digests import arrays_digest, data_digest, weights_digest
from mutspec.experiment.data.loading import checked
from mutspec.experiment.job_inputs import model_content
from mutspec.model.files.opening import open_archive
from mutspec.model.live import read_live

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")


@pytest.fixture(scope="module")
def model() -> Any:
    keras.utils.set_random_seed(3)
    layers = keras.layers
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(4, dtype="bfloat16"), layers.BatchNormalization()])
    made = keras.Sequential([keras.Input((6,)), inner, layers.Dropout(0.5), layers.Dense(3, name="last")])
    made.compile("adam", "mse")
    return made


@pytest.fixture(scope="module")
def trained(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's file."""
    path = tmp_path_factory.mktemp("models") / "model.keras"
    model.save(path)
    return path


def of_file(path: Path) -> str:
    return weights_digest(open_archive(path))


def again(model: Any, path: Path) -> Path:
    model.save(path)
    return path


def compressed(model: Any, path: Path) -> Path:
    """Weights in deflated chunks, which lie elsewhere and otherwise in the file."""
    model.save_weights(path)
    packed = path.with_name("packed.weights.h5")
    with h5py.File(path) as old, h5py.File(packed, "w") as new:

        def copy(name: str, each: Any) -> None:
            if isinstance(each, h5py.Dataset) and each.shape:
                new.create_dataset(name, data=each[()], dtype=each.dtype, chunks=True, compression="gzip")
                new[name].attrs.update(each.attrs)
            elif isinstance(each, h5py.Dataset):
                old.copy(name, new, name)
            else:
                new.require_group(name).attrs.update(each.attrs)

        old.visititems(copy)
    return packed


SAVED: dict[str, Callable[[Any, Path], Path]] = {
    "later": lambda model, room: again(model, room / "again.keras"),
    "in the older format": lambda model, room: again(model, room / "again.h5"),
    "compressed": lambda model, room: compressed(model, room / "again.weights.h5"),
}


def test_a_file_and_the_live_model_in_it_have_one_digest(model: Any, trained: Path) -> None:
    assert of_file(trained) == weights_digest(read_live(model))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("how", SAVED)
def test_a_model_that_is_saved_again_has_the_same_digest(how: str, model: Any, trained: Path, tmp_path: Path) -> None:
    path = SAVED[how](model, tmp_path)
    if how != "compressed":
        assert of_file(path) == of_file(trained)
    else:  # alone such a file does not say what its layers are called
        plain = tmp_path / "plain.weights.h5"
        model.save_weights(plain)
        assert of_file(path) == of_file(plain)


def test_any_bit_of_any_weight_makes_another_digest(model: Any, trained: Path) -> None:
    digests = {of_file(trained)}
    for variable in model.weights:
        value = np.array(variable.numpy())
        if value.dtype.kind != "f":  # a seed, which no file keeps, or a bfloat16
            continue
        changed = value.copy()
        changed.reshape(-1).view(np.uint32)[-1] ^= 1
        variable.assign(changed)
        digests.add(weights_digest(read_live(model)))
        variable.assign(value)
    assert len(digests) == 1 + sum(np.array(each.numpy()).dtype.kind == "f" for each in model.weights)
    assert weights_digest(read_live(model)) in digests


def test_the_same_values_at_other_places_or_of_another_shape_are_other_weights() -> None:
    def one(name: str, shape: tuple[int, int]) -> Any:
        made = keras.Sequential([keras.Input((shape[0],)), keras.layers.Dense(shape[1], use_bias=False, name=name)])
        made.layers[0].kernel.assign(np.arange(12, dtype=np.float32).reshape(shape))
        return read_live(made)

    made = [one("a", (3, 4)), one("b", (3, 4)), one("a", (4, 3))]
    assert len({weights_digest(each) for each in made}) == 3
    assert weights_digest(one("a", (3, 4))) == weights_digest(made[0])


def test_a_file_is_read_again_when_it_is_another_one_of_the_same_size_and_time(trained: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "m.keras", tmp_path / "other.keras"
    shutil.copy2(trained, path)
    before = model_content(str(path))
    assert model_content(str(path)) is before
    content = bytearray(path.read_bytes())
    (extent,) = (each for name, each in open_archive(path).extents.items() if name.endswith("last/kernel"))
    assert extent.offset is not None
    content[extent.offset] ^= 1
    other.write_bytes(content)
    shutil.copystat(path, other)
    other.replace(path)
    assert model_content(str(path)).weights != before.weights


GENERATIONS = Path(__file__).parents[1] / "data" / "generations" / "keras-3.15"


@pytest.mark.parametrize("named", ["dense.weights.json", "checkpoint.index", "unpacked"])
def test_a_model_in_several_files_is_read_again_when_one_that_the_call_does_not_name_is_another(
    named: str, tmp_path: Path
) -> None:
    for each in GENERATIONS.iterdir():
        (shutil.copytree if each.is_dir() else shutil.copy)(each, tmp_path / each.name)
    path = tmp_path / named
    archive = open_archive(path)
    before = model_content(str(path)).weights
    extent = next(each for tensor, each in archive.extents.items() if tensor.endswith("out/kernel"))
    file = archive.files[extent.part].path
    assert file != path
    assert extent.offset is not None
    content = bytearray(file.read_bytes())
    content[extent.offset] ^= 1
    file.write_bytes(content)
    assert model_content(str(path)).weights not in ("", before)


def test_arrays_are_told_apart_by_values_shapes_dtypes_and_names() -> None:
    values = np.arange(6, dtype=np.float32)
    several = [
        {"x": values},
        {"y": values},
        {"x": values.reshape(2, 3)},
        {"x": values.astype(np.float64)},
        {"x": values.view(np.uint32)},
        {"x": values + np.float32(1)},
        {"x": values[:5]},
        {"x": values, "y": values},
        {"x": np.array(["a", "b"])},
    ]
    assert len({arrays_digest(each.items()) for each in several}) == len(several)


def test_how_arrays_lie_in_memory_makes_no_difference() -> None:
    values = np.random.default_rng(0).normal(size=(700, 2000))  # more than one block
    ways = [values, np.asfortranarray(values), np.repeat(values, 2, axis=1)[:, ::2], values.astype(">f8")]
    assert len({arrays_digest([("x", each)]) for each in ways}) == 1
    named = [("x", values[:2]), ("y", values)]
    assert arrays_digest(named) == arrays_digest(reversed(named))


def test_what_a_model_is_called_on_is_known_by_its_order_in_a_file_a_list_or_alone() -> None:
    one, two = np.arange(6.0), np.arange(5)
    assert data_digest({"b": two, "a": one}) == data_digest({"x": one, "y": two}) == data_digest([one, two])
    assert data_digest({"x": one}) == data_digest(one) == data_digest([one])
    assert len({data_digest(each) for each in (one, two, [one, two], [two, one])}) == 4


def test_data_are_known_by_their_arrays_whatever_they_are_called() -> None:
    x, y = np.ones((4, 2)), np.arange(4)
    one, same, other = checked((x, y), "a", "a"), checked((x.copy(), y), "b", "b"), checked((x, y + 1), "a", "a")
    assert one.digest == same.digest != other.digest
    assert checked((x, None), "a", "a").digest not in (one.digest, checked((y, None), "a", "a").digest)
