"""Implicit masks: those that Keras propagates by itself. They are not edited, but follow from the edited network.

When Keras builds a Functional model, it gives the mask of a tensor to the layers that are called on it, and writes it
into the config: as an argument of the call (`mask`), and as operations that compute it (`NotEqual`, `Any`). A network
that is edited has none of them. The argument is None there, as it is for a tensor without a mask. Afterwards the masks
are computed again, by the rules in `keras_facts/masks.py`.

A mask that the author of the model passed stays: it is one that differs from what Keras would propagate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mutspec.keras_facts.classes import plain_class_name, snake_case
from mutspec.keras_facts.dtypes import policy_of
from mutspec.keras_facts.masks import MASK_OPERATIONS, config_of, makes_mask, mask_parameters_of
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.keras_facts.written_configs import TRAINING_BY_DEFAULT
from mutspec.model.outline import is_operation, join, nodes_of
from mutspec.model.spec import Call, LayerSpec, ModelSpec, TensorRef
from mutspec.structure.edits import without_unused
from mutspec.structure.mask_propagation import (
    NO_MASKS,
    Masks,
    Observer,
    Site,
    each_tensor,
    entry_for_masks,
    expected_masks,
    keywords,
    positionals,
    propagate,
    stated_masks,
)
from mutspec.structure.mask_rules import Mask, MaskedCall, MaskOperation
from mutspec.structure.network import SEQUENTIAL_INPUT, Arguments, Entry, Network, is_functional, paths_in, refs

_MEMORY = "implicit_masks"
"""The key of a call, in a network without implicit masks, for what was there. So it goes with the call through all
edits, and afterwards masks that no edit has changed are written as they were.

- `names`: the classes and names of the operations that computed the masks of its outputs.
- `passes`: whether a layer of a class of the user's own passed its mask on.
- `written`: the parameters that had an implicit mask.
- `unwritten`: those that had None, although there is a mask: what Concatenate makes had none in Keras 3.3. Keras finds
  it when the model is called.
"""


def _memory(call: Arguments) -> Mapping[str, Any]:
    return call.get(_MEMORY, {}) if isinstance(call, Mapping) else {}


def without_implicit_masks(network: Network) -> Network:
    """Returns a network without the masks that Keras propagates, and without the operations that only serve them."""
    network = _with_models(network, without_implicit_masks)
    if network.is_sequential or not _has_masks(network):
        return network
    found = _Recognition(network)
    propagate(network, found)
    calls = {
        name: tuple(found.forgotten(call, (name, number)) for number, call in enumerate(each))
        for name, each in network.calls.items()
    }
    changed = {name: each for name, each in calls.items() if each != network.calls[name]}
    return without_unused(network.changed(calls=changed), found.operations) if changed else network


def with_implicit_masks(network: Network) -> Network:
    """Returns a network with the masks that Keras propagates, as Keras writes them."""
    network = _with_models(network, with_implicit_masks)
    if network.is_sequential:
        return network
    found = _Insertion(network)
    if _has_masks(network):
        propagate(network, found)
    return found.inserted()


def masked_layers(
    network: Network, owner: str = "", inputs: Mapping[TensorRef, Mask | None] = NO_MASKS
) -> Iterator[tuple[str, bool]]:
    """Yields all layers of a network without implicit masks, and whether Keras, or the author, gives each a mask.

    Keras writes no masks into Sequential models, and none into a model in a model for what it is called on. They are
    propagated when the model is called.

    Arguments:
        network: the network.
        owner: its path.
        inputs: the masks of its inputs.
    """
    found = _Insertion(network)
    if has_masks := bool(inputs) or _has_masks(network):
        propagate(network, found, inputs)
    for name, layer in network.layers.items():
        masks = found.masks_given(name) if has_masks else []
        yield join(owner, name), any(mask is not None for mask in masks)
        if isinstance(layer, Network):
            ports = [SEQUENTIAL_INPUT] if layer.is_sequential else list(refs(layer.inputs))
            given = {port: mask for port, mask in zip(ports, masks, strict=False) if mask is not None}
            yield from masked_layers(layer, join(owner, name), given)


def _with_models(network: Network, change: Callable[[Network], Network]) -> Network:
    """Returns a network with a change of the models that are layers in it."""
    models = {name: layer for name, layer in network.layers.items() if isinstance(layer, Network)}
    changed = {name: new for name, model in models.items() if (new := change(model)) is not model}
    return network.with_layers({**network.layers, **changed}) if changed else network


def _calls(network: Network) -> Iterator[tuple[Site, Arguments]]:
    return (((name, number), call) for name, calls in network.calls.items() for number, call in enumerate(calls))


def _in(masks: Masks) -> list[Any]:
    """Returns what is in a structure of masks."""
    if isinstance(masks, Mapping):
        masks = list(masks.values())
    return [each for item in masks for each in _in(item)] if isinstance(masks, list | tuple) else [masks]


def _has_masks(network: Network) -> bool:
    """Returns whether a layer of a network makes a mask, or a call is given one."""
    makes = any(
        not isinstance(layer, Network) and makes_mask(layer) and not is_operation(layer)
        for layer in network.layers.values()
    )
    return makes or any(stated_masks(call) for _, call in _calls(network))


@dataclass
class _Recognition(Observer):
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
        return {**call, _MEMORY: {**_memory(call), **memory}} if memory else call

    def _open(self, call: Arguments) -> set[str]:
        """Returns the parameters of a call that have been without a mask from the beginning."""
        return keywords(call).keys() - stated_masks(call).keys() - set(_memory(call).get("written", ()))

    def _is_certain(self, masks: Masks) -> bool:
        """Returns whether there are masks, and none of them depends on a layer that may drop it."""
        found = [mask for mask in _in(masks) if mask is not None]
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


@dataclass
class _Insertion(Observer):
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
        return masked.masks[:1] if _memory(self.network.calls[site[0]][site[1]]).get("passes") else ()

    def masks_given(self, name: str) -> list[Mask | None]:
        """Returns the masks that a layer is given, in the first of its calls that is given some."""
        for number, call in enumerate(self.network.calls[name]):
            masks = _in({**self._expected.get((name, number), {}), **stated_masks(call)})
            if any(mask is not None for mask in masks):
                return masks
        return []

    def inserted(self) -> Network:
        """Returns the network with masks."""
        written = {site: masks for site, call in _calls(self.network) if (masks := self._written(site, call))}
        needed = self._needed(written)
        for each in self._maker_of:
            if each in needed:
                self._add(each)
        concerned = {name: self.network.calls[name] for name, _ in written}
        concerned |= {site[0]: self.network.calls[site[0]] for site, call in _calls(self.network) if _memory(call)}
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
            parameters = kwargs.keys() - stated.keys() - set(_memory(call).get("unwritten", ()))
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
        pending = [mask for masks in written.values() for mask in _in(masks)]
        while pending:
            each = pending.pop()
            if isinstance(each, MaskOperation) and each not in needed:
                needed.add(each)
                pending += _in(each.arguments)
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
            self._memories[site] = list(_memory(self.network.calls[site[0]][site[1]]).get("names", ()))
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
        return {key: value for key, value in call.items() if key != _MEMORY} if _memory(call) else call

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


def described(spec: ModelSpec, network: Network) -> ModelSpec:
    """Returns the spec of a model for its network with other implicit masks.

    Arguments:
        spec: the spec of the network before.
        network: the network, which differs from it only in masks, and in the operations that compute them.
    """
    paths = set(paths_in(network))
    groups: dict[str, list[LayerSpec]] = defaultdict(list)
    for layer in spec.layers:
        at = layer.path
        while at and at not in paths:
            at = at.rpartition("/")[0]
        groups[at].append(layer)
    return replace(spec, layers=tuple(_described(network, "", groups)))


def _described(network: Network, owner: str, groups: Mapping[str, list[LayerSpec]]) -> Iterator[LayerSpec]:
    for name, layer in network.layers.items():
        path = join(owner, name)
        calls = () if network.is_sequential else tuple(map(Call, network.uses[name]))
        if path in groups:
            first, *inner = groups[path]
            yield first if first.calls == calls else replace(first, calls=calls)
            yield from inner
        else:
            assert not isinstance(layer, Network)
            for node in nodes_of(layer, owner):
                yield LayerSpec(node.path, node.name, node.class_name, node.ancestry, node.config, calls)
        if isinstance(layer, Network):
            yield from _described(layer, path, groups)
