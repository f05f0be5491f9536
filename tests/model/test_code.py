"""What a serialised model would run, or read, is named before Keras is asked to build it."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
from keras.src import api_export

import mutspec
from mutspec.model.code import code_in
from mutspec.model.loading import load_model
from tests.zoo import ZOO
from tests.zoo.play import shared


def _functions() -> dict[str, Any]:
    """Keras's exported functions by their names."""
    return {name: each for name, each in api_export.REGISTERED_NAMES_TO_OBJS.items() if inspect.isfunction(each)}


def test_no_function_of_keras_that_does_more_than_compute_passes() -> None:
    functions = _functions()
    assert {"keras.saving.load_model", "keras.utils.get_file", "keras.ops.add"} <= functions.keys()
    computes = ("activations", "constraints", "initializers", "losses", "metrics", "ops", "random", "regularizers")
    for full in functions:
        rooms, _, own = full.rpartition(".")
        parts = full.split(".")
        spellings = [
            {"module": rooms, "class_name": own, "config": {}},
            {"module": "keras", "class_name": full.removeprefix("keras."), "config": {}},
            {"module": rooms, "class_name": "function", "config": own},
        ]
        is_harmless = (len(parts) > 2 and parts[1] in computes) or full in ("keras.Input", "keras.layers.Input")
        for spelled in spellings:
            found = code_in({"deep": [{"class_name": "mine>X", "config": {"inner": spelled}}]})
            assert found or is_harmless, spelled


@pytest.mark.parametrize("name", list(ZOO))
def test_a_model_of_layers_alone_holds_no_code(name: str) -> None:
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(shared(name)), default=str))
    assert code_in(config) == ""


def test_a_compiled_model_holds_no_code() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model.compile(
        keras.optimizers.AdamW(schedule), keras.losses.Huber(), [keras.metrics.AUC(), keras.metrics.mean_squared_error]
    )
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    assert code_in(config) == ""


def test_of_applications_only_the_layers_that_keras_defines_there_pass() -> None:
    from keras.src import applications  # noqa: F401 (loads all of them)

    rooms = [module for name, module in sys.modules.items() if name.startswith("keras.src.applications.")]
    found = {(room.__name__, name): each for room in rooms for name, each in vars(room).items()}
    layers = {key for key, each in found.items() if inspect.isclass(each) and issubclass(each, keras.Layer)}
    own = {(module, name) for module, name in layers if found[module, name].__module__ == module}
    assert ("keras.src.applications.convnext", "LayerScale") in own
    passing = {(module, name) for module, name in found if not code_in({"class_name": name, "module": module})}
    assert passing == own


FUNCTION = {"module": "keras.visualization", "class_name": "plot_image_gallery", "config": {}, "registered_name": None}
LOOKUP = {"module": "keras.src.layers.preprocessing.index_lookup", "class_name": "IndexLookup", "config": {}}


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"class_name": "Lambda", "config": {"name": "l", "function": FUNCTION}}, "the function keras.visualization"),
        (
            {**LOOKUP, "config": {"name": "words", "vocabulary": "/etc/hostname"}},
            "`words` (IndexLookup) reads the file",
        ),
        ({"class_name": "layers.TFSMLayer", "module": "keras", "config": {"name": "t"}}, "`t` (TFSMLayer) loads code"),
    ],
)
def test_a_file_that_would_do_more_than_compute_is_refused_by_what_it_would_do(
    layer: dict[str, Any], said: str, tmp_path: Path
) -> None:
    from zipfile import ZipFile

    good, bad = tmp_path / "good.keras", tmp_path / "bad.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save(good)
    with ZipFile(good) as old, ZipFile(bad, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename == "config.json":
                config = json.loads(content)
                config["config"]["layers"].append({"module": "keras.layers", "registered_name": None, **layer})
                content = json.dumps(config).encode()
            new.writestr(info.filename, content)
    with pytest.raises(mutspec.ModelError) as error:
        load_model(bad)
    assert said in str(error.value)
