"""A model without some units predicts what it predicts if all that they have is zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import mutspec
from tests.effort import examples
from tests.widths.networks import NAMES, OF_THE_ZOO, REAL, network, removable, step
from tests.zoo.play import inputs_of, outputs


@st.composite
def removals(draw: st.DrawFn) -> tuple[str, dict[str, Any], int]:
    """A network, a step that removes units of one of its layers, and a seed."""
    name = draw(st.sampled_from([*OF_THE_ZOO * 4, *REAL]))  # real ones take ten times as long
    amount = draw(st.sampled_from([{"count": 1}, {"fraction": "25%"}, {"fraction": 0.5, "round_to": 2}]))
    rank = draw(st.sampled_from([{}, {"rank": "smallest"}, {"rank": "largest", "by": "l1"}]))
    place = draw(st.integers(0, 10_000))  # networks are built in the test, as Keras draws while it builds one
    return name, step(place, stream="one", **amount, **rank, allow_empty=True), draw(st.integers(0, 3))


@settings(
    max_examples=examples(200, 50), deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(removals())
def test_any_units_of_any_layer(drawn: tuple[str, dict[str, Any], int]) -> None:
    name, removing, seed = drawn
    model, layers = network(name), removable(name)
    removing = {**removing, "target": layers[removing["target"] % len(layers)]}
    masking = {**removing, "op": "mask_neurons"}
    rounding = masking.pop("round_to", 1)
    removed = mutspec.apply(mutspec.plan({"seed": seed, "steps": [removing]}), model)
    values = inputs_of(model)
    if rounding > 1:  # the same units, which a mask does not round
        masking = {**removing, "coupled": "mask"}
        wanted = outputs(mutspec.apply(mutspec.plan({"seed": seed, "steps": [masking]}), model), values)
    else:
        with mutspec.mutated(mutspec.plan({"seed": seed, "steps": [masking]}), model):
            wanted = outputs(model, values)
    _assert_alike(outputs(removed, values), wanted)


def _assert_alike(one: list[np.ndarray], other: list[np.ndarray], relative: float = 1e-4) -> None:
    for left, right in zip(one, other, strict=True):
        assert left.shape == right.shape
        assert np.isfinite(right).all()
        assert np.abs(left - right).max() <= relative * max(np.abs(right).max(), 1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_each_network_has_layers_whose_units_can_be_removed(name: str) -> None:
    assert removable(name)
