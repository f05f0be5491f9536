"""Model files as Keras models: loaded by Keras, or built from what mutspec reads of them.

Keras loads whole models of Keras 3. Those of Keras 2, and weights with a separate architecture, are built.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mutspec.access.read import reader_of
from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.execute.keras_2 import is_by_keras_2, refuse_what_is_gone
from mutspec.model.files.archive import Archive
from mutspec.model.files.damage import check_weights
from mutspec.model.files.formats import FORMATS
from mutspec.model.files.opening import open_archive
from mutspec.model.files.weights_file import read_config_and_version
from mutspec.model.live import import_keras
from mutspec.model.loading import Loaded, build_from_file, load_model, refuse_code
from mutspec.model.old_configs import is_of_keras_2
from mutspec.model.spec import TensorSpec


def load(path: Path, *, unsafe: bool = False, verify: bool = True) -> Loaded:
    """Loads a whole model into Keras.

    Arguments:
        path: a `.keras` or whole-model `.h5` file, of Keras 2 or 3, or an unpacked `.keras` folder.
        unsafe: whether code in the file (Lambda layers) may run, and files that it names may be read.
        verify: whether the checksum of the weights is checked.

    Raises:
        ModelError: Keras cannot load or build it, or it holds code, or is damaged.
        EnvironmentProblem: Keras is not installed.
    """
    if not _is_of_keras_2(path):
        return load_model(path, unsafe=unsafe, verify=verify)
    return model_of(open_archive(path), unsafe=unsafe, verify=verify)


def model_of(archive: Archive, *, unsafe: bool = False, verify: bool = True) -> Loaded:
    """Makes a Keras model from a file that is open.

    Arguments:
        archive: a whole model, or weights whose architecture is known.
        unsafe: as for `load`.
        verify: as for `load`.

    Raises:
        ModelError, EnvironmentProblem: as for `load`.
    """
    is_old, is_whole = is_by_keras_2(archive), FORMATS[archive.kind].is_whole
    if is_whole and not is_old:
        return load_model(archive.path, unsafe=unsafe, verify=verify)
    refuse_what_is_gone(archive)
    if not unsafe:
        refuse_code(archive.path, archive.config)
    if verify and archive.member is not None:
        check_weights(archive.path)
    try:
        import_keras()
    except ImportError as error:
        raise EnvironmentProblem(f"Keras cannot be imported ({error})", hint="install mutspec[tensorflow]") from None
    with reader_of(archive) as reader:

        def value(tensor: TensorSpec) -> Any:
            return reader.read(tensor.path, 0, tensor.size)

        done = build_from_file(
            str(archive.path),
            archive.config,
            archive.training,
            archive.spec.tensors,
            value,
            is_old=is_old and is_whole,
            unsafe=unsafe,
        )
    archive.check_unchanged()
    return done


def _is_of_keras_2(path: Path) -> bool:
    try:
        return is_of_keras_2(read_config_and_version(path)[1])
    except ModelError:
        return False  # loading it will report what is wrong
