"""Models in memory: the base untouched or restored, and what else comes along. Their bits: test_every_op.py."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mutspec
from mutspec.errors import CallError, CheckError, ModelError
from mutspec.execute import live as executor
from mutspec.model.files.arrays import numpy_dtype
from mutspec.model.files.opening import open_archive
from mutspec.model.live import as_array, assign, room_for, snapshot
from tests.zoo.play import fresh, inputs_of, outputs, shared, weights

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

STEPS: dict[str, dict[str, Any]] = {
    "gaussian_noise": {"op": "gaussian_noise", "target": "*", "std": 0.5, "relative_to": "max_abs", "rate": 0.5},
    "uniform_noise": {"op": "uniform_noise", "target": "*", "low": -0.1, "high": 0.3, "fraction": 0.3, "per": "layer"},
    "scale": {"op": "scale", "target": "*", "factor": 1.25, "count": 3, "per": "all"},
    "fill": {"op": "fill", "target": "*", "value": 0.75, "fraction": "40%"},
    "zero": {"op": "zero", "target": "*", "rate": 0.2},
}
ADD = {"op": "insert_layer", "after": "head", "layer": {"type": "Dense", "units": "same"}, "id": "new"}


def _plan(*steps: dict[str, Any], **keys: Any) -> Any:
    return mutspec.plan({"seed": 5, "steps": list(steps), **keys})


def _weights_plan() -> Any:
    """Some ops, one after the other, on all weights."""
    return _plan(*({**step, "target": {"weights": "*"}} for step in STEPS.values()))


def _quiet_save(model: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


@pytest.mark.parametrize("name", ["residual", "subclassed", "shared_layers", "bfloat16"])
def test_in_place_changes_the_model_itself_to_what_a_new_model_would_be(name: str) -> None:
    model = fresh(name)
    before = weights(model)
    mutant = mutspec.apply(_weights_plan(), model)
    assert mutant is not model
    assert weights(model) == before
    assert weights(mutant) != before
    assert type(mutant) is type(model)
    assert mutspec.apply(_weights_plan(), model, in_place=True) is model
    assert weights(model) == weights(mutant)


def test_a_subclassed_mutant_predicts_with_its_own_weights() -> None:
    model, x = fresh("subclassed"), np.ones((2, 3), "float32")
    mutant = mutspec.apply(_plan({"op": "scale", "target": "gate/var0", "factor": 2.0}), model)
    gain, offset = (np.asarray(each.numpy(), "float64") for each in (model.gate.gain, model.gate.offset))
    temperature = float(model.temperature.numpy())
    inner = (outputs(model, [x])[0] / temperature - offset) / gain
    np.testing.assert_allclose(outputs(mutant, [x])[0], (inner * 2 * gain + offset) * temperature, rtol=1e-5)


def test_mutations_nest_and_the_inner_one_sees_the_outer_one() -> None:
    model = shared("residual")
    kernel = model.get_layer("stem").kernel
    base, all_before = kernel.numpy().copy(), weights(model)
    double = _plan({"op": "scale", "target": "stem/kernel", "factor": 2.0})
    with mutspec.mutated(double, model):
        outer = weights(model)
        with mutspec.mutated(double, model):
            np.testing.assert_array_equal(kernel.numpy(), base * 4)
        assert weights(model) == outer
        np.testing.assert_array_equal(kernel.numpy(), base * 2)
    assert weights(model) == all_before


class _OurError(Exception):
    pass


def test_an_exception_in_a_block_restores_the_model_and_goes_on() -> None:
    model = shared("residual")
    before = weights(model)
    with pytest.raises(_OurError), mutspec.mutated(_weights_plan(), model):  # noqa: PT012
        with pytest.raises(_OurError), mutspec.mutated(_weights_plan(), model):
            raise _OurError
        model.get_layer("head").kernel.assign(model.get_layer("head").kernel * 3.0)
        raise _OurError
    assert weights(model) == before


def test_only_what_the_plan_touches_is_assigned() -> None:
    model = fresh("residual")
    stem, head = model.get_layer("stem").bias, model.get_layer("head").bias
    with mutspec.mutated(_plan({"op": "zero", "target": "head/bias"}), model):
        stem.assign(np.full(stem.shape, 9.0))
        head.assign(np.full(head.shape, 9.0))
    assert np.all(stem.numpy() == 9.0)
    assert not np.any(head.numpy() == 9.0)


@settings(max_examples=8)
@given(
    st.sampled_from(["residual", "sequential", "normalizers", "bidirectional", "bfloat16", "subclassed"]),
    st.permutations(list(STEPS)),
)
def test_plans_in_turn_give_what_each_gives_alone(name: str, order: list[str]) -> None:
    model = shared(name)
    base = weights(model)
    alone = {}
    for op in order[:2]:
        twin = mutspec.apply(_plan({**STEPS[op], "target": {"weights": "*"}}), model)
        alone[op] = weights(twin)
    for op in (*order[:2], order[0]):
        with mutspec.mutated(_plan({**STEPS[op], "target": {"weights": "*"}}), model):
            assert weights(model) == alone[op]
        assert weights(model) == base


@pytest.mark.parametrize("threads", [1, 5])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    model = shared("transformer")
    assert weights(mutspec.apply(_weights_plan(), model, threads=threads)) == weights(
        mutspec.apply(_weights_plan(), model)
    )


def test_a_plan_that_makes_infinities_changes_nothing() -> None:
    model = fresh("residual")
    before = weights(model)
    plan = _plan(
        {"op": "zero", "target": "stem"},
        {"op": "scale", "target": "head/kernel", "factor": 1e38, "id": "one"},
        {"op": "scale", "target": "head/kernel", "factor": 1e38, "id": "two"},
    )
    with pytest.raises(CheckError):
        mutspec.apply(plan, model, in_place=True)
    assert weights(model) == before
    with pytest.raises(CheckError), mutspec.mutated(plan, model):
        pytest.fail("the block ran")
    assert weights(model) == before


def test_structure_cannot_be_changed_in_place_or_be_undone() -> None:
    model, plan = shared("residual"), _plan({"op": "zero", "target": "stem"}, ADD)
    before = weights(model)
    with pytest.raises(CallError, match=r"`new` changes the architecture.*in place"):
        mutspec.apply(plan, model, in_place=True)
    with pytest.raises(CallError, match=r"`new` changes the architecture.*undone"), mutspec.mutated(plan, model):
        pytest.fail("the block ran")
    assert weights(model) == before


def test_a_live_model_and_a_file_serve_as_inputs(tmp_path: Path) -> None:
    model, donor = shared("residual"), fresh("residual")
    donor.get_layer("head").kernel.assign(np.full((7, 3), 0.25))
    step = {"op": "transfer_weights", "source": "other:head", "target": "head"}
    plan = mutspec.plan({"inputs": {"other": {}}, "steps": [step]})
    for given_as in (donor, _quiet_save(donor, tmp_path / "donor.keras")):
        with mutspec.mutated(plan, model, inputs={"other": given_as}):
            np.testing.assert_array_equal(model.get_layer("head").kernel.numpy(), 0.25)
    with pytest.raises(CallError):
        mutspec.apply(plan, model)


def test_dry_run_changes_nothing_and_counts_what_apply_touches() -> None:
    model = shared("residual")
    before = weights(model)
    dry = mutspec.dry_run(_weights_plan(), model)
    assert weights(model) == before
    done = executor.apply(_weights_plan(), model).report
    assert [[target.touched for target in step.targets] for step in dry.steps] == [
        [target.touched for target in step.targets] for step in done.steps
    ]


def test_diff_of_two_models_in_memory_tells_what_a_step_did() -> None:
    model = shared("residual")
    found = mutspec.diff(model, mutspec.apply(_plan({"op": "scale", "target": "stem/kernel", "factor": 3.0}), model))
    (tensor,) = found.tensors
    kernel = model.get_layer("stem").kernel.numpy().astype("float64")
    assert (tensor.layer, tensor.weight, tensor.changed) == ("stem", "kernel", kernel.size)
    assert tensor.l2 == pytest.approx(2 * np.linalg.norm(kernel), rel=1e-6)
    assert mutspec.diff(model, model).identical


def _trained(optimizer: str, *, eagerly: bool = False) -> Any:
    import keras

    model = fresh("residual")
    model.compile(optimizer, keras.losses.MeanSquaredError(), metrics=["mae"], run_eagerly=eagerly)
    random = np.random.default_rng(1)
    model.train_on_batch(random.uniform(-1, 1, (4, 6, 6, 3)), random.uniform(-1, 1, (4, 3)))
    return model


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop", "ftrl"])
def test_the_optimizer_comes_along(optimizer: str) -> None:
    model = _trained(optimizer, eagerly=optimizer != "adam")  # to make a graph takes a second
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mutant = mutspec.apply(_weights_plan(), model)
    assert type(mutant.optimizer) is type(model.optimizer)
    assert mutant.optimizer is not model.optimizer
    state = [each.numpy() for each in model.optimizer.variables]
    assert len(state) == len(mutant.optimizer.variables)
    for one, other in zip(state, mutant.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other.numpy())
    assert mutant.loss.name == model.loss.name
    mutant.train_on_batch(np.ones((2, 6, 6, 3)), np.ones((2, 3)))  # and it goes on
    for one, other in zip(state, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, other.numpy())


def test_after_an_insert_the_optimizer_knows_the_kept_weights_and_a_warning_tells_of_the_new() -> None:
    model = _trained("adam")
    plan = _plan({"op": "insert_layer", "after": "stem", "layer": {"type": "Dense", "units": "same"}, "id": "new"})
    with pytest.warns(mutspec.MutspecWarning, match="is reset for 2 of 9 trainable weights: 2 are new"):
        mutant = mutspec.apply(plan, model)
    assert int(mutant.optimizer.iterations.numpy()) == 1

    def slots(each: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        names = [f"{layer.name}/{one.name}" for layer in each.layers for one in layer.trainable_variables]
        optimizer = each.optimizer
        pairs = zip(optimizer._momentums, optimizer._velocities, strict=True)
        return {name: (one.numpy(), two.numpy()) for name, (one, two) in zip(names, pairs, strict=True)}

    before, after = slots(model), slots(mutant)
    assert after.keys() - before.keys() == {"new/kernel", "new/bias"}
    for name, pair in after.items():
        for index in (0, 1):
            wanted = before[name][index] if name in before else 0.0
            np.testing.assert_array_equal(pair[index], wanted)
    assert np.any(before["stem/kernel"][0])  # so that equal means something


def test_statistics_that_are_mutated_in_memory_act_as_after_saving_and_loading(tmp_path: Path) -> None:
    import keras

    model = fresh("normalization")
    x = inputs_of(model)
    base = outputs(model, x)
    plan = _plan({"op": "scale", "target": "adapted/mean", "factor": 3.0})
    mutant = mutspec.apply(plan, model)
    loaded = keras.saving.load_model(_quiet_save(mutant, tmp_path / "mutant.keras"))
    wanted = outputs(loaded, x)
    assert np.abs(wanted[0] - base[0]).max() > 1e-3
    np.testing.assert_array_equal(outputs(mutant, x), wanted)
    with mutspec.mutated(plan, model):
        np.testing.assert_array_equal(outputs(model, x), wanted)
    np.testing.assert_array_equal(outputs(model, x), base)


def test_vocabularies_come_along() -> None:
    model = shared("preprocessing")
    x = inputs_of(model)
    with pytest.warns(mutspec.MutspecWarning, match="changed nothing"):
        mutant = mutspec.apply(_plan({"op": "scale", "target": "*/embeddings", "factor": 1.0}), model)
    np.testing.assert_array_equal(outputs(mutant, x), outputs(model, x))


def test_what_a_block_does_to_its_variables_reaches_nothing_that_is_restored() -> None:
    model = fresh("residual")
    kernel = model.get_layer("stem").kernel
    before = weights(model)
    held = kernel.numpy().copy()
    with mutspec.mutated(_plan({"op": "scale", "target": "stem/kernel", "factor": 2.0}), model):
        kernel.value.assign_add(np.ones(kernel.shape, "float32"))
        np.testing.assert_array_equal(kernel.numpy(), held * 2 + 1)
        kernel.value.scatter_nd_update([[0] * len(kernel.shape)], [7.0])
    assert weights(model) == before


@pytest.mark.parametrize("in_place", [True, False])
def test_a_mutant_can_be_trained_and_its_base_is_not(in_place: bool) -> None:
    model, other = fresh("residual"), fresh("residual")
    kernel, base = model.get_layer("stem").kernel, weights(model)
    plan = _plan({"op": "scale", "target": "stem/kernel", "factor": 2.0})
    mutant = mutspec.apply(plan, model, in_place=in_place)
    held = kernel.numpy().copy()
    with mutspec.mutated(plan, mutant):
        inside = mutant.get_layer("stem").kernel
        inside.value.assign_add(np.ones(inside.shape, "float32"))
    mutant.get_layer("stem").kernel.value.assign_sub(np.ones(kernel.shape, "float32"))
    if in_place:
        np.testing.assert_array_equal(kernel.numpy(), held - 1)
    else:
        assert weights(model) == base
    assert weights(other) == weights(fresh("residual"))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "int8", "uint32", "bool"])
@pytest.mark.parametrize("shape", [(), (0, 3), (5, 7)])
def test_values_are_assigned_and_read_to_the_bit(dtype: str, shape: tuple[int, ...]) -> None:
    import keras

    variable = keras.Variable(np.zeros(shape), dtype=dtype, trainable=False)
    size = int(np.prod(shape))
    values = np.random.default_rng(0).integers(0, 2, size).astype(numpy_dtype(dtype))
    for copy in (values.copy(), room_for(size, values.dtype), np.empty(size + 1, values.dtype)[1:]):
        copy[:] = values
        assign(variable, copy)
        held = snapshot(variable)
        assert as_array(held).tobytes() == values.tobytes()
        assert as_array(held).dtype == values.dtype
        variable.assign(variable + 1 if dtype != "bool" else ~variable.numpy())
        assert as_array(held).tobytes() == values.tobytes()
        with pytest.raises(ValueError, match="read-only"):
            copy[...] = 1


def test_damage_of_a_file_is_found_wherever_it_is_read(tmp_path: Path) -> None:
    model = fresh("residual")
    path = _quiet_save(model, tmp_path / "teacher.keras")
    archive = open_archive(path)
    kernel = next(tensor.path for tensor in archive.spec.tensors if tensor.role == "kernel")
    offset = archive.extents[kernel].offset
    assert offset is not None
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    step = {"op": "transfer_weights", "id": "graft", "source": f"teacher:{kernel}", "target": kernel}
    graft, noise = _plan(step, inputs={"teacher": {}}), _plan({**STEPS["zero"]})
    before = weights(model)
    from_file: dict[str, Any] = {"inputs": {"teacher": path}}
    data = (inputs_of(model)[0], None)
    message = f"`{kernel}`, which step `graft` reads, may be wrong"
    for in_place in (False, True):
        with pytest.raises(ModelError, match=message):
            mutspec.apply(graft, model, in_place=in_place, **from_file)
    with pytest.raises(ModelError, match=message), mutspec.mutated(graft, model, **from_file):
        raise AssertionError("the block must not be entered")
    with pytest.raises(ModelError, match=message):
        mutspec.sweep(graft, model, data, metrics=[], loss=None, **from_file)
    for call in (lambda: mutspec.apply(noise, path), lambda: mutspec.sweep(noise, path, data, metrics=[], loss=None)):
        with pytest.raises(ModelError, match="its weights may be wrong"):
            call()
    assert weights(model) == before
    with pytest.warns(mutspec.MutspecWarning, match="is damaged"):
        mutspec.diff(model, path)
    mutspec.apply(graft, model, in_place=True, verify=False, **from_file)
    assert weights(model) != before
