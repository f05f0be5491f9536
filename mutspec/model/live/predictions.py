"""Predictions of Keras models: what they are called on, and what they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mutspec.errors import ModelError
from mutspec.model.live.keras_errors import said
from mutspec.model.live.process_wide import building_alone
from mutspec.model.live.quiet import without_advice

Model = Any


@dataclass(frozen=True, slots=True)
class InputPort:
    """One input of a model.

    Arguments:
        name: the name of its InputLayer.
        shape: its shape, with the batch; None for a free extent.
        dtype: its dtype.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


def input_ports(model: Model) -> tuple[InputPort, ...]:
    """Returns the inputs of a model, in Keras's order.

    Raises:
        ModelError: it does not say what it is called on.
    """
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise ModelError(
            f"the model `{model.name}` does not say what it is called on",
            hint="only Functional and built Sequential models can be checked",
        )
    return tuple(InputPort(each.name, tuple(each.shape), str(each.dtype)) for each in inputs)


def predict(model: Model, inputs: Sequence[Any]) -> tuple[Any, ...]:
    """Returns the outputs of a model as arrays, flat and in Keras's order. It predicts, and does not train.

    Arguments:
        model: the model.
        inputs: an array for each of its inputs.

    Raises:
        ModelError: it cannot be called on them.
    """
    import keras
    from keras.src import tree

    nesting = getattr(model, "_inputs_struct", None)
    try:
        with building_alone(), without_advice():
            tensors = [keras.ops.convert_to_tensor(each) for each in inputs]
            whole = tensors[0] if nesting is None else tree.pack_sequence_as(nesting, tensors)
            outputs = tree.flatten(model(whole, training=False))
            return tuple(_array(keras.ops.convert_to_numpy(each)) for each in outputs)
    except Exception as error:  # Keras, or a user's class, may raise anything here
        raise ModelError(f"the model `{model.name}` cannot be called: {said(error)}") from error


def _array(value: Any) -> Any:
    array = np.asarray(value)
    return array.astype(np.float64) if array.dtype.kind in "fV" or str(array.dtype) == "bfloat16" else array
