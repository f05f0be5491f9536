"""Loads a model file into Keras, without running code from it unless the call allows that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mutspec.errors import EnvironmentProblem, ModelError, Problem
from mutspec.model.code import code_in
from mutspec.model.files.damage import check_weights
from mutspec.model.files.opening import format_of
from mutspec.model.files.weights_file import read_config
from mutspec.model.live.keras_errors import UNSAFE, first_line
from mutspec.model.live.process_wide import building_alone
from mutspec.model.live.quiet import without_advice
from mutspec.own_modules import keras_imports_no_stray_module

OWN_LAYERS = "if it holds layers of your own, import their module: --import my_package.layers"


@dataclass(frozen=True)
class Loaded:
    """A model that Keras has loaded or built from a file.

    Arguments:
        model: the keras.Model.
        warnings: what it lacks of the file's content.
    """

    model: Any
    warnings: tuple[Problem, ...] = ()


def load_model(
    path: Path, *, unsafe: bool = False, verify: bool = True, custom_objects: Mapping[str, Any] | None = None
) -> Loaded:
    """Loads a model file in Keras. A loss, optimizer or metrics that Keras does not know are left out, with a warning.

    Arguments:
        path: a `.keras` or whole-model `.h5` file of Keras 3, whatever its name says, or an unpacked `.keras` folder;
            `execute.loading.load` takes those of Keras 2 too.
        unsafe: whether code in the file (Lambda layers) may run, and files that it names may be read.
        verify: whether the checksum of the weights is checked. Keras does not check it if zipfile seeks in them.
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
    form = format_of(path) if path.exists() else None  # its message says what is missing
    if form is not None and not form.is_whole:
        raise _weights_alone(path)
    suffixes = () if form is None else form.suffixes
    if not unsafe and path.exists():
        _refuse_code(path)
    if verify:
        with suppress(OSError):  # Keras says what it is
            check_weights(path)

    def load(*, compile: bool) -> Any:
        options = {"custom_objects": dict(custom_objects or {}), "compile": compile, "safe_mode": not unsafe}
        with building_alone(), keras_imports_no_stray_module(), without_advice(), _named(path, suffixes) as named:
            return keras.saving.load_model(str(named), **options)

    try:
        return Loaded(load(compile=True))
    except Exception as error:  # Keras raises whatever its layers raise
        with suppress(Exception):  # the error below reports it
            return Loaded(load(compile=False), (uncompiled(str(path), error),))
        text = str(error)
        if "safe_mode" in text or ("Lambda" in text and "unsafe" in text.lower()):
            raise ModelError(
                f"Keras does not load {path} in safe mode: {first_line(error)}",
                hint=f"if you trust the file, say {UNSAFE}",
            ) from None
        raise ModelError(f"Keras cannot load {path}: {first_line(error)}", hint=OWN_LAYERS) from error


def uncompiled(shown: str, error: Exception, part: str = "one of them", *, is_of_keras: bool = False) -> Problem:
    """Returns the warning that a model is not compiled as its file says.

    Arguments:
        shown: what to call the file.
        error: what Keras raised.
        part: what it could not revive.
        is_of_keras: whether that part is Keras's own, so that importing a module does not help.
    """
    own = "" if is_of_keras else "if it is your own, import its module: --import my_package.losses; or "
    return Problem(
        f"{shown} is loaded without its loss, optimizer and metrics, as Keras 3 cannot revive {part}: {_why(error)}",
        hint=f"{own}compile the mutant yourself",
        is_warning=True,
    )


def _why(error: Exception) -> str:
    return f"its configuration has no {error}" if isinstance(error, KeyError) else first_line(error)


def _refuse_code(path: Path) -> None:
    try:
        config = read_config(path)
    except ModelError:
        if path.name.endswith(".weights.h5"):
            raise _weights_alone(path) from None
        raise
    refuse_code(path, config)


@contextmanager
def _named(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yields a name of a file that fits its content. Keras decides by names, and Keras 2 wrote HDF5 as `.keras` too."""
    if not suffixes or path.name.endswith(suffixes):
        yield path
        return
    with TemporaryDirectory(prefix="mutspec-") as folder:
        named = Path(folder) / f"model{suffixes[0]}"
        named.symlink_to(path.resolve())
        yield named


def refuse_code(path: Path, config: Mapping[str, Any]) -> None:
    """Refuses a file whose model would run code or read a file when Keras builds it.

    Raises:
        ModelError: it does; the message says what would.
    """
    if code := code_in(config):
        raise ModelError(
            f"in {path}, {code}, which is not run when it is loaded", hint=f"if you trust the file, say {UNSAFE}"
        )


def _weights_alone(path: Path) -> ModelError:
    return ModelError(
        f"{path} holds weights and no architecture, so there is no model to load",
        hint="give the whole model, a .keras or .h5 file",
    )
