"""Defects that are known from the code of other mutation tools: each has a case here, on Keras models, done right."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats

import mutspec
from tests.zoo import ZOO
from tests.zoo.play import shared

Weights = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def model() -> Any:
    """Two convolutions and three Dense layers, two of them alike; its weights are far from 0 and beyond ±1."""
    import keras

    layers = keras.layers
    made = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(12, 3, name="conv_1"),
            layers.Conv2D(20, 3, strides=2, name="conv_2"),
            layers.Flatten(),
            layers.Dense(40, name="dense_1"),
            layers.Dense(40, name="dense_2"),
            layers.Dense(40, name="dense_3"),
            layers.Dense(5, name="head"),
        ]
    )
    random = np.random.default_rng(3)
    for number, variable in enumerate(made.trainable_variables):
        values = random.uniform(0.5, 2 + number, variable.shape) * random.choice([-1, 1], variable.shape)
        variable.assign(values.astype("float32"))
    return made


LAYERS = ("conv_1", "conv_2", "dense_1", "dense_2", "dense_3", "head")


def values(model: Any) -> Weights:
    """The weights by layer and role, in the model's order."""
    return {"/".join(each.path.split("/")[-2:]): np.array(each.numpy()) for each in model.trainable_variables}


def mutant(model: Any, *steps: dict[str, Any], seed: int = 0) -> Weights:
    """The weights of the model that a plan makes."""
    return values(mutspec.apply(mutspec.plan({"seed": seed, "steps": list(steps)}), model))


def counts(before: Weights, after: Weights) -> dict[str, int]:
    return {path: int((before[path] != after[path]).sum()) for path in before}


def columns(weights: Weights, layer: str) -> np.ndarray:
    """The kernel of a layer as a matrix with a column for each neuron."""
    kernel = weights[f"{layer}/kernel"]
    return kernel.reshape(-1, kernel.shape[-1])


def test_a_fuzz_of_five_entries_within_bounds_changes_five_and_clips_no_others(model: Any) -> None:
    before = values(model)["dense_1/kernel"]
    step = {"op": "gaussian_noise", "target": "dense_1/kernel", "std": 3.0, "count": 5, "bounds": {"min": -1, "max": 1}}
    after = mutant(model, step)["dense_1/kernel"]
    changed = before != after
    assert changed.sum() == 5
    assert np.abs(after[changed]).max() <= 1
    assert (np.abs(after[~changed]) > 1).any()


@pytest.mark.parametrize("layer", ["conv_2", "dense_1"])
def test_a_switch_of_neurons_exchanges_two_and_duplicates_none(layer: str, model: Any) -> None:
    before, after = values(model), mutant(model, {"op": "swap_neurons", "target": layer, "count": 2, "bias": True})
    old, new = columns(before, layer), columns(after, layer)
    one, other = np.flatnonzero((old != new).any(axis=0))
    np.testing.assert_array_equal(new[:, [one, other]], old[:, [other, one]])
    assert len(np.unique(new, axis=1).T) == new.shape[1]
    bias = before[f"{layer}/bias"].copy()
    bias[[one, other]] = bias[[other, one]]
    np.testing.assert_array_equal(after[f"{layer}/bias"], bias)


def test_the_last_neuron_is_chosen_as_the_first_is(model: Any) -> None:
    blocked = set()
    for seed in range(40):
        with mutspec.mutated(
            mutspec.plan({"seed": seed, "steps": [{"op": "zero_neurons", "target": "head", "count": 1}]}), model
        ):
            blocked |= set(np.flatnonzero(~columns(values(model), "head").any(axis=0)).tolist())
    assert blocked == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("op", ["zero_neurons", "negate_neurons", "shuffle_neurons", "swap_neurons"])
def test_a_ratio_of_one_is_all_neurons(op: str, model: Any) -> None:
    before, after = values(model), mutant(model, {"op": op, "target": [*LAYERS], "fraction": 1.0})
    for layer in LAYERS:
        changed = (columns(before, layer) != columns(after, layer)).any(axis=0)
        is_odd_one_out = op == "swap_neurons" and layer == "head"  # of five neurons one has no partner
        assert changed.sum() == len(changed) - is_odd_one_out


def test_the_last_variable_is_not_skipped(model: Any) -> None:
    before, after = values(model), mutant(model, {"op": "gaussian_noise", "target": "*", "std": 1.0, "count": 1})
    assert set(counts(before, after).values()) == {1}
    assert [*before][-1] == "head/bias"


def test_blocking_a_neuron_edits_no_array_of_the_caller(model: Any) -> None:
    held = model.get_layer("dense_1").get_weights()
    copies = [each.copy() for each in held]
    blocked = mutspec.apply(mutspec.plan({"steps": [{"op": "zero_neurons", "target": "*", "count": 3}]}), model)
    assert (blocked.get_layer("dense_1").get_weights()[0] == 0).any()
    for array, copy, now in zip(held, copies, model.get_layer("dense_1").get_weights(), strict=True):
        np.testing.assert_array_equal(array, copy)
        np.testing.assert_array_equal(now, copy)


def test_mutants_do_not_accumulate_what_was_done_to_those_before(model: Any) -> None:
    before = values(model)
    for seed in range(4):
        step = {"op": "gaussian_noise", "target": "*", "std": 1.0, "count": 2}
        assert set(counts(before, mutant(model, step, seed=seed)).values()) == {2}
        with mutspec.mutated(mutspec.plan({"seed": seed, "steps": [step]}), model):
            assert set(counts(before, values(model)).values()) == {2}
        assert not any(counts(before, values(model)).values())


def test_an_amount_does_not_compound_over_variables(model: Any) -> None:
    before = values(model)
    noise = {"op": "gaussian_noise", "target": "*", "std": 1.0, "fraction": "10%"}
    each = {path: int(0.1 * weight.size + 0.5) for path, weight in before.items()}
    assert counts(before, mutant(model, noise)) == each
    total = sum(weight.size for weight in before.values())
    assert sum(counts(before, mutant(model, {**noise, "per": "all"})).values()) == int(0.1 * total + 0.5)


def test_a_standard_deviation_does_not_compound_over_tensors(model: Any) -> None:
    before = values(model)
    after = mutant(model, {"op": "gaussian_noise", "target": "*", "std": 0.5, "relative_to": "std"})
    for layer in ("conv_2", "dense_1", "dense_2", "dense_3"):
        path = f"{layer}/kernel"
        noise = (after[path] - before[path]) / before[path].std()
        assert stats.kstest(noise.ravel(), "norm", (0, 0.5)).pvalue > 1e-5


@pytest.mark.parametrize("op", ["zero_neurons", "negate_neurons", "scale_neurons", "shuffle_neurons", "swap_neurons"])
def test_kernels_of_four_axes_are_not_left_out_silently(op: str, model: Any) -> None:
    more = {"factor": 2.0} if op == "scale_neurons" else {}
    before, after = values(model), mutant(model, {"op": op, "target": ["conv_1", "conv_2"], "count": 4, **more})
    for layer in ("conv_1", "conv_2"):
        assert before[f"{layer}/kernel"].ndim == 4
        old, new = columns(before, layer), columns(after, layer)
        chosen = np.flatnonzero((old != new).any(axis=0))
        assert len(chosen) == 4
        formula = {"zero_neurons": 0 * old, "negate_neurons": -old, "scale_neurons": 2 * old}.get(op)
        if formula is not None:
            np.testing.assert_array_equal(new[:, chosen], formula[:, chosen])
        elif op == "shuffle_neurons":
            np.testing.assert_array_equal(np.sort(new, axis=0), np.sort(old, axis=0))
        else:
            assert sorted(map(tuple, new.T)) == sorted(map(tuple, old.T))


NOT_FLOATS = {"quantized_int8"}


@pytest.mark.parametrize("name", sorted(ZOO.keys() - NOT_FLOATS))
def test_no_kind_of_layer_is_skipped(name: str) -> None:
    model = shared(name)
    before = [np.array(variable.numpy(), copy=True) for variable in model.trainable_variables]
    plan = mutspec.plan({"steps": [{"op": "gaussian_noise", "target": "*", "std": 1.0}]})
    with mutspec.mutated(plan, model):
        after = [np.array(variable.numpy(), copy=True) for variable in model.trainable_variables]
    for variable, old, new in zip(model.trainable_variables, before, after, strict=True):
        assert (old != new).mean() > 0.9, variable.path


def test_a_kind_of_layer_that_an_op_has_no_meaning_for_is_an_error() -> None:
    plan = mutspec.plan({"steps": [{"op": "zero_neurons", "target": {"type": "Embedding"}, "count": 1}]})
    with pytest.raises(mutspec.PlanError):
        mutspec.dry_run(plan, shared("embedding_mask"))


@pytest.mark.parametrize("count", [199, 200])
def test_entries_are_distinct_up_to_the_last(count: int, model: Any) -> None:
    before = values(model)
    assert before["head/kernel"].size == 200
    for seed in range(3):
        step = {"op": "shift", "target": "head/kernel", "by": 1.0, "count": count}
        after = mutant(model, step, seed=seed)["head/kernel"]
        moved = after - before["head/kernel"]
        assert (moved != 0).sum() == count
        np.testing.assert_allclose(moved[moved != 0], 1.0, rtol=1e-5)  # none is moved twice


def test_layers_of_one_shape_do_not_get_the_same_noise(model: Any) -> None:
    before, after = values(model), mutant(model, {"op": "gaussian_noise", "target": "*", "std": 1.0})
    noises = [(after[f"dense_{n}/kernel"] - before[f"dense_{n}/kernel"]).ravel()[:1600] for n in (1, 2, 3)]
    for one, other in combinations(noises, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(1600)
    chosen = mutant(model, {"op": "zero", "target": "*", "fraction": "20%"})
    masks = [(chosen[f"dense_{number}/kernel"] == 0).ravel() for number in (2, 3)]
    assert abs(np.corrcoef(*masks)[0, 1]) < 4 / np.sqrt(1600)


def test_a_change_to_one_step_leaves_the_noise_of_later_ones_alone(model: Any) -> None:
    noise = {"op": "gaussian_noise", "id": "noise", "target": "dense_3", "std": 1.0, "fraction": "30%"}
    alone = mutant(model, noise)["dense_3/kernel"]
    for first in (
        {"op": "uniform_noise", "target": "dense_1", "low": -1, "high": 1},
        {"op": "uniform_noise", "target": ["dense_1", "dense_2"], "low": -1, "high": 1, "count": 7},
        {"op": "shuffle", "target": "conv_1"},
        {"op": "gaussian_noise", "id": "other", "target": "head", "std": 2.0},
    ):
        np.testing.assert_array_equal(mutant(model, first, noise)["dense_3/kernel"], alone)
        np.testing.assert_array_equal(mutant(model, noise, first)["dense_3/kernel"], alone)


def test_the_four_meanings_of_a_noises_scale_are_told_apart(model: Any) -> None:
    before = values(model)["dense_1/kernel"].astype(np.float64)
    units = {
        "absolute": 1.0,
        "weight": np.abs(before),
        "std": before.std(),
        "max_abs": np.abs(before).max(),
    }
    noises = {}
    for relative_to, unit in units.items():
        step = {"op": "gaussian_noise", "target": "dense_1/kernel", "std": 0.5, "relative_to": relative_to}
        noises[relative_to] = (mutant(model, step)["dense_1/kernel"] - before) / (0.5 * unit)
        assert stats.kstest(noises[relative_to].ravel(), "norm").pvalue > 1e-5
    for noise in noises.values():  # the draws are the same: only their unit differs
        np.testing.assert_allclose(noise, noises["absolute"], atol=1e-5)
