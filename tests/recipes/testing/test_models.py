"""Small models are made of their descriptions, without Keras and bounded, as Keras would load them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from mutspec import PlanError
from mutspec.model.files.opening import open_archive
from mutspec.model.spec import ModelSpec
from mutspec.recipes.testing.document import DescribedModel
from mutspec.recipes.testing.models import make_model
from tests.without_keras import BLOCKER

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

DENSE: list[dict[str, Any]] = [{"type": "Dense", "units": 3, "name": "dense"}, {"type": "Dense", "units": 2}]


def made(folder: Path, **described: Any) -> Path:
    make_model(msgspec.convert(described, DescribedModel), "tiny", folder / "tiny.keras")
    return folder / "tiny.keras"


def spec_of(folder: Path, **described: Any) -> ModelSpec:
    return open_archive(made(folder, **described)).spec


@pytest.mark.parametrize("form", ["functional", "sequential"])
def test_layers_are_a_chain_as_in_the_blocks_of_plans(form: str, tmp_path: Path) -> None:
    spec = spec_of(tmp_path, input=[4], layers=DENSE, form=form)
    assert (spec.name, spec.class_name) == ("tiny", form.capitalize())
    assert [layer.path for layer in spec.layers] == ["input", "dense", "layer_dense"]
    assert {tensor.path: tensor.shape for tensor in spec.tensors if tensor.role == "kernel"} == {
        "dense/kernel": (4, 3),
        "layer_dense/kernel": (3, 2),
    }


def test_several_inputs_are_merged_by_the_first_layer(tmp_path: Path) -> None:
    inputs = {"words": {"shape": [5], "dtype": "int32"}, "more": {"shape": [5], "dtype": "int32"}}
    layers = [{"type": "Concatenate"}, {"type": "Embedding", "input_dim": 9, "output_dim": 2}, {"type": "Flatten"}]
    spec = spec_of(tmp_path, input=inputs, layers=layers)
    assert [ref.layer for ref in spec.inputs] == ["words", "more"]
    assert [ref.layer for ref in spec.outputs] == ["layer_flatten"]


def test_the_weights_depend_on_the_seed_alone(tmp_path: Path) -> None:
    made_of = {}
    for name, seed in {"first": 1, "again": 1, "other": 2}.items():
        (tmp_path / name).mkdir()
        made_of[name] = made(tmp_path / name, seed=seed, input=[4], layers=DENSE).read_bytes()
    assert made_of["first"] == made_of["again"]
    assert made_of["first"] != made_of["other"]


def test_keras_loads_what_is_made_and_what_it_serialises_is_made_again(tmp_path: Path) -> None:
    import keras

    inner = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, name="deep")], name="inner")
    one, two = keras.Input((6,), name="one"), keras.Input((5,), name="two")
    hidden = inner(one)
    model = keras.Model([one, two], [keras.layers.Add(name="sum")([hidden, two]), hidden], name="twin")
    path = made(tmp_path, config=json.loads(model.to_json()))
    loaded = keras.saving.load_model(path)
    assert loaded.name == "twin"
    assert [each.shape for each in loaded.weights] == [each.shape for each in model.weights]
    outputs = loaded([np.ones((2, 6), "float32"), np.ones((2, 5), "float32")])
    np.testing.assert_allclose(outputs[0], outputs[1] + 1)


MISTAKES = [
    ({"input": [4], "layers": [{"type": "Dnse", "units": 3}]}, ("layers", 0, "type"), "no layer class `Dnse`"),
    ({"input": [4], "layers": [*DENSE, {"type": "Dense"}]}, ("layers", 2), "needs `units`"),
    ({"input": [4], "layers": [{"type": "Conv2D", "filters": 1, "kernel_size": 3}]}, ("layers", 0), "rank 4"),
    ({"input": [4], "layers": [{"type": "Lambda", "function": "x"}]}, ("layers", 0, "type"), "runs code"),
    ({"input": [4], "layers": [{"type": "Dense", "units": 10**6}]}, ("layers",), "has 5,000,000 parameters"),
    ({"input": [4], "layers": [{"type": "Dense", "units": 10**12}]}, ("layers", 0, "units"), "too large"),
    ({"input": [4], "layers": [{"type": "ReLU"}] * 1000}, ("layers",), "has 1,000 layers"),
    ({"config": {"class_name": "Dense", "config": {"units": 3}}}, ("config",), "Functional or Sequential"),
    ({"config": {"class_name": "Functional", "config": {"layers": [1]}}}, ("config",), ""),
    (
        {"config": {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "config": {}}]}}},
        ("config", "config", "layers", 0, "class_name"),
        "runs code",
    ),
]


@pytest.mark.parametrize(("described", "path", "words"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_description_that_makes_no_model_is_told_at_its_place(
    described: dict[str, Any], path: tuple[str | int, ...], words: str, tmp_path: Path
) -> None:
    with pytest.raises(PlanError) as caught:
        made(tmp_path, **described)
    problem = caught.value.problems[0]
    assert problem.path[: len(path)] == path
    assert words in problem.message
    assert list(tmp_path.iterdir()) == []


def test_neither_models_nor_tests_need_keras(tmp_path: Path) -> None:
    from tests.recipes.testing.folders import write_recipe

    write_recipe(tmp_path, "- name: a\n  expect:\n    counts: {noise: 18}\n    finite: weights\n    snapshot:\n")
    code = f"{BLOCKER}\nfrom mutspec.cli.main import main\nmain(['test', {str(tmp_path)!r}, '--update', '-q'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert "dense/kernel" in (tmp_path / "noise.test.yaml").read_text()
