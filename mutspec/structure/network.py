"""The network: a serialised model in a form that can be edited.

Sequential and Functional models have the same form here: layers by name, their calls, and the types of tensors. So
edits are the same for both. Calls need not be renumbered, because an edit adds or removes all calls of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.outline import join
from mutspec.model.spec import TensorRef

Entry = Mapping[str, Any]
Arguments = Any
"""The arguments of a call, as JSON values with a TensorRef for each tensor."""

Layers = Mapping[str, "Entry | Network"]
Calls = Mapping[str, tuple[Arguments, ...]]

SEQUENTIAL_INPUT = TensorRef("", 0, 0)
"""The tensor that the first layer of a Sequential model without an InputLayer is called on."""

RESAVE = "the file is damaged; load the model in Keras and save it again"


@dataclass(frozen=True)
class Network:
    """A Functional or Sequential model that can be edited.

    Arguments:
        entry: the serialised model, its config without layers and wiring.
        layers: the serialised layers, or the networks in it, by name, in model order.
        calls: the arguments of each call of each layer.
        inputs, outputs: the model's ports, in Keras's nesting of lists and dictionaries.
        types: the types of tensors, as far as they are known.
        is_sequential: whether it is written as a Sequential model.
        found_types: types that were computed from those in `types`. Not a part of the value: a memory of what follows.
    """

    entry: Entry
    layers: Layers
    calls: Calls
    inputs: Any
    outputs: Any
    types: Mapping[TensorRef, TensorType] = field(default_factory=dict)
    is_sequential: bool = False
    found_types: dict[TensorRef, TensorType] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The name of the model itself."""
        return str(self.entry["config"].get("name", ""))

    @property
    def known_types(self) -> dict[TensorRef, TensorType]:
        """The types in `types`, and those that were computed from them until now."""
        return {**self.types, **self.found_types}

    @cached_property
    def uses(self) -> Mapping[str, tuple[tuple[TensorRef, ...], ...]]:
        """The tensors that each call of each layer is given."""
        return {name: _refs_of(calls) for name, calls in self.calls.items()}

    @cached_property
    def users(self) -> Mapping[str, tuple[str, ...]]:
        """The layers that are called on an output of each layer."""
        users: dict[str, dict[str, None]] = {}
        for name, calls in self.uses.items():
            for producer in _producers(calls):
                users.setdefault(producer, {})[name] = None
        return {producer: tuple(names) for producer, names in users.items()}

    def with_layers(self, layers: Layers, types: Mapping[TensorRef, TensorType] | None = None) -> Network:
        """Returns a network with the same calls and other layers; and other types, if they are given."""
        if types is None:
            types = self.known_types
        return _with_indexes(replace(self, layers=layers, types=types, found_types={}), self.uses, self.users)

    def ordered(self, names: Iterable[str]) -> Network:
        """Returns the same network with its layers in another order."""
        names = tuple(names)
        layers = {name: self.layers[name] for name in names}
        calls = {name: self.calls[name] for name in names}
        return _with_indexes(replace(self, layers=layers, calls=calls), self.uses, self.users)

    def consumers(self, layer: str) -> tuple[str, ...]:
        """Returns the layers that are called on an output of a layer."""
        return self.users.get(layer, ())

    def changed(
        self,
        *,
        layers: Layers | None = None,
        calls: Calls | None = None,
        removed: Collection[str] = (),
        after: str | None = None,
        inputs: Any = None,
        outputs: Any = None,
    ) -> Network:
        """Returns the network with some changes. It takes time for these, and little for the rest.

        Arguments:
            layers: layers to add, or to put in the place of those of the same names.
            calls: the calls of layers: of all that are added, and of those that are called differently now.
            removed: the names of the layers to take out.
            after: the layer after which added layers stand in model order; None for the beginning.
            inputs: other inputs of the model; None for the same.
            outputs: other outputs; None for the same.
        """
        layers, calls = layers or {}, calls or {}
        added = [name for name in layers if name not in self.layers]
        names = _with_names(self.layers, added, after) if added else self.layers
        gone = frozenset(removed)
        all_layers = {name: layers.get(name) or self.layers[name] for name in names if name not in gone}
        all_calls = {name: calls[name] if name in calls else self.calls[name] for name in all_layers}
        types = self.known_types
        types = {ref: each for ref, each in types.items() if ref.layer not in gone} if gone else types
        network = replace(
            self,
            layers=all_layers,
            calls=all_calls,
            types=types,
            inputs=self.inputs if inputs is None else inputs,
            outputs=self.outputs if outputs is None else outputs,
            found_types={},
        )
        return _with_indexes(network, *_indexes(self, calls, gone))


def _refs_of(calls: tuple[Arguments, ...]) -> tuple[tuple[TensorRef, ...], ...]:
    return tuple(tuple(refs(call)) for call in calls)


def _producers(calls: tuple[tuple[TensorRef, ...], ...]) -> dict[str, None]:
    """Returns the names of the layers whose outputs some calls are given, each once."""
    return {ref.layer: None for call in calls for ref in call}


def _with_names(layers: Layers, added: list[str], after: str | None) -> list[str]:
    names = list(layers)
    at = names.index(after) + 1 if after is not None else 0
    return [*names[:at], *added, *names[at:]]


def _indexes(
    network: Network, calls: Calls, gone: Collection[str]
) -> tuple[dict[str, tuple[tuple[TensorRef, ...], ...]], dict[str, tuple[str, ...]]]:
    """Returns `uses` and `users` of a network in which the calls of some layers are changed or gone."""
    uses, users = dict(network.uses), dict(network.users)
    for name in (*calls, *gone):
        for producer in _producers(uses.pop(name, ())):
            users[producer] = tuple(each for each in users[producer] if each != name)
    for name, each in calls.items():
        if name not in gone:
            uses[name] = _refs_of(each)
            for producer in _producers(uses[name]):
                users[producer] = (*users.get(producer, ()), name)
    return uses, users


def _with_indexes(network: Network, uses: Mapping[str, Any], users: Mapping[str, tuple[str, ...]]) -> Network:
    """Returns the network itself, which then need not find its indexes."""
    network.__dict__.update(uses=uses, users=users)
    return network


def is_functional(layer: Entry | Network) -> bool:
    """Returns whether a layer is a Functional model."""
    return isinstance(layer, Network) and not layer.is_sequential


def paths_in(network: Network, owner: str = "") -> Iterator[str]:
    """Yields the paths of the layers in a network, and of those in the networks in it, in model order."""
    for name, layer in network.layers.items():
        path = join(owner, name)
        yield path
        if isinstance(layer, Network):
            yield from paths_in(layer, path)


def called_otherwise(network: Network, before: Network) -> Iterator[str]:
    """Yields the layers that an edit gave other calls. It leaves those that it does not touch as they are."""
    return (name for name, calls in network.calls.items() if calls is not before.calls.get(name))


def unique_name(name: str, taken: Collection[str]) -> str:
    """Returns a name that is not taken: the name itself, or with the first number that is free."""
    numbered = (f"{name}_{number}" for number in range(1, len(taken) + 2))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def refs(value: Arguments) -> Iterator[TensorRef]:
    """Returns the tensors in arguments or ports, in Keras's order."""
    if isinstance(value, TensorRef):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from refs(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from refs(item)


def mapped(value: Arguments, change: Callable[[TensorRef], Any]) -> Arguments:
    """Returns arguments or ports with something else in the place of each tensor: another tensor, or a JSON value."""
    if isinstance(value, TensorRef):
        return change(value)
    if isinstance(value, Mapping):
        return {key: mapped(item, change) for key, item in value.items()}
    return [mapped(item, change) for item in value] if isinstance(value, list | tuple) else value


def with_ports(ports: Any, more: Mapping[str, TensorRef]) -> Any:
    """Returns a model's inputs or outputs with more of them, in the form that they have.

    Arguments:
        ports: the inputs or outputs.
        more: the tensors to add, by the keys that they get in a dictionary. It is kept in the order of its keys, in
            which Keras flattens it; a list has them at its end.
    """
    if isinstance(ports, Mapping):
        return dict(sorted({**ports, **more}.items()))
    return [*(ports if isinstance(ports, list) else [ports]), *more.values()] if more else ports


def chain(network: Network) -> tuple[str, ...]:
    """Returns the layers of a Sequential network from its input to its output."""
    after = {ref: name for name, calls in network.uses.items() for call in calls for ref in call}
    (at,) = refs(network.inputs)
    names = [at.layer] if at.layer in network.layers else []
    while at in after:
        names.append(after[at])
        at = TensorRef(after[at])
    return tuple(names)
