"""The channels of a live model, and what it predicts without some of its units."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import mutspec
from mutspec.language.types import BASE
from mutspec.lowering.context import LoweringContext
from mutspec.lowering.layer_units import refusal
from mutspec.lowering.widths import coupling
from mutspec.model.live import read_live
from mutspec.model.outline import around
from mutspec.structure.coupling.coupling import Coupling
from mutspec.structure.coupling.labels import Labels, Mark, MarkKind
from tests.zoo.play import inputs_of, mutant_of, outputs

_POSITIVE = ("variance", "moving_variance", "moving_stddev", "renorm_stddev")


def drawn(model: Any) -> Any:
    """The model with weights that are large enough for each to matter; quantised ones stay."""
    random = np.random.default_rng(5)
    for weight in model.weights:
        if "float" in weight.dtype and not weight.name.endswith("_scale"):
            low, high = (0.5, 1.5) if weight.name in _POSITIVE else (-1, 1)
            weight.assign(random.uniform(low, high, weight.shape).astype(str(weight.dtype)))
    for layer in getattr(model, "layers", ()):
        if type(layer).__name__ == "Normalization":
            layer.finalize_state()  # as loading does
    return model


Width = tuple[str, str]
"""A layer, and its argument that counts units."""


def context_of_model(model: Any) -> LoweringContext:
    """Where steps are lowered for a model."""
    from mutspec.execute.prepare import shape_oracle

    live = read_live(model)
    config = live.config or {}
    return LoweringContext(
        {"": live.spec, BASE: live.spec}, config, {BASE: config}, shape_oracle(live, unsafe=True, asked={})
    )


def coupling_of_model(model: Any) -> Coupling:
    """The coupled channels of a model."""
    return coupling(context_of_model(model))


def widths_of(found: Coupling) -> dict[Width, Mark | None]:
    """All widths of a model, each with why none of its units may go; None if some may."""
    widths: dict[Width, Mark | None] = {}
    for path, layer in found.layers.items():
        for name in layer.widths:
            inner, _, argument = name.rpartition("/")
            width = "/".join(filter(None, (path, inner))), argument
            groups = found.groups_of(labels_of(found, width))
            reasons = [refusal(found, group, outputs=False) for group in groups]
            if len(groups) > 1:
                widths[width] = None if None in reasons else reasons[0]
    return widths


def labels_of(found: Coupling, width: Width) -> Labels:
    """The labels that an argument of a layer counts."""
    path, argument = width
    owner = around(path, found.layers)
    return found.layers[owner].widths_of(path[len(owner) :].lstrip("/"))[argument]


def mixed_in(found: Coupling, width: Width) -> list[str]:
    """Why a model predicts something else without some units than with zeros in their place."""
    groups = found.groups_of(labels_of(found, width))
    marks = dict.fromkeys(mark for group in groups for mark in found.marks.get(group, ()))
    return [f"{mark.layer}: {mark.why}" for mark in marks if mark.kind is MarkKind.MIXED]


def pruned_and_masked(model: Any, **step: Any) -> tuple[list[np.ndarray], list[np.ndarray], Any]:
    """What a model predicts without some units, and what it predicts with zeros in their place; and the pruned one."""
    given = inputs_of(model)
    step = {"stream": "the same units", **step}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pruned = mutant_of(model, {"op": "remove_neurons", **step})
        masking = mutspec.plan({"steps": [{"op": "mask_neurons", **step}]})
        with mutspec.mutated(masking, model):
            expected = outputs(model, given)
        return outputs(pruned, given), expected, pruned


def difference(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """How far two predictions are apart, relative to the largest number in the second."""
    assert [each.shape for each in one] == [each.shape for each in other]
    return max(float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-9)) for a, b in zip(one, other, strict=True))
