"""The architecture of a model: a network and the spec that belongs to it, changed together by steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from mutspec.errors import ModelError
from mutspec.keras_facts.class_names import MODELS
from mutspec.model.outline import around, clean, is_within, join, nodes_of
from mutspec.model.shapes import ShapeOracle
from mutspec.model.spec import Call, LayerSpec, ModelSpec, TensorSpec
from mutspec.structure.edits import level
from mutspec.structure.flow import Flow
from mutspec.structure.layer_edit import EditKind, former_path
from mutspec.structure.masks import described, with_implicit_masks, without_implicit_masks
from mutspec.structure.network import Entry, Network, paths_in, refs
from mutspec.structure.network_config import entry_of, network_of, own_config


@dataclass(frozen=True)
class Architecture:
    """A model's architecture after some steps.

    Arguments:
        network: the model, taken apart.
        spec: the same as a spec.
        misfits: for each layer, by path, that cannot take its inputs: the step after which that was so, and what is
            wrong. A later step may fix it.
    """

    network: Network
    spec: ModelSpec
    misfits: Mapping[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewLayer:
    """A layer that a step adds.

    Arguments:
        origin: the text with which the origins of its weights begin.
        like: the path of a layer that the step takes out, whose weights it keeps where they fit; empty for none.
    """

    origin: str
    like: str = ""


@dataclass(frozen=True)
class Change:
    """The change of a network by one step.

    Arguments:
        network: the network after the step.
        new: the layers that it adds, by path. A model stands for all layers in it.
        configured: the paths of the layers whose config it changes, also of layers in layers. One that is in `new` too
            stays the layer that it is, but its shapes and weights follow from its config again.
        renamed: the old path of each renamed or moved layer, by its new path. A model stands for all layers in it.
        marks: other effects that are to be reported, by the layer's path.
    """

    network: Network
    new: Mapping[str, NewLayer] = field(default_factory=dict)
    configured: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, EditKind] = field(default_factory=dict)


def architecture_of(config: Mapping[str, Any], spec: ModelSpec) -> Architecture:
    """Returns the architecture of a model, without the masks that Keras propagates by itself.

    Arguments:
        config: the serialised model, in Keras 3's form.
        spec: the model.

    Raises:
        ModelError: it cannot be edited, because its layers are called by code, or shared with a model inside it.
    """
    shared = next((layer for layer in spec.layers if layer.aliases), None)
    if shared is not None:
        raise ModelError(
            f"`{shared.path}` is shared with `{shared.aliases[0]}` in another model, which Keras cannot rebuild",
            hint="only steps on weights work on such a model",
        )
    network = network_of(config)
    in_graph = set(paths_in(network))
    outside = next((layer for layer in spec.layers if not _prefixes(layer.path) & in_graph), None)
    if outside is not None:
        raise ModelError(
            f"`{outside.path}` belongs to the model but not to its graph of layers, so mutspec cannot rewire it",
            hint="only steps on weights work on such a model",
        )
    unmasked = without_implicit_masks(network)
    return Architecture(unmasked, spec if unmasked is network else described(spec, unmasked))


def with_masks(architecture: Architecture) -> Architecture:
    """Returns the architecture with the masks that Keras propagates by itself, as it is written into files."""
    network = with_implicit_masks(architecture.network)
    if network is architecture.network:
        return architecture
    return replace(architecture, network=network, spec=described(architecture.spec, network))


def _prefixes(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}


def restructured(
    architecture: Architecture, change: Change, oracle: ShapeOracle, step: int
) -> tuple[Architecture, tuple[TensorSpec, ...]]:
    """Returns the architecture after a change, and the weights that the change makes.

    Arguments:
        architecture: the architecture before.
        change: the change.
        oracle: finds the output shapes of layers.
        step: the index of the step, for misfits.
    """
    before = architecture.spec
    weights = _by_layer(before.tensors)
    inside = _layers_inside(weights)

    def weights_before(path: str) -> Mapping[str, TensorSpec]:
        old = former_path(path, change.renamed)
        owned = (each for layer in inside.get(old, ()) for each in weights[layer])
        return {_moved(each.path, old, path): each for each in owned}

    flow = Flow(oracle, weights_before, frozenset(change.new), change.renamed)
    network = flow.settle(change.network, before=architecture.network)
    made = {
        tensor.path: tensor
        for path, new in change.new.items()
        for tensor in _new_tensors(path, new, flow.made, weights_before(new.like) if new.like else {})
    }
    layers = tuple(_Layers(architecture, change, flow.inner).of(network))
    tensors = tuple(_ordered(layers, weights, _by_layer(made.values()), change.renamed, change.new))
    existing = {layer.path for layer in layers}
    misfits = {
        path: each for path, each in architecture.misfits.items() if path in existing and path not in flow.checked
    }
    misfits |= {path: (step, message) for path, message in flow.misfits.items()}
    was = architecture.network
    spec = ModelSpec(
        before.name if network.name == was.name else network.name,
        before.class_name if network.is_sequential == was.is_sequential else str(network.entry["class_name"]),
        layers,
        tensors,
        () if network.is_sequential else tuple(refs(network.inputs)),
        () if network.is_sequential else tuple(refs(network.outputs)),
    )
    origins = tuple(f"{new.origin}/" for new in change.new.values())
    created = tuple(tensor for tensor in made.values() if tensor.origin.startswith(origins))
    return Architecture(network, spec, misfits), created


def _new_tensors(
    path: str, new: NewLayer, made: Mapping[str, tuple[TensorSpec, ...]], kept: Mapping[str, TensorSpec]
) -> Iterator[TensorSpec]:
    """Returns the weights of a new layer. Those that the replaced layer has with the same shape are kept."""
    by_role = {old.removeprefix(f"{new.like}/"): tensor for old, tensor in kept.items()}
    for at in (path,) if path in made else [each for each in made if is_within(each, path)]:
        owner = at.rpartition("/")[0]
        for each in made[at]:
            below = join(owner, each.path).removeprefix(f"{path}/")
            tensor = replace(
                each, path=join(owner, each.path), layer=join(owner, each.layer), origin=f"{new.origin}/{below}"
            )
            old = by_role.get(below)
            is_kept = old is not None and (old.shape, old.dtype) == (tensor.shape, tensor.dtype)
            yield replace(tensor, origin=old.origin) if old is not None and is_kept else tensor


class _Layers:
    """The layers of a network after an edit, as specs. Those that the edit does not touch stay the same objects.

    Arguments:
        before: the architecture before.
        change: the change.
        inner: the layers inside layers of own classes that the edit adds, by the path of the added layer.
    """

    def __init__(self, before: Architecture, change: Change, inner: Mapping[str, tuple[LayerSpec, ...]]) -> None:
        self._network = before.network
        self._layers = before.spec.layers
        self._positions = {layer.path: number for number, layer in enumerate(self._layers)}
        self._change = change
        self._inner = inner
        self._configured = {each for path in change.configured for each in _prefixes(path)}

    def of(self, network: Network, owner: str = "") -> Iterator[LayerSpec]:
        """Yields the layers of a network in model order, depth first."""
        was = level(self._network, former_path(owner, self._change.renamed))
        renamed = self._change.renamed
        for name, layer in network.layers.items():
            path = join(owner, name) if owner else name
            old = former_path(path, renamed) if renamed else path
            if path in self._change.new:
                yield from self._new(layer, path, self._calls(network, name))
                continue
            if isinstance(layer, Network) and old not in self._positions:  # a new model around layers that were there
                yield next(self._described(layer, path, self._calls(network, name)))
                yield from self.of(layer, path)
                continue
            start = self._positions[old]
            earlier = self._layers[start]
            is_same = (
                was is not None
                and was.is_sequential == network.is_sequential
                and network.calls[name] is was.calls.get(name)
            )
            calls = earlier.calls if is_same else self._calls(network, name)
            if isinstance(layer, Network):
                if layer.entry["class_name"] != earlier.class_name and earlier.class_name in MODELS:
                    earlier = next(self._described(layer, path, calls))
                yield replace(earlier, path=path, name=name, config=clean(own_config(layer)), calls=calls)
                yield from self.of(layer, path)
            elif path in self._configured:
                yield from self._described(layer, path, calls)
                yield from (each for each in self._layers if each.is_inner and is_within(each.path, path))
            else:
                if path != earlier.path:
                    config = {**earlier.config, "name": name} if name != earlier.name else earlier.config
                    earlier = replace(earlier, path=path, name=name, config=config)
                yield earlier if calls is earlier.calls else replace(earlier, calls=calls)
                yield from self._below(start, old, path)

    def _calls(self, network: Network, name: str) -> tuple[Call, ...]:
        return () if network.is_sequential else tuple(map(Call, network.uses[name]))

    def _new(self, layer: Entry | Network, path: str, calls: tuple[Call, ...]) -> Iterator[LayerSpec]:
        yield from self._described(layer, path, calls)
        for at, inner in self._inner.items():
            if is_within(at, path):
                yield from (replace(each, path=join(at.rpartition("/")[0], each.path)) for each in inner)

    def _described(self, layer: Entry | Network, path: str, calls: tuple[Call, ...]) -> Iterator[LayerSpec]:
        """Yields a layer and those in it by what its config says."""
        entry = entry_of(layer) if isinstance(layer, Network) else layer
        for node in nodes_of(entry, path.rpartition("/")[0]):
            spec = LayerSpec(node.path, node.name, node.class_name, node.ancestry, node.config, node.calls)
            yield replace(spec, calls=calls) if node.path == path else spec

    def _below(self, start: int, old: str, path: str) -> Iterator[LayerSpec]:
        """Yields the layers inside a layer that no config of calls has, such as the cells of a Bidirectional."""
        below = f"{old}/"
        for inner in islice(self._layers, start + 1, None):
            if not inner.path.startswith(below):
                return
            yield inner if path == old else replace(inner, path=_moved(inner.path, old, path))


def _ordered(
    layers: Iterable[LayerSpec],
    before: Mapping[str, list[TensorSpec]],
    made: Mapping[str, list[TensorSpec]],
    renamed: Mapping[str, str],
    new: Collection[str],
) -> Iterator[TensorSpec]:
    """Returns all weights, in the order of the layers. Those of the layers in `new`, or in these, are in `made`."""
    for layer in layers:
        if layer.path in made:
            yield from made[layer.path]
            continue
        if around(layer.path, new):
            continue  # it has no weights, but the layer that was there may have had some
        source = former_path(layer.path, renamed)
        same = source == layer.path
        for tensor in before.get(source, ()):
            own = tensor.path.rpartition("/")[2]
            yield tensor if same else replace(tensor, path=f"{layer.path}/{own}", layer=layer.path)


def _layers_inside(weights: Mapping[str, list[TensorSpec]]) -> Mapping[str, list[str]]:
    """Returns for each layer the layers with weights that are in it, itself included."""
    found: dict[str, list[str]] = defaultdict(list)
    for layer in weights:
        for path in _prefixes(layer):
            found[path].append(layer)
    return found


def _by_layer(tensors: Iterable[TensorSpec]) -> Mapping[str, list[TensorSpec]]:
    groups: dict[str, list[TensorSpec]] = defaultdict(list)
    for tensor in tensors:
        groups[tensor.layer].append(tensor)
    return groups


def _moved(path: str, old: str, new: str) -> str:
    return new + path[len(old) :]
