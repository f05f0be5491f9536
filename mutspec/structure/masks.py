"""Implicit masks: those that Keras propagates by itself. They are not edited, but follow from the edited network.

When Keras builds a Functional model, it gives the mask of a tensor to the layers that are called on it, and writes it
into the config: as an argument of the call (`mask`), and as operations that compute it (`NotEqual`, `Any`). A network
that is edited has none of them. The argument is None there, as it is for a tensor without a mask. Afterwards the masks
are computed again, by the rules in `keras_facts/masks.py`.

A mask that the author of the model passed stays: it is one that differs from what Keras would propagate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from mutspec.keras_facts.masks import makes_mask
from mutspec.model.outline import around, is_operation, join, nodes_of
from mutspec.model.spec import Call, LayerSpec, ModelSpec, TensorRef
from mutspec.structure.edits import without_unused
from mutspec.structure.mask_insertion import MaskInsertion
from mutspec.structure.mask_memory import all_calls
from mutspec.structure.mask_propagation import (
    NO_MASKS,
    propagate,
    stated_masks,
)
from mutspec.structure.mask_recognition import MaskRecognition
from mutspec.structure.mask_rules import Mask
from mutspec.structure.network import SEQUENTIAL_INPUT, Network, paths_in, refs


def without_implicit_masks(network: Network) -> Network:
    """Returns a network without the masks that Keras propagates, and without the operations that only serve them."""
    network = _with_models(network, without_implicit_masks)
    if network.is_sequential or not _has_masks(network):
        return network
    found = MaskRecognition(network)
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
    found = MaskInsertion(network)
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
    found = MaskInsertion(network)
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


def _has_masks(network: Network) -> bool:
    """Returns whether a layer of a network makes a mask, or a call is given one."""
    makes = any(
        not isinstance(layer, Network) and makes_mask(layer) and not is_operation(layer)
        for layer in network.layers.values()
    )
    return makes or any(stated_masks(call) for _, call in all_calls(network))


def described(spec: ModelSpec, network: Network) -> ModelSpec:
    """Returns the spec of a model for its network with other implicit masks.

    Arguments:
        spec: the spec of the network before.
        network: the network, which differs from it only in masks, and in the operations that compute them.
    """
    paths = set(paths_in(network))
    groups: dict[str, list[LayerSpec]] = defaultdict(list)
    for layer in spec.layers:
        groups[around(layer.path, paths)].append(layer)
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
