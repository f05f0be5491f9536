"""The table of formats: how each kind of model file is recognised, named, read and written.

A format is a row here and a module that reads it, and writes it if mutspec can. Its functions are imported when they
are called, as most of them need HDF5. Rows are asked in order. The content of a file decides its kind. Its name decides
only what an output becomes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mutspec.errors import Problem
from mutspec.model.files.archive import Archive, ExtentReader
from mutspec.model.files.found import Found

if TYPE_CHECKING:
    from mutspec.model.files.new_model import LaidOut, NewModel


class FileKind(StrEnum):
    """The keys of the table, which are also the names of formats in reports and messages."""

    KERAS = ".keras"
    LEGACY_H5 = ".h5"
    WEIGHTS_H5 = ".weights.h5"
    OLD_WEIGHTS_H5 = "older .weights.h5"
    LEGACY_WEIGHTS = "legacy weights"
    SHARDED = ".weights.json"
    KERAS_FOLDER = "unpacked .keras"
    SAFETENSORS = ".safetensors"
    SAVED_MODEL = "SavedModel"
    CHECKPOINT = "checkpoint"


Reader = Callable[[Found, Path | None], Archive]
"""Reads a file, given what was found under its path, and the file with the architecture, if there is one."""

Converter = Callable[[Archive, ExtentReader, int], Archive]
"""Writes the weights of an open model into an empty open file, and returns the model as it lies there.

It raises `OSError` if the file cannot be written, and `ModelError` if the model's own file is damaged, or stores
weights in a way that the format does not take.
"""

Layouter = Callable[["NewModel", int], "LaidOut"]
"""Writes a model with zeros in place of its values into an empty open file, and returns where the values go."""

Saver = Callable[[Any, int, Path, str], None]
"""Writes a keras.Model into an empty file; the others are a folder for temporary files, and a date to state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """The functions that make outputs of a format, and check them.

    An output in the same format as the model's file always begins as a copy of that file.

    Arguments:
        check: checks a finished file; raises `OSError` if it does not hold what was written.
        convert: makes an output from a model file of another format, without Keras.
        takes: tells of which other formats.
        lay_out: makes an output for a model with another architecture, without Keras; its values come later.
        needs_stored: whether `convert` needs `Archive.stored`, the paths at which Keras 3 stores weights.
        is_by_layer: whether `lay_out` takes the groups of `legacy_groups`, and not those of `saved_groups`.
        save: makes an output from a model in memory, by Keras.
        keeps_operations: whether Keras can load what `save` writes for a model with operations between layers.
    """

    check: Callable[[Path], None]
    convert: Converter | None = None
    takes: Callable[[Format], bool] = lambda _: False
    needs_stored: bool = False
    lay_out: Layouter | None = None
    is_by_layer: bool = False
    save: Saver | None = None
    keeps_operations: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of model file.

    Arguments:
        kind: its key.
        title: what messages call one, with its article.
        suffixes: how the names of such files end; none if a name does not ask for the format.
        is_whole: whether it holds an architecture. Other formats hold weights alone, and need `--architecture`.
        has_stored: whether its reader tells where Keras 3 stores each weight, at least with an architecture.
        fits: tells from the content whether a file is one.
        read: reads one.
        writer: how one is written; None if outputs never have the format.
        refused_as: the suffixes that an output in this format must not have, because Keras would not load it.
    """

    kind: FileKind
    title: str
    suffixes: tuple[str, ...] = ()
    is_whole: bool = False
    has_stored: bool = False
    fits: Callable[[Found], bool]
    read: Reader
    writer: Writer | None = None
    refused_as: tuple[str, ...] = ()

    @property
    def becomes(self) -> tuple[FileKind, ...]:
        """The kinds that its files can be written as without Keras, if a plan changes weights alone."""
        others = (each for each in FORMATS.values() if each.kind is not self.kind and each.writer is not None)
        return (
            *((self.kind,) if self.writer is not None else ()),
            *(each.kind for each in others if each.writer is not None and each.writer.takes(self)),
        )


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


def _old_weights_h5(found: Found, architecture: Path | None) -> Archive:
    from mutspec.model.files.weights_file import read_old_weights_h5

    return read_old_weights_h5(found.path, found.hdf5, architecture)


def _legacy_weights(found: Found, architecture: Path | None) -> Archive:
    from mutspec.model.files.weights_file import read_legacy_weights

    return read_legacy_weights(found.path, found.hdf5, architecture)


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


def _write_folder_as_keras(archive: Archive, reader: ExtentReader, descriptor: int) -> Archive:
    from mutspec.model.files.keras_writer import write_folder_as_keras

    return write_folder_as_keras(archive, reader, descriptor)


def _write_weights_h5(archive: Archive, reader: ExtentReader, descriptor: int) -> Archive:
    from mutspec.model.files.weights_h5_writer import write_weights_h5

    return write_weights_h5(archive, reader, descriptor)


def _write_safetensors(archive: Archive, reader: ExtentReader, descriptor: int) -> Archive:
    from mutspec.model.files.safetensors_file import write_safetensors

    return write_safetensors(archive, reader, descriptor)


def _lay_out_keras(model: NewModel, descriptor: int) -> LaidOut:
    from mutspec.model.files.laying_out import lay_out_keras

    return lay_out_keras(model, descriptor)


def _lay_out_weights_h5(model: NewModel, descriptor: int) -> LaidOut:
    from mutspec.model.files.laying_out import lay_out_weights_h5

    return lay_out_weights_h5(model, descriptor)


def _lay_out_whole_h5(model: NewModel, descriptor: int) -> LaidOut:
    from mutspec.model.files.legacy_layout import lay_out_whole_h5

    return lay_out_whole_h5(model, descriptor)


def _save_keras(model: Any, descriptor: int, folder: Path, date_saved: str) -> None:
    from mutspec.model.files.keras_writer import save_keras

    save_keras(model, descriptor, folder, date_saved)


def _save_weights_h5(model: Any, descriptor: int, folder: Path, date_saved: str) -> None:
    from mutspec.model.files.keras_writer import save_weights_h5

    save_weights_h5(model, descriptor, folder)


def _save_whole_h5(model: Any, descriptor: int, folder: Path, date_saved: str) -> None:
    from mutspec.model.files.keras_writer import save_whole_h5

    save_whole_h5(model, descriptor)


def _check_keras(path: Path) -> None:
    from mutspec.model.files.written import check_keras

    check_keras(path)


def _check_hdf5(path: Path) -> None:
    from mutspec.model.files.written import check_hdf5

    check_hdf5(path)


def _check_safetensors(path: Path) -> None:
    from mutspec.model.files.written import check_safetensors

    check_safetensors(path)


def _is_whole_h5(found: Found) -> bool:
    if not found.is_hdf5:
        return False
    from mutspec.model.files.legacy_file import is_whole_model

    return is_whole_model(found.hdf5)


def _is_legacy_weights(found: Found) -> bool:
    return found.is_hdf5 and not _is_whole_h5(found) and "layer_names" in found.hdf5.attributes()


def _is_weights_h5(found: Found) -> bool:
    return found.is_hdf5 and not _is_whole_h5(found) and not _is_legacy_weights(found)


def _is_old_weights_h5(found: Found) -> bool:
    if not _is_weights_h5(found):
        return False
    from mutspec.model.files.old_layout import is_old_layout

    return is_old_layout(found.hdf5.extents)


_FORMATS = (
    Format(
        kind=FileKind.KERAS,
        title="a .keras file (a zip)",
        suffixes=(".keras",),
        is_whole=True,
        fits=lambda found: found.is_zip,
        read=_keras,
        writer=Writer(
            check=_check_keras,
            convert=_write_folder_as_keras,
            takes=lambda base: base.kind is FileKind.KERAS_FOLDER,
            lay_out=_lay_out_keras,
            save=_save_keras,
        ),
    ),
    Format(
        kind=FileKind.LEGACY_H5,
        title="a whole model in HDF5 (.h5)",
        suffixes=(".h5", ".hdf5"),
        is_whole=True,
        fits=_is_whole_h5,
        read=_whole_h5,
        writer=Writer(
            check=_check_hdf5,
            lay_out=_lay_out_whole_h5,
            is_by_layer=True,
            save=_save_whole_h5,
            keeps_operations=False,
        ),
    ),
    Format(
        kind=FileKind.OLD_WEIGHTS_H5,
        title="a .weights.h5 file of Keras 2.12 to 2.14",
        has_stored=True,
        fits=_is_old_weights_h5,
        read=_old_weights_h5,
    ),
    Format(
        kind=FileKind.WEIGHTS_H5,
        title="a .weights.h5 file",
        suffixes=(".weights.h5",),
        fits=_is_weights_h5,
        read=_weights_h5,
        writer=Writer(
            check=_check_hdf5,
            convert=_write_weights_h5,
            takes=lambda base: base.has_stored,
            needs_stored=True,
            lay_out=_lay_out_weights_h5,
            save=_save_weights_h5,
        ),
    ),
    Format(
        kind=FileKind.LEGACY_WEIGHTS,
        title="weights in the form of Keras 2 (.h5)",
        suffixes=(".h5", ".hdf5"),
        fits=_is_legacy_weights,
        read=_legacy_weights,
        writer=Writer(check=_check_hdf5),
        refused_as=(".weights.h5",),
    ),
    Format(
        kind=FileKind.SAFETENSORS,
        title="a .safetensors file",
        suffixes=(".safetensors",),
        has_stored=True,
        fits=lambda found: found.is_safetensors,
        read=_safetensors,
        writer=Writer(check=_check_safetensors, convert=_write_safetensors, takes=lambda _: True),
    ),
    Format(
        kind=FileKind.SHARDED,
        title="sharded weights (.weights.json)",
        suffixes=(".weights.json",),
        has_stored=True,
        fits=lambda found: "weight_map" in found.json,
        read=_sharded,
    ),
    Format(
        kind=FileKind.KERAS_FOLDER,
        title="an unpacked .keras folder",
        is_whole=True,
        fits=lambda found: found.is_folder and found.has("config.json"),
        read=_keras_folder,
    ),
    Format(
        kind=FileKind.SAVED_MODEL,
        title="a SavedModel",
        has_stored=True,
        fits=lambda found: found.is_folder and found.has("saved_model.pb"),
        read=_saved_model,
    ),
    Format(
        kind=FileKind.CHECKPOINT,
        title="a TensorFlow checkpoint",
        suffixes=(".index",),
        has_stored=True,
        fits=lambda found: found.is_tensor_bundle,
        read=_checkpoint,
    ),
)

FORMATS: Mapping[str, Format] = {each.kind: each for each in _FORMATS}
"""All formats by kind. If several have the suffix of an output's name, the first one is used."""


def kind_of_suffix(name: str) -> FileKind | None:
    """Returns the kind of model file that a name asks for; None if it asks for none."""
    suffix = suffix_of(name)
    return next((each.kind for each in FORMATS.values() if suffix in each.suffixes), None)


def suffix_of(name: str) -> str:
    """Returns how a name ends: with the longest matching suffix of a format, or else with what follows its last dot."""
    name = name.lower()
    fitting = [suffix for each in FORMATS.values() for suffix in each.suffixes if name.endswith(suffix)]
    return max(fitting, key=len, default=Path(name).suffix)


def misnamed(archive: Archive) -> tuple[Problem, ...]:
    """Returns a warning if a file's name says that it is of another kind than it is."""
    suffix, own = suffix_of(archive.path.name), FORMATS[archive.kind]
    if not own.suffixes or suffix in own.suffixes or all(suffix not in each.suffixes for each in FORMATS.values()):
        return ()
    message = f"{archive.path} is {own.title} by its content, whatever its name says"
    hint = f"Keras goes by names: it loads such a file under one that ends in {own.suffixes[0]}"
    return (Problem(message, hint=hint, is_warning=True),)
