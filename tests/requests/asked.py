"""Requests, and the means to build by hand what they must give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

Model = Any  # a keras.Model
Values = list[np.ndarray]


@dataclass(frozen=True)
class Request:
    """What people ask for.

    Arguments:
        by_hand: builds what the mutant must predict from the base, the mutant and the inputs by name; it may also test
            more of the mutant. None: the mutant cannot be called.
        asked: the threads.
        model: makes the base.
        plan: the plan, without its first line.
        inputs: make the plan's inputs.
        new: layers of the mutant whose values are new; the model by hand takes them over.
        values: the inputs to predict on. Default: random ones.
        tolerance: by how much predictions may differ.
        is_deep: whether it takes so long that it is only done from file to file, and not trained.
        needs_xla: whether TensorFlow computes the mutant on a CPU only when it is compiled (convolutions with channels
            first), and does not train it there.
    """

    by_hand: Callable[..., Model]
    asked: str
    model: Callable[[], Model]
    plan: str
    inputs: Mapping[str, Callable[[], Model]] = field(default_factory=dict)
    new: tuple[str, ...] = ()
    values: Callable[[], Values] | None = None
    tolerance: float = 1e-5
    is_deep: bool = False
    needs_xla: bool = False


REQUESTS: dict[str, Request] = {}


def request(asked: str, model: Callable[[], Model], plan: str, **options: Any) -> Callable[[Any], Any]:
    """Makes a request of the function that builds its result by hand."""

    def added(by_hand: Any) -> Any:
        REQUESTS[by_hand.__name__] = Request(by_hand, asked, model, plan, **options)
        return by_hand

    return added


def layer_at(model: Model, path: str) -> Any:
    """A layer by its path; of a wrapper, its layers by their names."""
    for part in path.split("/"):
        model = (
            model.get_layer(part)
            if hasattr(model, "get_layer")
            else next(layer for layer in model._flatten_layers(include_self=False) if layer.name == part)
        )
    return model


def with_values_of(model: Model, other: Model, *, exact: bool = True) -> Model:
    """The model, with the values of the layers of another that have the same names and, if not exact, shapes."""
    theirs = {layer.name: layer for layer in other.layers}
    for layer in model.layers:
        if layer.name not in theirs:
            continue
        values = theirs[layer.name].get_weights()
        if exact or [each.shape for each in values] == [each.shape for each in layer.get_weights()]:
            layer.set_weights(values)
    return model


def remade(base: Model, *, layer: Any = None, call: Any = None) -> Model:
    """A copy of a model by Keras's `clone_model`, with some layers, or some calls, done in another way."""

    def made(old: Any) -> Any:
        return (layer(old) if layer else None) or type(old).from_config(old.get_config())

    def called(new: Any, *values: Any, **options: Any) -> Any:
        given = {name: value for name, value in options.items() if value is not None}
        return call(new, *values, **given) if call else new(*values, **given)

    copy = keras.models.clone_model(base, clone_function=made, call_function=called)
    return with_values_of(copy, base, exact=False)


def run(base: Model, names: str, value: Any) -> Any:
    """Calls some layers of a model in a row."""
    for name in names.split():
        value = base.get_layer(name)(value)
    return value


def like(base: Model) -> Any:
    """A new input like that of a model."""
    return keras.Input(base.input_shape[1:], dtype=base.inputs[0].dtype, name=base.inputs[0].name)
