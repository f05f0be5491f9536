"""Mutants of what Keras 2 wrote are files of Keras 3, which mutspec writes without Keras too."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mutspec.execute.files import apply, dry_run
from mutspec.keras_facts.written_version import WRITTEN_VERSION
from mutspec.model.files.opening import open_archive
from tests.execute.test_new_file import by_keras, weights_of
from tests.keras_facts.installed import without_newer
from tests.toys import plan_of

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

DATA = Path(__file__).parents[1] / "data"
BASES = (
    "generations/keras-2.2/dense.h5",
    "generations/keras-2.13/dense.keras",
    "keras2_classes/sync.keras",
    "old/keras_2.0.9/residual.h5",
)


@pytest.mark.parametrize("name", BASES)
def test_a_mutant_is_the_one_that_keras_builds(name: str, tmp_path: Path) -> None:
    import keras

    base, output = DATA / name, tmp_path / "ours.keras"
    layers = [layer.path for layer in open_archive(base).spec.layers if layer.class_name != "InputLayer"]
    plan = plan_of({"op": "rename_layer", "target": layers[-1], "to": "renamed"})
    foretold, report = dry_run(plan, base), apply(plan, base, output)
    assert (foretold.needs_keras, report.needs_keras) == ("", "")
    theirs = by_keras(plan, base, tmp_path / "keras.keras")
    assert weights_of(output) == weights_of(tmp_path / "keras.keras")
    assert [*map(str, report.warnings)] == [*map(str, theirs.warnings)]
    assert sum("the mutant is Keras 3's" in str(warning) for warning in report.warnings) == 1
    with zipfile.ZipFile(output) as file:
        assert json.loads(file.read("metadata.json"))["keras_version"] == WRITTEN_VERSION
    one, other = (keras.saving.load_model(tmp_path / f"{each}.keras") for each in ("ours", "keras"))
    assert without_newer(json.loads(one.to_json())) == without_newer(json.loads(other.to_json()))
    x = [np.ones([2, *(extent or 5 for extent in each.shape[1:])], each.dtype) for each in one.inputs]
    given = x if len(x) > 1 else x[0]
    assert np.array_equal(one(given), other(given))


def test_a_function_that_keras_3_computes_otherwise_is_left_to_keras(tmp_path: Path) -> None:
    plan = plan_of({"op": "rename_layer", "target": "tags", "to": "renamed"})
    report = dry_run(plan, DATA / "old/keras_2.0.9/recurrent.h5")
    assert "a function in it is another one in Keras 3" in report.needs_keras
