"""What a step does to layers, for reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from mutspec.model.outline import is_within
from mutspec.model.spec import ModelSpec
from mutspec.structure.architecture import Change


class EditKind(StrEnum):
    """What became of a layer."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    CONFIGURED = "configured"


@dataclass(frozen=True, slots=True)
class LayerEdit:
    """What became of one layer.

    Arguments:
        kind: what.
        layer: its path; of a removed layer the one that it had.
        type: its class.
        before: its path before, if it was renamed.
        parameters: how many entries its weights have.
    """

    kind: EditKind
    layer: str
    type: str
    before: str = ""
    parameters: int = 0


def layer_edits(before: ModelSpec, after: ModelSpec, change: Change) -> Iterator[LayerEdit]:
    """The edits of a change, outermost layers only, in model order.

    Arguments:
        before: the model before.
        after: the model after.
        change: what was done.
    """
    renamed = set(change.renamed.values())
    for layer in before.layers:
        is_replaced = layer.path in change.new
        if (layer.path not in after.layer_by_path or is_replaced) and not _below(layer.path, renamed, before):
            yield LayerEdit(EditKind.REMOVED, layer.path, layer.class_name, parameters=_parameters(before, layer.path))
    for layer in after.layers:
        path = layer.path
        if path in change.new:
            yield LayerEdit(EditKind.ADDED, path, layer.class_name, parameters=_parameters(after, path))
        elif path in change.renamed:
            yield LayerEdit(EditKind.RENAMED, path, layer.class_name, change.renamed[path])
        elif path in change.configured:
            yield LayerEdit(EditKind.CONFIGURED, path, layer.class_name)


def _below(path: str, renamed: set[str], before: ModelSpec) -> bool:
    """Whether a layer is renamed, or goes with one that is in another way reported."""
    owner = path.rpartition("/")[0]
    return any(is_within(path, each) for each in renamed) or (
        bool(owner) and owner in before.layer_by_path and _is_wrapper(owner, before)
    )


def _is_wrapper(owner: str, spec: ModelSpec) -> bool:
    return spec.layer_by_path[owner].class_name not in ("Functional", "Sequential", "Model")


def _parameters(spec: ModelSpec, path: str) -> int:
    return sum(each.size for each in spec.tensors if is_within(each.layer, path))
