"""Loading model files into Keras: those of Keras 3 by Keras, those of Keras 2 from what mutspec reads of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mutspec.execute.read import reader_of
from mutspec.language.errors import EnvironmentProblem, ModelError
from mutspec.model.archive import Archive, FileKind
from mutspec.model.damage import check_weights
from mutspec.model.files import open_archive
from mutspec.model.hdf5 import stored_hdf5
from mutspec.model.live import Loaded, build_old_model, import_keras, load_model, refuse_code
from mutspec.model.old_configs import is_of_keras_2, only_in_keras_2
from mutspec.model.spec import TensorSpec
from mutspec.model.stamp import check_unchanged
from mutspec.model.weights_file import read_config_and_version


def load(path: Path, *, unsafe: bool = False, verify: bool = True) -> Loaded:
    """Load a whole model into Keras.

    Arguments:
        path: a `.keras` or whole-model `.h5` file, of Keras 2 or 3.
        unsafe: whether code in the file (Lambda layers) may run, and files that it names may be read.
        verify: whether the checksum of the weights is checked.

    Raises:
        ModelError: Keras cannot load or build it, or it holds code, or is damaged.
        EnvironmentProblem: Keras is not installed.
    """
    if not _is_of_keras_2(path):
        return load_model(path, unsafe=unsafe, verify=verify)
    archive = open_archive(path)
    refuse_what_is_gone(archive)
    if not unsafe:
        refuse_code(path, archive.config)
    if verify:
        check_weights(path)
    try:
        import_keras()
    except ImportError as error:
        raise EnvironmentProblem(f"Keras cannot be imported ({error})", hint="install mutspec[tensorflow]") from None
    with reader_of(archive) as reader:

        def value(tensor: TensorSpec) -> Any:
            return reader.read(tensor.path, 0, tensor.size)

        tensors = archive.spec.tensors
        done = build_old_model(str(path), archive.config, _training(archive), tensors, value, unsafe=unsafe)
    check_unchanged(archive.path, archive.stamp, archive.path)
    return done


def refuse_what_is_gone(archive: Archive) -> None:
    """Refuse a model that holds what no Keras 3 can build.

    Raises:
        ModelError: it does; the message says what it is.
    """
    if reason := only_in_keras_2(archive.config):
        raise ModelError(
            f"Keras 3 cannot build the model in {archive.path}: {reason}, which is not in Keras 3",
            hint="steps on weights work on the file as it is",
        )


def _is_of_keras_2(path: Path) -> bool:
    try:
        return is_of_keras_2(read_config_and_version(path)[1])
    except ModelError:
        return False  # loading it says what is wrong


def _training(archive: Archive) -> str | None:
    if archive.kind is not FileKind.LEGACY_H5:
        return None
    return stored_hdf5(archive.path, 0, str(archive.path)).text("training_config")
