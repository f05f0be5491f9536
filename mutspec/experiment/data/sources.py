"""Data from tables and folders of images, for the group `data`, and from datasets of TensorFlow."""

from __future__ import annotations

import csv as tables
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mutspec.errors import Place
from mutspec.language import CallError, nearest
from mutspec.language.files import called_like
from mutspec.model.live import import_keras

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = Any


def csv(
    path: str, label: str | None = None, limit: int | None = None
) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
    """A table of numbers: a head, then a row for each sample.

    Arguments:
        path: a CSV file in UTF-8.
        label: the column of the labels; None if there are none. Names of classes become their numbers in alphabetical
            order.
        limit: how many samples to use, from the first on.

    Returns:
        x of shape (n, columns), all columns but the label's; and y of shape (n,).

    Raises:
        CallError: the file cannot be read, or a cell is no number.
    """
    place, limit = Place(str(path), 0, 0, 0), as_limit(limit)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return _table((row for row in tables.reader(file) if row), label, limit, place)
    except FileNotFoundError:
        raise CallError("there is no such file", place=place, candidates=called_like(Path(path))) from None
    except OSError as error:
        raise CallError(f"the file cannot be read: {error.strerror}", place=place) from None
    except (UnicodeDecodeError, tables.Error) as error:
        raise CallError(f"the file is no CSV in UTF-8: {error}", place=place) from None


def _table(
    rows: Iterator[list[str]], label: str | None, limit: int | None, place: Place
) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
    """The values and labels of a table. One row at a time is kept as texts, which take 20 times as much."""
    head = next(rows, [])
    if label is not None and label not in head:
        candidates = tuple(f"data.label={name}" for name in nearest(label, head))
        hint = f"it has {', '.join(f'`{name}`' for name in head[:12]) or 'none'}"
        raise CallError(f"there is no column `{label}`", place=place, hint=hint, candidates=candidates)
    values, labels, count = array("f"), list[str](), 0
    for row, cells in enumerate(rows, start=2):
        if len(cells) != len(head):
            raise CallError(f"row {row} has {len(cells)} cells, and the head has {len(head)}", place=place)
        if label is not None:
            labels.append(cells[head.index(label)])
        if limit is None or count < limit:
            named = zip(cells, head, strict=True)
            values.extend(_number(cell, name, row, place) for cell, name in named if name != label)
            count += 1
        elif label is None:
            break
    # Of all rows: a class has the same number, however many of them are used.
    y = None if label is None else _labels(labels)[:limit]
    return np.array(values, np.float32).reshape(count, len(head) - (label is not None)), y


def _number(cell: str, name: str, row: int, place: Place) -> float:
    try:
        return float(cell)
    except ValueError:
        hint = "name the column of the labels: data.label=…"
        raise CallError(f"`{cell}` in column `{name}`, row {row}, is no number", place=place, hint=hint) from None


def _labels(cells: Sequence[str]) -> NDArray[Any]:
    """Numbers; or class numbers, if one of them is a name."""
    try:
        numbers = np.array([float(cell) for cell in cells])
    except ValueError:
        return np.unique(np.array(cells), return_inverse=True)[1].astype(np.int64)
    is_whole = bool((numbers == np.floor(numbers)).all())
    return numbers.astype(np.int64 if is_whole else np.float32)


def images(
    path: str, size: Sequence[int], color: str = "rgb", scale: float = 1.0, limit: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A folder with a folder of images for each class, as `keras.utils.image_dataset_from_directory` reads it.

    Arguments:
        path: the folder. Classes are numbered in alphabetical order.
        size: height and width to which images are resized.
        color: "rgb", "rgba" or "grayscale".
        scale: what pixels, from 0 to 255, are multiplied by: 0.00392156862745098 for models that take 0 to 1.
        limit: how many samples to use: of all classes, drawn at random, the same ones each time.

    Raises:
        CallError: there are no such images.
    """
    place, limit = Place(str(path), 0, 0, 0), as_limit(limit)
    if not Path(path).is_dir():
        raise CallError("there is no such folder", place=place, candidates=called_like(Path(path)))
    keras = import_keras()
    drawn = {"shuffle": limit is not None, "seed": 0}  # in the order of the folders, the first ones are of one class
    try:
        dataset = keras.utils.image_dataset_from_directory(
            path, color_mode=color, image_size=tuple(size), batch_size=None, verbose=False, **drawn
        )
        pairs = list((dataset if limit is None else dataset.take(limit)).as_numpy_iterator())
    except Exception as error:  # Keras raises ValueError, and TensorFlow what its readers raise
        raise CallError(f"the images cannot be read: {str(error).splitlines()[0]}", place=place) from None
    x = np.stack([image for image, _ in pairs]).astype(np.float32) * np.float32(scale)
    return x, np.array([label for _, label in pairs], np.int64)


def as_limit(limit: Any) -> int | None:
    """How many samples to use; None for all.

    Raises:
        CallError: it is no such number.
    """
    if limit is None or (type(limit) is int and limit > 0):
        return limit
    raise CallError(f"`data.limit` is {limit!r}", hint="give a whole number above 0, or null for all samples")


def is_dataset(value: Any) -> bool:
    """Whether a value is a `tf.data.Dataset`."""
    return hasattr(value, "as_numpy_iterator") and hasattr(value, "element_spec")


def of_dataset(dataset: Any) -> tuple[Arrays, Arrays]:
    """The x and y of a `tf.data.Dataset` of batches, as `Model.fit` takes it: of (x, y), or of x alone.

    Raises:
        CallError: it has no batches.
    """
    batches = [
        each if isinstance(each, tuple) and len(each) > 1 else (each, None) for each in dataset.as_numpy_iterator()
    ]
    if not batches:
        raise CallError("the dataset is empty")
    return tuple(_joined([batch[part] for batch in batches]) for part in (0, 1))


def _joined(parts: Sequence[Arrays]) -> Arrays:
    """Batches one behind the other."""
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts]) for key in first}
    if isinstance(first, list | tuple):
        return [_joined([part[index] for part in parts]) for index in range(len(first))]
    return np.concatenate([np.atleast_1d(part) for part in parts])
