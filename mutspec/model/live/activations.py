"""Measures what flows out of layers while a model predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from threading import get_ident
from typing import TYPE_CHECKING, Any

import numpy as np

from mutspec.errors import ModelError
from mutspec.model.layer_output import LayerOutput
from mutspec.model.live.backend import import_keras
from mutspec.model.live.predictions import predict
from mutspec.model.live.process_wide import building_alone

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 32
"""The samples of a batch. It does not change, because results may depend on it in their last bits."""

_CALLS = ("call", "quantized_call")
"""The methods that compute a layer. Keras calls the second one if the layer is quantised."""


def mean_activations(
    model: Any, places: Sequence[LayerOutput], inputs: Sequence[NDArray[Any]]
) -> list[tuple[float, ...]]:
    """Returns the mean absolute value at each index of some axes: over all samples, positions and calls, in float64.

    Arguments:
        model: a built keras.Model of layers that Keras calls one by one.
        places: the axes.
        inputs: an array of samples for each input of the model.

    Raises:
        ModelError: it has no such layer, or cannot be called on the inputs.
    """
    sums: list[Any] = [0.0] * len(places)
    counts = [0] * len(places)

    def add(number: int, output: NDArray[Any]) -> None:
        values = np.abs(output.astype(np.float64))
        axis = values.ndim + places[number].axis
        sums[number] = sums[number] + values.sum(axis=tuple(each for each in range(values.ndim) if each != axis))
        counts[number] += values.size // values.shape[axis]

    wanted: dict[str, list[int]] = {}
    for number, place in enumerate(places):
        wanted.setdefault(place.layer, []).append(number)
    with building_alone(), ExitStack() as stack:
        for path, numbers in wanted.items():
            stack.enter_context(_watched(_layer_at(model, path), _adder(add, numbers)))
        for start in range(0, len(inputs[0]), BATCH):
            predict(model, [each[start : start + BATCH] for each in inputs])
    if missing := next((place.layer for place, count in zip(places, counts, strict=True) if not count), None):
        raise ModelError(f"Keras does not call `{missing}` while the model predicts")
    return [tuple((total / count).tolist()) for total, count in zip(sums, counts, strict=True)]


def _adder(add: Callable[[int, NDArray[Any]], None], numbers: Sequence[int]) -> Callable[[Any], None]:
    """Returns what is told of the outputs of a layer of which some places are measured."""
    keras = import_keras()

    def told(outputs: Any) -> None:
        first = np.asarray(keras.ops.convert_to_numpy(keras.tree.flatten(outputs)[0]))
        for number in numbers:
            add(number, first)

    return told


def _layer_at(model: Any, path: str) -> Any:
    """Returns the layer at a path through models in models."""
    found = model
    for name in path.split("/"):
        found = next((each for each in getattr(found, "layers", ()) if each.name == name), None)
        if found is None:
            raise ModelError(f"the model that Keras has made has no layer `{path}`")
    return found


@contextmanager
def _watched(layer: Any, told: Callable[[Any], None]) -> Iterator[None]:
    """Tells what a layer returns, while the block lasts, where this thread calls it.

    The attributes are those of the one layer, and Keras does not learn of them: it would track what is in them.
    """
    own: Mapping[str, Any] = {name: vars(layer)[name] for name in _CALLS if name in vars(layer)}
    thread = get_ident()

    def telling(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)  # Keras's errors name the arguments
        def called(*arguments: Any, **named: Any) -> Any:
            outputs = call(*arguments, **named)
            if get_ident() == thread:
                told(outputs)
            return outputs

        return called

    for name in _CALLS:
        object.__setattr__(layer, name, telling(getattr(layer, name)))
    try:
        yield
    finally:
        for name in _CALLS:
            if name in own:
                object.__setattr__(layer, name, own[name])
            else:
                object.__delattr__(layer, name)
