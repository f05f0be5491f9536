"""Insertion: the masks that Keras propagates, and the operations that compute them, as Keras writes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mutspec.keras_facts.classes import plain_class_name, snake_case
from mutspec.keras_facts.dtypes import policy_of
from mutspec.keras_facts.masks import MASK_OPERATIONS, config_of, mask_parameters_of
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.keras_facts.written_configs import TRAINING_BY_DEFAULT
from mutspec.model.outline import is_operation
from mutspec.model.spec import TensorRef
from mutspec.structure.mask_memory import MEMORY, all_calls, masks_in, memory_of
from mutspec.structure.mask_propagation import (
    Masks,
    Observer,
    Site,
    each_tensor,
    entry_for_masks,
    expected_masks,
    keywords,
    positionals,
    stated_masks,
)
from mutspec.structure.mask_rules import Mask, MaskedCall, MaskOperation
from mutspec.structure.network import Arguments, Entry, Network, is_functional, refs


@dataclass
class MaskInsertion(Observer):
    """Gives calls the masks that Keras propagates, and adds the operations that compute them.

    Arguments:
        network: the network, without implicit masks.
    """

    network: Network
    _expected: dict[Site, Mapping[str, Masks]] = field(default_factory=dict)
    _maker_of: dict[MaskOperation, Site] = field(default_factory=dict)
    _layers: dict[str, Entry] = field(default_factory=dict)
    _operation_calls: dict[str, Arguments] = field(default_factory=dict)
    _ref_of: dict[MaskOperation, TensorRef] = field(default_factory=dict)
    _memories: dict[Site, list[list[str]]] = field(default_factory=dict)

    def operation(self, site: Site, entry: Entry, call: Arguments) -> None:
        """Leaves the operations of the author as they are."""

    def given(self, site: Site, call: Arguments, expected: Mapping[str, Masks]) -> Mapping[str, Masks]:
        """Returns the masks that the author passed."""
        self._expected[site] = expected
        return stated_masks(call)

    def made(self, site: Site, operations: Sequence[MaskOperation]) -> None:
        """Notes which call each operation is for, in the order in which Keras makes them."""
        self._maker_of |= dict.fromkeys(operations, site)

    def unknown(self, site: Site, masked: MaskedCall) -> tuple[Mask | None, ...]:
        """Returns the mask of the first input, if the layer passed it on in the base."""
        return masked.masks[:1] if memory_of(self.network.calls[site[0]][site[1]]).get("passes") else ()

    def masks_given(self, name: str) -> list[Mask | None]:
        """Returns the masks that a layer is given, in the first of its calls that is given some."""
        for number, call in enumerate(self.network.calls[name]):
            masks = masks_in({**self._expected.get((name, number), {}), **stated_masks(call)})
            if any(mask is not None for mask in masks):
                return masks
        return []

    def inserted(self) -> Network:
        """Returns the network with masks."""
        written = {site: masks for site, call in all_calls(self.network) if (masks := self._written(site, call))}
        needed = self._needed(written)
        for each in self._maker_of:
            if each in needed:
                self._add(each)
        concerned = {name: self.network.calls[name] for name, _ in written}
        concerned |= {site[0]: self.network.calls[site[0]] for site, call in all_calls(self.network) if memory_of(call)}
        calls = {
            name: tuple(
                self._with_masks(name, call, written.get((name, number), {})) for number, call in enumerate(each)
            )
            for name, each in concerned.items()
        }
        if calls == concerned:
            return self.network
        network = self.network.changed(calls=calls)
        types = {self._ref_of[each]: TensorType(each.shape, "bool") for each in self._ref_of if each.shape is not None}
        return replace(
            network,
            layers=dict(self._in_model_order()),
            calls={**network.calls, **{name: (call,) for name, call in self._operation_calls.items()}},
            types={**network.types, **types},
        )

    def _written(self, site: Site, call: Arguments) -> Mapping[str, Masks]:
        """Returns the masks that Keras writes into a call, by parameter.

        In a config that Keras wrote, these are the parameters that the call has, if only with None. Into calls that
        have no keyword arguments yet, Keras writes `mask` unless it has to cast what they are called on: only then does
        it copy the arguments (`Layer.__call__`, step 1). A Functional model casts nothing.
        """
        layer, kwargs = self.network.layers[site[0]], keywords(call)
        if not isinstance(layer, Network) and is_operation(layer):
            return {}
        is_model = is_functional(layer)
        if kwargs and not is_model and site not in self._expected:
            return {}  # the network has no masks, and Keras has written that into the call
        entry, stated = entry_for_masks(layer), stated_masks(call)
        if kwargs and not is_model:
            parameters = kwargs.keys() - stated.keys() - set(memory_of(call).get("unwritten", ()))
        elif "mask" in mask_parameters_of(entry) and (is_model or not self._is_cast(layer, call)):
            parameters = {"mask"} - stated.keys()
        else:
            return {}
        expected = self._expected[site] if site in self._expected else expected_masks(entry, call, lambda _: None)
        return {key: each for key, each in expected.items() if key in parameters}

    def _is_cast(self, layer: Entry | Network, call: Arguments) -> bool:
        """Returns whether a call is on anything but one tensor of the layer's dtype."""
        entry = layer.entry if isinstance(layer, Network) else layer
        arguments = positionals(call)
        if len(arguments) != 1 or not isinstance(arguments[0], TensorRef):
            return True
        policy = policy_of(config_of(entry).get("dtype"))
        found = self.network.types.get(arguments[0]) or self.network.found_types.get(arguments[0])
        return policy is None or (found is not None and found.dtype != policy.compute)

    def _needed(self, written: Mapping[Site, Mapping[str, Masks]]) -> set[MaskOperation]:
        """Returns the operations that compute some masks, also through others."""
        needed: set[MaskOperation] = set()
        pending = [mask for masks in written.values() for mask in masks_in(masks)]
        while pending:
            each = pending.pop()
            if isinstance(each, MaskOperation) and each not in needed:
                needed.add(each)
                pending += masks_in(each.arguments)
        return needed

    def _add(self, operation: MaskOperation) -> None:
        """Adds an operation to the network, unless it is there: a mask that Keras made may also be the author's."""
        arguments = each_tensor(list(operation.arguments), self._ref)
        call = {"args": arguments, "kwargs": {}}
        name = self._name(operation, call)
        self._ref_of[operation] = TensorRef(name)
        if name in self.network.layers or name in self._layers:
            return
        self._operation_calls[name] = call
        self._layers[name] = {
            "module": MASK_OPERATIONS[operation.class_name],
            "class_name": operation.class_name,
            "config": {"name": name, **operation.config},
            "registered_name": operation.class_name,
            "name": name,
        }

    def _name(self, operation: MaskOperation, call: Arguments) -> str:
        """Returns the name of an operation: the one that it had, or a new one as Keras gives it."""
        site = self._maker_of[operation]
        if site not in self._memories:
            self._memories[site] = list(memory_of(self.network.calls[site[0]][site[1]]).get("names", ()))
        had = next((each for each in self._memories[site] if each[0] == operation.class_name), None)
        if had is not None:
            self._memories[site].remove(had)
            if self._is_free(had[1]) or self._is_there(had[1], operation, call):
                return had[1]
        base, number = snake_case(operation.class_name), 0
        name = base
        while not self._is_free(name):
            number += 1
            name = f"{base}_{number}"
        return name

    def _is_free(self, name: str) -> bool:
        return name not in self.network.layers and name not in self._layers

    def _is_there(self, name: str, operation: MaskOperation, call: Arguments) -> bool:
        """Returns whether the layer of a name is this operation."""
        layer = self._layers[name] if name in self._layers else self.network.layers[name]
        calls = (self._operation_calls[name],) if name in self._layers else self.network.calls[name]
        if isinstance(layer, Network) or not is_operation(layer) or layer["class_name"] != operation.class_name:
            return False
        return len(calls) == 1 and list(positionals(calls[0])) == call["args"]

    def _ref(self, mask: Mask) -> TensorRef:
        return mask if isinstance(mask, TensorRef) else self._ref_of[mask]

    def _with_masks(self, name: str, call: Arguments, masks: Mapping[str, Masks]) -> Arguments:
        if masks:
            layer = self.network.layers[name]
            class_name = "" if isinstance(layer, Network) else plain_class_name(layer)
            is_new = not keywords(call) and class_name in TRAINING_BY_DEFAULT
            implied = {"training": TRAINING_BY_DEFAULT[class_name]} if is_new else {}
            found = {key: each_tensor(each, self._ref) for key, each in masks.items()}
            call = {**call, "kwargs": {**implied, **keywords(call), **found}}
        return {key: value for key, value in call.items() if key != MEMORY} if memory_of(call) else call

    def _in_model_order(self) -> Iterator[tuple[str, Entry | Network]]:
        """Yields all layers, each operation after the layers that it is called on."""
        places = {name: number for number, name in enumerate(self.network.layers)}
        following: dict[int, list[str]] = defaultdict(list)
        for name, call in self._operation_calls.items():
            places[name] = max(places[ref.layer] for ref in refs(call))
            following[places[name]].append(name)
        for number, (name, layer) in enumerate(self.network.layers.items()):
            yield name, layer
            yield from ((each, self._layers[each]) for each in following[number])
