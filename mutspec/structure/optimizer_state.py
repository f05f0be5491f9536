"""An optimizer's state in the file of a mutant: what it is copied from, and what starts again.

It is what `carry_optimizer` in `mutspec/model/live/optimizer.py` does to Keras models in memory, for files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from mutspec.errors import Problem
from mutspec.keras_facts.argument_values import a
from mutspec.keras_facts.class_names import UNKNOWN
from mutspec.keras_facts.classes import quantization_mode
from mutspec.keras_facts.optimizers import OptimizerVariable, Shape, unknown_optimizer, variables_of_optimizer
from mutspec.model.lost_state import NEW, lost_state, why_lost
from mutspec.model.outline import OutlineNode, join, outline_of
from mutspec.model.spec import TensorSpec


class UnknownStateError(Exception):
    """Raised if only Keras knows an optimizer's variables, or the weights that it trains. The message names what."""


@dataclass(frozen=True, slots=True)
class StateVariable:
    """A variable of the mutant's optimizer.

    Arguments:
        path: its path in the file: `optimizer/vars/2`.
        shape, dtype: of its values.
        source: the path of the variable in the base's file that it is copied from; empty if it starts again.
        first: the value of each entry if it starts again.
        name: the name with which its path in Keras ends; empty if that is not known.
        weight: the path of the weight that it belongs to; empty for a counter.
    """

    path: str
    shape: Shape
    dtype: str
    source: str
    first: float
    name: str = ""
    weight: str = ""


@dataclass(frozen=True, slots=True)
class OptimizerState:
    """The state of the mutant's optimizer.

    Arguments:
        variables: its variables, in the order of the file.
        warnings: what is lost.
    """

    variables: tuple[StateVariable, ...]
    warnings: tuple[Problem, ...]


def trained_weights(
    config: Mapping[str, Any], opaque: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> tuple[str, ...]:
    """Returns the canonical paths of the weights that a model trains, in Keras's order: `model.trainable_variables`.

    Arguments:
        config: the serialised model, its layers in Keras's order.
        opaque: what stands for the weights of layers whose classes are in no table, by the paths of the layers.

    Raises:
        UnknownStateError: only Keras knows what another layer of it trains.
    """
    root = outline_of(config).root
    if not root.is_trainable and root.class_name != "Sequential":  # Keras forgets it when it loads a Sequential model
        return ()
    return tuple(_trained(root, opaque))


def _trained(node: OutlineNode, opaque: Mapping[str, Sequence[str]]) -> list[str]:
    if node.variables is None and node.path in opaque:
        return list(opaque[node.path]) if node.is_trainable else []
    if node.variables is None and node.class_name not in UNKNOWN:
        raise UnknownStateError(f"the weights that {a(node.class_name)} trains")
    if node.config.get("lora_rank") or quantization_mode(node.config) == "float8":
        raise UnknownStateError(f"the weights that `{node.path}` trains")
    own = [
        join(node.path, variable.role)
        for variable in node.variables or ()
        if variable.is_trainable and node.is_trainable and not variable.copy_of
    ]
    return own + [path for child in node.children for path in _trained(child, opaque)]


def carried_state(
    optimizer: Any,
    before: Sequence[TensorSpec],
    after: Sequence[TensorSpec],
    kept: Mapping[str, TensorSpec],
    mutant: Sequence[TensorSpec],
    stored: Mapping[str, Shape],
    why_not_kept: Mapping[str, str],
) -> OptimizerState:
    """Returns where each variable of the mutant's optimizer comes from.

    Counters such as the number of steps are copied, and so is the state of each weight that keeps its shape.

    Arguments:
        optimizer: the optimizer in the `compile_config` of the base, which is also the mutant's.
        before: the weights that the base trains, in Keras's order.
        after: those that the mutant trains.
        kept: all weights of the base, by path. A weight of the mutant is one of them if its origin is its path.
        mutant: all weights of the mutant.
        stored: the shapes of the optimizer's variables in the base's file, by path: `optimizer/vars/0`.
        why_not_kept: the reason for each weight of the mutant that is not one of the base, by path.

    Raises:
        UnknownStateError: the optimizer is not in the tables.
    """
    if unknown := unknown_optimizer(optimizer):
        raise UnknownStateError(f"the variables of the optimizer {unknown}")
    old, new = (
        variables_of_optimizer(optimizer, [(each.shape, each.dtype) for each in weights]) for weights in (before, after)
    )
    paths = _paths(old) if _is_stored(old, stored) else [[""] * len(part) for part in old]
    positions = {tensor.path: number for number, tensor in enumerate(before)}
    lost: dict[int, str] = {}
    written: list[list[StateVariable]] = []
    for part, olds, sources, targets in zip(new, old, paths, _paths(new), strict=True):
        counters = [source for each, source in zip(olds, sources, strict=True) if each.weight is None]
        slots = {(each.slot, each.weight): at for each, at in zip(olds, zip(olds, sources, strict=True), strict=True)}
        found = []
        lost = {}  # an optimizer around another one has no state for weights, so the innermost one tells
        for variable, target in zip(part, targets, strict=True):
            if variable.weight is None:
                source = counters.pop(0)
            else:
                tensor = after[variable.weight]
                position = positions.get(tensor.origin)
                state, source = slots.get((variable.slot, position), (None, "")) if position is not None else (None, "")
                if state is None or state.shape != variable.shape:
                    base, source = kept.get(tensor.origin), ""
                    why = why_lost(
                        why_not_kept="" if base is not None else why_not_kept.get(tensor.path, NEW),
                        has_same_shape=base is not None and base.shape == tensor.shape,
                        was_trained=position is not None,
                    )
                    lost.setdefault(variable.weight, why)
            weight = "" if variable.weight is None else after[variable.weight].path
            found.append(
                StateVariable(target, variable.shape, variable.dtype, source, variable.first, variable.name, weight)
            )
        written.append(found)
    has_slots = any(variable.weight is not None for variable in old[-1])
    frozen = {tensor.origin for tensor in mutant} - {tensor.origin for tensor in after}
    dropped = sum(tensor.path in frozen for tensor in before) if has_slots else 0
    return OptimizerState(_with_copies(written), tuple(lost_state(lost, len(after), dropped)))


Parts = Sequence[Sequence[OptimizerVariable]]
"""The variables of an optimizer, and then those of the optimizer in it."""


def _paths(parts: Parts) -> list[list[str]]:
    """Returns the path of each variable. Those of the optimizer in an optimizer follow the other's own."""
    start, paths = 0, []
    for part in parts:
        paths.append([f"optimizer/vars/{start + number}" for number in range(len(part))])
        start += len(part)
    return paths


def _is_stored(parts: Parts, stored: Mapping[str, Shape]) -> bool:
    """Returns whether a file has the variables of an optimizer. If it has others, Keras does not load them."""
    wanted = {
        path: each
        for part, paths in zip(parts, _paths(parts), strict=True)
        for path, each in zip(paths, part, strict=True)
    }
    found = {path: shape for path, shape in stored.items() if path.startswith("optimizer/vars/")}
    return found == {path: each.shape for path, each in wanted.items()}


def _with_copies(written: Sequence[Sequence[StateVariable]]) -> tuple[StateVariable, ...]:
    """Returns the variables in the order of the file, which has those of an optimizer in an optimizer twice."""
    own, *inner = written
    copies = [
        replace(each, path=f"optimizer/inner_optimizer/vars/{number}")
        for part in inner
        for number, each in enumerate(part)
    ]
    return (*own, *(each for part in inner for each in part), *copies)
