"""Measures activations of a model on the data of a call, while a plan is compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from mutspec.access.model_lock import hold
from mutspec.access.read import Readable
from mutspec.errors import CallError
from mutspec.execute.loading import model_of
from mutspec.model.layer_output import LayerOutput
from mutspec.model.live import LiveModel, input_arrays, mean_activations

_THE_DATA = "the call's data"


@dataclass(frozen=True)
class ModelActivations:
    """Measures activations of a model.

    Arguments:
        model: the model; one in a file is loaded when something is asked for.
        data: its inputs: an array, or arrays by name or in their order.
        unsafe: whether code in a model file (Lambda layers) may run.
    """

    model: Readable
    data: Any
    unsafe: bool

    def __call__(self, places: Sequence[LayerOutput]) -> Sequence[tuple[float, ...]]:
        """Returns the mean absolute value at each index of some axes."""
        arrays = _arrays(self.data)  # before Keras is imported, which takes seconds
        if isinstance(self.model, LiveModel):
            with hold(reads=[self.model]):
                means = _measured(self.model.model, arrays, places)
        else:
            means = _measured(model_of(self.model, unsafe=self.unsafe).model, arrays, places)
        for place, found in zip(places, means, strict=True):
            if not all(map(isfinite, found)):
                raise CallError(
                    f"`{place.layer}` puts out infinite or NaN numbers on {_THE_DATA}, so its units have no rank",
                    hint="leave out the samples that cause them, or rank `by: l2`",
                )
        return means


def _measured(
    model: Any, arrays: dict[str, Any] | list[Any], places: Sequence[LayerOutput]
) -> Sequence[tuple[float, ...]]:
    inputs = [array for _, array in input_arrays(model, _of_one_input(model, arrays), _THE_DATA, "")]
    return mean_activations(model, places, inputs)


def _arrays(data: Any) -> dict[str, Any] | list[Any]:
    """Returns data as arrays, by name or in order.

    Raises:
        CallError: they are not arrays with a row for each of some samples.
    """
    if isinstance(data, Mapping):
        named: dict[str, Any] = {str(name): _array(each, f"`{name}` of {_THE_DATA}") for name, each in data.items()}
        _check_samples(named)
        return named
    is_list = isinstance(data, list | tuple) and any(hasattr(each, "shape") for each in data)
    listed = [_array(each, _THE_DATA) for each in (data if is_list else [data])]
    _check_samples({f"array {number}": each for number, each in enumerate(listed)})
    return listed


def _array(value: Any, what: str) -> Any:
    try:
        array = np.asarray(value)
    except Exception as error:  # a ragged list, for instance
        raise CallError(f"{what} cannot be made an array: {error}") from None
    if not array.ndim or array.dtype == object:
        made = "a single value" if not array.ndim else "an array of Python objects"
        raise CallError(f"{what} is {made}, not an array with a row for each sample")
    return array


def _check_samples(arrays: Mapping[str, Any]) -> None:
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        listing = ", ".join(f"`{name}` has {length:,}" for name, length in lengths.items())
        raise CallError(f"{_THE_DATA} are of different lengths: {listing}", hint="each sample needs all of them")
    if not any(lengths.values()):
        raise CallError(f"{_THE_DATA} have no samples on which to measure activations")


def _of_one_input(model: Any, arrays: dict[str, Any] | list[Any]) -> dict[str, Any] | list[Any]:
    """Returns the array of a model's only input, whatever it is called; of x and y, as sweeps read them, it is x."""
    if isinstance(arrays, list) or len(model.inputs) != 1 or model.inputs[0].name in arrays:
        return arrays
    if len(arrays) == 1:
        return list(arrays.values())
    return [arrays["x"]] if arrays.keys() == {"x", "y"} else arrays
