"""Files of structural plans have the optimizer's state that Keras would have written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mutspec.execute.files import apply, dry_run
from mutspec.keras_facts.optimizers import OPTIMIZERS
from tests.execute.test_new_file import by_keras, config_of, weights_of
from tests.toys import plan_of

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

NEW = {"op": "insert_layer", "id": "new", "after": "first", "layer": {"type": "Dense", "units": 4}}
WIDER = {"op": "replace_layer", "target": "last", "layer": {"type": "Dense", "units": 5}, "keep_weights": True}
FREEZE = {"op": "configure_layer", "target": "last", "set": {"trainable": False}}
THAW = {"op": "configure_layer", "target": "inner/deep", "set": {"trainable": True}}


def trained(optimizer: Any, path: Path, *, is_built: bool = True) -> Path:
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(1)
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="deep", trainable=False)], name="inner")
    image = keras.Input((6,))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(4, name="first")(image))
    model = keras.Model(image, keras.layers.Dense(2, name="last")(inner(x)))
    model.compile(optimizer, "mse", metrics=["mae"])
    if is_built:
        model.optimizer.build(model.trainable_variables)
        random = np.random.default_rng(0)
        for variable in model.optimizer.variables:
            variable.assign(random.uniform(1, 9, variable.shape).astype(variable.dtype))
    model.save(path)
    return path


MADE: dict[str, Callable[[], Any]] = {
    **{name: getattr(keras.optimizers, name) for name in OPTIMIZERS},
    "SGD with momentum": lambda: keras.optimizers.SGD(momentum=0.9),
    "Adam with velocity hats": lambda: keras.optimizers.Adam(amsgrad=True),
    "RMSprop with all": lambda: keras.optimizers.RMSprop(momentum=0.1, centered=True),
    "Adam with a schedule": lambda: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)),
    "a scaled loss": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()),
    "a name of its own": lambda: keras.optimizers.Adam(name="mine"),
}


@pytest.mark.parametrize("name", MADE)
def test_the_state_is_kept_for_kept_weights_and_begins_anew_for_others(name: str, tmp_path: Path) -> None:
    base, plan = trained(MADE[name](), tmp_path / "base.keras"), plan_of(NEW, FREEZE)
    report = apply(plan, base, tmp_path / "ours.keras")
    assert report.needs_keras == ""
    by_keras(plan, base, tmp_path / "keras.keras")
    assert weights_of(tmp_path / "ours.keras") == weights_of(tmp_path / "keras.keras")
    assert config_of(tmp_path / "ours.keras")["compile_config"] == config_of(base)["compile_config"]


@pytest.mark.parametrize("steps", [[NEW], [WIDER], [THAW], [NEW, WIDER, THAW]])
def test_what_is_lost_is_said_as_keras_loses_it(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    base, plan = trained(keras.optimizers.Adam(), tmp_path / "base.keras"), plan_of(*steps)
    ours = apply(plan, base, tmp_path / "ours.keras")
    theirs = by_keras(plan, base, tmp_path / "keras.keras")
    said = [str(warning) for warning in ours.warnings if "optimizer" in str(warning)]
    assert said == [str(warning) for warning in theirs.warnings if "optimizer" in str(warning)] != []
    assert said == [str(warning) for warning in dry_run(plan, base).warnings if "optimizer" in str(warning)]
    assert weights_of(tmp_path / "ours.keras") == weights_of(tmp_path / "keras.keras")


@pytest.mark.parametrize("name", ["Adam", "Adagrad", "SGD"])
def test_an_optimizer_that_was_never_built_begins_as_in_keras(name: str, tmp_path: Path) -> None:
    base = trained(MADE[name](), tmp_path / "base.keras", is_built=False)
    assert apply(plan_of(NEW), base, tmp_path / "ours.keras").needs_keras == ""
    model = keras.saving.load_model(tmp_path / "ours.keras")
    loaded = [variable.numpy() for variable in model.optimizer.variables]
    fresh = MADE[name]()
    fresh.build(model.trainable_variables)
    assert len(loaded) == len(fresh.variables)
    assert all(np.array_equal(one, other) for one, other in zip(loaded, fresh.variables, strict=True))
