"""A Keras model in two parts: what some variables cannot change, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from mutspec.model.live.backend import import_keras


@dataclass(frozen=True, eq=False)
class ModelCut:
    """A model in two parts, each a compiled function.

    Arguments:
        head: from the model's inputs to the activations at the cut, a list.
        tail: from these to the model's outputs, in the structure in which the model returns them.
        place: what tells this cut from others of the model.
        masked: the activations at the cut that carry a mask, which the tail would miss; known when the head has run.
        fixed: the variables that the head reads, by their id.
    """

    head: Callable[[Any], list[Any]]
    tail: Callable[[list[Any]], Any]
    place: tuple[int, ...]
    masked: set[str]
    fixed: frozenset[int]


def cut_before(model: Any, variables: Collection[Any]) -> ModelCut | None:
    """The cut behind which everything lies that variables have a part in.

    The parts call the model's own layers, and see what is assigned to them later.

    Arguments:
        model: a built keras.Model.
        variables: some of its variables.

    Returns:
        None if nothing is left before the cut, or if the model is no graph of layers.
    """
    keras = import_keras()
    functional = _functional(model, keras)
    if functional is None or keras.backend.backend() != "tensorflow" or model.run_eagerly:
        return None
    nodes = _nodes(functional)
    behind = _behind(nodes, {id(variable) for variable in variables})
    produced = {id(tensor) for node in behind for tensor in node.outputs}
    needed = [tensor for node in behind for tensor in node.input_tensors] + list(functional.outputs)
    crossing = list({id(tensor): tensor for tensor in needed if id(tensor) not in produced}.values())
    inputs = {id(tensor) for tensor in functional.inputs}
    if not behind or all(id(tensor) in inputs for tensor in crossing):
        return None
    before = [node for node in nodes if node not in behind]
    masked: set[str] = set()

    def head(x: Any) -> list[Any]:
        values = _run(before, functional.inputs, functional._standardize_inputs(x), crossing)
        masked.update(tensor.name for tensor, value in zip(crossing, values, strict=True) if _has_mask(value))
        return values

    def tail(values: list[Any]) -> Any:
        return _packed(functional, _run(behind, crossing, values, functional.outputs))

    place = tuple(id(tensor) for tensor in crossing)
    fixed = frozenset(id(variable) for node in before for variable in _variables(node))
    return ModelCut(_compiled(model, head), _compiled(model, tail), place, masked, fixed)


def _functional(model: Any, keras: Any) -> Any:
    """The graph of layers that a model is; None if it is none, or does something of its own when it is called."""
    from keras.src.models.functional import Functional

    inner = model._functional if isinstance(model, keras.Sequential) else model
    does_its_own = type(model).call not in (keras.Sequential.call, Functional.call)
    return inner if isinstance(inner, Functional) and not does_its_own else None


def _nodes(functional: Any) -> list[Any]:
    """The calls of layers, in an order in which they can run."""
    depths = sorted(functional._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in functional._nodes_by_depth[depth]]
    return [node for node in nodes if node.operation and not node.is_input]


def _behind(nodes: Sequence[Any], variables: set[int]) -> list[Any]:
    """The calls that some variables have a part in."""
    behind, reached = [], set[int]()
    for node in nodes:
        owns = any(id(variable) in variables for variable in _variables(node))
        if owns or any(id(tensor) in reached for tensor in node.input_tensors):
            behind.append(node)
            reached |= {id(tensor) for tensor in node.outputs}
    return behind


def _variables(node: Any) -> Sequence[Any]:
    """The variables of what is called."""
    return getattr(node.operation, "variables", ())


def _compiled(model: Any, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function compiled as the model's own `predict` is."""
    import tensorflow

    compiled: Callable[[Any], Any] = tensorflow.function(
        function, jit_compile=bool(model.jit_compile), reduce_retracing=True
    )
    return compiled


def _run(nodes: Sequence[Any], given: Sequence[Any], values: Sequence[Any], wanted: Sequence[Any]) -> list[Any]:
    """Run calls of layers, as `Functional` does, from the values of some symbolic tensors to those of others."""
    from keras.src import tree
    from keras.src.models.functional import operation_fn

    held = {id(tensor): value for tensor, value in zip(given, values, strict=True)}
    for node in nodes:
        arguments, named = node.arguments.fill_in(held)
        results = operation_fn(node.operation, training=False)(*arguments, **named)
        held |= {id(tensor): value for tensor, value in zip(node.outputs, tree.flatten(results), strict=True)}
    return [held[id(tensor)] for tensor in wanted]


def _has_mask(value: Any) -> bool:
    from keras.src import backend

    return backend.get_keras_mask(value) is not None


def _packed(functional: Any, flat: list[Any]) -> Any:
    from keras.src import tree

    return tree.pack_sequence_as(functional._outputs_struct, flat)
