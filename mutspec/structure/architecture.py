"""The architecture of a model: a network and the spec that belongs to it, changed together by steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from mutspec.errors import ModelError
from mutspec.model.outline import clean, is_within, join, nodes_of
from mutspec.model.shapes import ShapeOracle
from mutspec.model.spec import Call, LayerSpec, ModelSpec, TensorSpec
from mutspec.structure.flow import Flow
from mutspec.structure.network import Network, network_of, own_config, refs


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


@dataclass(frozen=True)
class Change:
    """The change of a network by one step.

    Arguments:
        network: the network after the step.
        new: the paths of the layers that it adds, each with the path of a layer whose weights it keeps where they fit;
            empty for none.
        configured: the paths of the layers whose config it changes, without a change of shapes.
        renamed: the old path of each renamed layer, by its new path.
    """

    network: Network
    new: Mapping[str, str] = field(default_factory=dict)
    configured: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)


def architecture_of(config: Mapping[str, Any], spec: ModelSpec) -> Architecture:
    """Returns the architecture of a model.

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
    in_graph = set(_paths(network))
    outside = next((layer for layer in spec.layers if not _prefixes(layer.path) & in_graph), None)
    if outside is not None:
        raise ModelError(
            f"`{outside.path}` belongs to the model but not to its graph of layers, so mutspec cannot rewire it",
            hint="only steps on weights work on such a model",
        )
    return Architecture(network, spec)


def _paths(network: Network, owner: str = "") -> Iterator[str]:
    for name, layer in network.layers.items():
        path = join(owner, name)
        yield path
        if isinstance(layer, Network):
            yield from _paths(layer, path)


def _prefixes(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}


def restructured(
    architecture: Architecture, change: Change, oracle: ShapeOracle, step: int, origin: str
) -> tuple[Architecture, tuple[TensorSpec, ...]]:
    """Returns the architecture after a change, and the weights that the change makes.

    Arguments:
        architecture: the architecture before.
        change: the change.
        oracle: finds the output shapes of layers.
        step: the index of the step, for misfits.
        origin: the step's id, with which the origins of new weights begin.
    """
    before = architecture.spec
    weights = _by_layer(before.tensors)
    renamed = change.renamed

    def weights_before(path: str) -> Mapping[str, TensorSpec]:
        old = _old(path, renamed)
        owned = (each for layer, group in weights.items() if is_within(layer, old) for each in group)
        return {_moved(each.path, old, path): each for each in owned}

    flow = Flow(oracle, weights_before, frozenset(change.new))
    network = flow.settle(change.network, before=architecture.network)
    made = {
        tensor.path: tensor
        for path, like in change.new.items()
        for tensor in _tensors(path, flow.made.get(path, ()), origin, weights_before(like) if like else {}, like)
    }
    layers = tuple(_layers(network, "", before, change, flow.inner))
    tensors = tuple(_ordered(layers, before, made.values(), renamed))
    existing = {layer.path for layer in layers}
    misfits = {
        path: each for path, each in architecture.misfits.items() if path in existing and path not in flow.checked
    }
    misfits |= {path: (step, message) for path, message in flow.misfits.items()}
    spec = ModelSpec(
        before.name,
        before.class_name,
        layers,
        tensors,
        () if network.is_sequential else tuple(refs(network.inputs)),
        () if network.is_sequential else tuple(refs(network.outputs)),
    )
    created = tuple(tensor for tensor in made.values() if tensor.origin.startswith(f"{origin}/"))
    return Architecture(network, spec, misfits), created


def _tensors(
    path: str, weights: Iterable[TensorSpec], origin: str, kept: Mapping[str, TensorSpec], like: str
) -> Iterator[TensorSpec]:
    """Returns the weights of a new layer. Those that the replaced layer has with the same shape are kept."""
    owner, _, name = path.rpartition("/")
    by_role = {old.removeprefix(f"{like}/"): tensor for old, tensor in kept.items()}
    for each in weights:
        below = each.path.removeprefix(f"{name}/")
        new = replace(each, path=join(owner, each.path), layer=join(owner, each.layer), origin=f"{origin}/{below}")
        old = by_role.get(below)
        yield replace(new, origin=old.origin) if old and (old.shape, old.dtype) == (new.shape, new.dtype) else new


def _layers(
    network: Network, owner: str, before: ModelSpec, change: Change, made: Mapping[str, tuple[LayerSpec, ...]]
) -> Iterator[LayerSpec]:
    """Returns the layers of a network in model order, depth first. `made` are those inside layers of own classes."""
    positions = {layer.path: number for number, layer in enumerate(before.layers)}
    for name, layer in network.layers.items():
        path = join(owner, name)
        old = _old(path, change.renamed)
        calls = () if network.is_sequential else tuple(map(Call, network.uses[name]))
        if isinstance(layer, Network):
            earlier = before.layers[positions[old]]
            yield replace(earlier, path=path, name=name, config=clean(own_config(layer)), calls=calls)
            yield from _layers(layer, path, before, change, made)
        elif path in change.new or path in change.configured:
            for node in nodes_of(layer, owner):
                described = LayerSpec(node.path, node.name, node.class_name, node.ancestry, node.config, node.calls)
                yield replace(described, calls=calls) if node.path == path else described
            if path in change.new:
                yield from (replace(each, path=join(owner, each.path)) for each in made.get(path, ()))
            else:
                yield from (each for each in before.layers if each.is_inner and is_within(each.path, path))
        else:
            start = positions[old]
            earlier = before.layers[start]
            config = {**earlier.config, "name": name} if name != earlier.name else earlier.config
            yield replace(earlier, path=path, name=name, config=config, calls=calls)
            for inner in islice(before.layers, start + 1, None):
                if not is_within(inner.path, old):
                    break
                yield replace(inner, path=_moved(inner.path, old, path))


def _ordered(
    layers: Iterable[LayerSpec], before: ModelSpec, made: Iterable[TensorSpec], renamed: Mapping[str, str]
) -> Iterator[TensorSpec]:
    """Returns all weights, in the order of the layers. Those of new layers are in `made`."""
    new, old = _by_layer(made), _by_layer(before.tensors)
    for layer in layers:
        if layer.path in new:
            yield from new[layer.path]
            continue
        source = _old(layer.path, renamed)
        for tensor in old.get(source, ()):
            same = source == layer.path
            own = tensor.path.rpartition("/")[2]
            yield tensor if same else replace(tensor, path=f"{layer.path}/{own}", layer=layer.path)


def _by_layer(tensors: Iterable[TensorSpec]) -> Mapping[str, list[TensorSpec]]:
    groups: dict[str, list[TensorSpec]] = defaultdict(list)
    for tensor in tensors:
        groups[tensor.layer].append(tensor)
    return groups


def _old(path: str, renamed: Mapping[str, str]) -> str:
    """Returns the path that a layer had before it, or a layer around it, was renamed."""
    for new, old in renamed.items():
        if is_within(path, new):
            return _moved(path, new, old)
    return path


def _moved(path: str, old: str, new: str) -> str:
    return new + path[len(old) :]
