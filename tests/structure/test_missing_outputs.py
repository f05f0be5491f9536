"""A call that uses an output which its layer does not make any more is refused, and a later step may bring it back."""

from __future__ import annotations

from typing import Any

import pytest

import mutspec


@pytest.fixture(scope="module")
def with_states() -> Any:
    """A model that uses the states of an LSTM: one in a layer, and one as an output."""
    import keras

    layers = keras.layers
    source = keras.Input((5, 4))
    summary, hidden, carry = layers.LSTM(3, return_state=True, name="lstm")(source)
    joined = layers.Concatenate(name="joined")([summary, hidden])
    return keras.Model(source, [layers.Dense(2, name="head")(joined), carry], name="model")


def _refusal(model: Any, *steps: dict[str, Any]) -> list[str]:
    with pytest.raises(mutspec.PlanError) as refused:
        mutspec.dry_run(mutspec.plan({"steps": list(steps)}), model)
    return [problem.message for problem in refused.value.problems]


def _replaced(layer: dict[str, Any], target: str = "lstm") -> dict[str, Any]:
    return {"op": "replace_layer", "target": target, "layer": layer}


def test_who_uses_an_output_that_is_gone_is_named(with_states: Any) -> None:
    assert _refusal(with_states, _replaced({"type": "LSTM", "units": 3})) == [
        "after this step, `joined` is called on output 1 of `lstm`, which has only output 0",
        "after this step, `model` ends with output 2 of `lstm`, which has only output 0",
    ]


def test_only_the_outputs_that_are_gone_are_refused(with_states: Any) -> None:
    gru = {"type": "GRU", "units": 3, "return_state": True, "name": "gru"}
    assert _refusal(with_states, _replaced(gru)) == [
        "after this step, `model` ends with output 2 of `gru`, which has only outputs 0 to 1"
    ]


def test_a_wrapper_that_merges_two_outputs_is_refused() -> None:
    import keras

    layers = keras.layers
    source = keras.Input((5, 4))
    forward, backward = layers.Bidirectional(layers.LSTM(3), merge_mode=None, name="both")(source)
    model = keras.Model(source, layers.Subtract(name="difference")([forward, backward]))
    assert _refusal(model, _replaced({"type": "LSTM", "units": 3}, "both")) == [
        "after this step, `difference` is called on output 1 of `both`, which has only output 0"
    ]


def test_an_output_that_a_later_step_brings_back_is_used_again(with_states: Any) -> None:
    again = _replaced({"type": "LSTM", "units": 3, "return_state": True})
    steps = [_replaced({"type": "LSTM", "units": 3}), {"id": "again", **again}]
    mutant = mutspec.apply(mutspec.plan({"steps": steps}), with_states)
    assert [output.shape for output in mutant.outputs] == [(None, 2), (None, 3)]


def test_a_user_that_a_later_step_takes_out_is_not_refused(with_states: Any) -> None:
    steps = [
        _replaced({"type": "GRU", "units": 3, "return_state": True}),
        {"op": "remove_output", "target": "lstm"},
    ]
    mutant = mutspec.apply(mutspec.plan({"steps": steps}), with_states)
    assert [output.shape for output in mutant.outputs] == [(None, 2)]
