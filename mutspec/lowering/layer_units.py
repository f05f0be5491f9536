"""The units of layers: which a layer has, and which of them must stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from mutspec.errors import PlanError
from mutspec.model.outline import around
from mutspec.model.spec import LayerSpec
from mutspec.structure.coupling.coupling import CoupledLayer, Coupling
from mutspec.structure.coupling.labels import Labels, Mark, MarkKind
from mutspec.text.words import listed


class OnUnremovable(StrEnum):
    """What to do about a layer whose units must all stay."""

    ERROR = "error"
    SKIP = "skip"


def layers_with_units(coupling: Coupling, layers: Sequence[LayerSpec]) -> Sequence[LayerSpec]:
    """Returns those of some layers that have units, or of which nobody knows it; all, if that is none.

    A pattern matches inputs, poolings and activations, too.
    """
    having = [layer for layer in layers if _has_units(coupling, layer) or around(layer.path, coupling.unknown)]
    return having or layers


def _has_units(coupling: Coupling, layer: LayerSpec) -> bool:
    return bool(_widths_of(coupling, layer)[1])


def _widths_of(coupling: Coupling, layer: LayerSpec) -> tuple[CoupledLayer | None, Mapping[str, Labels]]:
    """Returns the channels of a layer, or of the one that it is in, and its own widths."""
    owner = around(layer.path, coupling.layers)
    found = coupling.layers.get(owner)
    inner = layer.path[len(owner) :].lstrip("/")  # of a layer in a layer, whose widths are among those of the other
    return found, found.widths_of(inner) if found is not None else {}


def units_of(coupling: Coupling, layer: LayerSpec, argument: str) -> tuple[CoupledLayer, Labels]:
    """Returns the channels of a layer, and its units.

    Arguments:
        coupling: the channels of the model.
        layer: the layer.
        argument: the argument that counts the units; empty for the layer's first.

    Raises:
        PlanError: it has none.
    """
    found, widths = _widths_of(coupling, layer)
    if found is None or not widths:
        why = coupling.unknown.get(around(layer.path, coupling.unknown))
        raise PlanError(
            f"`{layer.path}` ({layer.class_name}) {why or 'has no units of its own'}",
            path=("target",),
            hint="name layers with units, filters or heads, such as Dense and Conv2D",
        )
    if not argument:
        return found, next(iter(widths.values()))
    if argument == "input_dim" and argument in widths:
        raise PlanError(
            f"the rows of `{layer.path}` ({layer.class_name}) are not units: their numbers are those of tokens",
            path=("argument",),
            hint="use `resize_embedding`",
        )
    if argument not in widths:
        raise PlanError(
            f"`{layer.path}` ({layer.class_name}) has no width `{argument}`",
            path=("argument",),
            hint=f"it has {listed(list(widths))}",
        )
    return found, widths[argument]


def refusal(coupling: Coupling, group: int, *, outputs: bool) -> Mark | None:
    """Returns why a group must stay; None if it need not."""
    kinds = {MarkKind.INPUT, MarkKind.BARRIER} | (set() if outputs else {MarkKind.OUTPUT})
    return next((mark for mark in coupling.marks.get(group, ()) if mark.kind in kinds), None)


def why_pinned(mark: Mark) -> str:
    """Returns why units must stay as they are, as the end of a sentence that says so."""
    if mark.kind is MarkKind.OUTPUT:
        return f": they {mark.why}"
    if mark.kind is MarkKind.INPUT:
        return f": they are coupled to `{mark.layer}`, an input of the model"
    return f", because `{mark.layer}` {mark.why}"


def free_groups(
    coupling: Coupling, layer: LayerSpec, labels: Labels, *, outputs: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the groups that the units of a layer are, and those of them that may be removed.

    Arguments:
        coupling: the channels of the model.
        layer: the layer.
        labels: its units.
        outputs: whether outputs of the model may be removed.

    Raises:
        PlanError: all of them must stay.
    """
    groups = coupling.groups_of(labels)
    return groups, unpinned(coupling, layer, groups, "must stay", _HOW_TO_REMOVE, outputs=outputs)


def unpinned(
    coupling: Coupling,
    layer: LayerSpec,
    groups: Sequence[int],
    what: str,
    hints: Mapping[MarkKind, str],
    *,
    outputs: bool,
) -> tuple[int, ...]:
    """Returns those of the groups of a layer's units that need not stay as they are.

    Arguments:
        coupling: the channels of the model.
        layer: the layer.
        groups: what its units are.
        what: what the error says of the units, such as "must stay".
        hints: what to do if all must stay, by the reason.
        outputs: whether those of outputs of the model need not stay.

    Raises:
        PlanError: all of them must stay.
    """
    reasons = {group: refusal(coupling, group, outputs=outputs) for group in groups}
    free = tuple(group for group, reason in reasons.items() if reason is None)
    if not free:
        mark = next(reason for reason in reasons.values() if reason is not None)
        its = f"the units of `{layer.path}` ({layer.class_name})"
        raise PlanError(f"{its} {what}{why_pinned(mark)}", path=("target",), hint=hints[mark.kind])
    return free


_HOW_TO_REMOVE = {
    MarkKind.OUTPUT: "say `outputs: true` to remove outputs of the model, or leave the layer out",
    MarkKind.INPUT: "leave the layer out, or change the input first with `set_input`",
    MarkKind.BARRIER: "leave it out with `not:`, skip such layers with `on_unremovable: skip`, zero its units with "
    "`zero_neurons`, or declare the axes of a class of your own with `declare_layer_axes` (docs/writing-an-op.md)",
}
