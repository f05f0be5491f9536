"""A transfer, however it turns, cuts and places, gives in memory the bits that it gives in a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

import mutspec
from mutspec.model.files.opening import open_archive
from mutspec.model.live import read_live
from tests.execute.test_every_op import values
from tests.oracle import Step

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*changed nothing in:mutspec.MutspecWarning"),
    pytest.mark.usefixtures("hdf5_in_this_process"),
]


def build(kernel: int, channels: int, units: int) -> keras.Model:
    inputs = keras.Input((4, 4, channels))
    x = layers.Conv2D(3, kernel, padding="same", name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    dense = layers.Dense(units, name="dense")(layers.Flatten()(x))
    full = layers.Conv2D(units, 4, name="full")(x)
    up = layers.Conv2DTranspose(2, kernel, name="up")(x)
    return keras.Model(inputs, [dense, full, up])


@cache
def model(name: str) -> Any:
    keras.utils.set_random_seed(len(name))
    return build(3, 3, 5) if name == "base" else build(5, 4, 7)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("transfers")

    @cache
    def save(name: str) -> Path:
        model(name).save(folder / f"{name}.keras")
        return folder / f"{name}.keras"

    return save


CUTS = st.sampled_from(["slice", "pad"])
position = st.integers(0, 2) | st.sampled_from(["34%", "50%"])


def step(source: str, target: str, **keys: Any) -> st.SearchStrategy[Step]:
    """Steps with these keys, of which some are drawn."""
    drawn = {key: each if isinstance(each, st.SearchStrategy) else st.just(each) for key, each in keys.items()}
    fixed = {"op": "transfer_weights", "source": source, "target": target, "allow_empty": True}
    return st.fixed_dictionaries(drawn).map(lambda own: {**fixed, **own})


steps = st.one_of(
    step("other:", "*", on_mismatch=st.sampled_from(["skip", "slice", "pad"])),
    step("other:", "*", on_mismatch=CUTS, align="center"),
    step("base:", "*"),
    step("other:conv/kernel", "conv/kernel", on_mismatch=CUTS, axis=st.integers(-4, 3), start=position, at=position),
    step("other:conv/kernel", "conv/kernel", on_mismatch=CUTS, at=st.lists(position, min_size=4, max_size=4)),
    step("conv/kernel", "up/kernel", on_mismatch=CUTS, transpose=st.permutations(range(4))),
    step("base:dense", "full", reshape=True),
    step("full/kernel", "dense/kernel", reshape=True),
    step("dense/kernel", "full/kernel", reshape=True, transpose=st.just([0, 1, 2, 3]) | st.just([1, 0, 2, 3])),
    step("dense/kernel", "dense/kernel", transpose=True, on_mismatch=CUTS).map(lambda s: {**s, "source": "base:dense"}),
    step(
        "conv/kernel", "conv/kernel", axis=2, combine=st.sampled_from(["mean", "sum"]), at=position, start=position
    ).map(lambda own: {**own, "source": "base:conv/kernel"}),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(steps, min_size=1, max_size=3), threads=st.sampled_from([1, 2]))
def test_a_transfer_is_the_same_in_files_and_in_memory(
    drawn: list[Step], threads: int, file: Callable[[str], Path], tmp_path: Path
) -> None:
    changes = [{"op": "scale", "target": "*", "factor": 1.5}]
    numbered = [{**each, "id": f"transfer_{number}"} for number, each in enumerate(drawn)]
    plan = mutspec.plan({"inputs": {"other": {}} if "other:" in str(drawn) else {}, "steps": [*changes, *numbered]})
    inputs = {name: model(name) for name in plan.inputs}
    mutant = tmp_path / "mutant.keras"
    mutspec.apply(plan, file("base"), mutant, inputs={name: file(name) for name in inputs}, force=True, threads=threads)
    with mutspec.mutated(plan, model("base"), inputs=inputs):
        assert values(read_live(model("base"))) == values(open_archive(mutant))
