"""What the targets in a test select, in a model and in its mutant; and what the steps of a plan touch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from mutspec.errors import PlanError, Problem
from mutspec.keras_facts.roles import Group
from mutspec.model.outline import is_within
from mutspec.model.select import SelectorIndex
from mutspec.model.spec import ModelSpec
from mutspec.show.report import Report


@dataclass(frozen=True)
class Selected:
    """What a target selects.

    Arguments:
        weights: the paths of the weights.
        layers: the paths of the layers.
        problems: why there is neither; paths begin at the target.
    """

    weights: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def select(target: Any, *specs: ModelSpec) -> Selected:
    """Returns what a target selects in any of some models, such as a model and its mutant.

    Arguments:
        target: as in a plan.
        specs: the models.
    """
    found = [_select(target, spec) for spec in specs]
    some = [each for each in found if not each.problems]
    if not some:
        return found[0]
    return Selected(_joined(each.weights for each in some), _joined(each.layers for each in some))


def _select(target: Any, spec: ModelSpec) -> Selected:
    weights = select_weights(target, spec, learned=True)
    layers, _ = select_layers(target, spec)
    return Selected(weights.weights, layers, () if layers else weights.problems)


def _joined(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for part in parts for path in part))


def select_layers(target: Any, spec: ModelSpec) -> tuple[tuple[str, ...], tuple[Problem, ...]]:
    """Returns the paths of the layers that a target selects, or why there are none."""
    try:
        return tuple(layer.path for layer in SelectorIndex(spec).layers(target).layers), ()
    except PlanError as error:
        return (), error.problems


def select_weights(target: Any, spec: ModelSpec, *, learned: bool = False) -> Selected:
    """Returns the weights that a target selects in a model.

    Arguments:
        target: as in a plan; UNSET for all weights.
        spec: the model.
        learned: whether a target that does not speak of weights stands for the learned ones, as in plans, or for all.
    """
    if target is UNSET:
        return Selected(tuple(tensor.path for tensor in spec.tensors))
    index = SelectorIndex(spec)
    try:
        found = index.tensors(target) if learned else index.tensors(target, default_groups=frozenset(Group))
    except PlanError as error:
        return Selected(problems=error.problems)
    return Selected(tuple(tensor.path for tensor in found.tensors))


@dataclass(frozen=True)
class Touched:
    """What the steps of a plan touch.

    Arguments:
        weights: the paths of the weights that they change.
        layers: the paths of the layers that they edit.
    """

    weights: tuple[str, ...]
    layers: tuple[str, ...]

    def has(self, path: str) -> bool:
        """Returns whether a weight is changed, or a layer edited, or the layer that it is in."""
        return path in self.weights or any(is_within(path, layer) for layer in self.layers)

    def left_of(self, selected: Selected) -> list[str]:
        """Returns the weights that are selected and not touched; of layers without weights, the layers."""
        return [path for path in selected.weights or selected.layers if not self.has(path)]

    def of(self, selected: Selected) -> list[str]:
        """Returns the weights and layers that are selected and touched."""
        return [path for path in (*selected.weights, *selected.layers) if self.has(path)]

    def besides(self, selected: Selected) -> list[str]:
        """Returns the weights and layers that are touched and not selected."""
        weights = [path for path in self.weights if path not in selected.weights]
        return weights + [path for path in self.layers if path not in selected.layers]


def touched_by(report: Report) -> Touched:
    """Returns what the steps of a plan touch."""
    edits = [edit for step in report.steps for edit in step.edits]
    return Touched(
        _joined((target.path,) for step in report.steps for target in step.targets if target.touched),
        _joined((edit.layer, *([edit.before] if edit.before else [])) for edit in edits),
    )
