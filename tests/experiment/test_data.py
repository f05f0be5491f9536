"""Data: what a function returns, what a file holds, and what is wrong with them."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import get_method
from sklearn.datasets import load_digits

from mutspec.errors import CallError
from mutspec.experiment import data as sources
from mutspec.experiment.data import digits, npz
from mutspec.experiment.data.arrays import leaves, rows
from mutspec.experiment.data.loading import checked, load_data, located
from mutspec.model.limits import limits

X, Y = np.zeros((4, 8, 8, 1), np.float32), np.arange(4)

FUNCTIONS = """
import numpy as np

def make(n=3, *, labelled=True):
    return np.full((n, 2), n, "float32"), np.arange(n) if labelled else None

def takes_anything(**given):
    return np.zeros((len(given), 1)), None

def raises():
    raise RuntimeError("no network\\nand more")

number = 3
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with functions of the user's own."""
    (tmp_path / "own_data.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_digits_are_the_images_of_scikit_learn_that_are_held_out() -> None:
    images, labels = digits()
    everything, answers = load_digits(return_X_y=True)
    known = {image.tobytes(): answer for image, answer in zip(everything.astype(np.float32) / 16, answers, strict=True)}
    assert [known[image.tobytes()] for image in images.reshape(len(images), -1)] == labels.tolist()
    assert np.bincount(labels).tolist() == [-(-count // 5) for count in np.bincount(answers)]


def test_a_file_gives_its_x_and_y(room: Path) -> None:
    np.savez("data.npz", x=X, y=Y)
    data = load_data({"_target_": "mutspec.experiment.data.npz", "path": "data.npz", "limit": 3})
    assert (data.name, data.samples) == ("data.npz", 3)
    np.testing.assert_array_equal(data.y, Y[:3])


def test_a_configuration_may_name_a_source_by_the_module_that_it_was_in(room: Path) -> None:
    Path("data.csv").write_text("width,kind\n1,a\n2,b\n")
    data = load_data({"_target_": "mutspec.experiment.sources.csv", "path": "data.csv", "label": "kind"})
    assert (data.name, data.y.tolist()) == ("data.csv", [0, 1])
    assert located("mutspec.experiment.sources.images", get_method, "data") is sources.images


def test_a_file_without_y_has_no_labels(room: Path) -> None:
    np.savez("data.npz", x=X)
    assert npz("data.npz")[1] is None


def test_any_function_can_give_the_data(room: Path) -> None:
    data = load_data({"_target_": "own_data.make", "n": 5})
    assert (data.name, data.samples, data.x.tolist()) == ("own_data.make", 5, [[5, 5]] * 5)


def test_a_function_that_takes_anything_is_given_anything(room: Path) -> None:
    assert load_data({"_target_": "own_data.takes_anything", "a": 1, "b": 2}).samples == 2


def test_lists_and_mappings_of_arrays_are_data_and_can_be_cut() -> None:
    data = checked(({"a": X, "b": [X[:, 0], X[:, 1]]}, None), "own", "own")
    assert [path for path, _ in leaves(data.x)] == [".a", ".b[0]", ".b[1]"]
    assert [array.shape for _, array in leaves(rows(data.x, 1, 3))] == [(2, 8, 8, 1), (2, 8, 1), (2, 8, 1)]


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "a value of type NoneType, not x and y"),
        ((X, Y, Y), "a tuple of 3, not x and y"),
        ((X, Y[:3]), "different lengths: x has 4, y has 3"),
        (({"a": X, "b": X[:2]}, None), r"different lengths: x\.a has 4, x\.b has 2"),
        ((X[:0], Y[:0]), "`own` has no samples"),
        (([], None), "`own` has no samples"),
        ((None, Y), "returns no x"),
        ((3, Y), "x that is a single value of type int"),
        (([[1, 2], [3]], Y), "x that is not an array"),
        ((np.array([object()] * 4), Y), "x that is an array of Python objects"),
    ],
)
def test_what_is_not_data_is_refused(returned: Any, message: str) -> None:
    with pytest.raises(CallError, match=message):
        checked(returned, "own", "own.make")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"_target_": "own_data.mak"}, r"`own_data` has no `mak`.* `own_data\.make`"),
        ({"_target_": "own_dat.make"}, "there is no module `own_dat`"),
        ({"_target_": "own_data.number"}, "is a value of type int, and cannot be called"),
        ({"_target_": "make"}, "`make` is not a dotted name"),
        ({"_target_": "own_data.make", "m": 1}, r"`own_data\.make` takes no `m`"),
        ({"_target_": "own_data.make", "labeled": True}, r"did you mean `data\.labelled`"),
        ({"_target_": "own_data.raises"}, r"`own_data\.raises` fails: RuntimeError: no network\.$"),
        ({"_target_": "mutspec.experiment.data.npz"}, r"`data\.path` is not given"),
    ],
)
def test_a_function_that_cannot_be_called_is_refused(room: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CallError, match=f"(?i){message}"):
        load_data(settings)


def test_a_module_that_fails_is_told_apart_from_one_that_is_missing(room: Path) -> None:
    (room / "breaks_on_import.py").write_text("import no_such_package\n")
    with pytest.raises(CallError, match=r"importing `breaks_on_import` fails: ModuleNotFoundError.*no_such_package"):
        load_data({"_target_": "breaks_on_import.make"})


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("data.npz", {"image": X, "label": Y}, "no array `x`; it has `image`, `label`"),
        ("data.npz", {"x": np.float32(3)}, "`x` is a single value"),
        ("data.npz", {"x": X, "y": np.array([{}] * 4)}, "cannot be read"),
        ("data.npy", X, "the file holds one array"),
        ("junk.npz", b"hello", "the file is not a NumPy archive"),
        ("empty.npz", b"", "the file is not a NumPy archive"),
        ("cut.npz", b"PK\x03\x04rest", "the file is not a NumPy archive"),
    ],
)
def test_a_file_that_does_not_hold_data_is_refused(room: Path, name: str, arrays: Any, message: str) -> None:
    if isinstance(arrays, dict):
        np.savez(name, **arrays)
    elif isinstance(arrays, bytes):
        Path(name).write_bytes(arrays)
    else:
        np.save(name, arrays)
    with pytest.raises(CallError, match=f"^{name}: {message}|^{name}.*{message}"):
        npz(name)


def test_a_file_that_is_missing_is_named_with_its_neighbours(room: Path) -> None:
    np.savez("test.npz", x=X)
    with pytest.raises(CallError, match=r"tset\.npz: there is no such file\. Did you mean `test\.npz`"):
        npz("tset.npz")


def test_an_array_that_is_far_larger_unpacked_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((1100, 1 << 18), np.uint8))
    with pytest.raises(CallError, match="limit `inflation` is 100"):
        npz(str(path))
    with limits(inflation=2000):
        assert npz(str(path))[0].shape == (1100, 1 << 18)


def test_an_array_that_declares_more_than_it_holds_is_not_allocated(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (10**15,)})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("x.npy", head.getvalue())
    with pytest.raises(CallError, match="declares 4,000,000,000,000,128 bytes and holds 128"):
        npz(str(tmp_path / "x.npz"))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_damaged_bytes_of_every_method_are_told_in_a_sentence(method: int, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", method) as file:
        data = io.BytesIO()
        values = np.random.default_rng(0).normal(size=1000)
        np.save(data, values)
        file.writestr("x.npy", data.getvalue())
    whole = path.read_bytes()
    unnoticed = []
    for at in range(40, 400, 7):
        path.write_bytes(whole[:at] + bytes(byte ^ 0x5A for byte in whole[at : at + 3]) + whole[at + 3 :])
        with suppress(CallError):  # where it is only a version, or a date
            assert np.array_equal(npz(str(path))[0], values)
            unnoticed.append(at)
    assert len(unnoticed) < 10
