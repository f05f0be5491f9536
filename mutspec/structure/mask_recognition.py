"""Recognition: which of the masks of a network are those that Keras propagates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mutspec.keras_facts.masks import config_of
from mutspec.model.spec import TensorRef
from mutspec.structure.mask_memory import MEMORY, masks_in, memory_of
from mutspec.structure.mask_propagation import (
    Masks,
    Observer,
    Site,
    each_tensor,
    keywords,
    positionals,
    stated_masks,
)
from mutspec.structure.mask_rules import Mask, MaskedCall, MaskOperation
from mutspec.structure.network import Arguments, Entry, Network


@dataclass
class MaskRecognition(Observer):
    """Compares the masks that calls have with those that Keras would propagate.

    Two masks are equal if the same operations compute them from the same tensors. Each tensor and each operation has a
    number, which is the same for equal ones. So a comparison takes no longer in a deep model.

    Arguments:
        network: the network, with masks.
        implicit: the parameters of each call that have an implicit mask.
        operations: the names of all operations that compute implicit masks.
    """

    network: Network
    implicit: dict[Site, list[str]] = field(default_factory=lambda: defaultdict(list))
    operations: dict[str, None] = field(default_factory=dict)
    _unwritten: dict[Site, list[str]] = field(default_factory=lambda: defaultdict(list))
    _name_of: dict[MaskOperation, str] = field(default_factory=dict)
    _made_by: dict[Site, tuple[MaskOperation, ...]] = field(default_factory=dict)
    _guesses: dict[MaskOperation, Site] = field(default_factory=dict)
    _passing: set[Site] = field(default_factory=set)
    _number_of: dict[Mask, int] = field(default_factory=dict)
    _numbers: dict[Any, int] = field(default_factory=dict)

    def operation(self, site: Site, entry: Entry, call: Arguments) -> None:
        """Gives an operation of the network its number."""
        stated = {**config_of(entry), **keywords(call)}
        self._number(TensorRef(*site), entry["class_name"], positionals(call), stated)

    def given(self, site: Site, call: Arguments, expected: Mapping[str, Masks]) -> Mapping[str, Masks]:
        """Returns the masks that the author passed, and compares the others with those that are expected."""
        stated = stated_masks(call)
        for parameter, masks in expected.items():
            if parameter in stated and self._is_equal(stated[parameter], masks):
                self.implicit[site].append(parameter)
                del stated[parameter]
            elif parameter in self._open(call) and self._is_certain(masks):
                self._unwritten[site].append(parameter)
        return stated

    def made(self, site: Site, operations: Sequence[MaskOperation]) -> None:
        """Gives operations that Keras records their numbers."""
        self._made_by[site] = tuple(operations)
        for each in operations:
            self._number(each, each.class_name, each.arguments, each.config)

    def unknown(self, site: Site, masked: MaskedCall) -> tuple[Mask | None, ...]:
        """Returns a mask that stands for the one of the input. If a call has it, the layer has passed it on."""
        mask = next(iter(masked.masks), None)
        if mask is None:
            return ()
        guess = MaskOperation("", (mask,), {}, masked.shape(mask))
        self._guesses[guess] = site
        self._number_of[guess] = self._number_for(mask)
        return (guess,)

    def forgotten(self, call: Arguments, site: Site) -> Arguments:
        """Returns a call without its implicit masks, but with what is needed to find them again as they were."""
        made = [each for each in self._made_by.get(site, ()) if each in self._name_of]
        written, unwritten = self.implicit.get(site), self._unwritten.get(site)
        memory = {
            **({"names": [[each.class_name, self._name_of[each]] for each in made]} if made else {}),
            **({"passes": True} if site in self._passing else {}),
            **({"written": written} if written else {}),
            **({"unwritten": unwritten} if unwritten else {}),
        }
        if written:
            kwargs = call["kwargs"]
            nothing = {key: each_tensor(kwargs[key], lambda _: None) for key in written}
            call = {**call, "kwargs": {**kwargs, **nothing}}
        return {**call, MEMORY: {**memory_of(call), **memory}} if memory else call

    def _open(self, call: Arguments) -> set[str]:
        """Returns the parameters of a call that have been without a mask from the beginning."""
        return keywords(call).keys() - stated_masks(call).keys() - set(memory_of(call).get("written", ()))

    def _is_certain(self, masks: Masks) -> bool:
        """Returns whether there are masks, and none of them depends on a layer that may drop it."""
        found = [mask for mask in masks_in(masks) if mask is not None]
        return bool(found) and not any(mask in self._guesses for mask in found)

    def _is_equal(self, stated: Arguments, expected: Masks) -> bool:
        """Returns whether the masks of a call are those that Keras would propagate, and notes what computes them."""
        if isinstance(stated, TensorRef) and isinstance(expected, TensorRef | MaskOperation):
            is_equal = self._number_for(stated) == self._number_for(expected)
            if is_equal:
                self._note(expected, stated)
            return is_equal
        if isinstance(stated, Mapping) and isinstance(expected, Mapping):
            keys = stated.keys()
            return keys == expected.keys() and all(self._is_equal(stated[key], expected[key]) for key in keys)
        if isinstance(stated, list) and isinstance(expected, list):
            pairs = zip(stated, expected, strict=False)
            return len(stated) == len(expected) and all(self._is_equal(one, other) for one, other in pairs)
        return stated is None and expected is None

    def _note(self, expected: Mask, stated: TensorRef) -> None:
        """Notes which layers of the network are the operations that compute a mask."""
        pending: list[tuple[Any, Any]] = [(expected, stated)]
        while pending:
            one, other = pending.pop()
            if isinstance(one, list | tuple):
                pending += zip(one, other, strict=True)
            elif isinstance(one, MaskOperation) and one in self._guesses:
                self._passing.add(self._guesses[one])
                pending.append((one.arguments[0], other))
            elif isinstance(one, MaskOperation) and not (one in self._name_of and other.layer in self.operations):
                self._name_of.setdefault(one, other.layer)
                self.operations[other.layer] = None
                pending.append((one.arguments, positionals(self.network.calls[other.layer][other.call])))

    def _number_for(self, tensor: Mask) -> int:
        if tensor not in self._number_of:
            self._number_of[tensor] = self._numbers.setdefault(tensor, len(self._numbers))
        return self._number_of[tensor]

    def _number(self, mask: Mask, class_name: str, arguments: Any, config: Mapping[str, Any]) -> None:
        """Gives the result of an operation its number."""
        stated = {key: value for key, value in config.items() if key != "name" and value is not None}
        key = (class_name, self._hashable(arguments), self._hashable(stated))
        self._number_of[mask] = self._numbers.setdefault(key, len(self._numbers))

    def _hashable(self, value: Any) -> Any:
        if isinstance(value, TensorRef | MaskOperation):
            return "tensor", self._number_for(value)
        if isinstance(value, Mapping):
            return tuple((key, self._hashable(value[key])) for key in sorted(value))
        return tuple(map(self._hashable, value)) if isinstance(value, list | tuple) else value
