"""Data from tables, folders of images and datasets of TensorFlow."""

from __future__ import annotations

import shutil
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from mutspec.errors import CallError
from mutspec.experiment.data import csv, images, npz
from mutspec.experiment.data.loading import checked

TABLE = "a,kind,b\n1,cat,2.5\n3,ant,-4\n5e1,cat,0\n"


def table(folder: Path, text: str) -> str:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_table_is_its_numbers_and_its_classes_in_alphabetical_order(tmp_path: Path) -> None:
    x, y = csv(table(tmp_path, TABLE), "kind")
    assert (x.dtype, x.tolist()) == (np.float32, [[1, 2.5], [3, -4], [50, 0]])
    assert y is not None
    assert (y.dtype, y.tolist()) == (np.int64, [1, 0, 1])


def test_labels_that_are_numbers_stay_what_they_are_and_need_not_be_there(tmp_path: Path) -> None:
    path = table(tmp_path, "\ufeffa,b\n1,2\n3,4.5\n\n")
    for label, dtype, values in (("a", np.int64, [1, 3]), ("b", np.float32, [2, 4.5])):
        y = csv(path, label)[1]
        assert y is not None
        assert (y.dtype, y.tolist()) == (dtype, values)
    assert csv(path)[1] is None
    assert csv(path, limit=1)[0].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("text", "label", "message"),
    [
        (TABLE, None, "`cat` in column `kind`, row 2, is not a number"),
        (TABLE, "knd", "there is no column `knd`"),
        ("a,b\n1\n", None, "row 2 has 1 cells, and the header has 2"),
        ("", "a", "there is no column `a`"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str, label: str | None, message: str) -> None:
    with pytest.raises(CallError, match=message):
        csv(table(tmp_path, text), label)


def test_a_class_has_the_same_number_in_a_part_of_the_table(tmp_path: Path) -> None:
    y = csv(table(tmp_path, TABLE), "kind", limit=1)[1]
    assert y is not None
    assert y.tolist() == [1]


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, "all"])
def test_a_limit_that_is_not_a_number_of_samples_is_refused(tmp_path: Path, limit: Any) -> None:
    for read in (csv, npz, partial(images, size=(8, 8))):
        with pytest.raises(CallError, match=r"`data\.limit` is"):
            read(table(tmp_path, TABLE), limit=limit)


def test_a_table_or_folder_that_is_missing_is_named_with_its_neighbours(tmp_path: Path) -> None:
    table(tmp_path, TABLE)
    for read in (csv, partial(images, size=(8, 8))):
        with pytest.raises(CallError, match=r"there is no such(?s:.*)table.csv"):
            read(str(tmp_path / "tabel.csv"))


def test_a_table_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CallError, match="not CSV in UTF-8"):
        csv(str(tmp_path / "binary.csv"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of images of one colour each."""
    for name, level in (("b", 51), ("a", 204)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(2):
            pixels = np.full((4, 4, 3), level + number, np.uint8)
            (tmp_path / "images" / name / f"{number}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    return tmp_path / "images"


def test_a_folder_gives_its_images_class_by_class(folder: Path) -> None:
    x, y = images(str(folder), [2, 3])
    assert (x.shape, x.dtype) == ((4, 2, 3, 3), np.float32)
    assert x[:, 0, 0, 0].tolist() == [204, 205, 51, 52]
    assert y.tolist() == [0, 0, 1, 1]
    gray, _ = images(str(folder), [2, 2], "grayscale", 1 / 255)
    assert gray[:, 0, 0, 0] == pytest.approx(np.array([204, 205, 51, 52]) / 255)


def test_a_part_of_a_folder_is_drawn_from_all_classes_and_the_same_each_time(folder: Path) -> None:
    for number in range(2, 30):
        for name in ("a", "b"):
            shutil.copy(folder / name / "0.png", folder / name / f"{number}.png")
    (x, y), (again, labels) = (images(str(folder), [2, 2], limit=20) for _ in range(2))
    assert len(x) == 20
    assert set(y.tolist()) == {0, 1}
    assert (np.array_equal(x, again), np.array_equal(y, labels)) == (True, True)
    assert [value > 128 for value in x[:, 0, 0, 0]] == [label == 0 for label in y]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_folder_without_images_is_refused(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "none")
    with pytest.raises(CallError, match=r"no such folder|cannot be read"):
        images(str(tmp_path / "none"), [2, 2])


def test_a_dataset_of_batches_is_its_samples() -> None:
    x, y = np.arange(10, dtype=np.float32).reshape(5, 2), np.arange(5)
    data = checked(tf.data.Dataset.from_tensor_slices((x, y)).batch(2), "own", "own")
    assert (data.samples, data.x.tolist(), data.y.tolist()) == (5, x.tolist(), y.tolist())
    named = checked(tf.data.Dataset.from_tensor_slices({"one": x, "two": y}).batch(3), "own", "own")
    assert (named.samples, named.x["two"].tolist(), named.y) == (5, y.tolist(), None)
    with pytest.raises(CallError, match="empty"):
        checked(tf.data.Dataset.from_tensor_slices(x).batch(2).take(0), "own", "own")


def test_a_table_takes_little_more_memory_than_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a\n" + "1\n" * 60_000)
    tracemalloc.start()
    try:
        assert csv(str(path))[0].shape == (60_000, 1)
        assert tracemalloc.get_traced_memory()[1] < 60_000 * 4 * 6
    finally:
        tracemalloc.stop()
