"""Models without some of their units predict what they predict with zeros in their place."""

from __future__ import annotations

from collections import defaultdict

import pytest

from mutspec.structure.coupling.labels import MarkKind
from tests.structure import coupled_models
from tests.structure.coupling_of import (
    Width,
    coupling_of_model,
    difference,
    drawn,
    mixed_in,
    pruned_and_masked,
    widths_of,
)
from tests.zoo.play import inputs_of, outputs

MIXED: dict[str, set[str]] = {
    "masks": {"embed.input_dim"},
    "unscaled_attention": {"q.units", "k.units"},
    "sums": {"z.units", "sigmoid.units"},
    "whole_numbers": {"embed.input_dim", "last.units"},
    "adapters": {"embed.input_dim"},
    "normalized": {"group.filters", "layer.filters", "rms.filters", "softmax.filters", "logits.filters"},
    "transformer": {
        "tokens.output_dim",
        "tokens.input_dim",
        "places.output_dim",
        "places.input_dim",
        "attend.output_shape",
        "down.units",
    },
}  # fmt: skip
"""The widths of which fewer give something else than zeros."""

STAYS: dict[str, dict[str, str]] = {
    "higher_heads": {"wide.output_shape": "flatten"},
    "strides": {"every_second.units": "get_item", "one.units": "get_item_2"},
    "opaque": {"for_colours.filters": "colours"},
    "mixer": {"back.units": "add"},
    "constants": {"scaled.units": "multiply_1", "projected.units": "matmul"},
}
"""The widths that must stay, and the layer because of which; but for outputs of the model."""

UNKNOWN: dict[str, set[str]] = {"opaque": {"colours"}}
"""The layers of which nobody knows how their axes are related."""


def shown(width: Width) -> str:
    return ".".join(width)


@pytest.mark.parametrize("name", coupled_models.names())
def test_a_pruned_model_predicts_what_the_masked_one_does(name: str) -> None:
    model = drawn(coupled_models.built(name))
    found = coupling_of_model(model)
    marks = widths_of(found)
    assert found.unknown.keys() == UNKNOWN.get(name, set())
    barriers = {shown(width): mark.layer for width, mark in marks.items() if mark and mark.kind is not MarkKind.OUTPUT}
    assert barriers == STAYS.get(name, {})
    free = [width for width, mark in marks.items() if mark is None]
    mixed = {shown(width) for width in free if mixed_in(found, width)}
    assert mixed == MIXED.get(name, set())
    together = defaultdict(list)
    for path, argument in free:
        if shown((path, argument)) not in mixed:
            together[argument].append(path)
    assert together or barriers
    for argument, paths in together.items():
        predicted, masked, _ = pruned_and_masked(model, target=paths, argument=argument, count=1)
        before = outputs(model, inputs_of(model))  # comes last, because some layers remember their states
        assert difference(predicted, masked) < min(1e-4, difference(masked, before) / 10)
