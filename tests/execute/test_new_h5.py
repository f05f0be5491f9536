"""Whole-model `.h5` files that mutspec writes without Keras are those that Keras would have written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from mutspec.errors import ModelError
from mutspec.execute.files import apply, dry_report, dry_run, prepare_files
from mutspec.model.files.keras_writer import save_whole_h5
from mutspec.model.files.legacy_groups import legacy_groups
from mutspec.model.files.legacy_layout import lay_out_whole_h5
from mutspec.model.files.new_model import NewModel
from mutspec.model.files.opening import open_archive
from mutspec.model.outline import outline_of
from tests.effort import share
from tests.execute.test_new_file import ONLY_KERAS, base_of, config_of, weights_of
from tests.execute.test_new_file import OPS as OF_KERAS_FILES
from tests.execute.test_new_file_state import MADE, trained
from tests.keras_facts.installed import without_newer
from tests.toys import plan_of
from tests.zoo import ZOO

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

REFUSED = {
    "bfloat16",  # Keras writes what it cannot read
    "wrapped_cells",  # Keras cannot write two weights of the same name
}

FROZEN = '"name": "whole", "trainable": false'
"""A Sequential model. Keras forgets that one is frozen when it loads it."""


def by_keras(path: Path) -> Path:
    """What Keras writes for a model that it loads from a `.keras` file."""
    keras.backend.clear_session(free_memory=False)
    target = path.with_suffix(".keras.h5")
    with target.open("w+b") as file:
        save_whole_h5(keras.saving.load_model(path), file.fileno())
    return target


@pytest.mark.parametrize("name", share(sorted(ZOO.keys() - ONLY_KERAS - REFUSED), of=2, turn=1))
def test_a_file_has_the_bytes_that_keras_writes(name: str, tmp_path: Path) -> None:
    base = open_archive(base_of(name, tmp_path))
    groups = legacy_groups(outline_of(base.config), base.spec.tensors)
    config = json.loads(json.dumps(base.config).replace(FROZEN, FROZEN.replace("false", "true")))
    model = NewModel(base, config, base.spec.tensors, groups, keras.version(), "")
    content = base.path.read_bytes()
    with (tmp_path / "made.h5").open("w+b") as file:
        laid_out = lay_out_whole_h5(model, file.fileno())
        for path, (place,) in laid_out.places.items():
            source = base.extents[path]
            assert source.offset is not None
            assert place.offset is not None
            os.pwrite(file.fileno(), content[source.offset : source.offset + source.bytes], place.offset)
    assert (tmp_path / "made.h5").read_bytes() == by_keras(base.path).read_bytes()


SHOWN = ("residual", "bidirectional", "nested", "shared_layers", "spectral_embedding")
OPS = [next(each for each in OF_KERAS_FILES if each[0] == name) for name in SHOWN]


def content_of(path: Path) -> dict[str, Any]:
    """All groups, attributes and datasets with their values, in order."""
    found: dict[str, Any] = {}

    def look(name: str, item: Any) -> None:
        attributes = {key: value.tolist() if hasattr(value, "tolist") else value for key, value in item.attrs.items()}
        for key in {"model_config", "training_config"} & attributes.keys():
            attributes[key] = without_newer(json.loads(attributes[key]))
        values = (item.dtype, item.shape, item[()].tobytes()) if hasattr(item, "shape") else None
        found[name] = (attributes, values)

    with h5py.File(path) as file:
        look("", file)
        file.visititems(look)
    return found


@pytest.mark.parametrize(("name", "steps"), OPS, ids=SHOWN)
def test_a_mutant_is_the_one_that_keras_saves(name: str, steps: list[dict[str, Any]], tmp_path: Path) -> None:
    base, plan = base_of(name, tmp_path), plan_of(*steps)
    assert apply(plan, base, tmp_path / "ours.h5").needs_keras == ""
    apply(plan, base, tmp_path / "mutant.keras")
    assert content_of(tmp_path / "ours.h5") == content_of(by_keras(tmp_path / "mutant.keras"))


def test_a_mutant_of_an_h5_file_is_that_of_the_keras_file(tmp_path: Path) -> None:
    base, (name, steps) = tmp_path / "base.h5", OPS[0]
    with base.open("w+b") as file:
        save_whole_h5(ZOO[name](), file.fileno())
    assert dry_run(plan_of(*steps), base).needs_keras == ""
    for suffix in (".h5", ".keras"):
        assert apply(plan_of(*steps), base, tmp_path / f"mutant{suffix}").needs_keras == ""
    assert content_of(tmp_path / "mutant.h5") == content_of(by_keras(tmp_path / "mutant.keras"))
    old, new = keras.saving.load_model(base), keras.saving.load_model(tmp_path / "mutant.h5")
    x = np.random.default_rng(0).random((2, *old.input_shape[1:]), np.float32)
    assert np.array_equal(old(x), new(x))


def test_long_lists_of_names_become_several_attributes(tmp_path: Path) -> None:
    """HDF5 cannot hold more than 64 kB in an attribute of texts of one length."""
    count, length = 66, 980
    model = keras.Sequential(
        [keras.Input((1,)), *(keras.layers.Dense(1, name=f"{number:0{length}}") for number in range(count))]
    )
    model.save(tmp_path / "base.keras")
    plan = plan_of({"op": "rename_layer", "target": f"{0:0{length}}", "to": "d"})
    apply(plan, tmp_path / "base.keras", tmp_path / "ours.h5")
    apply(plan, tmp_path / "base.keras", tmp_path / "mutant.keras")
    with h5py.File(tmp_path / "ours.h5") as file:
        assert {"layer_names0", "layer_names1"} <= set(file["model_weights"].attrs)
    assert (tmp_path / "ours.h5").read_bytes() == by_keras(tmp_path / "mutant.keras").read_bytes()


def test_what_keras_cannot_load_is_refused_as_before(tmp_path: Path) -> None:
    base = base_of("operators", tmp_path)
    plan = plan_of({"op": "insert_layer", "after": {"type": "Dense"}, "layer": {"type": "Dropout", "rate": 0.1}})
    with pytest.raises(ModelError, match="is an operation between layers"):
        apply(plan, base, tmp_path / "mutant.h5")


def test_a_file_that_keras_cannot_load_is_refused_with_what_to_save(tmp_path: Path) -> None:
    ZOO["operators"]().save(tmp_path / "base.h5")
    plan = plan_of({"op": "insert_layer", "after": {"type": "Dense"}, "layer": {"type": "Dropout", "rate": 0.1}})
    with pytest.raises(ModelError, match=r"is an operation, which an \.h5 file does not describe") as refused:
        apply(plan, tmp_path / "base.h5", tmp_path / "mutant.h5")
    assert "as .keras" in refused.value.problems[0].hint


CHANGED: list[dict[str, Any]] = [
    {"op": "insert_layer", "id": "new", "after": "first", "layer": {"type": "Dense", "units": 4}},
    {"op": "rename_layer", "target": "last", "to": "end"},
    {"op": "configure_layer", "target": "norm", "set": {"trainable": False}},
]
OPTIMIZERS = {
    name: MADE[name]
    for name in ("Adam", "Ftrl", "SGD with momentum", "RMSprop with all", "Adam with a schedule", "a name of its own")
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_of_the_optimizer_is_the_one_that_keras_saves(name: str, tmp_path: Path) -> None:
    base, plan = trained(MADE[name](), tmp_path / "base.keras"), plan_of(*CHANGED)
    assert apply(plan, base, tmp_path / "ours.h5").needs_keras == ""
    apply(plan, base, tmp_path / "mutant.keras")
    assert content_of(tmp_path / "ours.h5") == content_of(by_keras(tmp_path / "mutant.keras"))


@pytest.mark.parametrize("compiled", [{"loss": "mse"}, {"loss": {"last": "mse"}, "metrics": {"last": ["mae"]}}])
def test_a_compiled_h5_file_becomes_what_the_keras_file_becomes(compiled: dict[str, Any], tmp_path: Path) -> None:
    base, plan = trained(MADE["Adam"](), tmp_path / "base.keras"), plan_of(*CHANGED)
    model = keras.saving.load_model(base)
    state = [variable.numpy() for variable in model.optimizer.variables]
    model.compile(model.optimizer, **compiled)
    for variable, value in zip(model.optimizer.variables, state, strict=True):
        variable.assign(value)
    model.save(base)
    with (tmp_path / "base.h5").open("w+b") as file:
        save_whole_h5(model, file.fileno())
    for suffix in (".keras", ".h5"):
        reports = [apply(plan, tmp_path / f"base{each}", tmp_path / f"of{each}{suffix}") for each in (".keras", ".h5")]
        assert [report.needs_keras for report in reports] == ["", ""]
        one, other = ([str(each) for each in report.warnings if "state is reset" in str(each)] for report in reports)
        assert one == other != []
    assert content_of(tmp_path / "of.keras.h5") == content_of(tmp_path / "of.h5.h5")
    assert weights_of(tmp_path / "of.keras.keras") == weights_of(tmp_path / "of.h5.keras")
    one, other = (config_of(tmp_path / f"of{each}.keras")["compile_config"] for each in (".keras", ".h5"))
    assert one == other


@pytest.mark.parametrize("steps", [CHANGED, [{"op": "gaussian_noise", "target": "last", "std": 0.1}]])
def test_a_compiled_file_that_becomes_an_h5_file_is_said_to_need_compiling_before_training(
    steps: list[dict[str, Any]], tmp_path: Path
) -> None:
    base, plan, loss = (
        trained(MADE["Adam"](), tmp_path / "base.keras"),
        plan_of(*steps),
        keras.losses.MeanSquaredError(),
    )
    model = keras.saving.load_model(base)
    model.compile("adam", loss, run_eagerly=True)
    model.save(base)
    report = apply(plan, base, tmp_path / "mutant.h5")
    dry = dry_report(prepare_files(plan, base, inputs={}), tmp_path / "mutant.h5")
    for warnings in (report.warnings, dry.warnings):
        assert [each.hint for each in warnings if "no weights" in str(each)] == [
            "compile it again before you train it, or name the output .keras"
        ]
    mutant = keras.saving.load_model(tmp_path / "mutant.h5")
    x, y = np.zeros((2, 6)), np.zeros((2, *mutant.output_shape[1:]))
    with pytest.raises(ValueError, match="Unknown variable"):
        mutant.train_on_batch(x, y)
    mutant.compile("adam", loss)
    mutant.train_on_batch(x, y)
    again = apply(
        plan_of({"op": "rename_layer", "target": "norm", "to": "n"}), tmp_path / "mutant.h5", tmp_path / "2.h5"
    )
    assert not [each for each in again.warnings if "no weights" in str(each)]


@pytest.mark.parametrize("name", ["Adafactor", "Nadam"])
def test_an_optimizer_that_keras_cannot_save_either_is_left_to_it(name: str, tmp_path: Path) -> None:
    base = trained(MADE[name](), tmp_path / "base.keras")
    report = dry_report(prepare_files(plan_of(*CHANGED), base, inputs={}), tmp_path / "mutant.h5")
    assert "have no names of their own in Keras" in report.needs_keras
