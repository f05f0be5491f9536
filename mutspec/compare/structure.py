"""Compares the structures of two models: layers, and the inputs and outputs of the whole, without values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

from mutspec.model.meaning import SET_BY_OWNERS, class_meant, config_meant, plain
from mutspec.model.spec import LayerSpec, ModelSpec
from mutspec.show.layers import ConfigChange, LayerChange, StructureDiff


def structure_diff(before: ModelSpec, after: ModelSpec) -> StructureDiff:
    """Compares two specs, layer by layer, by path.

    What is unknown in one of them is not compared: in a `.weights.h5` file a layer's class and config, the graph, and
    layers without weights.
    """
    known, wanted = before.layer_by_path, after.layer_by_path
    has_graphs = not (before.is_partial or after.is_partial)
    layers_before = _stated(before, after) if has_graphs else _with_weights(before)
    layers_after = _stated(after, before) if has_graphs else _with_weights(after)
    shared = _differently_shared(before, after)
    moved = _moved(before, after) if has_graphs else set()
    changes = (
        _layer_change(known[layer.path], layer, layer.path in moved, layer.path in shared, has_graphs)
        for layer in after.layers
        if layer.path in known
    )
    ports = [name for name in ("inputs", "outputs") if has_graphs and getattr(before, name) != getattr(after, name)]
    return StructureDiff(
        tuple(layer for layer in layers_after if layer.path not in known and _is_stored(layer, after)),
        tuple(layer for layer in layers_before if layer.path not in wanted and _is_stored(layer, before)),
        tuple(change for change in changes if change),
        tuple(ports),
    )


def _stated(spec: ModelSpec, other: ModelSpec) -> tuple[LayerSpec, ...]:
    """Returns the layers, without the InputLayers of Sequential models that the other spec leaves out."""
    implied = _sequential(spec) & _sequential(other) - {path for path, each in _input_layers(other)}
    inputs = {each.path for path, each in _input_layers(spec) if path in implied}
    return tuple(layer for layer in spec.layers if layer.path not in inputs)


def _input_layers(spec: ModelSpec) -> Iterator[tuple[str, LayerSpec]]:
    """The InputLayers, each after the path of the model that it is in."""
    return ((each.path.rpartition("/")[0], each) for each in spec.layers if each.class_name == "InputLayer")


def _with_weights(spec: ModelSpec) -> tuple[LayerSpec, ...]:
    """Returns the layers that own weights. A file of weights has no others."""
    owners = {tensor.layer for tensor in spec.tensors}
    return tuple(layer for layer in spec.layers if layer.path in owners)


def _is_stored(layer: LayerSpec, spec: ModelSpec) -> bool:
    """Tells whether every reader of the model reports a layer. Only objects show inner ones without weights."""
    return not layer.is_inner or any(tensor.layer == layer.path for tensor in spec.tensors)


def _layer_change(before: LayerSpec, after: LayerSpec, moved: bool, sharing: bool, has_graphs: bool) -> LayerChange:
    is_known = has_graphs and bool(before.class_name and after.class_name)
    is_same_class = not is_known or class_meant(before.class_name) == class_meant(after.class_name)
    has_configs = is_known and not (after.is_inner and not (before.config and after.config))
    return LayerChange(
        after.path,
        after.class_name,
        after.class_name if is_same_class else before.class_name,
        tuple(_layer_config_changes(before, after)) if has_configs else (),
        has_graphs and before.calls != after.calls,
        moved,
        sharing,
    )


def _layer_config_changes(before: LayerSpec, after: LayerSpec) -> Iterator[ConfigChange]:
    """Yields the differences in meaning between two configurations, as they are written there."""
    if before.class_name == after.class_name and before.config == after.config:
        return
    one, other = config_meant(before.class_name, before.config), config_meant(after.class_name, after.config)
    for key in dict.fromkeys((*before.config, *after.config)):
        is_unstated = key in SET_BY_OWNERS and None in (before.config.get(key), after.config.get(key))
        if is_unstated or _is_same(one.get(key), other.get(key)):
            continue
        old, new = before.config.get(key), after.config.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _config_changes(plain(old), plain(new), f"{key}.")
        else:
            yield ConfigChange(key, old, new)


def _config_changes(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Iterator[ConfigChange]:
    for key in dict.fromkeys((*before, *after)):
        one, other = before.get(key), after.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _config_changes(one, other, f"{prefix}{key}.")
        elif not _is_same(one, other):
            yield ConfigChange(f"{prefix}{key}", one, other)


def _is_same(one: Any, other: Any) -> bool:
    """Tells whether two JSON values are the same: 1 and 1.0 are, NaN and NaN are, 1 and true are not."""
    return (one == other and isinstance(one, bool) == isinstance(other, bool)) or repr(one) == repr(other)


def _moved(before: ModelSpec, after: ModelSpec) -> set[str]:
    """Returns the layers of Sequential models that have another place among the layers that stayed."""
    moved: set[str] = set()
    children_before, children_after = _children(before), _children(after)
    for parent in _sequential(before) & _sequential(after):
        now = set(children_after[parent])
        old = [path for path in children_before[parent] if path in now]
        new = [path for path in children_after[parent] if path in set(old)]
        if old != new:
            stayed = {
                path
                for match in SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
                for path in old[match.a : match.a + match.size]
            }
            moved |= set(old) - stayed
    return moved


def _sequential(spec: ModelSpec) -> set[str]:
    paths = {layer.path for layer in spec.layers if "Sequential" in (layer.class_name, *layer.ancestry)}
    return paths | {""} if spec.class_name == "Sequential" else paths


def _children(spec: ModelSpec) -> Mapping[str, list[str]]:
    children: dict[str, list[str]] = defaultdict(list)
    for layer in spec.layers:
        children[layer.path.rpartition("/")[0]].append(layer.path)
    return children


def _differently_shared(before: ModelSpec, after: ModelSpec) -> set[str]:
    """Returns the layers that both have, but that are reached by other paths, or whose weights are."""

    def sharing(spec: ModelSpec) -> dict[str, list[tuple[str, ...]]]:
        groups: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        entries: Iterable[tuple[str, str, tuple[str, ...]]] = (
            *((layer.path, layer.path, layer.aliases) for layer in spec.layers),
            *((tensor.layer, tensor.path, tensor.aliases) for tensor in spec.tensors),
        )
        for layer, path, aliases in entries:
            if aliases:
                groups[layer].append(tuple(sorted((path, *aliases))))
        return groups

    old, new = sharing(before), sharing(after)
    return {layer for layer in {**old, **new} if sorted(old.get(layer, [])) != sorted(new.get(layer, []))}
