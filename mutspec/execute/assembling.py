"""The model of a file, in Keras: loaded, or built of weights and an architecture that are apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from mutspec.execute.read import TensorReader, numpy_dtype
from mutspec.language.errors import ModelError
from mutspec.model.archive import Archive
from mutspec.model.formats import FORMATS
from mutspec.model.live import assign, build_model, load_model, read_live, room_for
from mutspec.structure.network import is_legacy


def model_of(archive: Archive, *, unsafe: bool = False, verify: bool = True) -> Any:
    """Make a Keras model of a file.

    Arguments:
        archive: the file: a whole model, or weights whose architecture is known.
        unsafe: whether code in it may run.
        verify: whether its checksum is checked.

    Raises:
        ModelError: Keras cannot load or build it; or it holds code, or is damaged.
        EnvironmentProblem: Keras is not installed.
    """
    if FORMATS[archive.kind].is_whole:
        return load_model(archive.path, unsafe=unsafe, verify=verify)
    model = build_model(archive.config, archive.path, is_legacy=is_legacy(archive.config), unsafe=unsafe)
    live = read_live(model)
    missing = [path for path in live.variables if path not in archive.extents]
    if missing:
        raise ModelError(
            f"{archive.path} does not hold the weight {missing[0]} of its architecture",
            hint="is it the architecture of another model?",
        )
    with TensorReader(archive) as reader:
        for path, variable in live.variables.items():
            extent = archive.extents[path]
            size = int(np.prod(extent.shape, dtype=np.int64))
            values = room_for(size, numpy_dtype(extent.dtype))
            values[:] = reader.read(path, 0, size)
            assign(variable, values)
    return model
