"""The files, models and data that calls of the Python API give, checked and in one form."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mutspec import arguments

if TYPE_CHECKING:
    from mutspec.access.read import Readable

File = str | PathLike[str]
KerasModel = Any
"""A keras.Model. The type is Any, so that Keras is not imported."""

Inputs = Mapping[str, File | KerasModel]

Data = Any
"""An array, a list or mapping of arrays, or an .npz file. The type is Any, so that NumPy is not imported."""


class MutspecWarning(UserWarning):
    """A warning about a mutant that was made nevertheless."""


def is_file(model: object) -> bool:
    """Returns whether a model, or data, are given as a file."""
    return isinstance(model, str | PathLike)


def model_file(model: File) -> Path:
    """Returns the path of a model file."""
    return arguments.file_path(model, "the model")


def files_by_name(inputs: Inputs | None) -> dict[str, Path]:
    """Returns the inputs, all of which have to be files."""
    given = arguments.mapping({} if inputs is None else inputs, "inputs")
    for name, each in given.items():
        if not is_file(each):
            raise call_error(
                f"the input `{name}` is a model in memory, but the model is a file", "pass a file for the input, too"
            )
    return {name: _input(name, each) for name, each in given.items()}


def inputs_by_name(inputs: Inputs | None) -> dict[str, Any]:
    """Returns the inputs, those that are files as paths."""
    given = arguments.mapping({} if inputs is None else inputs, "inputs")
    return {name: _input(name, each) if is_file(each) else each for name, each in given.items()}


def _input(name: str, file: File) -> Path:
    return arguments.file_path(file, f"the input `{name}`")


def architecture_file(file: File | None) -> Path | None:
    """Returns the path of a file with an architecture; None if none is given."""
    return None if file is None else arguments.file_path(file, "the architecture")


def arrays(data: Data | None, not_at: File | None = None, *, force: bool = False) -> Any:
    """Returns data as they are, or as a file has them, which must not be the output."""
    if data is None or not is_file(data):
        return data
    from mutspec.execute.output import check_output
    from mutspec.experiment.data import named_arrays

    path = arguments.file_path(data, "the data")
    if not_at is not None:
        check_output(arguments.file_path(not_at, "the output"), [path], force=force)
    return named_arrays(path)


def readable(model: File | KerasModel, architecture: File | None = None) -> Readable:
    """Returns a model as what its values are read from."""
    if is_file(model):
        from mutspec.model.files.opening import open_beside

        return open_beside(Path(model), architecture_file(architecture))
    from mutspec.model.live import read_live

    return read_live(model)


def loaded(model: File, *, unsafe: bool, verify: bool) -> KerasModel:
    """Loads the model in a file. Warns, at the caller's line, about parts of the file that the model does not have."""
    from mutspec.execute.loading import load

    loaded = load(Path(model), unsafe=unsafe, verify=verify)
    for problem in loaded.warnings:
        warnings.warn(str(problem), MutspecWarning, stacklevel=3)
    return loaded.model


def call_error(message: str, hint: str) -> Exception:
    """Returns the error of a wrong call."""
    from mutspec.errors import CallError

    return CallError(message, hint=hint)
