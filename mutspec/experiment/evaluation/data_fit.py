"""Checks that data fit a model: its inputs before it is called, its outputs before they are evaluated."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from mutspec.errors import CallError
from mutspec.experiment.data.arrays import Arrays, Data, leaves
from mutspec.model.live import input_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_inputs(model: Any, data: Data) -> None:
    """Checks the data against the inputs of a Keras model.

    A model that does not say what it takes, such as a subclassed one, is left to say so when it is called.

    Raises:
        CallError: they do not fit; what is expected and what there is.
    """
    if not getattr(model, "inputs", None):
        return
    arrays = data.x if isinstance(data.x, dict) else [array for _, array in leaves(data.x)]
    input_arrays(model, arrays, f"`{data.name}`", "the data come by data=… and data.path=…")


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
