"""Divides a Keras model into a part that does not depend on some variables, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from mutspec.model.live.backend import import_keras


@dataclass(frozen=True, eq=False)
class ModelCut:
    """A model in two parts, each a compiled function.

    Arguments:
        head: computes the list of activations at the cut from the model's inputs.
        tail: computes the model's outputs, in the model's structure, from these.
        place: the identity of the cut among other cuts of the model.
        masked: the activations at the cut that have a mask, which the tail would not see; known after the head has run.
        fixed: the ids of the variables that the head reads.
    """

    head: Callable[[Any], list[Any]]
    tail: Callable[[list[Any]], Any]
    place: tuple[int, ...]
    masked: set[str]
    fixed: frozenset[int]


def cut_before(model: Any, variables: Collection[Any]) -> ModelCut | None:
    """Cuts a model so that everything that depends on some variables is in the tail.

    The parts call the model's own layers, so they see values that are assigned later.

    Arguments:
        model: a built keras.Model.
        variables: some of its variables.

    Returns:
        The cut; None if the head would be empty, or if the model is not a graph of layers.
    """
    keras = import_keras()
    functional = _functional(model, keras)
    if functional is None or keras.backend.backend() != "tensorflow" or model.run_eagerly:
        return None
    nodes = _nodes(functional)
    dependent = _dependent(nodes, {id(variable) for variable in variables})
    produced = {id(tensor) for node in dependent for tensor in node.outputs}
    needed = [tensor for node in dependent for tensor in node.input_tensors] + list(functional.outputs)
    crossing = list({id(tensor): tensor for tensor in needed if id(tensor) not in produced}.values())
    inputs = {id(tensor) for tensor in functional.inputs}
    if not dependent or all(id(tensor) in inputs for tensor in crossing):
        return None
    before = [node for node in nodes if node not in dependent]
    masked: set[str] = set()

    def head(x: Any) -> list[Any]:
        values = _run(before, functional.inputs, functional._standardize_inputs(x), crossing)
        masked.update(tensor.name for tensor, value in zip(crossing, values, strict=True) if _has_mask(value))
        return values

    def tail(values: list[Any]) -> Any:
        return _packed(functional, _run(dependent, crossing, values, functional.outputs))

    place = tuple(id(tensor) for tensor in crossing)
    fixed = frozenset(id(variable) for node in before for variable in _variables(node))
    return ModelCut(_compiled(model, head), _compiled(model, tail), place, masked, fixed)


def _functional(model: Any, keras: Any) -> Any:
    """Returns a model as a graph of layers; None if it is not one, or if its class overrides `call`."""
    from keras.src.models.functional import Functional

    inner = model._functional if isinstance(model, keras.Sequential) else model
    overrides_call = type(model).call not in (keras.Sequential.call, Functional.call)
    return inner if isinstance(inner, Functional) and not overrides_call else None


def _nodes(functional: Any) -> list[Any]:
    """Returns the calls of layers, each after those that it depends on."""
    depths = sorted(functional._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in functional._nodes_by_depth[depth]]
    return [node for node in nodes if node.operation and not node.is_input]


def _dependent(nodes: Sequence[Any], variables: set[int]) -> list[Any]:
    """Returns the calls whose results depend on some variables."""
    dependent, reached = [], set[int]()
    for node in nodes:
        owns = any(id(variable) in variables for variable in _variables(node))
        if owns or any(id(tensor) in reached for tensor in node.input_tensors):
            dependent.append(node)
            reached |= {id(tensor) for tensor in node.outputs}
    return dependent


def _variables(node: Any) -> Sequence[Any]:
    """Returns the variables of the layer or operation of a call."""
    return getattr(node.operation, "variables", ())


def _compiled(model: Any, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Compiles a function in the same way as the model's own `predict`."""
    import tensorflow

    compiled: Callable[[Any], Any] = tensorflow.function(
        function, jit_compile=bool(model.jit_compile), reduce_retracing=True
    )
    return compiled


def _run(nodes: Sequence[Any], given: Sequence[Any], values: Sequence[Any], wanted: Sequence[Any]) -> list[Any]:
    """Runs calls of layers as `Functional` does, from the values of some symbolic tensors to those of others."""
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
