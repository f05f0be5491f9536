"""Loading a model file into Keras, safely unless the call says otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mutspec.language.errors import EnvironmentProblem, ModelError
from mutspec.model.code import code_in
from mutspec.model.damage import check_weights
from mutspec.model.files import holds_model
from mutspec.model.live.errors import UNSAFE, first_line
from mutspec.model.live.process_wide import building_alone
from mutspec.model.weights_file import read_config
from mutspec.own_modules import keras_imports_no_stray_module

_NAMES = {b"PK\x03\x04": (".keras",), b"\x89HDF": (".h5", ".hdf5")}
"""How the names of Keras's files end, by their first four bytes."""


def load_model(
    path: Path, *, unsafe: bool = False, verify: bool = True, custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """Load a model file in Keras.

    Arguments:
        path: a `.keras` or whole-model `.h5` file, whatever its name says, or an unpacked `.keras` folder.
        unsafe: whether code in the file (Lambda layers) may run, and files that it names may be read.
        verify: whether the checksum of the weights is checked: Keras does not where zipfile seeks in them.
        custom_objects: classes that Keras does not know by itself, by name.

    Raises:
        ModelError: Keras cannot load it, or it holds code, or is damaged.
        EnvironmentProblem: Keras is not installed.
    """
    try:
        from mutspec.model.live.backend import import_keras

        keras = import_keras()
    except ImportError as error:
        raise EnvironmentProblem(f"Keras cannot be imported ({error})", hint="install mutspec[tensorflow]") from None
    if path.exists() and not holds_model(path):
        raise _weights_alone(path)
    if not unsafe and path.exists():
        _refuse_code(path)
    if verify:
        with suppress(OSError):  # Keras says what it is
            check_weights(path)
    try:
        with building_alone(), keras_imports_no_stray_module(), _named_by_content(path) as named:
            return keras.saving.load_model(str(named), custom_objects=dict(custom_objects or {}), safe_mode=not unsafe)
    except Exception as error:  # Keras raises whatever its layers raise
        text = str(error)
        if "safe_mode" in text or ("Lambda" in text and "unsafe" in text.lower()):
            raise ModelError(
                f"Keras does not load {path} in safe mode: {first_line(error)}",
                hint=f"if you trust the file, say {UNSAFE}",
            ) from None
        raise ModelError(
            f"Keras cannot load {path}: {first_line(error)}",
            hint="if it holds layers of your own, import their module: --import my_package.layers",
        ) from error


def build_model(config: Mapping[str, Any], path: Path, *, is_legacy: bool, unsafe: bool = False) -> Any:
    """Build the model that a configuration describes, for weights that lie elsewhere. Its values are new ones.

    Arguments:
        config: the serialised model.
        path: the file with the weights, for errors.
        is_legacy: whether Keras 2 wrote the configuration.
        unsafe: whether code in it may run.

    Raises:
        ModelError: Keras cannot build it, or it holds code.
        EnvironmentProblem: Keras is not installed.
    """
    try:
        from mutspec.model.live.backend import import_keras

        keras = import_keras()
    except ImportError as error:
        raise EnvironmentProblem(f"Keras cannot be imported ({error})", hint="install mutspec[tensorflow]") from None
    if not unsafe:
        _refuse(code_in(config), f"the architecture of {path}")
    from keras.src.legacy.saving import saving_options, saving_utils
    from keras.src.saving import serialization_lib

    copy = json.loads(json.dumps(config))
    try:
        with building_alone(), keras_imports_no_stray_module():
            if not is_legacy:
                return keras.saving.deserialize_keras_object(copy, safe_mode=not unsafe)
            legacy = saving_options.keras_option_scope(use_legacy_config=True)
            with legacy, serialization_lib.SafeModeScope(not unsafe):
                return saving_utils.model_from_config(copy)
    except Exception as error:  # Keras raises whatever its layers raise
        raise ModelError(
            f"Keras cannot build the architecture of {path}: {first_line(error)}",
            hint="if it holds layers of your own, import their module: --import my_package.layers",
        ) from error


@contextmanager
def _named_by_content(path: Path) -> Iterator[Path]:
    """A file under a name that says what it is: Keras goes by names, and Keras 2 wrote HDF5 under `.keras` too."""
    try:
        with path.open("rb") as file:
            suffixes = _NAMES.get(file.read(4), ())
    except OSError:  # Keras says what it is
        suffixes = ()
    if not suffixes or path.name.endswith(suffixes):
        yield path
        return
    with TemporaryDirectory(prefix="mutspec-") as folder:
        named = Path(folder) / f"model{suffixes[0]}"
        named.symlink_to(path.resolve())
        yield named


def _refuse_code(path: Path) -> None:
    _refuse(code_in(read_config(path)), str(path))


def _refuse(code: str, shown: str) -> None:
    if code:
        raise ModelError(
            f"in {shown}, {code}, which is not run when it is loaded", hint=f"if you trust the file, say {UNSAFE}"
        )


def _weights_alone(path: Path) -> ModelError:
    return ModelError(
        f"{path} holds weights and no architecture, so there is no model to load",
        hint="give the whole model, a .keras or .h5 file",
    )
