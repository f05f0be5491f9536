"""The effects of steps on masks that Keras propagates, for reports.

No edit has to do with these masks. So what a step does to them shows only when they are computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mutspec.model.spec import LayerSpec, ModelSpec
from mutspec.structure.architecture import Architecture, with_masks
from mutspec.structure.layer_edit import EditKind, LayerEdit, former_path
from mutspec.structure.masks import masked_layers
from mutspec.text.words import listed


@dataclass(frozen=True)
class MaskChange:
    """The effects of one step on masks.

    Arguments:
        edits: the operations that compute masks, and that appear or vanish.
        lost, gained: the layers before and after the step that get no mask any more, and that get one now; by their
            paths after it. What a model in the model returns counts as having none. When it is called, Keras may pass
            on one that layers in it have made.
    """

    edits: tuple[LayerEdit, ...] = ()
    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.edits or self.lost or self.gained)

    @property
    def note(self) -> str:
        """A warning, for a step that claims the same predictions; empty if there is nothing to warn of."""
        if self.lost:
            what = f"no mask may reach {listed(self.lost)} any more"
        elif self.gained:
            what = f"a mask reaches {listed(self.gained)} now"
        else:
            return ""
        return f"{what}, so predictions certainly stay the same only where nothing is masked"


@dataclass(frozen=True)
class _Masks:
    """The masks of a model.

    Arguments:
        operations: the layers that are operations which compute masks, by path.
        layers: for each other layer, whether a mask goes into it.
    """

    operations: Mapping[str, LayerSpec]
    layers: Mapping[str, bool]


def mask_changes(
    model: ModelSpec, stages: Sequence[Architecture], masked: Architecture, renames: Sequence[Mapping[str, str]]
) -> tuple[MaskChange, ...]:
    """Returns what each change of an architecture does to masks.

    Arguments:
        model: the model before all changes, with its masks.
        stages: the architecture before the first change, and after each.
        masked: the last one with its masks.
        renames: the former path of each layer that a change renames or moves. A model stands for all layers in it.
    """
    first, last = _masks(model, stages[0]), _masks(masked.spec, stages[-1])
    if not any((*first.layers.values(), *last.layers.values())):  # a stage between has masks in very few plans
        return (MaskChange(),) * (len(stages) - 1)
    between = [_masks(with_masks(each).spec, each) for each in stages[1:-1]]
    pairs = pairwise([first, *between, last])
    return tuple(_change(*pair, former) for pair, former in zip(pairs, renames, strict=True))


def _masks(spec: ModelSpec, unmasked: Architecture) -> _Masks:
    """Returns the masks of a model, whose operations an architecture without masks does not have."""
    plain = unmasked.spec.layer_by_path
    operations = {layer.path: layer for layer in spec.layers if layer.path not in plain}
    return _Masks(operations, dict(masked_layers(unmasked.network)))


def _change(before: _Masks, after: _Masks, former: Mapping[str, str]) -> MaskChange:
    one, other = before.operations, after.operations
    removed = (LayerEdit(EditKind.REMOVED, path, each.class_name) for path, each in one.items() if path not in other)
    added = (LayerEdit(EditKind.ADDED, path, each.class_name) for path, each in other.items() if path not in one)
    was = {path: before.layers.get(former_path(path, former)) for path in after.layers}
    return MaskChange(
        (*removed, *added),
        tuple(path for path, is_masked in after.layers.items() if was[path] and not is_masked),
        tuple(path for path, is_masked in after.layers.items() if was[path] is False and is_masked),
    )
