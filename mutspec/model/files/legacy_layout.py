"""Laying out whole-model `.h5` files as Keras 3's `legacy/saving/legacy_h5_format.py` writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from mutspec.model.files.hdf5_layout import Attribute, NewDataset, NewGroup, write_layout
from mutspec.model.files.legacy_file import MODEL_WEIGHTS, OWN_WEIGHTS, STATE
from mutspec.model.files.legacy_groups import state_names
from mutspec.model.files.new_model import KeptValue, LaidOut, NewModel
from mutspec.model.files.sink import Sink
from mutspec.model.legacy_form import legacy_model_config, legacy_training_config

_MOST_BYTES = 64512
"""The bytes of an attribute above which Keras writes it as several."""


def lay_out_whole_h5(model: NewModel, descriptor: int) -> LaidOut:
    """Lays a model out as a whole-model `.h5` file.

    Arguments:
        model: the model, with its groups in this format.
        descriptor: the empty file, open for reading and writing.

    Raises:
        OSError: it cannot be written.
    """
    sink = Sink(descriptor)
    state = state_names(model.groups, model.state[0].name, model.state[0].values) if model.state else {}
    attributes: dict[str, Attribute] = {
        "keras_version": model.keras_version,
        "backend": "tensorflow",
        "model_config": json.dumps(legacy_model_config(model.config)).encode(),
    }
    compiled = model.config["compile_config"]
    if compiled.get("optimizer"):
        attributes["training_config"] = json.dumps(legacy_training_config(compiled)).encode()
    with sink.judging():
        extents = write_layout(sink, 0, _groups(model, state), attributes)
    size = os.fstat(descriptor).st_size
    places = {
        tensor.path: (extents[f"{group.path}/{name}"],)
        for group in model.groups
        for name, tensor in group.tensors.items()
    }
    others = tuple((value, extents[f"{STATE}/{name}"]) for name, value in state.items())
    return LaidOut(extents, places, others, 0, size, None, size)


def _groups(model: NewModel, state: Mapping[str, KeptValue]) -> Iterator[NewGroup]:
    names = [group.name for group in model.groups]
    stated = {"backend": b"tensorflow", "keras_version": model.keras_version.encode()}
    yield NewGroup(MODEL_WEIGHTS, {**_listed("layer_names", names), **stated})
    for group in sorted(model.groups, key=lambda group: group.name):
        datasets = (NewDataset(name, each.shape, each.dtype, True) for name, each in group.tensors.items())
        yield NewGroup(group.path, _listed("weight_names", list(group.tensors)), tuple(datasets))
    yield NewGroup(f"{MODEL_WEIGHTS}/{OWN_WEIGHTS}", _listed("weight_names", []))
    if state:
        datasets = (NewDataset(name, each.shape, each.dtype, True) for name, each in state.items())
        yield NewGroup(STATE, _listed("weight_names", list(state)), tuple(datasets))


def _listed(name: str, texts: list[str]) -> dict[str, Any]:
    """Returns a list of texts as attributes: several, if they are more than one attribute can hold."""
    encoded = [text.encode() for text in texts]
    array = np.asarray(encoded)
    count, parts = 1, [array]
    while any(part.nbytes > _MOST_BYTES for part in parts):
        count += 1
        parts = np.array_split(array, count)
    if count > 1:
        return {f"{name}{number}": part for number, part in enumerate(parts)}
    return {name: np.asarray(encoded, h5py.string_dtype("ascii")) if texts else array}
