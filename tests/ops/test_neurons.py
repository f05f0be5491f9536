"""Neurons of real layers: what happens to one happens to its output, as Keras computes it, and to no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from tests.oracle import Step
from tests.zoo.play import weights


class Kind(NamedTuple):
    """A layer whose outputs, along the last axes, are its neurons.

    Arguments:
        build: makes the layer, called `layer`.
        shape: of its input, without the batch.
        neurons: how many it has.
        axes: how many axes of the output run over neurons.
    """

    build: Callable[[Any], Any]
    shape: tuple[int, ...]
    neurons: int
    axes: int = 1


KINDS: Mapping[str, Kind] = {
    "Dense": Kind(lambda k: k.Dense(4, name="layer"), (3,), 4),
    "Dense over time": Kind(lambda k: k.Dense(4, name="layer"), (5, 3), 4),
    "Conv1D": Kind(lambda k: k.Conv1D(3, 2, name="layer"), (6, 2), 3),
    "Conv1D, causal and dilated": Kind(
        lambda k: k.Conv1D(3, 2, padding="causal", dilation_rate=2, name="layer"), (6, 2), 3
    ),
    "Conv1D in groups": Kind(lambda k: k.Conv1D(4, 2, groups=2, name="layer"), (6, 4), 4),
    "Conv2D": Kind(lambda k: k.Conv2D(3, (2, 3), strides=2, name="layer"), (5, 6, 2), 3),
    "Conv2D in groups": Kind(lambda k: k.Conv2D(6, 2, groups=2, name="layer"), (4, 4, 4), 6),
    "Conv3D": Kind(lambda k: k.Conv3D(3, 2, name="layer"), (3, 4, 3, 2), 3),
    "Conv1DTranspose": Kind(lambda k: k.Conv1DTranspose(3, 2, strides=2, name="layer"), (4, 2), 3),
    "Conv2DTranspose": Kind(lambda k: k.Conv2DTranspose(3, 2, name="layer"), (3, 4, 2), 3),
    "Conv3DTranspose": Kind(lambda k: k.Conv3DTranspose(2, 2, name="layer"), (2, 3, 2, 3), 2),
    "DepthwiseConv1D": Kind(lambda k: k.DepthwiseConv1D(3, depth_multiplier=2, name="layer"), (5, 3), 6),
    "DepthwiseConv2D": Kind(lambda k: k.DepthwiseConv2D(2, depth_multiplier=3, name="layer"), (4, 4, 2), 6),
    "SeparableConv1D": Kind(lambda k: k.SeparableConv1D(4, 2, name="layer"), (5, 3), 4),
    "SeparableConv2D": Kind(lambda k: k.SeparableConv2D(4, 2, depth_multiplier=2, name="layer"), (4, 4, 3), 4),
    "EinsumDense": Kind(lambda k: k.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d", name="layer"), (5, 3), 4),
    "EinsumDense of two axes": Kind(
        lambda k: k.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", name="layer"), (5, 4), 6, 2
    ),
    "EinsumDense, kernel the other way round": Kind(
        lambda k: k.EinsumDense("abc,dc->abd", (None, 4), bias_axes="d", name="layer"), (5, 3), 4
    ),
    "TimeDistributed": Kind(lambda k: k.TimeDistributed(k.Dense(4, name="dense"), name="layer"), (5, 3), 4),
}


@cache
def model_of(name: str) -> tuple[Any, np.ndarray]:
    """A model of one layer, with weights and an input that are nowhere 0."""
    import keras

    kind = KINDS[name]
    return built(keras, [kind.build(keras.layers)], kind.shape)


def built(keras: Any, layers: list[Any], shape: tuple[int, ...]) -> tuple[Any, np.ndarray]:
    model = keras.Sequential([keras.Input(shape), *layers])
    random = np.random.default_rng(3)
    for variable in model.weights:
        variable.assign(random.uniform(0.2, 0.9, variable.shape) * random.choice([-1, 1], variable.shape))
    return model, random.uniform(-1, 1, (2, *shape)).astype("float32")


def outputs(model: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(model(x, training=False))


def after(model: Any, x: np.ndarray, *steps: Step) -> np.ndarray:
    """What a mutant computes."""
    before = weights(model)
    with mutspec.mutated(mutspec.plan({"steps": list(steps)}), model):
        found = outputs(model, x)
    assert weights(model) == before
    return found


def by_neuron(values: np.ndarray, axes: int) -> np.ndarray:
    return values.reshape(*values.shape[: values.ndim - axes], -1)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("step", "factor"),
    [({"op": "zero_neurons"}, 0.0), ({"op": "negate_neurons"}, -1.0), ({"op": "scale_neurons", "factor": 3.0}, 3.0)],
    ids=["zero_neurons", "negate_neurons", "scale_neurons"],
)
def test_what_a_step_does_to_a_neuron_it_does_to_its_output_alone(name: str, step: Step, factor: float) -> None:
    model, x = model_of(name)
    kind = KINDS[name]
    base = by_neuron(outputs(model, x), kind.axes)
    assert base.shape[-1] == kind.neurons
    for neuron in range(kind.neurons):
        wanted = base.copy()
        wanted[..., neuron] *= factor
        found = after(model, x, {**step, "target": "layer", "bias": True, "indices": [neuron]})
        np.testing.assert_allclose(by_neuron(found, kind.axes), wanted, rtol=1e-5, atol=1e-6)
        if not factor:
            assert not np.any(by_neuron(found, kind.axes)[..., neuron])


@pytest.mark.parametrize("name", KINDS)
def test_without_bias_the_bias_of_a_blocked_neuron_stays(name: str) -> None:
    model, x = model_of(name)
    kind = KINDS[name]
    (bias,) = (each.numpy().ravel() for each in model.weights if each.name == "bias")
    found = by_neuron(after(model, x, {"op": "zero_neurons", "target": "layer", "indices": [-1]}), kind.axes)
    np.testing.assert_array_equal(found[..., -1], np.full(found.shape[:-1], bias[-1]))


@pytest.mark.parametrize("name", KINDS)
def test_neurons_that_are_swapped_swap_their_outputs(name: str) -> None:
    model, x = model_of(name)
    kind = KINDS[name]
    order = list(range(kind.neurons))
    order[0], order[-1] = order[-1], order[0]
    step = {"op": "swap_neurons", "target": "layer", "bias": True, "indices": [0, kind.neurons - 1]}
    base, found = (by_neuron(each, kind.axes) for each in (outputs(model, x), after(model, x, step)))
    if name in ("DepthwiseConv1D", "DepthwiseConv2D", "Conv1D in groups", "Conv2D in groups"):
        # There a neuron sees channels of its own: with the other's weights it computes something new.
        np.testing.assert_allclose(found[..., 1:-1], base[..., 1:-1], rtol=1e-5, atol=1e-6)
        assert not np.allclose(found[..., 0], base[..., -1])
    else:
        np.testing.assert_allclose(found, base[..., order], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_a_neuron_whose_weights_are_shuffled_sees_its_sum_of_equal_inputs_as_before(name: str) -> None:
    """Of an input that is the same everywhere, the order of the weights does not matter; of any other it does."""
    model, x = model_of(name)
    kind = KINDS[name]
    step = {"op": "shuffle_neurons", "target": "layer", "indices": [-1], "seed": 1}  # none of them the identity
    base, found = (by_neuron(each, kind.axes) for each in (outputs(model, x), after(model, x, step)))
    np.testing.assert_allclose(found[..., :-1], base[..., :-1], rtol=1e-5, atol=1e-6)
    assert not np.allclose(found[..., -1], base[..., -1])
    if "Transpose" in name or "causal" in name or "Separable" in name:
        return  # there a place at the border sees a part of the weights, or the pointwise kernel unequal inputs
    same = np.ones_like(x)
    np.testing.assert_allclose(after(model, same, step), outputs(model, same), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_the_neuron_of_the_smallest_norm_is_that_of_its_weights(name: str) -> None:
    """Made the smallest: by a factor on all that comes in, as Keras computes it."""
    model, x = model_of(name)
    kind = KINDS[name]
    small = kind.neurons - 1
    shrink = {"op": "scale_neurons", "target": "layer", "bias": True, "factor": 0.01, "indices": [small]}
    prune = {"op": "zero_neurons", "target": "layer", "bias": True, "count": 1, "rank": "smallest"}
    found = by_neuron(after(model, x, shrink, prune), kind.axes)
    assert not np.any(found[..., small])
    np.testing.assert_allclose(
        found[..., :small], by_neuron(outputs(model, x), kind.axes)[..., :small], rtol=1e-5, atol=1e-6
    )


RECURRENT: Mapping[str, Callable[[Any], Any]] = {
    "SimpleRNN": lambda k: k.SimpleRNN(3, return_sequences=True, name="layer"),
    "LSTM": lambda k: k.LSTM(3, return_sequences=True, name="layer"),
    "GRU": lambda k: k.GRU(3, return_sequences=True, name="layer"),
    "GRU, reset before": lambda k: k.GRU(3, return_sequences=True, reset_after=False, name="layer"),
    "RNN of a cell": lambda k: k.RNN(k.LSTMCell(3), return_sequences=True, name="layer"),
    "ConvLSTM1D": lambda k: k.ConvLSTM1D(3, 2, return_sequences=True, name="layer"),
    "ConvLSTM2D": lambda k: k.ConvLSTM2D(3, 2, return_sequences=True, name="layer"),
}


@cache
def recurrent(name: str) -> tuple[Any, np.ndarray]:
    import keras

    shapes = {"ConvLSTM1D": (4, 5, 2), "ConvLSTM2D": (3, 4, 4, 2)}
    return built(keras, [RECURRENT[name](keras.layers)], shapes.get(name, (4, 2)))


@pytest.mark.parametrize("name", RECURRENT)
def test_a_recurrent_unit_whose_incoming_weights_are_0_in_all_gates_stays_0(name: str) -> None:
    """And at first no other unit knows; later they miss what it said."""
    model, x = recurrent(name)
    base = outputs(model, x)
    for unit in range(3):
        step = {"op": "zero_neurons", "target": "layer", "bias": True, "indices": [unit]}
        found = after(model, x, step)
        others = [each for each in range(3) if each != unit]
        assert not np.any(found[..., unit])
        assert np.all(base[..., unit])
        np.testing.assert_allclose(found[:, 0][..., others], base[:, 0][..., others], rtol=1e-5, atol=1e-6)
        assert not np.allclose(found[:, -1][..., others], base[:, -1][..., others])


@pytest.mark.parametrize("name", RECURRENT)
def test_a_step_on_a_recurrent_unit_touches_it_in_every_gate_and_weight(name: str) -> None:
    model, _ = recurrent(name)
    step = {"op": "fill", "target": "layer", "unit": "neuron", "value": 9.0, "indices": [-1]}
    with mutspec.mutated(mutspec.plan({"steps": [step]}), model):
        for variable in model.weights:
            values = variable.numpy()
            gates = values.reshape(-1, values.shape[-1] // 3, 3)
            assert np.all(gates[..., 2] == 9)
            assert not np.any(gates[..., :2] == 9)


def test_the_two_directions_of_a_bidirectional_layer_have_neurons_of_their_own() -> None:
    import keras

    layer = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True), name="layer")
    model, x = built(keras, [layer], (4, 2))
    base = outputs(model, x)
    step = {"op": "zero_neurons", "bias": True, "indices": [1]}
    forward = after(model, x, {**step, "target": {"all": ["layer", "re:.*forward.*"]}})
    assert not np.any(forward[..., 1])
    np.testing.assert_array_equal(forward[..., 3:], base[..., 3:])
    both = after(model, x, {**step, "target": "layer"})
    assert not np.any(both[..., [1, 4]])
    assert np.all(both[..., [0, 2, 3, 5]])
    one = {"op": "zero_neurons", "target": "layer", "bias": True, "count": 1}
    counted = after(model, x, one)
    assert [np.count_nonzero(~counted[..., side].any(axis=(0, 1))) for side in (slice(0, 3), slice(3, 6))] == [1, 1]


ATTENTION: Mapping[str, Callable[[Any], Any]] = {
    "MultiHeadAttention": lambda k: k.MultiHeadAttention(3, 2, value_dim=4, name="layer"),
    "GroupQueryAttention": lambda k: k.GroupQueryAttention(2, 4, 2, name="layer"),
}


@cache
def attention(name: str) -> tuple[Any, list[np.ndarray]]:
    import keras

    random = np.random.default_rng(5)
    query, value = keras.Input((4, 5)), keras.Input((6, 5))
    model = keras.Model([query, value], ATTENTION[name](keras.layers)(query, value))
    for variable in model.weights:
        variable.assign(random.uniform(-0.9, 0.9, variable.shape))
    return model, [random.uniform(-1, 1, (2, length, 5)).astype("float32") for length in (4, 6)]


PROJECTIONS = {"name": ["layer/query", "layer/key", "layer/value"]}


@pytest.mark.parametrize(("op", "factor"), [("zero_neurons", 0.0), ("negate_neurons", -1.0)])
def test_a_step_on_a_head_does_to_it_what_a_factor_on_its_rows_of_the_output_kernel_does(
    op: str, factor: float
) -> None:
    """Where both queries and keys are negated, their product keeps its sign."""
    model, x = attention("MultiHeadAttention")
    kernel = model.get_layer("layer").output_dense.kernel
    base = kernel.numpy()
    for head in range(3):
        changed = base.copy()
        changed[head] *= factor
        kernel.assign(changed)
        wanted = outputs(model, x)
        kernel.assign(base)
        assert not np.allclose(wanted, outputs(model, x))
        found = after(model, x, {"op": op, "target": PROJECTIONS, "bias": True, "indices": [head]})
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def heads_at_9(layer: Any, part: str) -> list[int]:
    """The heads of a projection whose weights are all 9, where no other weight is."""
    dense = getattr(layer, f"_{part}_dense")
    kernel, bias = dense.kernel.numpy() == 9, dense.bias.numpy() == 9
    heads = [head for head in range(kernel.shape[1]) if kernel[:, head].all() and bias[head].all()]
    assert (kernel.sum(), bias.sum()) == (len(heads) * kernel[:, 0].size, len(heads) * bias[0].size)
    return heads


@pytest.mark.parametrize("name", ATTENTION)
def test_the_projections_of_an_attention_share_the_choice_of_heads(name: str) -> None:
    model, _ = attention(name)
    layer, seen = model.get_layer("layer"), set()
    for seed in range(12):
        step = {"op": "fill", "target": PROJECTIONS, "unit": "neuron", "value": 9.0, "count": 1, "seed": seed}
        with mutspec.mutated(mutspec.plan({"steps": [step]}), model):
            query, key, value = (heads_at_9(layer, part) for part in ("query", "key", "value"))
        assert len(query) == len(key) == 1
        assert key == value
        assert query == key or name == "GroupQueryAttention"  # which has more heads of queries
        seen |= set(query)
    assert len(seen) == layer._query_dense.kernel.shape[1]


def test_what_has_no_neurons_is_named() -> None:
    import keras

    layers = [keras.layers.Embedding(5, 4, name="table"), keras.layers.BatchNormalization(name="norm")]
    model = keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2, name="dense")])
    for target, op in (("table", "zero_neurons"), ("norm", "zero_neurons")):
        with pytest.raises(PlanError, match=f"`{target}`|`{target}/"):
            mutspec.dry_run(mutspec.plan({"steps": [{"op": op, "target": target, "count": 1}]}), model)
    report = mutspec.dry_run(mutspec.plan({"steps": [{"op": "zero_neurons", "target": "*", "count": 1}]}), model)
    assert [(each.layer, each.weight, each.touched) for each in report.steps[0].targets] == [("dense", "kernel", 4)]
