"""Checks that data fit a model: its inputs before it is called, its outputs before they are evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from mutspec.errors import CallError, Problem, nearest
from mutspec.experiment.data.arrays import Arrays, Data, leaves

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shape = tuple[int | None, ...]


def check_inputs(model: Any, data: Data) -> None:
    """Checks the data against the inputs of a Keras model.

    A model that does not say what it takes, such as a subclassed one, is left to say so when it is called.

    Raises:
        CallError: they do not fit; what is expected and what there is.
    """
    inputs = getattr(model, "inputs", None)
    if not inputs:
        return
    expected = {str(each.name): tuple(each.shape) for each in inputs}
    problems = []
    for name, array in _pairs(expected, data):
        wanted = expected[name]
        if not _fits(wanted, array.shape):
            of_input = f"input `{name}`" if len(expected) > 1 else "model"
            message = f"the {of_input} takes {_shown(wanted)}, and `{data.name}` has {_shown((None, *array.shape[1:]))}"
            problems.append(
                Problem(message, hint="n is the number of samples; the data come by data=… and data.path=…")
            )
    if problems:
        raise CallError(problems)


def _pairs(expected: dict[str, Shape], data: Data) -> Iterator[tuple[str, NDArray[Any]]]:
    """The names of inputs with their arrays."""
    x, names = data.x, list(expected)
    listing = ", ".join(f"`{name}`" for name in names)
    if isinstance(x, dict):
        problems = [
            Problem(f"the model has no input `{key}`; it takes {listing}", candidates=nearest(key, names))
            for key in x
            if key not in names
        ]
        problems += [Problem(f"`{data.name}` has nothing for the input `{name}`") for name in names if name not in x]
        if problems:
            raise CallError(problems)
        yield from ((name, x[name]) for name in names if not isinstance(x[name], dict | list))
        return
    arrays = [array for _, array in leaves(x)]
    if len(arrays) != len(names):
        takes = f"{len(names)} inputs, {listing}" if len(names) > 1 else f"one input, {listing}"
        have = f"{len(arrays)} arrays" if len(arrays) > 1 else "one array"
        raise CallError(f"the model takes {takes}, and `{data.name}` has {have}")
    yield from zip(names, arrays, strict=True)


def _fits(wanted: Shape, shape: tuple[int, ...]) -> bool:
    """Tells whether Keras takes the shape; Keras itself adds or drops a last axis of length 1."""
    forms = [shape, (*shape, 1)] if wanted[-1:] == (1,) else [shape]
    forms += [shape[:-1]] if shape[-1:] == (1,) and len(shape) > 1 else []
    return any(
        len(form) == len(wanted)
        and all(size in (None, there) for size, there in zip(wanted[1:], form[1:], strict=True))
        for form in forms
    )


def _shown(shape: Shape) -> str:
    """A shape with n samples."""
    sizes = ["n", *("any" if size is None else str(size) for size in shape[1:])]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def matched(outputs: Arrays, labels: Arrays, names: list[str]) -> list[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Each output of a batch with its labels, by its name.

    Arguments:
        outputs: what the model returns.
        labels: of the batch.
        names: what the model calls its outputs, in their order; used where `outputs` is a list.

    Raises:
        CallError: they do not go together.
    """
    there = output_arrays(outputs, names)
    if not isinstance(labels, dict):
        given = [array for _, array in leaves(labels)]
        if len(given) == len(there):
            return [(name, array, label) for (name, array), label in zip(there.items(), given, strict=True)]
        labelled = f"{len(given)} arrays" if len(given) > 1 else "one array"
    elif set(labels) == set(there) and not any(isinstance(each, dict | list) for each in labels.values()):
        return [(name, array, labels[name]) for name, array in there.items()]
    else:
        labelled = ", ".join(f"`{name}`" for name in labels)
    listing = ", ".join(f"`{name}`" for name in there)
    outputs_are = f"outputs {listing}" if len(there) > 1 else f"one output, {listing}"
    raise CallError(f"the model has the {outputs_are}, and the labels are {labelled}".replace("the one", "one"))


def output_names(model: Any) -> list[str]:
    """Returns the names of a model's outputs. That of a Sequential model is the name of its last layer, as in Keras.

    Outputs of one layer that is called twice have one name in Keras; here the second one is `<name>_1`.
    """
    names = getattr(model, "output_names", None)
    if names is None and type(model).__name__ == "Sequential" and model.layers:
        names = [model.layers[-1].name]
    return _apart([str(name) for name in names or []])


def _apart(names: list[str]) -> list[str]:
    """Makes names unique: a number follows a name that was there before."""
    found: dict[str, None] = {}
    for name in names:
        numbered = (f"{name}_{number}" for number in count(1))
        found[name if name not in found else next(each for each in numbered if each not in (*names, *found))] = None
    return list(found)


def output_arrays(outputs: Arrays, names: list[str]) -> dict[str, NDArray[Any]]:
    """A model's outputs by name."""
    plain = list(outputs) if isinstance(outputs, tuple) else outputs
    arrays = list(leaves(plain))
    if isinstance(plain, dict) or len(arrays) != len(names):
        return {path.removeprefix(".") or "output": array for path, array in arrays}
    return {name: array for name, (_, array) in zip(names, arrays, strict=True)}
