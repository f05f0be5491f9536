"""The arrays that a Keras model is called on, checked against its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mutspec.errors import CallError, Problem, nearest
from mutspec.text.words import plural

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Shape = tuple[int | None, ...]


def input_arrays(
    model: Any, arrays: Mapping[str, Any] | Sequence[Any], name: str, hint: str
) -> list[tuple[str, NDArray[Any]]]:
    """Returns an array for each input of a model, with the input's name, in Keras's order.

    Arguments:
        model: a keras.Model that says what it takes.
        arrays: the arrays by the names of the inputs, or in their order.
        name: what messages call the data.
        hint: how to give data of the right shape; may be empty.

    Raises:
        CallError: they do not fit the inputs; what is expected and what there is.
    """
    expected = {str(each.name): tuple(each.shape) for each in model.inputs}
    pairs = _pairs(list(expected), arrays, name)
    problems = []
    for key, array in pairs:
        wanted = expected[key]
        if hasattr(array, "shape") and not _fits(wanted, array.shape):
            of_input = f"input `{key}`" if len(expected) > 1 else "model"
            message = f"the {of_input} takes {_shown(wanted)}, and {name} has {_shown((None, *array.shape[1:]))}"
            problems.append(Problem(message, hint=f"n is the number of samples{f'; {hint}' if hint else ''}"))
    if problems:
        raise CallError(problems)
    return pairs


def _pairs(
    names: Sequence[str], arrays: Mapping[str, Any] | Sequence[Any], name: str
) -> list[tuple[str, NDArray[Any]]]:
    """Returns the names of inputs with their arrays."""
    listing = ", ".join(f"`{each}`" for each in names)
    if isinstance(arrays, Mapping):
        problems = [
            Problem(f"the model has no input `{key}`; it takes {listing}", candidates=nearest(key, names))
            for key in arrays
            if key not in names
        ]
        problems += [Problem(f"{name} has nothing for the input `{key}`") for key in names if key not in arrays]
        if problems:
            raise CallError(problems)
        return [(key, arrays[key]) for key in names]
    if len(arrays) != len(names):
        takes = f"{len(names)} inputs, {listing}" if len(names) > 1 else f"one input, {listing}"
        have = plural(len(arrays), "array") if len(arrays) > 1 else "one array"
        raise CallError(f"the model takes {takes}, and {name} has {have}")
    return list(zip(names, arrays, strict=True))


def _fits(wanted: _Shape, shape: tuple[int, ...]) -> bool:
    """Tells whether Keras takes the shape; Keras itself adds or drops a last axis of length 1."""
    forms = [shape, (*shape, 1)] if wanted[-1:] == (1,) else [shape]
    forms += [shape[:-1]] if shape[-1:] == (1,) and len(shape) > 1 else []
    return any(
        len(form) == len(wanted)
        and all(size in (None, there) for size, there in zip(wanted[1:], form[1:], strict=True))
        for form in forms
    )


def _shown(shape: _Shape) -> str:
    """A shape with n samples."""
    sizes = ["n", *("any" if size is None else str(size) for size in shape[1:])]
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
