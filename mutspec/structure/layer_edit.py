"""An effect of a step on a layer, for reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mutspec.model.outline import around


class EditKind(StrEnum):
    """The kind of an effect on a layer."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    CONFIGURED = "configured"
    REWIRED = "rewired"
    OUTPUT_ADDED = "output_added"
    OUTPUT_REMOVED = "output_removed"


@dataclass(frozen=True, slots=True)
class LayerEdit:
    """The effect of a step on one layer.

    Arguments:
        kind: the kind of the effect.
        layer: the layer's path; for a removed layer its former path.
        type: its class.
        before: its former path, if it was renamed.
        parameters: the number of entries of its weights; of its new weights, if it was there before.
        acts_in_training_only: whether it returns its input unchanged when the model predicts.
        new_weights: the weights that it did not have before, if it was there before: their paths in the layer.
    """

    kind: EditKind
    layer: str
    type: str
    before: str = ""
    parameters: int = 0
    acts_in_training_only: bool = False
    new_weights: tuple[str, ...] = ()

    @property
    def keeps_predictions(self) -> bool:
        """Whether the model certainly predicts the same in spite of it."""
        return self.kind is EditKind.RENAMED or (self.acts_in_training_only and self.kind in _OF_THE_LAYER)


_OF_THE_LAYER = frozenset({EditKind.ADDED, EditKind.REMOVED, EditKind.CONFIGURED})
"""Effects on a layer itself; others are on what it is called on, and on the outputs of the model."""


def former_path(path: str, renames: Mapping[str, str]) -> str:
    """Returns the path that a layer had before a step.

    Arguments:
        path: its path after the step.
        renames: the former path of each layer that the step renames or moves. A model stands for all layers in it.
    """
    owner = around(path, renames)
    return renames[owner] + path[len(owner) :] if owner else path
