"""The effects of a change on layers, which reports show."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any

from mutspec.keras_facts.class_names import TRAINING_ONLY
from mutspec.model.meaning import config_meant
from mutspec.model.outline import is_within
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec
from mutspec.structure.architecture import Architecture, Change
from mutspec.structure.edits import level
from mutspec.structure.layer_edit import EditKind, LayerEdit
from mutspec.structure.network import Network


def layer_edits(before: Architecture, after: Architecture, change: Change) -> Iterator[LayerEdit]:
    """Returns the effects of a change on the outermost affected layers, in model order.

    Arguments:
        before: the model before.
        after: the model after.
        change: the change.
    """
    moved, new = set(change.renamed.values()), change.new.keys() - change.configured
    is_lost = bool(new or change.renamed or before.spec.layer_by_path.keys() - after.spec.layer_by_path.keys())
    lost = _parameters(before.spec, moved) if is_lost else {}  # to count them takes as long as a small edit
    gained = _parameters(after.spec) if new else {}
    created = [each for each in after.spec.tensors if each.path not in before.spec.tensor_by_path]
    for layer in before.spec.layers:
        path = layer.path
        if path not in after.spec.layer_by_path or path in new or path in change.renamed:
            if not _below(path, moved, before.spec):
                yield _edit(EditKind.REMOVED, layer, before, lost.get(path, 0))
        elif change.marks.get(path) is EditKind.OUTPUT_REMOVED:
            yield _edit(EditKind.OUTPUT_REMOVED, layer, before)
    for layer in after.spec.layers:
        path = layer.path
        if path in new:
            yield _edit(EditKind.ADDED, layer, after, gained.get(path, 0))
        elif path in change.renamed:
            yield replace(_edit(EditKind.RENAMED, layer, after), before=change.renamed[path])
        elif path in change.configured:
            yield _configured(layer, after, created)
        elif path not in before.spec.layer_by_path and any(is_within(each, path) for each in change.renamed):
            yield _edit(EditKind.ADDED, layer, after)  # a model around layers that were there before
        elif path in change.marks and change.marks[path] is not EditKind.OUTPUT_REMOVED:
            yield _edit(change.marks[path], layer, after)


def without_effect(edits: Collection[LayerEdit], before: ModelSpec, after: ModelSpec) -> frozenset[str]:
    """Returns the paths of the layers that an edit gives arguments which they had, or exchanges for equal ones.

    Their class, what their arguments mean, their calls and their weights are as before, and so are those of the layers
    in them.
    """
    paths = {edit.layer for edit in edits if edit.kind in _OF_CONFIG}
    paths &= before.layer_by_path.keys() & after.layer_by_path.keys()
    if not paths:
        return frozenset()
    positions = {layer.path: number for number, layer in enumerate(after.layers) if layer.path in paths}
    former = {layer.path: number for number, layer in enumerate(before.layers) if layer.path in paths}
    weights, old_weights = _origins(after), _origins(before)

    def is_same(path: str) -> bool:
        now = list(_with_inner(after.layers, positions[path]))
        then = list(_with_inner(before.layers, former[path]))
        return len(now) == len(then) and all(
            _is_alike(one, other) and weights.get(one.path) == old_weights.get(other.path)
            for one, other in zip(now, then, strict=True)
        )

    return frozenset(filter(is_same, paths))


_OF_CONFIG = frozenset({EditKind.ADDED, EditKind.REMOVED, EditKind.CONFIGURED})


def _with_inner(layers: Sequence[LayerSpec], start: int) -> Iterator[LayerSpec]:
    """Yields a layer and those in it, which follow it."""
    path = layers[start].path
    yield from takewhile(lambda layer: is_within(layer.path, path), islice(layers, start, None))


def _origins(spec: ModelSpec) -> Mapping[str, list[str]]:
    """Returns the origins of the weights of each layer."""
    found: dict[str, list[str]] = defaultdict(list)
    for tensor in spec.tensors:
        found[tensor.layer].append(tensor.origin)
    return found


def _is_alike(one: LayerSpec, other: LayerSpec) -> bool:
    """Returns whether two layers have one path, one class and one meaning, and are called on the same tensors."""
    if one is other:
        return True
    if any(getattr(one, each) != getattr(other, each) for each in ("path", "class_name", "ancestry", "calls")):
        return False
    ours, theirs = (config_meant(each.class_name, each.config) for each in (one, other))
    return ours.keys() == theirs.keys() and all(_is_equal(ours[key], theirs[key]) for key in ours)


def _is_equal(one: Any, other: Any) -> bool:
    """Returns whether two values of an argument are equal: `3` for a window is `[3, 3]`."""
    if isinstance(one, list) is not isinstance(other, list):
        return bool(_single(one) == _single(other))
    return bool(one == other)


def _single(value: Any) -> Any:
    """Returns the one value that a list repeats."""
    while isinstance(value, list) and value and all(each == value[0] for each in value):
        value = value[0]
    return value


def _edit(kind: EditKind, layer: LayerSpec, model: Architecture, parameters: int = 0) -> LayerEdit:
    is_idle = _acts_in_training_only(layer, model.network)
    return LayerEdit(kind, layer.path, layer.class_name, "", parameters, is_idle)


def _configured(layer: LayerSpec, after: Architecture, created: Iterable[TensorSpec]) -> LayerEdit:
    new = [each for each in created if is_within(each.layer, layer.path)]
    edit = _edit(EditKind.CONFIGURED, layer, after, sum(each.size for each in new))
    return replace(edit, new_weights=tuple(each.path.removeprefix(f"{layer.path}/") for each in new))


def _acts_in_training_only(layer: LayerSpec, network: Network) -> bool:
    """Returns whether a layer is one of Keras's that act only in training, and no call has `training=True`."""
    owner, _, name = layer.path.rpartition("/")
    inside = level(network, owner)
    calls = inside.calls.get(name, ()) if inside is not None else ()
    is_keras_own = len(layer.ancestry) > 1
    is_one = is_keras_own and layer.class_name in TRAINING_ONLY
    return is_one and inside is not None and not any(call.get("kwargs", {}).get("training") for call in calls)


def _below(path: str, renamed: set[str], before: ModelSpec) -> bool:
    """Returns whether a removed layer needs no report of its own: it, or a layer around it, is reported otherwise."""
    owner = path.rpartition("/")[0]
    return any(is_within(path, each) for each in renamed) or (
        bool(owner) and owner in before.layer_by_path and _is_wrapper(owner, before)
    )


def _is_wrapper(owner: str, spec: ModelSpec) -> bool:
    return spec.layer_by_path[owner].class_name not in ("Functional", "Sequential", "Model")


def _parameters(spec: ModelSpec, but: Collection[str] = ()) -> Mapping[str, int]:
    """Returns the number of parameters in each layer that has some, but not in some layers, or in layers in these."""
    found: Counter[str] = Counter()
    for tensor in spec.tensors:
        owners = [tensor.layer]
        while "/" in owners[-1]:
            owners.append(owners[-1].rpartition("/")[0])
        if not any(owner in but for owner in owners):
            found.update(dict.fromkeys(owners, tensor.size))
    return found
