"""Writes Keras models to open files, so that the owner of the file sees failed writes."""

from __future__ import annotations

import io
from typing import Any

import h5py

from mutspec.model.live.process_wide import building_alone
from mutspec.model.live.quiet import without_advice


def write_keras(model: Any, file: io.IOBase) -> None:
    """Writes a model as a `.keras` file.

    `keras.saving.save_model` takes only paths, but the function that it calls also takes files. Because such a file has
    no `name`, Keras 3.15 makes the HDF5 file of the weights in memory, where writes do not fail.

    Raises:
        Exception: whatever Keras and the model's layers raise.
    """
    from keras.src.saving import saving_lib

    with building_alone(), without_advice():  # the call has chosen the kind of file
        saving_lib.save_model(model, file)


def first_operation(model: Any) -> str:
    """Returns the name of the first operation, such as `x + y`, in a graph of the model; empty if there is none.

    Keras 3.15 writes operations to `.h5` files without their modules, and then does not find their classes. It adds
    some itself while it builds a model, such as the comparison for the mask of an Embedding.
    """
    from keras import Layer

    for each in model._flatten_layers():
        for operation in getattr(each, "operations", ()):
            if not isinstance(operation, Layer):
                return str(operation.name)
    return ""


def write_legacy(model: Any, file: h5py.File) -> None:
    """Writes a model as a whole-model `.h5` file.

    Keras 3.15's `keras.saving.save_model` takes only paths, but the function that it calls also takes open files.

    Raises:
        Exception: whatever Keras and the model's layers raise.
    """
    from keras.src.legacy.saving import legacy_h5_format

    with building_alone(), without_advice():  # the call has chosen the kind of file
        legacy_h5_format.save_model_to_hdf5(model, file)
