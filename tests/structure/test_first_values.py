"""The first values of new weights follow from their layers' initializers, in every class with weights, as in Keras."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from mutspec.keras_facts.class_table import CLASSES
from mutspec.keras_facts.first_values import has_forget_gate, initialized_by
from mutspec.keras_facts.layer_arguments import arguments_of
from mutspec.model.meaning import value_meant

ROWS, SEQUENCE, IMAGE, VOLUME, FILM = (6,), (5, 6), (6, 7, 6), (4, 5, 6, 6), (3, 6, 7, 4)
DENSE = {"type": "Dense", "units": 3}
WINDOW: dict[str, Any] = {"filters": 2, "kernel_size": 2}
LAYERS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "Dense": (DENSE, ROWS),
    "EinsumDense": (
        {"type": "EinsumDense", "equation": "abc,cde->abde", "output_shape": [5, 2, 3], "bias_axes": "de"},
        SEQUENCE,
    ),
    "Embedding": ({"type": "Embedding", "input_dim": 9, "output_dim": 3}, ROWS),
    "ReversibleEmbedding": (
        {"type": "ReversibleEmbedding", "input_dim": 9, "output_dim": 3, "tie_weights": False},
        ROWS,
    ),
    **{f"Conv1D{end}": ({"type": f"Conv1D{end}", **WINDOW}, SEQUENCE) for end in ("", "Transpose")},
    **{f"Conv2D{end}": ({"type": f"Conv2D{end}", **WINDOW}, IMAGE) for end in ("", "Transpose")},
    **{f"Conv3D{end}": ({"type": f"Conv3D{end}", **WINDOW}, VOLUME) for end in ("", "Transpose")},
    "DepthwiseConv1D": ({"type": "DepthwiseConv1D", "kernel_size": 2, "depth_multiplier": 2}, SEQUENCE),
    "DepthwiseConv2D": ({"type": "DepthwiseConv2D", "kernel_size": 2}, IMAGE),
    "SeparableConv1D": ({"type": "SeparableConv1D", **WINDOW}, SEQUENCE),
    "SeparableConv2D": ({"type": "SeparableConv2D", **WINDOW}, IMAGE),
    "BatchNormalization": ({"type": "BatchNormalization", "renorm": True}, ROWS),
    "LayerNormalization": ({"type": "LayerNormalization"}, ROWS),
    "GroupNormalization": ({"type": "GroupNormalization", "groups": 2}, ROWS),
    "RMSNormalization": ({"type": "RMSNormalization"}, ROWS),
    "Normalization": ({"type": "Normalization"}, ROWS),
    "SpectralNormalization": ({"type": "SpectralNormalization", "layer": DENSE}, ROWS),
    "PReLU": ({"type": "PReLU"}, ROWS),
    "LSTM": ({"type": "LSTM", "units": 3}, SEQUENCE),
    "GRU": ({"type": "GRU", "units": 3}, SEQUENCE),
    "SimpleRNN": ({"type": "SimpleRNN", "units": 3}, SEQUENCE),
    "ConvLSTM1D": ({"type": "ConvLSTM1D", **WINDOW}, (3, 6, 4)),
    "ConvLSTM2D": ({"type": "ConvLSTM2D", **WINDOW}, FILM),
    "ConvLSTM3D": ({"type": "ConvLSTM3D", **WINDOW}, (2, 4, 4, 4, 2)),
    "LSTMCell": ({"type": "RNN", "cell": {"type": "LSTMCell", "units": 3}}, SEQUENCE),
    "GRUCell": ({"type": "RNN", "cell": {"type": "GRUCell", "units": 3, "reset_after": False}}, SEQUENCE),
    "SimpleRNNCell": ({"type": "RNN", "cell": {"type": "SimpleRNNCell", "units": 3}}, SEQUENCE),
    "StackedRNNCells": (
        {"type": "RNN", "cell": [{"type": "GRUCell", "units": 3}, {"type": "LSTMCell", "units": 2}]},
        SEQUENCE,
    ),
    "Bidirectional": ({"type": "Bidirectional", "layer": {"type": "LSTM", "units": 3}}, SEQUENCE),
    "TimeDistributed": ({"type": "TimeDistributed", "layer": DENSE}, SEQUENCE),
}
"""Each class with weights that takes one tensor, as a plan writes it, and what it is called on."""

ATTENTION: dict[str, dict[str, Any]] = {
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 3},
    "GroupQueryAttention": {"head_dim": 2, "num_query_heads": 4, "num_key_value_heads": 2},
    "Attention": {"use_scale": True, "score_mode": "concat"},
    "AdditiveAttention": {},
}
"""Classes that take several tensors, which stand in the place of one that takes as many."""

BY_KERAS = {"STFTSpectrogram"}
"""Windows of a Fourier transform."""

NO_WEIGHTS_OF_THEIR_OWN = {"RNN", "ConvLSTMCell"}
"""Classes that are above with a cell, or that only other classes make."""


def test_each_class_with_weights_is_tested() -> None:
    assert {*LAYERS, *ATTENTION, *BY_KERAS, *NO_WEIGHTS_OF_THEIR_OWN} == set(CLASSES)


def base_for(name: str) -> keras.Model:
    """A model in which the layer `old` can be replaced by one of a class."""
    if name not in ATTENTION:
        old = keras.layers.Activation("linear", name="old")
        return keras.Sequential([keras.Input(LAYERS[name][1]), old])
    query, value = keras.Input((5, 4), name="query"), keras.Input((5, 4), name="value")
    if takes_two(name):
        old = keras.layers.MultiHeadAttention(num_heads=1, key_dim=1, name="old")(query, value)
    else:
        old = keras.layers.Attention(name="old")([query, value])
    return keras.Model([query, value], old)


def takes_two(name: str) -> bool:
    """Whether a class of attention takes its tensors as arguments, and not as a list."""
    return name in ("MultiHeadAttention", "GroupQueryAttention")


def inserted(layer: Mapping[str, Any], shape: tuple[int, ...]) -> keras.Model:
    base = keras.Sequential([keras.Input(shape), keras.layers.Activation("linear", name="before")])
    step = {"op": "insert_layer", "id": "new", "after": "before", "layer": layer}
    return mutspec.apply(mutspec.plan({"steps": [step]}), base)


def made(name: str, change: Any = lambda layer: layer, *steps: dict[str, Any]) -> keras.layers.Layer:
    """A new layer of a class in a mutant."""
    layer = {"type": name, **ATTENTION[name]} if name in ATTENTION else LAYERS[name][0]
    step = {"op": "replace_layer", "id": "made", "target": "old", "layer": {**change(layer), "name": "new"}}
    return mutspec.apply(mutspec.plan({"steps": [step, *steps]}), base_for(name)).get_layer("new")


def built(layer: keras.layers.Layer, name: str) -> keras.layers.Layer:
    """A layer that Keras makes of the same config."""
    fresh = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    tensors = [keras.Input(each.shape[1:]) for each in base_for(name).inputs]
    fresh(*tensors) if takes_two(name) or len(tensors) == 1 else fresh(tensors)
    return fresh


def with_constants(value: Any) -> Any:
    """The layer, and those in it, with another constant for each initializer."""
    if isinstance(value, list):
        return [with_constants(each) for each in value]
    if not isinstance(value, Mapping) or "type" not in value:
        return value
    arguments = [key for key in arguments_of(value["type"]) or {} if key.endswith("_initializer")]
    constants = {key: {"type": "Constant", "value": 2.0 + number} for number, key in enumerate(arguments)}
    return {key: with_constants(each) for key, each in value.items()} | constants


@pytest.mark.parametrize("name", [*LAYERS, *ATTENTION])
def test_each_weight_is_set_by_the_argument_that_sets_it_in_keras(name: str) -> None:
    """All initializers are constants here. So the layer that Keras makes of the same config has the same weights."""
    layer = made(name, with_constants)
    own = built(layer, name)
    assert [each.shape for each in layer.weights] == [each.shape for each in own.weights]
    drawn = {"vector_u", "scale"} if name in ("SpectralNormalization", "AdditiveAttention") else set()
    for ours, theirs in zip(layer.weights, own.weights, strict=True):
        if theirs.name not in drawn:
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), ours.path)


@pytest.mark.parametrize("name", [*LAYERS, *ATTENTION])
def test_the_initializers_that_a_layer_does_not_state_are_known_and_are_those_of_keras(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[tuple[str, str], Any] = {}
    add_weight = keras.layers.Layer.add_weight

    def recording(self: Any, *args: Any, **kwargs: Any) -> Any:
        given[type(self).__name__, str(kwargs.get("name"))] = kwargs["initializer"]
        return add_weight(self, *args, **kwargs)

    # A step that changes a part of all weights needs to know them, so that none of them is made by Keras.
    groups = ["kernels", "biases", "norms", "embeddings", "statistics"]
    target = {"name": ["new", "new/**"], "weights": groups}
    layer = made(name, lambda layer: layer, {"op": "shift", "by": 1.0, "target": target, "count": 1})
    monkeypatch.setattr(keras.layers.Layer, "add_weight", recording)
    built(layer, name)
    assert given
    for (class_name, role), theirs in given.items():
        ours = initialized_by(class_name, role)
        assert ours is not None, (class_name, role)
        if "<locals>" in getattr(theirs, "__qualname__", ""):
            assert ours.is_root or has_forget_gate(class_name, role)
            continue
        assert meant(theirs) == meant(ours.default), (class_name, role)


def meant(initializer: Any) -> Any:
    """An initializer in one spelling, without what Keras adds to it."""
    written = initializer if isinstance(initializer, str | dict) else keras.initializers.serialize(initializer)
    ignored = {"seed", "input_axes", "output_axes"}  # see the test of fans
    spelled = value_meant("x_initializer", written)
    return spelled | {"config": {key: each for key, each in spelled["config"].items() if key not in ignored}}


def test_the_windows_of_a_spectrogram_are_made_by_keras() -> None:
    layer = {"type": "STFTSpectrogram", "frame_length": 8, "frame_step": 4}
    ours = inserted(layer, (64, 1)).layers[-1]
    own = keras.layers.STFTSpectrogram(frame_length=8, frame_step=4)
    own.build((None, 64, 1))
    for one, other in zip(ours.weights, own.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


# Orthogonal matrices


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (7, 7), (3, 2, 2, 5), (2, 2, 30)])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_an_orthogonal_weight_has_orthogonal_rows_or_columns(shape: tuple[int, ...], gain: float) -> None:
    initializer = {"type": "Orthogonal", "gain": gain}
    value = drawn(shape, initializer)
    matrix = value.reshape(-1, shape[-1]).astype(np.float64)
    product = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, gain**2 * np.eye(len(product)), atol=1e-6 * gain**2)


def drawn(shape: tuple[int, ...], initializer: Any, seed: int = 0) -> np.ndarray:
    """A weight of a shape, drawn again by an initializer."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="d")])
    if len(shape) == 2:
        model = keras.Sequential([keras.Input(shape[:1]), keras.layers.Dense(shape[1], name="d")])
    elif len(shape) == 3:
        model = keras.Sequential([keras.Input((9, shape[1])), keras.layers.Conv1D(shape[2], shape[0], name="d")])
    else:
        window = keras.layers.Conv2D(shape[3], shape[:2], name="d")
        model = keras.Sequential([keras.Input((9, 9, shape[2])), window])
    step = {"op": "reinitialize", "target": "d/kernel", "initializer": initializer}
    value: np.ndarray = (
        mutspec.apply(mutspec.plan({"seed": seed, "steps": [step]}), model).get_layer("d").get_weights()[0]
    )
    return value


def test_orthogonal_weights_are_spread_evenly() -> None:
    """For uniform orthogonal matrices each entry has the mean 0 and the variance 1/n, also those of the diagonal."""
    draws = np.array([drawn((4, 4), "orthogonal", seed) for seed in range(25)]).astype(np.float64)
    assert abs(draws.mean()) < 5 * 0.5 / np.sqrt(draws.size)
    diagonal = np.einsum("sii->si", draws)
    assert abs(diagonal.mean()) < 5 * 0.5 / np.sqrt(diagonal.size)
    assert (draws**2).mean() == pytest.approx(0.25, rel=1e-5)  # as all columns have length 1


def test_an_orthogonal_draw_is_the_same_each_time_and_differs_by_seed() -> None:
    one, same, other = (drawn((5, 3), "orthogonal", seed) for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes() != other.tobytes()


def test_an_orthogonal_weight_needs_two_axes() -> None:
    with pytest.raises(PlanError, match="an orthogonal matrix does not fit `new/bias`, which has less than two axes"):
        inserted({**DENSE, "bias_initializer": "orthogonal"}, ROWS)


# Other initializers


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 4)])
def test_an_identity_is_that_of_keras_also_where_it_is_not_square(shape: tuple[int, int]) -> None:
    ours = drawn(shape, {"type": "Identity", "gain": 2.0})
    np.testing.assert_array_equal(ours, np.asarray(keras.initializers.Identity(gain=2.0)(shape)))


@pytest.mark.parametrize(
    ("config", "std"),
    [
        ({"mode": "fan_in"}, np.sqrt(1 / 900)),
        ({"mode": "fan_out", "distribution": "untruncated_normal"}, np.sqrt(1 / 1800)),
        ({"mode": "fan_avg", "distribution": "uniform", "scale": 3.0}, np.sqrt(3 / 1350)),
        ({"distribution": "NORMAL"}, np.sqrt(1 / 900)),
        ({"input_axes": [0], "output_axes": [1, 3]}, np.sqrt(1 / 3)),
    ],
)
def test_variance_scaling_counts_inputs_and_outputs_as_keras_does(config: dict[str, Any], std: float) -> None:
    shape = (3, 3, 100, 200)
    ours = drawn(shape, {"type": "VarianceScaling", **config})
    theirs = np.asarray(keras.initializers.VarianceScaling(**config, seed=3)(shape))
    for value in (ours, theirs):
        assert value.std() == pytest.approx(std, rel=0.01)
    assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.15)


WIDE: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "split": ({"type": "EinsumDense", "equation": "abc,cde->abde", "output_shape": [5, 20, 30]}, (5, 40)),
    "joined": ({"type": "EinsumDense", "equation": "abcd,cde->abe", "output_shape": [5, 30]}, (5, 20, 40)),
    "dots": ({"type": "EinsumDense", "equation": "...bc,bcd->...d", "output_shape": [50]}, (5, 20, 40)),
}


@pytest.mark.parametrize("case", WIDE)
def test_the_fans_of_an_einsum_are_those_of_keras(case: str) -> None:
    layer, shape = WIDE[case]
    ours = inserted(layer, shape).layers[-1]
    theirs = type(ours).from_config(ours.get_config())
    theirs.build((None, *shape))
    one, other = (each.kernel.numpy() for each in (ours, theirs))
    assert np.abs(one).max() == pytest.approx(np.abs(other).max(), rel=1e-2)


@pytest.mark.parametrize("name", ["MultiHeadAttention", "GroupQueryAttention"])
def test_the_fans_of_attention_are_those_of_keras(name: str) -> None:
    sizes = {"num_heads": 8, "key_dim": 30} if name.startswith("Multi") else {"head_dim": 30, "num_query_heads": 8}
    query = keras.Input((5, 200), name="query")
    old = keras.layers.MultiHeadAttention(num_heads=1, key_dim=1, name="old")(query, query)
    layer = {"type": name, **sizes, **({} if "num_heads" in sizes else {"num_key_value_heads": 4}), "name": "new"}
    plan = mutspec.plan({"steps": [{"op": "replace_layer", "target": "old", "layer": layer}]})
    ours = mutspec.apply(plan, keras.Model(query, old)).get_layer("new")
    theirs = type(ours).from_config(ours.get_config())
    theirs(query, query)
    for one, other in zip(ours.weights, theirs.weights, strict=True):
        assert np.abs(one.numpy()).max() == pytest.approx(np.abs(other.numpy()).max(), rel=1e-2), one.path


def test_the_biases_of_other_gates_are_drawn_as_keras_draws_them() -> None:
    """By themselves, so that their spread follows from their own number: units before the forget gate, twice as many
    after it."""
    layer = {"type": "LSTM", "units": 400, "kernel_initializer": "zeros", "recurrent_initializer": "zeros"}
    bias = {"bias_initializer": {"type": "VarianceScaling", "distribution": "untruncated_normal"}}
    value = inserted({**layer, **bias}, (1, 1)).layers[-1].weights[2].numpy()
    first, forget, rest = value[:400], value[400:800], value[800:]
    assert (forget == 1).all()
    assert first.std() == pytest.approx(np.sqrt(1 / 400), rel=0.15)
    assert rest.std() == pytest.approx(np.sqrt(1 / 800), rel=0.12)


def test_without_unit_forget_bias_all_gates_are_alike() -> None:
    layer = inserted({"type": "LSTM", "units": 3, "unit_forget_bias": False, "bias_initializer": "ones"}, SEQUENCE)
    np.testing.assert_array_equal(layer.layers[-1].weights[2].numpy(), np.ones(12, np.float32))


def test_the_seed_of_an_initializer_is_for_keras_and_changes_no_draw() -> None:
    kernels = []
    for seed in (None, 7):
        layer = {**DENSE, "kernel_initializer": {"type": "HeNormal", "seed": seed}}
        new = inserted(layer, ROWS).layers[-1]
        assert new.kernel_initializer.seed == seed or seed is None
        kernels.append(new.weights[0].numpy())
    assert kernels[0].tobytes() == kernels[1].tobytes()


def test_a_new_layer_of_half_precision_begins_as_in_float32_rounded_once() -> None:
    whole, half = (inserted({"type": "LSTM", "units": 3, "dtype": dtype}, SEQUENCE) for dtype in ("float32", "float16"))
    for one, other in zip(whole.weights, half.weights, strict=True):
        np.testing.assert_allclose(one.numpy().astype(np.float16), other.numpy(), atol=1e-3)
    mixed = inserted({"type": "LSTM", "units": 3, "dtype": "mixed_float16"}, SEQUENCE)
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(whole.weights, mixed.weights, strict=True))


def test_a_later_step_changes_the_first_values_of_a_new_lstm() -> None:
    base = keras.Sequential([keras.Input(SEQUENCE), keras.layers.LSTM(3, name="lstm")])
    step = {"op": "replace_layer", "id": "new", "target": "lstm", "layer": {"type": "LSTM", "units": 3, "name": "same"}}
    scale = {"op": "scale", "target": "lstm", "factor": 2.0}
    mutant = mutspec.apply(mutspec.plan({"steps": [step, scale]}), base)
    assert (mutant.layers[-1].weights[2].numpy()[3:6] == 2).all()
