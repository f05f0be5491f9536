"""A step that changes nothing is refused, and what a step leaves as it is does not stand in its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mutspec
from mutspec.errors import PlanError

DIGITS = Path(__file__).parents[2] / "conf/model/digits.keras"


def edits(*steps: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns what the last of some steps on the digits model does to layers."""
    report = mutspec.dry_run(mutspec.plan({"steps": list(steps)}), DIGITS)
    return [(edit.kind.value, edit.layer) for edit in report.steps[-1].edits]


def configure(target: Any, **arguments: Any) -> dict[str, Any]:
    return {"op": "configure_layer", "target": target, "set": arguments}


NOTHING: dict[str, dict[str, Any]] = {
    "an activation that the layer has": configure("dense_1", activation="relu"),
    "a width that the layer has": configure("dense_1", units=40),
    "a window in short form": configure({"type": "Conv2D"}, kernel_size=3),
    "a default that is not written": configure({"type": "Conv2D"}, kernel_regularizer=None),
    "an initializer by its name": configure({"type": "Conv2D"}, kernel_initializer="glorot_uniform"),
    "what is trained already": configure("*", trainable=True),
    "the same policy": {"op": "set_dtype_policy", "policy": "float32"},
    "an equal layer without weights": {
        "op": "replace_layer", "target": {"type": "MaxPooling2D"}, "layer": {"type": "MaxPooling2D"}, "inherit": True,
    },
    "an equal layer with its weights": {
        "op": "replace_layer", "target": "dense_1", "layer": {"type": "Dense"}, "inherit": True, "keep_weights": True,
    },
    "an equal layer in a list": {
        "op": "replace_layer", "target": "dense_1", "layers": [{"type": "Dense"}], "inherit": True,
        "keep_weights": "slice",
    },
    "the whole model": {"op": "extract", "to": "logits"},
    "names that are the same by a pattern": {"op": "rename_layer", "target": "conv_*", "to": "{name}"},
}  # fmt: skip


@pytest.mark.parametrize("what", NOTHING)
def test_a_step_that_changes_nothing_is_refused(what: str) -> None:
    with pytest.raises(PlanError, match=r"already|touches nothing") as refused:
        edits({**NOTHING[what], "id": "idle"})
    assert "allow_empty: true" in refused.value.problems[0].hint


@pytest.mark.parametrize("what", NOTHING)
def test_a_step_that_may_change_nothing_reports_nothing(what: str) -> None:
    assert edits({**NOTHING[what], "allow_empty": True}) == []


def test_the_refusal_names_the_layers_and_what_they_have() -> None:
    with pytest.raises(PlanError, match="`conv_1`, `conv_2` have `padding: same` already"):
        edits(configure("conv_*", padding="same"))


def test_layers_that_are_so_already_are_no_error_where_one_changes() -> None:
    freeze = configure("conv_*", trainable=False)
    assert edits({**configure("conv_1", trainable=False), "id": "first"}, freeze) == [("configured", "conv_2")]
    with pytest.raises(PlanError, match="`trainable: false` already"):
        edits(freeze, {**freeze, "id": "again"})


def test_an_equal_layer_with_new_weights_is_a_change() -> None:
    step = {"op": "replace_layer", "target": "dense_1", "layer": {"type": "Dense"}, "inherit": True}
    assert edits(step) == [("removed", "dense_1"), ("added", "dense_1")]


def test_another_form_of_the_outputs_is_a_change() -> None:
    assert edits({"op": "extract", "outputs": {"features": "logits"}}) == [("output_added", "logits")]
