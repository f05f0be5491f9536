"""The weights that layers of classes in no table train, as far as an optimizer's variables tell.

Only the code of such a class knows which of its weights are trained, and in which order. But an optimizer keeps
variables for all weights that a model trains, in the order of the layers. What lies between those for the weights of
other layers belongs to such a layer, and stays together as long as the layer is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from mutspec.keras_facts.optimizers import Shape, variables_of_optimizer
from mutspec.keras_facts.roles import Group
from mutspec.model.spec import TensorSpec

_MARK = (7, 11, 13)
"""A shape for weights whose shapes are not known, by which variables of the same shape are told from others."""


def trained_by(
    trained: Sequence[TensorSpec | str],
    weights: Mapping[str, Sequence[TensorSpec]],
    optimizer: Any,
    stored: Mapping[str, Shape],
) -> Mapping[str, tuple[TensorSpec, ...]] | None:
    """Returns a tensor for each weight that a layer trains, by the layer's path. None if the variables do not tell.

    The tensors have the shapes of the weights, and names by number: which weights they are is not known.

    Arguments:
        trained: the weights that the model trains, in Keras's order, with the path of a layer in the place of its own.
        weights: all weights of each of these layers.
        optimizer: the optimizer in a `compile_config`, which is in the tables.
        stored: the shapes of its variables in the file, by path: `optimizer/vars/0`.
    """
    if all(each.weight is None for part in variables_of_optimizer(optimizer, [(_MARK, "")]) for each in part):
        return dict.fromkeys(weights, ())  # it keeps nothing for any weight
    shapes = _shapes(trained, weights, optimizer, stored)
    lengths = None if shapes is None else _lengths(trained, weights, shapes)
    if shapes is None or lengths is None:
        return None
    found: dict[str, tuple[TensorSpec, ...]] = dict.fromkeys(weights, ())
    at = 0
    for each in trained:
        length = lengths[each] if isinstance(each, str) else 1
        if isinstance(each, str):
            found[each] = tuple(_numbered(each, shapes[at : at + length], weights[each]))
        at += length
    return found


def _numbered(layer: str, shapes: Sequence[Shape], weights: Sequence[TensorSpec]) -> Iterator[TensorSpec]:
    dtypes = {weight.shape: weight.dtype for weight in weights}
    for number, shape in enumerate(shapes):
        path = f"{layer}/#{number}"
        yield TensorSpec(path, layer, f"#{number}", Group.OTHER, shape, dtypes[shape], origin=path)


def _shapes(
    trained: Sequence[TensorSpec | str],
    weights: Mapping[str, Sequence[TensorSpec]],
    optimizer: Any,
    stored: Mapping[str, Shape],
) -> list[Shape] | None:
    """Returns the shapes of all weights that have variables; None if no number of weights explains the variables."""
    least = sum(not isinstance(each, str) for each in trained)
    most = least + sum(len(weights[each]) for each in trained if isinstance(each, str))
    for count in range(least, most + 1):
        variables = list(chain(*variables_of_optimizer(optimizer, [(_MARK, "float32")] * count)))
        paths = [f"optimizer/vars/{number}" for number in range(len(variables))]
        if {*paths} == {path for path in stored if path.startswith("optimizer/vars/")}:
            pairs = zip(variables, paths, strict=True)
            same = {each.weight: stored[path] for each, path in pairs if each.shape == _MARK}
            return [same[number] for number in range(count)] if len(same) == count else None
    return None


def _lengths(
    trained: Sequence[TensorSpec | str], weights: Mapping[str, Sequence[TensorSpec]], shapes: Sequence[Shape]
) -> dict[str, int] | None:
    """Returns how many of some shapes belong to each layer; None if there is not exactly one way to divide them."""
    end = len(shapes)
    ways = [[0] * (end + 1) for _ in range(len(trained) + 1)]
    ways[-1][end] = 1
    for number in range(len(trained) - 1, -1, -1):
        for start in range(end + 1):
            stops = _stops(trained[number], weights, shapes, start)
            ways[number][start] = min(2, sum(ways[number + 1][stop] for stop in stops))
    if ways[0][0] != 1:
        return None
    lengths, start = {}, 0
    for number, each in enumerate(trained):
        stop = next(stop for stop in _stops(each, weights, shapes, start) if ways[number + 1][stop])
        if isinstance(each, str):
            lengths[each] = stop - start
        start = stop
    return lengths


def _stops(
    each: TensorSpec | str, weights: Mapping[str, Sequence[TensorSpec]], shapes: Sequence[Shape], start: int
) -> Iterator[int]:
    """Yields where the shapes of a weight, or of a layer, may end that begin at a place."""
    if isinstance(each, TensorSpec):
        if start < len(shapes) and shapes[start] == each.shape:
            yield start + 1
        return
    left = Counter(weight.shape for weight in weights[each])
    yield start
    for stop in range(start, len(shapes)):
        left[shapes[stop]] -= 1
        if left[shapes[stop]] < 0:
            return
        yield stop + 1
