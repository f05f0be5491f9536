"""Gates of recurrent layers: each is the block that Keras computes with under that name.

The oracle is Keras's equations, seen from outside. LSTM: c = forget·c₀ + input·candidate, h = output·tanh(c). GRU:
h = update·h₀ + (1 - update)·candidate, and the candidate sees h₀ through the reset gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mutspec
from mutspec.errors import PlanError
from tests.ops.op_table import LAW
from tests.oracle import Step, masks
from tests.toys import mutate
from tests.zoo.play import weights

UNITS = 3
LSTMS: Mapping[str, Callable[[Any], Any]] = {
    "LSTM": lambda k: k.LSTM(UNITS, return_state=True, name="layer"),
    "RNN of an LSTMCell": lambda k: k.RNN(k.LSTMCell(UNITS), return_state=True, name="layer"),
    "ConvLSTM1D": lambda k: k.ConvLSTM1D(UNITS, 1, return_state=True, name="layer"),
}
GRUS: Mapping[str, Callable[[Any], Any]] = {
    "GRU": lambda k: k.GRU(UNITS, return_state=True, name="layer"),
    "GRU, reset before": lambda k: k.GRU(UNITS, return_state=True, reset_after=False, name="layer"),
    "RNN of a GRUCell": lambda k: k.RNN(k.GRUCell(UNITS), return_state=True, name="layer"),
}
ALL = {**LSTMS, **GRUS}


@cache
def model_of(name: str) -> Any:
    """One step in time, from states that are inputs."""
    import keras

    place = (4,) if name.startswith("Conv") else ()
    states = [keras.Input((*place, UNITS)) for _ in range(2 if name in LSTMS else 1)]
    given = keras.Input((1, *place, 2))
    _, *after = ALL[name](keras.layers)(given, initial_state=states)
    model = keras.Model([given, *states], after)
    random = np.random.default_rng(1)
    for variable in model.weights:
        variable.assign(random.uniform(-0.9, 0.9, variable.shape))
    return model


@cache
def inputs_of(name: str) -> list[np.ndarray]:
    """An input, and the states h₀ and, of an LSTM, c₀."""
    random = np.random.default_rng(2)
    shapes = [each.shape[1:] for each in model_of(name).inputs]
    return [random.uniform(0.1, 1, (2, *shape)).astype("float32") for shape in shapes]


def run(name: str, *steps: Step, h: float = 1.0, c: float = 1.0) -> list[np.ndarray]:
    """The states after one step in time, from h₀ and c₀ times a factor, of a mutant."""
    model = model_of(name)
    values = [each * factor for each, factor in zip(inputs_of(name), (1, h, c), strict=False)]
    if not steps:
        return _states(model, values)
    before = weights(model)
    numbered = [{"id": f"step{number}", "target": "*", **step} for number, step in enumerate(steps)]
    with mutspec.mutated(mutspec.plan({"steps": numbered}), model):
        found = _states(model, values)
    assert weights(model) == before
    return found


def _states(model: Any, values: list[np.ndarray]) -> list[np.ndarray]:
    found = model(values)
    return [np.asarray(each) for each in (found if isinstance(found, list) else [found])]


def shut(gate: str) -> Step:
    """A gate that lets nothing through."""
    return {"op": "shift", "target": {"weights": "bias"}, "by": -1000.0, "gates": gate}


def opened(gate: str) -> Step:
    """A gate that lets all through."""
    return {**shut(gate), "by": 1000.0}


def close(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LSTMS)
def test_the_gates_of_an_lstm_are_those_of_its_equations(name: str) -> None:
    def states(*steps: Step, **factors: float) -> list[np.ndarray]:
        return run(name, *steps, **factors)

    (h, c), (_, written) = states(), states(c=0.0)
    assert np.abs(written).min() > 1e-3
    assert np.abs(c - written).min() > 1e-3

    without_output = states(shut("output"))
    close(without_output[0], 0 * h)
    close(without_output[1], c)
    close(states(opened("output"))[0], np.tanh(c))

    close(states(shut("forget"))[1], written)
    kept = states(c=2.0)[1] - c  # forget·c₀
    close(states(shut("input"))[1], kept)
    close(states({"op": "negate", "gates": "candidate"})[1], kept - written)
    close(states({"op": "zero", "gates": ["candidate"]})[1], kept)


@pytest.mark.parametrize("name", GRUS)
def test_the_gates_of_a_gru_are_those_of_its_equations(name: str) -> None:
    def state(*steps: Step, **factors: float) -> np.ndarray:
        return run(name, *steps, **factors)[0]

    base, before = state(), inputs_of(name)[1]
    close(state(opened("update")), before)
    candidate = state(shut("update"))
    assert np.abs(candidate - base).min() > 1e-4

    close(state(shut("update"), {"op": "negate", "gates": "candidate"}), -candidate)
    kept = state({"op": "zero", "gates": "candidate"})  # update·h₀
    close(state({"op": "negate", "gates": "candidate"}) + base, 2 * kept)
    assert ((kept / before > 0) & (kept / before < 1)).all()

    # Without the reset gate a candidate knows nothing of h₀; the update gate is shut.
    close(state(shut("update"), shut("reset")), state(shut("update"), shut("reset"), h=3.0))
    assert np.abs(candidate - state(shut("update"), h=3.0)).max() > 1e-2
    assert np.abs(candidate - state(shut("update"), shut("reset"))).max() > 1e-3


def test_the_forget_gate_is_that_whose_bias_keras_begins_with_1() -> None:
    """`unit_forget_bias` of keras.layers.LSTM."""
    import keras

    model = keras.Sequential([keras.Input((4, 2)), keras.layers.LSTM(UNITS, name="layer")])
    step = {"op": "zero", "target": "layer/bias", "gates": "forget"}
    assert np.count_nonzero(model.layers[0].cell.bias.numpy()) == UNITS
    with mutspec.mutated(mutspec.plan({"steps": [step]}), model):
        assert not np.any(model.layers[0].cell.bias.numpy())


BLOCKS = {"LSTM": ("input", "forget", "candidate", "output"), "GRU": ("update", "reset", "candidate")}


def filled(name: str, **keys: Any) -> list[np.ndarray]:
    """Which entries of each weight a step touches, its last axis as gates and units."""
    model = model_of(name)
    step = {"op": "fill", "target": "layer", "value": 9.0, **keys}
    plan = mutspec.plan({"steps": [step]})
    touched = [target.touched for target in mutspec.dry_run(plan, model).steps[0].targets]
    with mutspec.mutated(plan, model):
        found = [np.asarray(each) == 9 for each in model.weights]
    assert touched == [count for each in found if (count := int(each.sum()))]
    gates = len(BLOCKS[name[:4].rstrip(",")])
    return [each.reshape(-1, gates, UNITS) for each in found]


@pytest.mark.parametrize("name", ["LSTM", "GRU", "GRU, reset before"])
def test_an_amount_counts_what_the_gates_hold(name: str) -> None:
    blocks = BLOCKS[name[:4].rstrip(",")]
    for gate in blocks:
        for entries in filled(name, gates=gate):
            assert entries[:, blocks.index(gate)].all()
            assert entries.sum() == entries[:, 0].size
    pair = [blocks[-1], blocks[0]]
    for entries in filled(name, gates=pair, fraction=0.5):
        assert entries[:, 1:-1].sum() == 0
        assert entries.sum() == entries[:, 0].size
        assert entries[:, 0].any()
        assert entries[:, -1].any()
    for entries in filled(name, gates=pair, indices=[-1]):
        assert entries[-1, -1, -1]
        assert entries.sum() == 1
    (kernel, *_) = filled(name, gates=pair, unit="row", count=1, target="layer/kernel")
    assert kernel.any(axis=(1, 2)).sum() == 1
    assert kernel.sum() == 2 * UNITS


@pytest.mark.parametrize("name", ["LSTM", "GRU", "GRU, reset before"])
def test_neurons_and_gates_are_the_units_in_those_gates(name: str) -> None:
    blocks = BLOCKS[name[:4].rstrip(",")]
    seen = set()
    for seed in range(8):
        each = filled(name, gates="candidate", unit="neuron", count=1, seed=seed)
        units = {tuple(np.flatnonzero(entries[:, blocks.index("candidate")].all(axis=0))) for entries in each}
        assert len(units) == 1  # shared by the layer's weights
        assert all(entries.sum() == entries[:, 0, 0].size for entries in each)
        seen |= units
    assert seen == {(0,), (1,), (2,)}


@pytest.mark.parametrize("rank", ["smallest", "largest"])
def test_with_gates_neurons_are_ranked_by_what_the_gates_hold(rank: str) -> None:
    model = model_of("LSTM")
    norms = sum(
        (np.asarray(each).reshape(-1, 4, UNITS)[:, 1].astype("float64") ** 2).sum(axis=0) for each in model.weights
    )
    wanted = int(np.argmin(norms) if rank == "smallest" else np.argmax(norms))
    for entries in filled("LSTM", gates="forget", unit="neuron", count=1, rank=rank):
        assert entries[:, 1, wanted].all()
        assert entries.sum() == entries[:, 0, 0].size


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("LSTM", {"gates": "update"}, "has no gate `update`, but input, forget, candidate, output"),
        ("GRU", {"gates": ["reset", "output"]}, "has no gate `output`, but update, reset, candidate"),
        ("LSTM", {"gates": "forget", "rank": "largest", "count": 1}, "with `gates`, only neurons are ranked"),
        ("LSTM", {"gates": "forget", "count": 99}, "`count` is 99, but .* has only"),
        ("LSTM", {"gates": "forget", "unit": "neuron", "indices": [3]}, "index 3 is outside .* 3 neurons"),
    ],
)
def test_what_is_not_a_gate_is_named(name: str, keys: Step, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        filled(name, **keys)


def test_gates_of_a_layer_that_has_none_are_named() -> None:
    import keras

    model = keras.Sequential([keras.Input((4, 2)), keras.layers.SimpleRNN(2, name="layer")])
    plan = mutspec.plan({"steps": [{"op": "zero", "target": "layer", "gates": "input"}]})
    with pytest.raises(PlanError, match=r"`layer/kernel` has no gates.*target LSTM and GRU") as caught:
        mutspec.dry_run(plan, model)
    assert caught.value.problems[0].path == ("steps", 0, "gates", 0)


@st.composite
def narrowed_steps(draw: st.DrawFn) -> Step:
    """What a step with gates may say about how much it touches."""
    unit = draw(st.sampled_from([{}, *UNIT_KEYS]))
    amount = draw(
        st.sampled_from([{}, {"fraction": 0.3}, {"rate": 0.5}, {"count": 1}, {"indices": [0]}, {"indices": [-1]}])
    )
    step = {"op": "fill", "target": "l", "value": 9.0, "allow_empty": True, "seed": draw(st.integers(0, 9)), **unit}
    if amount and "indices" not in amount:
        step |= draw(st.fixed_dictionaries({}, optional={"per": st.sampled_from(["tensor", "layer", "all"])}))
        step |= draw(st.sampled_from([{}, {"at_least": 2}]))
        if unit.get("unit") == "neuron" and "per" not in step:
            step |= draw(st.sampled_from([{}, {"rank": "smallest"}, {"rank": "largest"}]))
    return {**step, **amount}


UNIT_KEYS: list[Step] = [
    {"unit": "row"},
    {"unit": "column"},
    {"unit": "neuron"},
    {"unit": "block", "block": [2, 3]},
    {"unit": "block", "block": [1, 4]},
]
GATES = BLOCKS["LSTM"]


@LAW
@given(
    narrowed_steps(),
    st.lists(st.sampled_from(GATES), min_size=1, max_size=4, unique=True),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(0, 9),
)
def test_with_gates_a_step_touches_what_it_would_of_weights_that_hold_no_others(
    step: Step, gates: list[str], inputs: int, units: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    shapes = {"l/kernel": (inputs, 4 * units), "l/recurrent_kernel": (units, 4 * units), "l/bias": (4 * units,)}
    before = {path: random.uniform(1, 2, shape).astype("float32") for path, shape in shapes.items()}
    blocks = sorted(GATES.index(gate) for gate in gates)

    def narrow(values: np.ndarray) -> np.ndarray:
        held = values.reshape(*values.shape[:-1], 4, units)[..., blocks, :]
        return held.reshape(*values.shape[:-1], len(blocks) * units)

    chosen = masks({**step, "neurons": units}, {path: narrow(values) for path, values in before.items()})
    mutant = mutate(before, {**step, "gates": gates})
    for path, values in mutant.tensors.items():
        np.testing.assert_array_equal(narrow(values) == 9, chosen[path])
        assert np.count_nonzero(values == 9) == np.count_nonzero(chosen[path])
        np.testing.assert_array_equal(values[values != 9], before[path][values != 9])
    for write in mutant.program.steps[0].writes:
        executed = mutant.outcome.effects[write.version].touched
        assert write.touched in (None, executed)
        assert executed == chosen[write.tensor.path].sum()
