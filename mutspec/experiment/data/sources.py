"""Sources of data: the handwritten digits, NumPy files, tables, folders of images, datasets of TensorFlow.

The group `data` names the functions that return x and y: `_target_: mutspec.experiment.data.npz`.
"""

from __future__ import annotations

import csv as tables
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from lzma import LZMAError
from math import prod
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from zipfile import BadZipFile
from zlib import error as ZlibError  # noqa: N812

import numpy as np

from mutspec.errors import CallError, EnvironmentProblem, Place, nearest
from mutspec.experiment.data.arrays import Arrays, first_line
from mutspec.language.files import called_like
from mutspec.model.limits import UNPACKED_BYTES, current_limits
from mutspec.model.live import import_keras

if TYPE_CHECKING:
    from numpy.typing import NDArray

Split = tuple["NDArray[np.float32]", "NDArray[np.int64]"]

TEST_EVERY = 5
"""Every fifth image of each handwritten digit is held out."""


def digits() -> Split:
    """The held-out images of scikit-learn's handwritten digits, and their digits."""
    return digits_split()[1]


def digits_split() -> tuple[Split, Split]:
    """Training and test data of the demo: images of shape (n, 8, 8, 1) in [0, 1], and their digits, of shape (n,).

    The test split is fixed and needs no random numbers: within each digit, in the data set's order, every fifth image
    is held out. This gives 364 test images, stratified, from all through the collection.

    Raises:
        EnvironmentProblem: scikit-learn, which has the images, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        message = f"the handwritten digits are part of scikit-learn, which cannot be imported ({error})"
        raise EnvironmentProblem(message, hint="pip install scikit-learn") from None

    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype("float32")
    is_test = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        is_test[np.flatnonzero(labels == digit)[::TEST_EVERY]] = True
    return (images[~is_test], labels[~is_test]), (images[is_test], labels[is_test])


def npz(path: str, limit: int | None = None) -> tuple[Arrays, Arrays]:
    """Returns the arrays x and y of a NumPy file; without a y there are no labels.

    Arguments:
        path: a file as `numpy.savez` writes it.
        limit: the number of samples to use, from the first on.

    Raises:
        CallError: the file is missing, is not a NumPy archive, or has no x.
    """
    limit = as_limit(limit)
    found = _npz_arrays(path, lambda names: _x_and_y(names, Place(str(path), 0, 0, 0)), _HOW_TO_SAVE)
    return found["x"][:limit], found["y"][:limit] if "y" in found else None


def named_arrays(path: str | PathLike[str]) -> dict[str, NDArray[Any]]:
    """Returns all arrays of a NumPy file, by name.

    Raises:
        CallError: the file is missing, is not a NumPy archive, or has no arrays with a row for each sample.
    """
    return _npz_arrays(path, list, 'save it with numpy.savez("data.npz", name_of_an_input=…)')


def _x_and_y(names: Sequence[str], place: Place) -> list[str]:
    if "x" not in names:
        listing = ", ".join(f"`{name}`" for name in names) or "nothing"
        raise CallError(f"the file has no array `x`; it has {listing}", place=place, hint=_HOW_TO_SAVE)
    return [name for name in ("x", "y") if name in names]


def _npz_arrays(
    path: str | PathLike[str], wanted: Callable[[Sequence[str]], list[str]], how_to_save: str
) -> dict[str, NDArray[Any]]:
    """Returns arrays of a NumPy file.

    Arguments:
        path: the file.
        wanted: returns the names of the arrays that are read, from those that there are.
        how_to_save: a hint.
    """
    place = Place(str(path), 0, 0, 0)
    try:
        with open(path, "rb") as opened:
            found = _read_npz(opened, place, wanted, how_to_save)
    except FileNotFoundError:
        raise CallError("there is no such file", place=place, candidates=called_like(Path(path))) from None
    except OSError as error:
        raise CallError(f"the file cannot be read: {first_line(error)}", place=place) from None
    for name, each in found.items():
        if not each.ndim:
            raise CallError(f"`{name}` is a single value, not an array with a row per sample", place=place)
    return found


def _read_npz(
    opened: IO[bytes], place: Place, wanted: Callable[[Sequence[str]], list[str]], how_to_save: str
) -> dict[str, NDArray[Any]]:
    if opened.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
        raise CallError("the file holds one array, without a name", place=place, hint=how_to_save)
    opened.seek(0)
    try:
        file = np.load(opened, allow_pickle=False)
    except (ValueError, EOFError, BadZipFile):
        raise CallError("the file is not a NumPy archive", place=place, hint=how_to_save) from None
    names = wanted(file.files)
    try:
        return {name: _array(file, name, place) for name in names}
    except _UNREADABLE as error:
        reason = _SHOWS_OBJECTS.sub("", first_line(error))
        raise CallError(f"an array cannot be read: {reason}", place=place) from None


_SHOWS_OBJECTS = re.compile(r": <[\w.]+ object at 0x[0-9a-f]+>")
"""The part of NumPy's message on a shape that is an expression: an address, which tells the user nothing."""

_UNREADABLE = (ValueError, EOFError, BadZipFile, LZMAError, ZlibError, NotImplementedError, RuntimeError, KeyError)
"""The errors of NumPy and zipfile on members that are damaged, encrypted, or compressed by an unknown method."""


def _array(file: np.lib.npyio.NpzFile, name: str, place: Place) -> NDArray[Any]:
    """Returns an array of an archive, after checks of its unpacked size and of the size that its header declares.

    Raises:
        CallError: its unpacked size is above the limit.
        ValueError: it is damaged.
    """
    archive = file.zip
    assert archive is not None  # until it is closed
    member = name if name in archive.namelist() else f"{name}.npy"
    info, limits = archive.getinfo(member), current_limits()
    times = -(-info.file_size // max(1, info.compress_size))
    if info.file_size > UNPACKED_BYTES and times > limits.inflation:
        what = f"`{name}` is {info.compress_size:,} bytes, and {info.file_size:,} unpacked"
        raise CallError(replace(limits.problem("inflation", times, what), place=place))
    with archive.open(info) as opened:
        version = np.lib.format.read_magic(opened)
        read_head = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read_head:  # 3.0 is for fields whose names are not in Latin 1
            raise ValueError(
                f"`{name}` is of version {version[0]}.{version[1]} of NumPy's format, which numbers need not"
            )
        shape, _, dtype = read_head[version](opened)
        size = prod(shape) * dtype.itemsize + opened.tell()
        if not dtype.hasobject and (not dtype.itemsize or size != info.file_size):
            raise ValueError(f"`{name}` declares {size:,} bytes and holds {info.file_size:,}")
    array: NDArray[Any] = file[name]
    return array


_HOW_TO_SAVE = 'save it with numpy.savez("data.npz", x=…, y=…)'


def csv(
    path: str, label: str | None = None, limit: int | None = None
) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
    """Returns the columns of a table of numbers, which has a header, then a row for each sample.

    Arguments:
        path: a CSV file in UTF-8.
        label: the column of the labels; None if there are none. Names of classes become their numbers in alphabetical
            order.
        limit: the number of samples to use, from the first on.

    Returns:
        x of shape (n, columns), all columns but the label's; and y of shape (n,).

    Raises:
        CallError: the file cannot be read, or a cell is not a number.
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
        raise CallError(f"the file is not CSV in UTF-8: {error}", place=place) from None


def _table(
    rows: Iterator[list[str]], label: str | None, limit: int | None, place: Place
) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
    """Returns the values and labels of a table. Rows are read one by one: as texts they take 20 times the memory."""
    head = next(rows, [])
    if label is not None and label not in head:
        candidates = tuple(f"data.label={name}" for name in nearest(label, head))
        hint = f"it has {', '.join(f'`{name}`' for name in head[:12]) or 'none'}"
        raise CallError(f"there is no column `{label}`", place=place, hint=hint, candidates=candidates)
    values, labels, count = array("f"), list[str](), 0
    for row, cells in enumerate(rows, start=2):
        if len(cells) != len(head):
            raise CallError(f"row {row} has {len(cells)} cells, and the header has {len(head)}", place=place)
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
        raise CallError(f"`{cell}` in column `{name}`, row {row}, is not a number", place=place, hint=hint) from None


def _labels(cells: Sequence[str]) -> NDArray[Any]:
    """Returns labels as numbers; as class numbers, if one of them is a name."""
    try:
        numbers = np.array([float(cell) for cell in cells])
    except ValueError:
        return np.unique(np.array(cells), return_inverse=True)[1].astype(np.int64)
    is_whole = bool((numbers == np.floor(numbers)).all())
    return numbers.astype(np.int64 if is_whole else np.float32)


def images(
    path: str, size: Sequence[int], color: str = "rgb", scale: float = 1.0, limit: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns the images of a folder that has a folder for each class.

    `keras.utils.image_dataset_from_directory` reads them.

    Arguments:
        path: the folder. Classes are numbered in alphabetical order.
        size: height and width to which images are resized.
        color: "rgb", "rgba" or "grayscale".
        scale: what pixels, from 0 to 255, are multiplied by: 0.00392156862745098 for models that take 0 to 1.
        limit: the number of samples to use: drawn at random from all classes, the same ones each time.

    Raises:
        CallError: the folder is missing, or has no such images.
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
    """Returns the number of samples to use; None for all.

    Raises:
        CallError: it is not a whole number above 0.
    """
    if limit is None or (type(limit) is int and limit > 0):
        return limit
    raise CallError(f"`data.limit` is {limit!r}", hint="give a whole number above 0, or null for all samples")


def is_dataset(value: Any) -> bool:
    """Tells whether a value is a `tf.data.Dataset`."""
    return hasattr(value, "as_numpy_iterator") and hasattr(value, "element_spec")


def of_dataset(dataset: Any) -> tuple[Arrays, Arrays]:
    """Returns the x and y of a `tf.data.Dataset` of batches of (x, y) or of x alone, as `Model.fit` takes it.

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
    """Joins batches."""
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts]) for key in first}
    if isinstance(first, list | tuple):
        return [_joined([part[index] for part in parts]) for index in range(len(first))]
    return np.concatenate([np.atleast_1d(part) for part in parts])
