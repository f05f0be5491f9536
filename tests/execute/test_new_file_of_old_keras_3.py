"""Mutants of what older versions of Keras 3 wrote are files that these versions load: they have the same forms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mutspec.execute.files import apply
from mutspec.model.old_operations import readable_by
from tests.execute.test_new_file import config_of
from tests.toys import plan_of

pytestmark = pytest.mark.usefixtures("hdf5_in_this_process")

DATA = Path(__file__).parents[1] / "data" / "generations"
VERSIONS = ("keras-3.6", "keras-3.10")
MASKING = {"op": "insert_layer", "before": "gru", "layer": {"type": "Masking", "name": "masking"}}
RENAMED = {"op": "rename_layer", "target": "out", "to": "head"}
CUT = {"op": "extract", "from": "split", "outputs": ["concatenate"]}
NO_MASKING = {"op": "remove_layer", "target": "masking"}


def operations(config: Any) -> dict[str, Any]:
    """The configs of the operations of a model, by name."""
    layers = config["config"]["layers"]
    return {each["name"]: each["config"] for each in layers if each["module"].startswith("keras.src.ops")}


def calls(config: Any) -> list[Any]:
    """The layers and operations of a model in their order, and how they are called."""
    return [(each["name"], each["class_name"], each["inbound_nodes"]) for each in config["config"]["layers"]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("base", "step", "wanted"), [("plain", MASKING, "masked"), ("masked", NO_MASKING, "plain")])
def test_masks_and_operations_have_the_form_that_their_version_of_keras_writes(
    base: str, step: dict[str, Any], wanted: str, version: str, tmp_path: Path
) -> None:
    report = apply(plan_of(step), DATA / version / f"{base}.keras", tmp_path / "mutant.keras")
    assert report.needs_keras == ""
    ours, theirs = config_of(tmp_path / "mutant.keras"), config_of(DATA / version / f"{wanted}.keras")
    assert calls(ours) == calls(theirs)
    assert operations(ours) == operations(theirs)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("step", [RENAMED, CUT], ids=["renamed", "cut"])
def test_operations_stay_as_their_version_of_keras_wrote_them(
    step: dict[str, Any], version: str, tmp_path: Path
) -> None:
    base = DATA / version / "masked.keras"
    apply(plan_of(step), base, tmp_path / "mutant.keras")
    ours, theirs = operations(config_of(tmp_path / "mutant.keras")), operations(config_of(base))
    assert {"split", "concatenate"} <= ours.keys()
    assert ours.items() <= theirs.items()


def test_operations_of_masks_have_no_newer_arguments_for_old_versions() -> None:
    import keras

    layers = keras.layers
    keras.backend.clear_session()
    x = keras.Input((4, 6))
    masked = layers.Masking()(x)
    queried = layers.Attention()([layers.Concatenate()([masked, x]), x])
    config = keras.saving.serialize_keras_object(keras.Model(x, layers.GRU(2)(queried)))
    assert readable_by("3.11.0", config) == config
    old, new = operations(readable_by("3.10.0", config)), operations(config)
    assert old == {
        "not_equal": {"name": "not_equal"},
        "any": {"axis": -1, "keepdims": False},
        "expand_dims": {"axis": -1},
        "zeros_like": {"name": "zeros_like"},
        "logical_or": {"name": "logical_or"},
        "ones_like": {"name": "ones_like"},
        "concatenate_1": {"axis": -1},
        "any_1": {"axis": -1, "keepdims": False},
        "convert_to_tensor": {"dtype": None, "sparse": None},
    }
    assert old.keys() == new.keys()
