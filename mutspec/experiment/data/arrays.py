"""Samples and labels as arrays, or lists and mappings of arrays for models with several inputs or outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mutspec.access.digests import arrays_digest
from mutspec.errors import CallError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = Any
"""An array, or a list or mapping of arrays."""


@dataclass(frozen=True, eq=False)
class Data:
    """Samples with their labels.

    Arguments:
        name: its name in reports.
        x: the models' inputs.
        y: the labels; None if there are none.
        samples: their number.
    """

    name: str
    x: Arrays
    y: Arrays
    samples: int

    @cached_property
    def digest(self) -> str:
        """A digest of the arrays as they are used. Their names and where they come from are not in it."""
        return arrays_digest((f"{which}{path}", each) for which in "xy" for path, each in leaves(getattr(self, which)))


def as_arrays(value: Any, path: str, target: str) -> Arrays:
    """Returns what a function returned, as arrays; None stays None.

    Arguments:
        value: what it returned, or a part of that.
        path: the part, such as `x.image` or `y[0]`.
        target: the function's name.

    Raises:
        CallError: it is not an array with a row for each sample, nor a list or mapping of such arrays.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {str(key): as_arrays(each, f"{path}.{key}", target) for key, each in value.items()}
    if isinstance(value, list | tuple) and any(hasattr(each, "shape") for each in value):
        return [as_arrays(each, f"{path}[{index}]", target) for index, each in enumerate(value)]
    try:
        array = np.asarray(value)
    except Exception as error:  # a ragged list, for instance
        raise CallError(f"`{target}` returns a {path} that is not an array: {first_line(error)}") from None
    if array.ndim == 0 or array.dtype == object:
        what = f"a single value of type {type(value).__name__}" if array.ndim == 0 else "an array of Python objects"
        raise CallError(f"`{target}` returns a {path} that is {what}, not an array with a row per sample")
    return array


def first_line(error: BaseException) -> str:
    """Returns the first line of an error, without the number of the system's error."""
    return str(getattr(error, "strerror", None) or error).splitlines()[0]


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
