"""The optimizer's state in the file of a mutant is what Keras has after the state was carried over in memory."""

from __future__ import annotations

import json
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
import pytest

import mutspec
from mutspec.execute.prepare import prepare
from mutspec.lowering.origins import why_not_kept
from mutspec.model.files.opening import open_archive
from mutspec.model.live import read_live
from mutspec.structure.optimizer_state import OptimizerState, UnknownStateError, carried_state, trained_weights
from tests.keras_facts.test_optimizers import CASES, optimizer
from tests.zoo import ZOO
from tests.zoo.play import shared

BY_CODE = {"custom_layer", "nested_custom", "subclassed", "subclassed_functional"}
STEPS: list[dict[str, Any]] = [
    {"op": "insert_layer", "after": "stem", "layer": {"type": "Dense", "units": "same"}},
    {"op": "configure_layer", "target": "still", "set": {"trainable": True}},
    {"op": "remove_layer", "target": "gone"},
    {"op": "rename_layer", "target": "head", "to": "top"},
]


@pytest.mark.parametrize("name", sorted({*ZOO} - BY_CODE))
def test_the_weights_that_a_model_trains_are_those_of_keras(name: str) -> None:
    import keras

    model = shared(name)
    paths = {id(variable): path for path, variable in read_live(model).variables.items()}
    trained = [paths[id(variable)] for variable in model.trainable_variables]
    if name.startswith("shared_"):
        trained = list(dict.fromkeys(trained))
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    ours = list(trained_weights(config))
    assert [path for path in ours if path in paths.values()] == trained


def test_what_a_layer_of_the_users_own_trains_is_only_known_to_keras() -> None:
    import keras

    config = keras.saving.serialize_keras_object(shared("custom_layer"))
    with pytest.raises(UnknownStateError, match="the weights that a"):
        trained_weights(config)


def saved(path: Path, made: Any, *, is_fitted: bool = True) -> Path:
    """A model with a frozen layer, and an optimizer whose state is none of the usual ones."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(3)
    inputs = keras.Input((5,), name="x")
    x = layers.Dense(4, name="stem")(inputs)
    x = layers.Dense(4, name="gone")(layers.BatchNormalization(name="norm")(x))
    x = layers.Dense(3, name="still", trainable=False)(x)
    model = keras.Model(inputs, layers.Dense(2, name="head")(x), name="trained")
    model.compile(made, "mse")
    if is_fitted:
        made.build(model.trainable_variables)
        random = np.random.default_rng(1)
        for variable in made.variables:
            variable.assign(random.uniform(1, 9, tuple(variable.shape)).astype(str(variable.dtype)))
    model.save(path)
    return path


def datasets(path: Path) -> dict[str, np.ndarray]:
    """The optimizer's variables in a file."""
    found: dict[str, np.ndarray] = {}

    def note(name: str, item: Any) -> None:
        if name.startswith("optimizer/") and isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with ZipFile(path) as file, h5py.File(BytesIO(file.read("model.weights.h5"))) as weights:
        weights.visititems(note)
    return found


def by_keras(base: Path, steps: list[dict[str, Any]]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The state that Keras saves after it was carried over in memory, and what is said of it."""
    import keras

    mutant = base.with_name("mutant.keras")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mutspec.apply(mutspec.plan({"steps": steps}), keras.saving.load_model(base)).save(mutant)
    said = [str(each.message) for each in caught if issubclass(each.category, mutspec.MutspecWarning)]
    return datasets(mutant), [message for message in said if "optimizer" in message]


def ours(base: Path, steps: list[dict[str, Any]]) -> OptimizerState:
    archive = open_archive(base)
    program = prepare(mutspec.plan({"steps": steps}), archive, {}).program
    kept = {tensor.path: tensor for tensor in program.before.tensors}
    after = {tensor.path: tensor for tensor in program.after.tensors}
    return carried_state(
        archive.config["compile_config"]["optimizer"],
        [kept[path] for path in trained_weights(archive.config)],
        [after[path] for path in trained_weights(program.config)],
        kept,
        program.after.tensors,
        {path: value.shape for path, value in datasets(base).items()},
        why_not_kept(program),
    )


def assert_same(base: Path, steps: list[dict[str, Any]]) -> OptimizerState:
    state, stored = ours(base, steps), datasets(base)
    theirs, said = by_keras(base, steps)
    assert {each.path for each in state.variables} == theirs.keys()
    for each in state.variables:
        values = stored[each.source] if each.source else np.full(each.shape, each.first, each.dtype)
        assert values.dtype == each.dtype
        np.testing.assert_array_equal(theirs[each.path], values, err_msg=each.path)
    assert len(state.warnings) == len(said)
    assert all(f"{each.message}." == message for each, message in zip(state.warnings, said, strict=True))
    return state


STATES = [case for case in CASES if case[1] or case[0] in ("SGD", "Nadam", "Ftrl", "Adafactor")]


@pytest.mark.parametrize(("name", "config"), STATES, ids=[f"{name}-{'-'.join(config)}" for name, config in STATES])
def test_the_state_in_the_file_is_what_keras_has(name: str, config: dict[str, Any], tmp_path: Path) -> None:
    state = assert_same(saved(tmp_path / "base.keras", optimizer(name, config)), STEPS)
    assert any(each.source for each in state.variables)


def test_an_optimizer_around_another_one_keeps_both_states(tmp_path: Path) -> None:
    import keras

    wrapped = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    state = assert_same(saved(tmp_path / "base.keras", wrapped), STEPS)
    assert {each.path.rpartition("/")[0] for each in state.variables} == {
        "optimizer/vars",
        "optimizer/inner_optimizer/vars",
    }


def test_the_reasons_are_those_that_keras_s_executor_tells(tmp_path: Path) -> None:
    state = ours(saved(tmp_path / "base.keras", optimizer("Adam", {})), STEPS)
    assert [each.message for each in state.warnings] == [
        "the optimizer's state is reset for 4 of 10 trainable weights: 2 are new, 2 were not trained in the base"
    ]


FREEZE = {"op": "configure_layer", "target": ["stem", "norm"], "set": {"trainable": False}}
DROPPED = "the optimizer's state is dropped for {} weights that the mutant does not train"
RESET = "the optimizer's state is reset for {} trainable weights: {}"


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([FREEZE], [DROPPED.format(4)]),
        ([FREEZE, {**FREEZE, "set": {"trainable": True}}], []),
        ([{**FREEZE, "set": {"trainable": False}, "target": "*"}], [DROPPED.format(8)]),
        ([{"op": "set_dtype_policy", "policy": "float64"}], [RESET.format("8 of 8", "8 have another dtype")]),
        ([{"op": "duplicate_layers", "target": "gone"}], [RESET.format("2 of 10", "2 are made of other weights")]),
        ([{"op": "replace_layer", "target": "gone", "layer": {"type": "Dense", "units": 4}, "keep_weights": True}], []),
    ],
)  # fmt: skip
def test_what_is_said_of_lost_state_is_true(steps: list[dict[str, Any]], said: list[str], tmp_path: Path) -> None:
    steps = [{**step, "id": f"s{number}"} for number, step in enumerate(steps)]
    state = assert_same(saved(tmp_path / "base.keras", optimizer("Adam", {})), steps)
    assert [each.message for each in state.warnings] == said


def test_an_optimizer_without_state_for_weights_loses_none_where_they_freeze(tmp_path: Path) -> None:
    assert not assert_same(saved(tmp_path / "base.keras", optimizer("SGD", {})), [FREEZE]).warnings


def test_a_model_that_was_not_trained_has_no_state_to_keep(tmp_path: Path) -> None:
    state = assert_same(saved(tmp_path / "base.keras", optimizer("Adam", {}), is_fitted=False), STEPS)
    assert not any(each.source for each in state.variables)


def test_an_optimizer_that_is_not_in_the_tables_is_named() -> None:
    with pytest.raises(UnknownStateError, match="the variables of the optimizer Lookahead"):
        carried_state("Lookahead", [], [], {}, [], {}, {})
