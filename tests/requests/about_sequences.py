"""Requests about recurrent layers and what masks do to the layers around them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import mutspec
from tests.requests.asked import like, request
from tests.requests.models import masked_series, padded_series, series, series_and_context, texts


@request(
    "keras #5714, #7441, #2322, #2959",
    series,
    """
steps:
  - {op: set_input, batch_size: 3}
  - {op: configure_layer, target: lstm, set: {stateful: true}}
""",
)
def stateful_with_a_batch_size(base: Any, mutant: Any) -> Any:
    assert mutant.input_shape == (3, 6, 3)
    steps = keras.Input(batch_shape=(3, 6, 3))
    made = keras.Model(steps, layers.Dense(2)(layers.LSTM(5, stateful=True)(steps)))
    made.set_weights(base.get_weights())
    halves = np.random.default_rng(0).normal(size=(2, 3, 6, 3)).astype("float32")
    for half in halves:
        np.testing.assert_allclose(mutant(half), made(half), rtol=1e-5, atol=1e-5)
    for model in (mutant, made):
        model.layers[1].reset_states()
    return made


@request(
    "keras #5714, #7441",
    series_and_context,
    """
steps:
  - {op: set_input, batch_size: 3}
  - {op: configure_layer, target: lstm, set: {stateful: true}}
""",
)
def stateful_with_a_batch_size_of_all_inputs(base: Any, mutant: Any) -> Any:
    assert mutant.input_shape == [(3, 6, 3), (3, 2)]
    return base


@request(
    "return_sequences on, weights kept",
    series,
    """
steps:
  - {op: replace_layer, target: lstm, layer: {type: LSTM, return_sequences: true}, inherit: true, keep_weights: true}
  - {id: second, op: insert_layer, after: lstm, layer: {type: LSTM, units: same}}
""",
    new=("second",),
)
def sequences_for_another_lstm(base: Any, mutant: Any) -> Any:
    steps = like(base)
    first = layers.LSTM(5, return_sequences=True)
    x = layers.LSTM(5, name="second")(first(steps))
    first.set_weights(base.get_layer("lstm").get_weights())
    return keras.Model(steps, base.get_layer("out")(x))


@request(
    "return_sequences on, weights kept",
    series,
    """
steps:
  - {op: replace_layer, target: lstm, layer: {type: LSTM, return_sequences: true}, inherit: true, keep_weights: true}
""",
)
def an_output_for_each_step(base: Any, mutant: Any) -> Any:
    steps = like(base)
    first = layers.LSTM(5, return_sequences=True)
    x = base.get_layer("out")(first(steps))
    first.set_weights(base.get_layer("lstm").get_weights())
    return keras.Model(steps, x)


@request(
    "keras #11785, #8860",
    series,
    """
steps:
  - {op: configure_layer, target: lstm, set: {unroll: true, use_cudnn: false}}
""",
)
def unrolled_without_cudnn(base: Any, mutant: Any) -> Any:
    assert mutant.get_layer("lstm").unroll
    # Keras forgets `use_cudnn` whenever it saves a model
    return base


@request(
    "keras #11785, #8860",
    series,
    """
steps:
  - {op: configure_layer, target: lstm, set: {activation: relu, recurrent_activation: hard_sigmoid}}
""",
)
def other_activations_in_an_lstm(base: Any, mutant: Any) -> Any:
    steps = like(base)
    lstm = layers.LSTM(5, activation="relu", recurrent_activation="hard_sigmoid")
    x = base.get_layer("out")(lstm(steps))
    lstm.set_weights(base.get_layer("lstm").get_weights())
    return keras.Model(steps, x)


def test_reset_after_of_a_gru_changes_its_bias_and_is_refused() -> None:
    steps = keras.Input((6, 3))
    model = keras.Model(steps, layers.GRU(4, name="gru")(steps))
    plan = mutspec.plan({"steps": [{"op": "configure_layer", "target": "gru", "set": {"reset_after": False}}]})
    with pytest.raises(mutspec.PlanError, match="changes the bias of `gru` from 2×12 to 12"):
        mutspec.apply(plan, model)


@request(
    "LSTM to Bidirectional with trained weights",
    series,
    """
steps:
  - op: replace_layer
    target: lstm
    layer: {type: Bidirectional, merge_mode: ave, layer: {type: LSTM, units: 5}}
  - {op: transfer_weights, source: "base:lstm", target: "lstm/*"}
""",
)
def a_trained_lstm_in_both_directions(base: Any, mutant: Any) -> Any:
    steps = like(base)
    both = layers.Bidirectional(layers.LSTM(5), merge_mode="ave")
    x = base.get_layer("out")(both(steps))
    both.set_weights(base.get_layer("lstm").get_weights() * 2)
    return keras.Model(steps, x)


@request(
    "LSTM to Bidirectional with trained weights",
    texts,
    """
steps:
  - op: replace_layer
    target: lstm
    layer: {type: Bidirectional, merge_mode: sum, layer: {type: LSTM, units: 5, name: lstm}}
  - {op: transfer_weights, source: "base:lstm", target: lstm/forward_lstm}
""",
    new=("lstm/backward_lstm",),
)
def a_trained_lstm_as_the_forward_one(base: Any, mutant: Any) -> Any:
    tokens = like(base)
    both = layers.Bidirectional(layers.LSTM(5, name="lstm"), merge_mode="sum", name="lstm")
    made = keras.Model(tokens, base.get_layer("classes")(both(base.get_layer("embed")(tokens))))
    both.set_weights(base.get_layer("lstm").get_weights() + mutant.get_layer("lstm").get_weights()[3:])
    return made


def masked(base: Any, *between: Any, first: Any = None) -> Any:
    """The masked forecaster by hand, with layers before its first LSTM."""
    steps = like(base)
    x = base.get_layer("mask")(steps) if first is None else first(steps)
    for layer in between:
        x = layer(x)
    return keras.Model(steps, base.get_layer("out")(base.get_layer("lstm_2")(base.get_layer("lstm_1")(x))))


@request(
    "a mask for a recurrent model",
    series,
    "steps: [{id: mask, op: insert_layer, before: lstm, layer: {type: Masking}}]",
    values=padded_series,
)
def a_masking_put_in(base: Any, mutant: Any) -> Any:
    steps = like(base)
    x = base.get_layer("lstm")(layers.Masking()(steps))
    (values,) = padded_series()
    assert not np.allclose(mutant(values), base(values))
    return keras.Model(steps, base.get_layer("out")(x))


@request(
    "a mask for a recurrent model",
    masked_series,
    "steps: [{op: remove_layer, target: mask}]",
    values=padded_series,
)
def a_masking_taken_out(base: Any, mutant: Any) -> Any:
    return masked(base, first=lambda steps: steps)


@request(
    "a convolution in a masked recurrent model",
    masked_series,
    "steps: [{id: conv, op: insert_layer, before: lstm_1, layer: {type: Conv1D, filters: same, kernel_size: 3}}]",
    values=padded_series,
    new=("conv",),
)
def a_convolution_after_a_masking(base: Any, mutant: Any) -> Any:
    return masked(base, layers.Conv1D(3, 3, name="conv"))


@request(
    "a convolution in a masked recurrent model",
    masked_series,
    """
steps:
  - id: conv
    op: insert_layer
    before: lstm_1
    layer: {type: Conv1D, filters: same, kernel_size: 3, padding: same}
""",
    values=padded_series,
    new=("conv",),
)
def a_padded_convolution_after_a_masking(base: Any, mutant: Any) -> Any:
    return masked(base, layers.Conv1D(3, 3, padding="same", name="conv"))


@request(
    "pooling in a masked recurrent model",
    masked_series,
    "steps: [{id: pool, op: insert_layer, before: lstm_2, layer: {type: MaxPooling1D, pool_size: 2}}]",
    values=padded_series,
)
def pooling_between_masked_layers(base: Any, mutant: Any) -> Any:
    steps = like(base)
    x = base.get_layer("lstm_1")(base.get_layer("mask")(steps))
    return keras.Model(steps, base.get_layer("out")(base.get_layer("lstm_2")(layers.MaxPooling1D(2)(x))))
