"""What Keras builds from files is compiled once, and reads each of them once."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.execute import files, prepare
from tests.zoo.play import shared

GRAFT = mutspec.plan(
    {
        "inputs": {"teacher": {}},
        "steps": [
            {"op": "insert_layer", "after": "dense", "layer": {"type": "Dense", "units": "same"}},
            {"op": "transfer_weights", "source": "teacher:conv2d/kernel", "target": "conv2d/kernel"},
        ],
    }
)

_opened: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str):
        _opened.append(arguments[0])


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The paths of all files that Python opens during a test, as the interpreter's own audit events tell them."""
    global _opened
    _hook()
    _opened = []
    yield _opened
    _opened = None


@cache
def _hook() -> None:
    sys.addaudithook(_note)  # which cannot be removed again


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models for which plans are compiled during a test."""
    compiled: list[str] = []
    compile_plan: Callable[..., Any] = prepare.compile_plan

    def counting(plan: Any, model: Any, *arguments: Any, **keywords: Any) -> Any:
        compiled.append(model.name)
        return compile_plan(plan, model, *arguments, **keywords)

    monkeypatch.setattr(prepare, "compile_plan", counting)
    return compiled


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.keras"
    shared("sequential").save(path)
    return path


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    path = tmp_path / "teacher.keras"
    shared("sequential").save(path)
    return path


def test_an_input_is_opened_for_its_spec_as_in_a_dry_run_and_once_more_for_its_values(
    model: Path, teacher: Path, opened: list[str], tmp_path: Path
) -> None:
    files.dry_run(GRAFT, model, inputs={"teacher": teacher})
    for_spec = Counter(opened)[str(teacher)]
    opened.clear()
    files.apply(GRAFT, model, tmp_path / "mutant.keras", inputs={"teacher": teacher}, verify=False)
    assert Counter(opened)[str(teacher)] == for_spec + 1


def test_a_plan_that_keras_carries_out_on_a_file_is_compiled_once(
    model: Path, teacher: Path, compiled: list[str], tmp_path: Path
) -> None:
    files.apply(GRAFT, model, tmp_path / "mutant.keras", inputs={"teacher": teacher})
    assert len(compiled) == 1


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_mutant_of_a_compiled_file_is_compiled_as_its_base_is(suffix: str, tmp_path: Path) -> None:
    import keras

    base, mutant = tmp_path / f"base{suffix}", tmp_path / f"mutant{suffix}"
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="dense"), keras.layers.Dense(1)])
    model.compile("adam", keras.losses.MeanSquaredError())  # Keras 3.15 does not find "mse" in its own .h5 files
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    model.save(base)
    steps = [{"op": "insert_layer", "after": "dense", "layer": {"type": "Dense", "units": "same", "name": "new"}}]
    files.apply(mutspec.plan({"steps": steps}), base, mutant)
    loaded, saved = keras.saving.load_model(base), keras.saving.load_model(mutant)
    assert saved.get_compile_config()["loss"] == loaded.get_compile_config()["loss"]
    assert saved.optimizer.iterations.numpy() == loaded.optimizer.iterations.numpy() == 1
