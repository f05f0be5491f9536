"""The table of formats: how each kind of model file is known by its content, which module reads it, how it is named.

A format is a row here and a module that reads it. Rows are asked in order. Content decides; names only say what an
output is to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mutspec.errors import Problem
from mutspec.model.files.archive import Archive, FileKind
from mutspec.model.files.found import Found

Reader = Callable[[Found, Path | None], Archive]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of model file.

    Arguments:
        kind: which.
        title: what messages call one, with its article.
        suffixes: how the names of such files end.
        becomes: what its files can be written as without Keras, where a plan changes weights alone.
        is_whole: whether it holds an architecture. Others hold weights, and take one from `--architecture`.
        fits: tells from the content whether a file is one.
        read: reads one; the second argument is the file with the architecture.
    """

    kind: FileKind
    title: str
    suffixes: tuple[str, ...]
    becomes: tuple[FileKind, ...]
    is_whole: bool
    fits: Callable[[Found], bool]
    read: Reader


def _keras(found: Found, _: Path | None) -> Archive:
    from mutspec.model.files.keras_file import read_keras

    return read_keras(found.path)


def _keras_folder(found: Found, _: Path | None) -> Archive:
    from mutspec.model.files.keras_folder import read_keras_folder

    return read_keras_folder(found.path)


def _whole_h5(found: Found, _: Path | None) -> Archive:
    from mutspec.model.files.legacy_file import read_whole_h5

    return read_whole_h5(found.path, found.hdf5)


def _weights_h5(found: Found, architecture: Path | None) -> Archive:
    from mutspec.model.files.weights_file import read_weights_h5

    return read_weights_h5(found.path, found.hdf5, architecture)


def _sharded(found: Found, architecture: Path | None) -> Archive:
    from mutspec.model.files.sharded_file import read_sharded

    return read_sharded(found.path, found.json, architecture)


def _safetensors(found: Found, architecture: Path | None) -> Archive:
    from mutspec.model.files.safetensors_file import read_safetensors

    return read_safetensors(found.path, architecture)


def _saved_model(found: Found, architecture: Path | None) -> Archive:
    from mutspec.model.files.saved_model import read_saved_model

    return read_saved_model(found.path, architecture)


def _checkpoint(found: Found, architecture: Path | None) -> Archive:
    from mutspec.model.files.saved_model import read_checkpoint

    return read_checkpoint(found.path, architecture)


def _is_old_weights_h5(found: Found) -> bool:
    if not found.is_hdf5 or _is_whole_h5(found):
        return False
    from mutspec.model.files.old_layout import is_old_layout

    return is_old_layout(found.hdf5.extents)


def _is_whole_h5(found: Found) -> bool:
    if not found.is_hdf5:
        return False
    from mutspec.model.files.legacy_file import is_whole_model

    return is_whole_model(found.hdf5)


_FORMATS = (
    Format(
        FileKind.OLD_WEIGHTS_H5,
        "a .weights.h5 file of Keras 2.12 to 2.14",
        (),
        (FileKind.WEIGHTS_H5, FileKind.SAFETENSORS),
        False,
        _is_old_weights_h5,
        _weights_h5,
    ),
    Format(
        FileKind.WEIGHTS_H5,
        "a .weights.h5 file",
        (".weights.h5",),
        (FileKind.WEIGHTS_H5, FileKind.SAFETENSORS),
        False,
        lambda found: found.is_hdf5 and not _is_whole_h5(found) and "layer_names" not in found.hdf5.attributes(),
        _weights_h5,
    ),
    Format(
        FileKind.KERAS,
        "a .keras file (a zip)",
        (".keras",),
        (FileKind.KERAS, FileKind.SAFETENSORS),
        True,
        lambda found: found.is_zip,
        _keras,
    ),
    Format(
        FileKind.LEGACY_H5,
        "a whole model in HDF5 (.h5)",
        (".h5", ".hdf5"),
        (FileKind.LEGACY_H5, FileKind.SAFETENSORS),
        True,
        _is_whole_h5,
        _whole_h5,
    ),
    Format(
        FileKind.LEGACY_WEIGHTS,
        "weights in the form of Keras 2 (.h5)",
        (".h5", ".hdf5"),
        (FileKind.LEGACY_WEIGHTS, FileKind.SAFETENSORS),
        False,
        lambda found: found.is_hdf5 and not _is_whole_h5(found) and "layer_names" in found.hdf5.attributes(),
        _weights_h5,
    ),
    Format(
        FileKind.SAFETENSORS,
        "a .safetensors file",
        (".safetensors",),
        (FileKind.SAFETENSORS, FileKind.WEIGHTS_H5),
        False,
        lambda found: found.is_safetensors,
        _safetensors,
    ),
    Format(
        FileKind.SHARDED,
        "sharded weights (.weights.json)",
        (".weights.json",),
        (FileKind.WEIGHTS_H5, FileKind.SAFETENSORS),
        False,
        lambda found: "weight_map" in found.json,
        _sharded,
    ),
    Format(
        FileKind.KERAS_FOLDER,
        "an unpacked .keras folder",
        (),
        (FileKind.KERAS, FileKind.SAFETENSORS),
        True,
        lambda found: found.is_folder and found.has("config.json"),
        _keras_folder,
    ),
    Format(
        FileKind.SAVED_MODEL,
        "a SavedModel",
        (),
        (FileKind.WEIGHTS_H5, FileKind.SAFETENSORS),
        False,
        lambda found: found.is_folder and found.has("saved_model.pb"),
        _saved_model,
    ),
    Format(
        FileKind.CHECKPOINT,
        "a TensorFlow checkpoint",
        (".index",),
        (FileKind.WEIGHTS_H5, FileKind.SAFETENSORS),
        False,
        lambda found: found.is_tensor_bundle,
        _checkpoint,
    ),
)

FORMATS: Mapping[FileKind, Format] = {each.kind: each for each in _FORMATS}
"""All formats by kind. Where an output's name fits several, the first says what it is to be."""


def kind_of_suffix(name: str) -> FileKind | None:
    """The kind of model file that a name asks for; None if it asks for none."""
    name = name.lower()
    return next((kind for kind, each in FORMATS.items() if name.endswith(each.suffixes)), None)


def suffix_of(name: str) -> str:
    """What a name ends in: the longest suffix of a format, or else what follows its last point."""
    name = name.lower()
    known = [suffix for each in FORMATS.values() for suffix in each.suffixes if name.endswith(suffix)]
    return max(known, key=len, default=Path(name).suffix)


def misnamed(archive: Archive) -> tuple[Problem, ...]:
    """A warning, if a file's name says that it is of another kind than it is."""
    suffix, own = suffix_of(archive.path.name), FORMATS[archive.kind]
    if not own.suffixes or suffix in own.suffixes or all(suffix not in each.suffixes for each in FORMATS.values()):
        return ()
    message = f"{archive.path} is {own.title} by its content, whatever its name says"
    hint = f"Keras goes by names: it loads such a file under one that ends in {own.suffixes[0]}"
    return (Problem(message, hint=hint, is_warning=True),)
