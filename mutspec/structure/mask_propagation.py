"""The propagation of masks through the calls of a Functional network, as `Layer.__call__` of Keras does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mutspec.keras_facts.masks import (
    MASK_OPERATIONS,
    MODEL,
    MaskRule,
    is_mask_parameter,
    mask_parameters_of,
    mask_rule_of,
)
from mutspec.model.outline import is_operation
from mutspec.model.spec import TensorRef
from mutspec.structure.call_order import calls_in_order
from mutspec.structure.mask_rules import Mask, MaskedCall, MaskOperation, output_masks
from mutspec.structure.network import Arguments, Entry, Network, refs

Site = tuple[str, int]
"""A call: the layer's name and the number of the call."""

Masks = Any
"""The masks of an argument: in its structure, with a Mask or None for each tensor."""

NO_MASKS: Mapping[TensorRef, Mask | None] = MappingProxyType({})


class Observer(ABC):
    """Learns what a propagation finds, and decides where the rules of Keras do not."""

    @abstractmethod
    def given(self, site: Site, call: Arguments, expected: Mapping[str, Masks]) -> Mapping[str, Masks]:
        """Returns the masks that a call gets otherwise than by Keras's rules, by parameter.

        Arguments:
            site: the call.
            call: its arguments.
            expected: the masks that Keras gives it, by parameter.
        """

    @abstractmethod
    def made(self, site: Site, operations: Sequence[MaskOperation]) -> None:
        """Is told which operations compute the masks of a call's outputs."""

    @abstractmethod
    def unknown(self, site: Site, masked: MaskedCall) -> tuple[Mask | None, ...]:
        """Returns the masks of the outputs of a layer whose class is in no table."""

    @abstractmethod
    def operation(self, site: Site, entry: Entry, call: Arguments) -> None:
        """Is told of an operation in the network that may compute a mask."""


def propagate(network: Network, observer: Observer, masks: Mapping[TensorRef, Mask | None] = NO_MASKS) -> None:
    """Follows the masks through a network.

    Arguments:
        network: the network.
        observer: is told what is found.
        masks: the masks of the network's inputs.
    """
    masks = dict(masks)
    types = network.known_types
    for name, number in calls_in_order(network):
        site, layer, call = (name, number), network.layers[name], network.calls[name][number]
        if not isinstance(layer, Network) and is_operation(layer):
            # An operation takes no masks, and its output has none.
            if str(layer.get("class_name")) in MASK_OPERATIONS:
                observer.operation(site, layer, call)
            continue
        entry = entry_for_masks(layer)
        given = observer.given(site, call, expected_masks(entry, call, masks.get))
        first = next(iter(_tensors(entry, call).values()), None)
        inputs = tuple(refs(first))
        before = _flat(given.get("mask", each_tensor(first, masks.get)), len(inputs))
        masked = MaskedCall(entry, inputs, before, types, [])
        rule = mask_rule_of(entry) if inputs else MaskRule.DROPS
        outputs = observer.unknown(site, masked) if rule is None else output_masks(rule, masked)
        observer.made(site, masked.operations)
        masks |= {TensorRef(name, number, output): mask for output, mask in enumerate(outputs)}


def entry_for_masks(layer: Entry | Network) -> Entry:
    """Returns a serialised layer that takes and gives the masks of a layer. All models do it in one way."""
    return MODEL if isinstance(layer, Network) else layer


def expected_masks(entry: Entry, call: Arguments, mask_of: Callable[[TensorRef], Mask | None]) -> dict[str, Masks]:
    """Returns the masks that Keras gives a call, by parameter (`Layer.__call__`, step 6).

    Arguments:
        entry: the serialised layer.
        call: the arguments of the call.
        mask_of: returns the mask of a tensor.
    """
    tensors = _tensors(entry, call)
    parameters = mask_parameters_of(entry) or tuple(keywords(call))
    if len(tensors) == 1:
        (only,) = tensors.values()
        return {"mask": each_tensor(only, mask_of)} if "mask" in parameters else {}
    return {f"{key}_mask": each_tensor(each, mask_of) for key, each in tensors.items() if f"{key}_mask" in parameters}


def stated_masks(call: Arguments) -> dict[str, Arguments]:
    """Returns the masks among the arguments of a call."""
    return {key: value for key, value in keywords(call).items() if is_mask_parameter(key) and has_tensor(value)}


def keywords(call: Arguments) -> Mapping[str, Arguments]:
    """Returns the keyword arguments of a call. A damaged config may have anything else in their place."""
    found = call.get("kwargs") if isinstance(call, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def positionals(call: Arguments) -> Sequence[Arguments]:
    """Returns the positional arguments of a call. A damaged config may have anything else in their place."""
    found = call.get("args") if isinstance(call, Mapping) else None
    return found if isinstance(found, list | tuple) else ()


def has_tensor(value: Arguments) -> bool:
    """Returns whether arguments have a tensor in them."""
    return next(refs(value), None) is not None


def each_tensor(value: Arguments, change: Callable[[Any], Any]) -> Any:
    """Returns arguments, or masks in their structure, with something else for each tensor and each mask."""
    if isinstance(value, TensorRef | MaskOperation):
        return change(value)
    if isinstance(value, Mapping):
        return {key: each_tensor(item, change) for key, item in value.items()}
    return [each_tensor(item, change) for item in value] if isinstance(value, list | tuple) else value


def _tensors(entry: Entry, call: Arguments) -> dict[str, Arguments]:
    """Returns the arguments of a call that are tensors, or structures of them, without masks, by parameter."""
    names = mask_parameters_of(entry)
    given = {
        **{names[index] if index < len(names) else f"#{index}": each for index, each in enumerate(positionals(call))},
        **keywords(call),
    }
    return {key: value for key, value in given.items() if not is_mask_parameter(key) and has_tensor(value)}


def _flat(masks: Masks, count: int) -> tuple[Mask | None, ...]:
    """Returns as many masks of a structure as there are tensors, with None where it has fewer."""
    found: list[Mask | None] = []
    pending = [masks]
    while pending and len(found) < count:
        each = pending.pop(0)
        if isinstance(each, Mapping):
            pending[:0] = each.values()
        elif isinstance(each, list | tuple):
            pending[:0] = each
        else:
            found.append(each if isinstance(each, TensorRef | MaskOperation) else None)
    return (*found, *(None for _ in range(count - len(found))))
