"""Real files of older Keras: each weight is found under its layer and role, with the value that Keras had for it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from mutspec.errors import ModelError
from mutspec.model import Call, TensorRef
from mutspec.model.files.archive import Archive
from mutspec.model.files.opening import open_archive

OLD = Path(__file__).parents[1] / "data" / "old"
FILES = [path for path in sorted(OLD.rglob("*")) if path.suffix in {".keras", ".h5"}]
WHOLE = [path for path in FILES if ".weights." not in path.name]
WEIGHTS = [path for path in FILES if ".weights." in path.name]
NAMED = [path for path in WEIGHTS if path.parent.name == "keras_3.6.0" and path.stem == "residual.weights"]
"""Weights files that say by themselves what each weight is: Keras names layers in them since 3.6."""
OLD_ROLES = {"depthwise_kernel": "kernel"}


def _shown(path: Path) -> str:
    return str(path.relative_to(OLD))


def assert_as_in_oracle(archive: Archive) -> None:
    """All of an oracle's arrays (`layer/index/role`) are there, under that layer and role, and nothing else."""
    data = archive.path.read_bytes()
    oracle = dict(np.load(f"{archive.path}.npz"))
    for tensor in archive.spec.tensors:
        extent = archive.extents[tensor.path]
        assert extent.offset is not None
        value = np.frombuffer(data, tensor.dtype, tensor.size, extent.offset).reshape(tensor.shape)
        layer = tensor.path.partition("/")[0]
        keys = [key for key in oracle if key.split("/")[0] == layer and np.array_equal(oracle[key], value)]
        assert len(keys) == 1, tensor.path  # the values are random, so no two weights have the same
        role = keys[0].split("/")[2]
        assert OLD_ROLES.get(role, role) == tensor.role
        del oracle[keys[0]]
    assert oracle == {}


def test_there_are_files_of_every_age() -> None:
    assert {path.parent.name.rpartition("_")[2] for path in WHOLE} == {"2.0.9", "2.15.1", "3.0.5", "3.5.0", "3.6.0"}


@pytest.mark.parametrize("path", WHOLE, ids=_shown)
def test_every_weight_is_found_under_its_layer_and_role(path: Path) -> None:
    archive = open_archive(path)
    assert archive.keras_version == path.parent.name.rpartition("_")[2]
    assert_as_in_oracle(archive)


@pytest.mark.parametrize("path", WEIGHTS, ids=_shown)
def test_a_weights_file_is_read_with_an_architecture(path: Path) -> None:
    assert_as_in_oracle(open_archive(path, architecture=path.with_name(path.name.replace(".weights.h5", ".keras"))))


@pytest.mark.parametrize("path", NAMED, ids=_shown)
def test_a_weights_file_that_names_its_layers_is_read_alone(path: Path) -> None:
    archive = open_archive(path)
    assert archive.spec.is_partial
    assert_as_in_oracle(archive)


@pytest.mark.parametrize("path", [path for path in WEIGHTS if path not in NAMED], ids=_shown)
def test_a_weights_file_that_does_not_tell_enough_asks_for_an_architecture(path: Path) -> None:
    with pytest.raises(ModelError, match="does not tell") as caught:
        open_archive(path)
    assert "--architecture" in caught.value.problems[0].hint


@pytest.mark.parametrize("path", [path for path in WHOLE if path.stem == "residual"], ids=_shown)
def test_the_graph_is_the_one_that_was_built(path: Path) -> None:
    spec = open_archive(path).spec
    calls = {layer.path: layer.calls for layer in spec.layers}
    assert spec.class_name == "Functional"
    assert spec.inputs == (TensorRef("left"), TensorRef("right"))
    assert spec.outputs == (TensorRef("score"),)
    assert calls["encoder"] == (Call((TensorRef("left"),)),)
    assert sorted(calls["shared_dense"], key=str) == [Call((TensorRef("encoder"),)), Call((TensorRef("right"),))]
    first, second, third = calls["residual_add"][0].inputs
    assert (first.layer, second, third.layer) == ("shared_dense", TensorRef("encoder"), "shared_dense")
    assert {first.call, third.call} == {0, 1}
    assert calls["encoder/encoder_dense"] == (Call((TensorRef("encoder_norm"),)),)


def test_every_version_gives_a_model_the_same_paths() -> None:
    for stem in ("residual", "recurrent"):
        paths = {tuple(t.path for t in open_archive(path).spec.tensors) for path in WHOLE if path.stem == stem}
        # Automatic names differ: Keras 2.0 counts from 1, Keras 3 from nothing.
        plain = {tuple(re.sub(r"(lstm|dense)(_\d+)?/", r"\1/", path) for path in each) for each in paths}
        assert len({frozenset(each) for each in plain}) == 1
