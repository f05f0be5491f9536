"""The masks that Keras's classes give their outputs: tensors of the network, or operations that Keras would record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mutspec.keras_facts.masks import MaskRule, config_of
from mutspec.keras_facts.tensor_types import Shape, TensorType
from mutspec.model.spec import TensorRef
from mutspec.structure.network import Entry


@dataclass(frozen=True, slots=True, eq=False)
class MaskOperation:
    """An operation that Keras records when it computes a mask. It is equal only to itself.

    Arguments:
        class_name: its class.
        arguments: the positional arguments of its call: tensors, masks, lists of them, and JSON values.
        config: its config, without its name.
        shape: the shape of its output; None if it is unknown.
    """

    class_name: str
    arguments: tuple[Any, ...]
    config: Mapping[str, Any]
    shape: Shape | None


Mask = TensorRef | MaskOperation

MaskOf = Callable[["MaskedCall"], Iterator[Mask | None]]


@dataclass(frozen=True, slots=True)
class MaskedCall:
    """A call of a layer with the masks of its first argument, and the operations that computing its mask takes.

    Arguments:
        entry: the serialised layer.
        inputs: the tensors in the first argument.
        masks: the mask of each of them.
        types: the types of tensors, as far as they are known.
        operations: the operations so far; making one adds it.
    """

    entry: Entry
    inputs: tuple[TensorRef, ...]
    masks: tuple[Mask | None, ...]
    types: Mapping[TensorRef, TensorType]
    operations: list[MaskOperation]

    @property
    def config(self) -> Mapping[str, Any]:
        """The layer's config."""
        return config_of(self.entry)

    def shape(self, mask: Mask) -> Shape | None:
        """Returns the shape of a mask or another tensor; None if it is unknown."""
        if isinstance(mask, MaskOperation):
            return mask.shape
        found = self.types.get(mask)
        return found.shape if found is not None else None

    def make(self, class_name: str, shape: Shape | None, *arguments: Any, **config: Any) -> MaskOperation:
        """Adds an operation."""
        made = MaskOperation(class_name, arguments, config, shape)
        self.operations.append(made)
        return made

    def differs(self, tensor: TensorRef, value: Any) -> MaskOperation:
        """Adds the operation `tensor != value`."""
        return self.make("NotEqual", self.shape(tensor), tensor, value)

    def any_feature(self, tensor: Mask) -> MaskOperation:
        """Adds the operation that tells whether a tensor is true in any entry of its last axis."""
        shape = self.shape(tensor)
        return self.make("Any", None if shape is None else shape[:-1], tensor, axis=-1, keepdims=False)

    def either(self, one: Mask, other: Mask) -> MaskOperation:
        """Adds the operation `one | other`."""
        return self.make("LogicalOr", _broadcast(self.shape(one), self.shape(other)), one, other)


def output_masks(rule: MaskRule, call: MaskedCall) -> tuple[Mask | None, ...]:
    """Returns the masks of the first outputs of a call. All other outputs have none."""
    return tuple(_MASKS_OF[rule](call))


def _dropped(call: MaskedCall) -> Iterator[Mask | None]:
    return iter(())


def _passed(call: MaskedCall) -> Iterator[Mask | None]:
    return iter(call.masks)


def _sequence(call: MaskedCall) -> Iterator[Mask | None]:
    layer = call.config.get("layer")  # of Bidirectional
    config = config_of(layer) if isinstance(layer, Mapping) else call.config
    if config.get("return_sequences"):
        yield call.masks[0]
        if isinstance(layer, Mapping) and call.config.get("merge_mode", "concat") is None:
            yield call.masks[0]


def _not_equal_to_value(call: MaskedCall) -> Iterator[Mask | None]:
    yield call.any_feature(call.differs(call.inputs[0], call.config.get("mask_value", 0.0)))


def _not_zero(call: MaskedCall) -> Iterator[Mask | None]:
    if call.config.get("mask_zero"):
        yield call.differs(call.inputs[0], 0)


def _either(call: MaskedCall) -> Iterator[Mask | None]:
    masks = [mask for mask in call.masks if mask is not None]
    if len(masks) == len(call.masks):
        found = masks[0]
        for mask in masks[1:]:
            found = call.either(found, mask)
        yield found


def _joined(call: MaskedCall) -> Iterator[Mask | None]:
    if all(mask is None for mask in call.masks):
        return
    parts = [_as_wide(call, tensor, mask) for tensor, mask in zip(call.inputs, call.masks, strict=True)]
    axis = call.config.get("axis", -1)
    shape = _concatenated([call.shape(part) for part in parts], axis)
    yield call.any_feature(call.make("Concatenate", shape, parts, axis=axis))


def _as_wide(call: MaskedCall, tensor: TensorRef, mask: Mask | None) -> Mask:
    """Returns the mask of an input of Concatenate with the shape of the input."""
    shape = call.shape(tensor)
    if mask is None:
        return call.make("OnesLike", shape, tensor, dtype="bool")
    narrow = call.shape(mask)
    if shape is not None and narrow is not None and len(narrow) >= len(shape):
        return mask
    wide = call.make("ExpandDims", None if narrow is None else (*narrow, 1), mask, axis=-1)
    return call.either(wide, call.make("ZerosLike", shape, tensor, dtype="bool"))


def _query(call: MaskedCall) -> Iterator[Mask | None]:
    mask = call.masks[0]
    if mask is not None:
        yield call.make("ConvertToTensor", call.shape(mask), mask, dtype=None, sparse=None, ragged=None)


_MASKS_OF: Mapping[MaskRule, MaskOf] = {
    MaskRule.DROPS: _dropped,
    MaskRule.PASSES: _passed,
    MaskRule.PASSES_SEQUENCES: _sequence,
    MaskRule.NOT_EQUAL_TO_VALUE: _not_equal_to_value,
    MaskRule.NOT_ZERO: _not_zero,
    MaskRule.EITHER: _either,
    MaskRule.JOINED: _joined,
    MaskRule.QUERY: _query,
}


def _broadcast(one: Shape | None, other: Shape | None) -> Shape | None:
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(
        second if first in (1, None) and second != 1 else first for first, second in zip(one, other, strict=True)
    )


def _concatenated(shapes: list[Shape | None], axis: Any) -> Shape | None:
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes) or not isinstance(axis, int) or len({len(shape) for shape in known}) != 1:
        return None
    if not -len(known[0]) <= axis < len(known[0]):
        return None
    extents = [shape[axis] for shape in known]
    joined = list(known[0])
    whole = [extent for extent in extents if isinstance(extent, int)]
    joined[axis] = sum(whole) if len(whole) == len(extents) else None
    return tuple(joined)
