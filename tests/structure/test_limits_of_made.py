"""What steps make is held to the limits on what files may declare, and to the names that files can hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mutspec
from mutspec.errors import ModelError, PlanError, Problem
from mutspec.model.files.opening import open_archive

DIGITS = Path(__file__).parents[2] / "conf/model/digits.keras"
NAMES = {"NUL": "a\0b", "a path": "a/b", "a group": ".", "half a character": "a\ud800", "too long": "n" * 1025}


def refused(*steps: dict[str, Any]) -> Problem:
    """Returns the problem for which a plan is refused before anything is written."""
    with pytest.raises(PlanError) as error:
        mutspec.dry_run(mutspec.plan({"steps": list(steps)}), DIGITS)
    return error.value.problems[0]


def insert(**layer: Any) -> dict[str, Any]:
    return {"op": "insert_layer", "after": "dense_1", "layer": layer}


NAMED = {
    "a rename": lambda name: {"op": "rename_layer", "target": "dense_1", "to": name},
    "a replacement": lambda name: {"op": "rename_layer", "target": "dense_1", "to": {"regex": ".*", "with": name}},
    "a pattern": lambda name: {"op": "rename_layer", "target": "dense_*", "to": "{name}" + name},
    "a model": lambda name: {"op": "rename_model", "to": name},
    "a layer": lambda name: insert(type="ReLU", name=name),
    "a layer in a layer": lambda name: insert(type="TimeDistributed", layer={"type": "ReLU", "name": name}),
    "a layer in Keras's form": lambda name: insert(class_name="ReLU", config={}, name=name),
    "a part of a block": lambda name: insert(layers=[{"type": "ReLU"}, {"type": "ReLU", "name": name}]),
    "a nested model": lambda name: {"op": "nest_layers", "target": "dense_1", "name": name},
    "an input": lambda name: {
        "op": "add_input", "after": "dense_1", "shape": [2], "layer": {"type": "Concatenate"}, "name": name,
    },
}  # fmt: skip


@pytest.mark.parametrize("what", NAMED)
@pytest.mark.parametrize("kind", NAMES)
def test_a_name_that_no_file_can_hold_is_refused_before_the_work(what: str, kind: str) -> None:
    if (what, kind) != ("a pattern", "a group"):
        assert "name" in refused(NAMED[what](NAMES[kind])).message


def test_the_key_of_an_output_is_a_name_too() -> None:
    assert "U+0000" in refused({"op": "extract", "outputs": {"a\0": "dense_1"}}).message


def test_a_name_that_tensorflow_does_not_compile_is_warned_of() -> None:
    import keras
    import numpy as np

    step = {"op": "rename_layer", "target": "dense_1", "to": "a b"}
    with pytest.warns(mutspec.MutspecWarning, match="on TensorFlow does not `predict` or `fit`"):
        mutant = mutspec.apply(mutspec.plan({"steps": [step]}), keras.models.load_model(DIGITS))
    images = {"image": np.zeros((1, 8, 8, 1), "float32")}
    assert mutant(images) is not None
    with pytest.raises(ValueError, match="not a valid"):
        mutant.predict(images, verbose=0)


SIZES = [2**31, 2**32, 10**12, 2**63 - 1, 2**63, 10**23]
SIZED = {
    "units": lambda size: insert(type="Dense", units=size),
    "filters": lambda size: {**insert(type="Conv2D", filters=size, kernel_size=1), "after": "conv_1"},
    "a window": lambda size: {**insert(type="Conv2D", filters=1, kernel_size=size, padding="same"), "after": "conv_1"},
    "a pool": lambda size: {**insert(type="MaxPooling2D", pool_size=size, padding="same"), "after": "conv_1"},
    "padding": lambda size: {**insert(type="ZeroPadding2D", padding=size), "after": "conv_1"},
    "a factor": lambda size: {**insert(type="UpSampling2D", size=size), "after": "conv_1"},
    "words": lambda size: insert(type="Embedding", input_dim=size, output_dim=2),
    "a state": lambda size: {**insert(type="TimeDistributed", layer={"type": "GRU", "units": size}), "after": "conv_1"},
    "repeats": lambda size: insert(type="RepeatVector", n=size),
    "a new shape": lambda size: insert(type="Reshape", target_shape=[size, 1]),
    "an input's shape": lambda size: {"op": "set_input", "shape": [size, 8, 1]},
    "a batch": lambda size: {"op": "set_input", "batch_size": size},
    "another input": lambda size: {
        "op": "add_input", "after": "dense_1", "shape": [size], "layer": {"type": "Concatenate"},
    },
    "a replaced layer": lambda size: {
        "op": "replace_layer", "target": "logits", "layer": {"type": "Dense", "units": size},
    },
}  # fmt: skip


@pytest.mark.parametrize("what", SIZED)
@pytest.mark.parametrize("size", SIZES)
def test_a_size_beyond_all_machines_is_refused_before_the_work(what: str, size: int) -> None:
    assert refused(SIZED[what](size)).message


def test_weights_that_no_disk_has_are_refused_and_a_higher_limit_allows_them() -> None:
    step = insert(type="Dense", units=2**31 - 1)
    problem = refused(step)
    assert "new_parameters" in problem.message
    assert "--limit new_parameters=" in problem.hint
    with mutspec.limits(new_parameters=2**50):
        assert "`logits` has a kernel" in refused(step).message  # what does not fit comes after


def nest(depth: int) -> list[dict[str, Any]]:
    return [
        {
            "op": "nest_layers",
            "id": f"nest_{number}",
            "target": f"{'/'.join(f'm{each}' for each in range(number))}/dense_1".lstrip("/"),
            "name": f"m{number}",
        }
        for number in range(depth)
    ]


LIMITED: dict[str, tuple[int, list[dict[str, Any]]]] = {
    "layers": (13, [{**insert(type="ReLU"), "id": f"r{number}"} for number in range(4)]),
    "layer_depth": (3, nest(3)),
    "name_characters": (40, [{"op": "rename_layer", "target": "dense_1", "to": "n" * 41}]),
    "path_characters": (60, [
        {"op": "rename_layer", "target": "dense_1", "to": "n" * 40},
        {"op": "nest_layers", "target": "n" * 40, "name": "m" * 40},
    ]),
    "config_bytes": (10_000, [{**insert(type="Dense", units="same"), "id": f"r{number}"} for number in range(9)]),
    "config_values": (1100, [{**insert(type="Dense", units="same"), "id": f"r{number}"} for number in range(9)]),
}  # fmt: skip


@pytest.mark.parametrize("limit", LIMITED)
def test_what_mutspec_would_not_read_it_does_not_write(limit: str, tmp_path: Path) -> None:
    most, steps = LIMITED[limit]
    mutspec.apply(mutspec.plan({"steps": steps}), DIGITS, tmp_path / "mutant.keras")
    with mutspec.limits(**{limit: most}):
        assert open_archive(DIGITS)
        with pytest.raises(ModelError, match=f"the limit `{limit}`"):
            open_archive(tmp_path / "mutant.keras")
        problem = refused(*steps)
    assert f"the limit `{limit}` is {most:,}" in problem.message
    assert problem.path[0] == "steps"
