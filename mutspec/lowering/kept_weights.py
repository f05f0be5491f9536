"""The weights that a layer keeps of the layer whose place it takes: whole ones, and parts of those of another size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mutspec.graph.choice import Box
from mutspec.graph.computed_dtypes import INTEGERS
from mutspec.graph.expression import Expression
from mutspec.keras_facts.argument_values import a
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.initial_values import NewWeight
from mutspec.lowering.neuron_slices import gates_of
from mutspec.lowering.new_layer import FirstValue, value_by_initializer
from mutspec.model.spec import ModelSpec, TensorSpec
from mutspec.text.words import plural, shape

_MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class OldWeights:
    """The weights of a layer that is about to be replaced.

    Arguments:
        context: where the step is lowered.
        layer: the layer's path.
        tensors: its weights, by their path below it.
        gates: the names of the gates of each of these, if it has some.
    """

    context: LoweringContext
    layer: str
    tensors: Mapping[str, TensorSpec]
    gates: Mapping[str, tuple[str, ...]]

    def first_values(self) -> FirstValue:
        """Returns first values in which the entries that old and new weight both have are the old ones.

        A weight whose last axis has the gates of a recurrent layer has entries of each gate.
        """

        def value(new: NewWeight) -> Expression | None:
            gates = self._common_gates(new.tensor, new.below)
            if gates is None:
                return None
            initial = value_by_initializer(self.context, new)
            return None if initial is None else _overlaid(self.context.read(self.tensors[new.below]), initial, gates)

        return value

    def _common_gates(self, new: TensorSpec, below: str) -> int | None:
        """Returns the number of gates of a weight, 0 if it has none; None if nothing of the old weight fits it."""
        old = self.tensors.get(below)
        if old is None or len(old.shape) != len(new.shape) or not {old.dtype, new.dtype}.isdisjoint(INTEGERS):
            return None
        gates = _gates(self.context.models[""], new)
        return len(gates) if gates == self.gates[below] else None

    def lost(self, path: str, *, has_parts: bool) -> str:
        """Returns what the new layer does not keep, as a sentence; empty if it keeps all weights.

        Arguments:
            path: the path of the new layer, which is in the model now.
            has_parts: whether it keeps parts of weights of another size.
        """
        if not self.tensors:
            return f"`keep_weights` keeps nothing of `{self.layer}`, which has no weights"
        spec = self.context.models[""]
        after = spec.weights_of(path)
        lost = {
            below: after.get(below) for below in self.tensors if not self._is_kept(after.get(below), below, has_parts)
        }
        if not lost:
            return ""
        kept = len(self.tensors) - len(lost)
        number = f"{kept} of {plural(len(self.tensors), 'weight')}" if kept else "none of the weights"
        kind = spec.layer_by_path[path].class_name
        reasons = [_reason(self.tensors[below], below, new, kind) for below, new in lost.items()]
        more = f", and {len(reasons) - _MOST_TOLD} more" if len(reasons) > _MOST_TOLD else ""
        return f"`keep_weights` keeps {number} of `{self.layer}`: {'; '.join(reasons[:_MOST_TOLD])}{more}"

    def _is_kept(self, new: TensorSpec | None, below: str, has_parts: bool) -> bool:
        """Returns whether all of a weight is kept, or the part of it that there is room for."""
        old = self.tensors[below]
        if new is None or (old.shape, old.dtype) == (new.shape, new.dtype):
            return new is not None
        return has_parts and self._common_gates(new, below) is not None and new.origin not in self.context.keras_made


def old_weights(context: LoweringContext, layer: str) -> OldWeights:
    """Returns the weights of a layer, as the steps so far have left them."""
    spec = context.models[""]
    tensors = spec.weights_of(layer)
    return OldWeights(context, layer, tensors, {below: _gates(spec, each) for below, each in tensors.items()})


def _gates(spec: ModelSpec, tensor: TensorSpec) -> tuple[str, ...]:
    return gates_of(spec.layer_by_path[tensor.layer], tensor)


def _reason(old: TensorSpec, below: str, new: TensorSpec | None, kind: str) -> str:
    if new is None:
        return f"{below} ({shape(old.shape)}) has no place in {a(kind)}"
    if old.shape == new.shape:
        return f"{below} was {old.dtype}, and is {new.dtype} now"
    return f"{below} was {shape(old.shape)}, and is {shape(new.shape)} now"


def _overlaid(old: Expression, new: Expression, gates: int) -> Expression:
    """Returns a tensor with another one in the corner where both have entries.

    Arguments:
        old: the tensor that is cut to fit.
        new: the tensor that it is laid on.
        gates: the number of gates that the last axis holds one after the other, each with a corner of its own; 0 for
            none.
    """
    if gates:
        cut, whole = (each.run(0, (*each.shape[:-1], gates, each.shape[-1] // gates)) for each in (old, new))
        return _overlaid(cut, whole, gates=0).run(0, new.shape)
    stops = tuple(min(pair) for pair in zip(old.shape, new.shape, strict=True))
    for axis, extent in enumerate(new.shape):
        if old.shape[axis] != extent:
            old = old.window(axis, (*new.shape[: axis + 1], *old.shape[axis + 1 :]))
    return old.cast(new.dtype).where(Box(stops), new)
