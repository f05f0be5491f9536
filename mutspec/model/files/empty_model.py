"""A `.keras` file of a model without layers: its output is its first input. Plans make small models of it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import h5py

from mutspec.keras_facts.tensor_types import TensorType
from mutspec.keras_facts.written_version import WRITTEN_VERSION
from mutspec.model.files.archive import WEIGHTS
from mutspec.model.files.keras_zip import zip_member

_DATE = "2026-01-01@00:00:00"
"""The date that all such files state, so that their bytes are the same at any time."""


def write_empty_model(path: Path, name: str, inputs: Mapping[str, TensorType]) -> None:
    """Writes the file.

    Arguments:
        path: the file.
        name: the model's name.
        inputs: the types of the inputs, batch axis included, by name.
    """
    layers = [_input_layer(each, found) for each, found in inputs.items()]
    ports: list[Any] = [[each, 0, 0] for each in inputs]
    inputs_of = ports if len(ports) > 1 else ports[0]
    config = {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {
            "name": name,
            "trainable": True,
            "layers": layers,
            "input_layers": inputs_of,
            "output_layers": ports[0],
        },
        "registered_name": "Functional",
        "build_config": {"input_shape": None},
        "compile_config": {},
    }
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    with ZipFile(path, "w", ZIP_STORED) as target:
        metadata = {"keras_version": WRITTEN_VERSION, "date_saved": _DATE}
        target.writestr(zip_member("metadata.json"), json.dumps(metadata))
        target.writestr(zip_member("config.json"), json.dumps(config))
        target.writestr(zip_member(WEIGHTS), weights.getvalue())


def _input_layer(name: str, found: TensorType) -> dict[str, Any]:
    config = {"batch_shape": list(found.shape), "dtype": found.dtype, "sparse": False, "name": name}
    entry = {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None}
    return {**entry, "name": name, "inbound_nodes": []}
