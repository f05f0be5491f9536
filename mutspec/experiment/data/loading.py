"""What models are evaluated on: a function's (x, y), checked; the digits, and NumPy files.

x and y are arrays, or lists and mappings of arrays for models with several inputs or outputs; y may be None.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from logging import getLogger
from lzma import LZMAError
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from zipfile import BadZipFile
from zlib import error as ZlibError  # noqa: N812

import numpy as np

from mutspec.access.digests import arrays_digest
from mutspec.errors import Place
from mutspec.experiment.data.sources import as_limit, is_dataset, of_dataset
from mutspec.language import CallError, EnvironmentProblem, MutspecError, Problem, nearest
from mutspec.language.files import called_like
from mutspec.model.limits import UNPACKED_BYTES, current_limits
from mutspec.own_modules import allow_modules, targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEST_EVERY = 5
"""Of the handwritten digits, which images are held out."""

Arrays = Any
"""An array, or a list or mapping of arrays."""
Split = tuple["NDArray[np.float32]", "NDArray[np.int64]"]


@dataclass(frozen=True, eq=False)
class Data:
    """Samples with their labels.

    Arguments:
        name: what reports call it.
        x: the models' inputs.
        y: the labels; None if there are none.
        samples: how many there are.
    """

    name: str
    x: Arrays
    y: Arrays
    samples: int

    @cached_property
    def digest(self) -> str:
        """A digest of the arrays as they are used, whatever they are called and wherever they come from."""
        return arrays_digest((f"{which}{path}", each) for which in "xy" for path, each in leaves(getattr(self, which)))


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
    """The arrays x and y of a NumPy file; without a y there are no labels.

    Arguments:
        path: a file as `numpy.savez` writes it.
        limit: how many samples to use, from the first on.

    Raises:
        CallError: the file is not there, is no such file, or has no x.
    """
    place, limit = Place(str(path), 0, 0, 0), as_limit(limit)
    try:
        with open(path, "rb") as opened:
            x, y = _x_and_y(opened, place)
    except FileNotFoundError:
        raise CallError("there is no such file", place=place, candidates=called_like(Path(path))) from None
    except OSError as error:
        raise CallError(f"the file cannot be read: {_reason(error)}", place=place) from None
    for name, array in (("x", x), ("y", y)):
        if array is not None and not array.ndim:
            raise CallError(f"`{name}` is a single value, and not an array with a row per sample", place=place)
    return x[:limit], None if y is None else y[:limit]


def _x_and_y(opened: IO[bytes], place: Place) -> tuple[NDArray[Any], NDArray[Any] | None]:
    if opened.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
        raise CallError("the file holds one array, and not x and y by name", place=place, hint=_HOW_TO_SAVE)
    opened.seek(0)
    try:
        file = np.load(opened, allow_pickle=False)
    except (ValueError, EOFError, BadZipFile):
        raise CallError("the file is no NumPy archive", place=place, hint=_HOW_TO_SAVE) from None
    if "x" not in file.files:
        listing = ", ".join(f"`{name}`" for name in file.files) or "nothing"
        raise CallError(f"the file has no array `x`; it has {listing}", place=place, hint=_HOW_TO_SAVE)
    try:
        return _array(file, "x", place), _array(file, "y", place) if "y" in file.files else None
    except _UNREADABLE as error:
        reason = _SHOWS_OBJECTS.sub("", _reason(error))
        raise CallError(f"an array cannot be read: {reason}", place=place) from None


_SHOWS_OBJECTS = re.compile(r": <[\w.]+ object at 0x[0-9a-f]+>")
"""What NumPy says of a shape that is an expression: an address that means nothing to anyone."""

_UNREADABLE = (ValueError, EOFError, BadZipFile, LZMAError, ZlibError, NotImplementedError, RuntimeError, KeyError)
"""What NumPy and zipfile raise on damaged members, on encrypted ones, and on methods that they do not know."""


def _array(file: np.lib.npyio.NpzFile, name: str, place: Place) -> NDArray[Any]:
    """An array of an archive, if its member is not far larger unpacked, and holds what its head declares.

    Raises:
        CallError: it is above the limit.
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


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]


def load_data(settings: Mapping[str, Any]) -> Data:
    """Call the function that the settings name.

    Arguments:
        settings: `_target_`, a dotted name, and the function's arguments.

    Raises:
        CallError: there is no such function, it does not take the arguments, it fails, or what it returns is no data.
    """
    from hydra.utils import get_method, instantiate

    target = str(settings["_target_"])
    allow_modules(targets(settings))
    function: Callable[..., Any] = located(target, get_method, "data")
    _check_arguments(function, target, settings)
    try:
        returned = instantiate(dict(settings), _convert_="all")
    except Exception as error:  # Hydra's error has what the function raised, which may be anything, as its cause
        cause = error.__cause__ or error
        if isinstance(cause, MutspecError):
            raise cause from None
        reason = f"{type(cause).__name__}: {_reason(cause) if str(cause) else 'no message'}"
        raise CallError(f"`{target}` fails: {reason}") from error
    return checked(returned, name_of_data(settings), target)


def name_of_data(settings: Mapping[str, Any]) -> str:
    """Returns what reports call the data of some settings: the file, or the function."""
    named, target = settings.get("path"), str(settings["_target_"])
    name = target.rpartition(".")[2] if target.startswith("mutspec.") else target
    return named if isinstance(named, str) else name


def located(target: str, find: Callable[[str], Any], key: str) -> Any:
    """What a dotted name of the configuration stands for.

    Raises:
        CallError: it stands for nothing that can be called.
    """
    logger = getLogger("hydra.utils")  # which tells the same at length
    level = logger.level
    logger.setLevel("CRITICAL")
    try:
        return find(target)
    except Exception as error:  # importing a user's module may fail in any way
        raise CallError(_not_found(target, error, key)) from None
    finally:
        logger.setLevel(level)


def _not_found(target: str, error: Exception, key: str) -> Problem:
    """Why a dotted name stands for nothing that can be called: how far it leads."""
    said = f"`{key}._target_`: "
    module, _, name = target.rpartition(".")
    try:
        found: Any = import_module(module) if module else None
    except Exception as failure:
        if not isinstance(failure, ModuleNotFoundError) or not f"{module}.".startswith(f"{failure.name}."):
            return Problem(f"{said}importing `{module}` fails: {type(failure).__name__}: {_reason(failure)}")
        hint = "it is looked for among installed packages, and in the current folder"
        return Problem(f"{said}there is no module `{failure.name}`", hint=hint)
    if found is None:
        return Problem(f"{said}`{target}` is no dotted name", hint="write module.function")
    if not hasattr(found, name):
        candidates = tuple(f"{module}.{near}" for near in nearest(name, dir(found)))
        return Problem(f"{said}`{module}` has no `{name}`", candidates=candidates)
    if not callable(getattr(found, name)):
        return Problem(f"{said}`{target}` is a value of type {_kind(getattr(found, name))}, and cannot be called")
    return Problem(f"{said}`{target}` cannot be used: {_reason(error)}")


def _check_arguments(function: Callable[..., Any], target: str, settings: Mapping[str, Any]) -> None:
    given = {key: value for key, value in settings.items() if not key.startswith("_")}
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    names = list(signature.parameters)
    takes_all = any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())
    if unknown := [] if takes_all else [key for key in given if key not in names]:
        listing = ", ".join(f"`{name}`" for name in names) or "nothing"
        raise CallError(
            [
                Problem(f"`{target}` takes no `{key}`", hint=f"it takes {listing}", candidates=_keys(key, names))
                for key in unknown
            ]
        )
    try:
        signature.bind(**given)
    except TypeError as error:
        missing = str(error).partition("'")[2].rstrip("'")
        raise CallError(f"`data.{missing}` is not given", hint=f"add data.{missing}=…") from None


def _keys(key: str, names: list[str]) -> tuple[str, ...]:
    return tuple(f"data.{name}" for name in nearest(key, names))


def checked(returned: Any, name: str, target: str) -> Data:
    """What a data function returned, as data.

    Raises:
        CallError: it is none.
    """
    if is_dataset(returned):
        returned = of_dataset(returned)
    if not isinstance(returned, tuple) or len(returned) != 2:
        what = f"a tuple of {len(returned)}" if isinstance(returned, tuple) else f"a value of type {_kind(returned)}"
        hint = "return (x, y), NumPy arrays or lists and mappings of them; y may be None"
        raise CallError(f"`{target}` returns {what}, and not x and y", hint=hint)
    x, y = (_as_arrays(each, which, target) for each, which in zip(returned, "xy", strict=True))
    if x is None:
        raise CallError(f"`{target}` returns no x")
    lengths = {f"{which}{path}": len(array) for which, each in (("x", x), ("y", y)) for path, array in leaves(each)}
    if len(set(lengths.values())) > 1:
        listing = ", ".join(f"{path} has {length:,}" for path, length in lengths.items())
        raise CallError(f"the data are of different lengths: {listing}", hint="each sample needs all of them")
    samples = next(iter(lengths.values()), 0)
    if not samples:
        raise CallError(f"`{name}` has no samples to evaluate on")
    return Data(name, x, y, samples)


def _kind(value: Any) -> str:
    return type(value).__name__


def _as_arrays(value: Any, path: str, target: str) -> Arrays:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {str(key): _as_arrays(each, f"{path}.{key}", target) for key, each in value.items()}
    if isinstance(value, list | tuple) and any(hasattr(each, "shape") for each in value):
        return [_as_arrays(each, f"{path}[{index}]", target) for index, each in enumerate(value)]
    try:
        array = np.asarray(value)
    except Exception as error:  # a ragged list, for instance
        raise CallError(f"`{target}` returns a {path} that is no array: {_reason(error)}") from None
    if array.ndim == 0 or array.dtype == object:
        what = f"a single value of type {_kind(value)}" if array.ndim == 0 else "an array of Python objects"
        raise CallError(f"`{target}` returns a {path} that is {what}, and not an array with a row per sample")
    return array


def leaves(arrays: Arrays, path: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays with their paths, such as `.image` or `[0]`."""
    if isinstance(arrays, dict):
        for key, each in arrays.items():
            yield from leaves(each, f"{path}.{key}")
    elif isinstance(arrays, list):
        for index, each in enumerate(arrays):
            yield from leaves(each, f"{path}[{index}]")
    elif arrays is not None:
        yield path, arrays


def rows(arrays: Arrays, start: int, stop: int) -> Arrays:
    """The samples [start, stop)."""
    if isinstance(arrays, dict):
        return {key: rows(each, start, stop) for key, each in arrays.items()}
    if isinstance(arrays, list):
        return [rows(each, start, stop) for each in arrays]
    return None if arrays is None else arrays[start:stop]
