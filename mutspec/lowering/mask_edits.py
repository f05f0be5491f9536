"""The masks that appear and vanish with each step, for reports.

No edit has to do with masks that Keras propagates. So what a step does to them shows only when they are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from mutspec.model.spec import LayerSpec, ModelSpec
from mutspec.structure.architecture import Architecture, with_masks
from mutspec.structure.layer_edit import EditKind, LayerEdit

Operations = Mapping[str, LayerSpec]
"""The layers that are operations which compute masks, by path."""


def mask_edits(
    model: ModelSpec, stages: Sequence[Architecture], masked: Architecture
) -> tuple[tuple[LayerEdit, ...], ...]:
    """Returns what each change of an architecture does to the operations that compute masks.

    Arguments:
        model: the model before all changes, with its masks.
        stages: the architecture before the first change, and after each.
        masked: the last one with its masks.
    """
    first, last = _beyond(model, stages[0]), _beyond(masked.spec, stages[-1])
    if first.keys() == last.keys():  # so for nearly all plans, and then no stage between need be looked at
        return ((),) * (len(stages) - 1)
    between = [_beyond(with_masks(each).spec, each) for each in stages[1:-1]]
    found = [first, *between, last]
    return tuple(_edits(*pair) for pair in pairwise(found))


def _beyond(spec: ModelSpec, unmasked: Architecture) -> Operations:
    """Returns the layers that a model has because of its masks alone."""
    return {layer.path: layer for layer in spec.layers if layer.path not in unmasked.spec.layer_by_path}


def _edits(before: Operations, after: Operations) -> tuple[LayerEdit, ...]:
    removed = (LayerEdit(EditKind.REMOVED, path, each.class_name) for path, each in before.items() if path not in after)
    added = (LayerEdit(EditKind.ADDED, path, each.class_name) for path, each in after.items() if path not in before)
    return (*removed, *added)
