"""The kind of file that an output becomes: it depends on its name and on the kind of the model's file."""

from __future__ import annotations

from pathlib import Path

from mutspec.errors import CallError, Problem
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FORMATS, FileKind, Writer, kind_of_suffix, suffix_of


def kind_of_name(path: Path) -> FileKind:
    """Returns the kind of model file that a name asks for.

    Raises:
        CallError: it does not ask for any.
    """
    kind = kind_of_suffix(path.name)
    if kind is None:
        raise CallError(
            f"the name of the output {path.name} does not say which kind of model file it is to be",
            hint=f"end it with {_written_suffixes()}",
        )
    return kind


def kind_of_output(output: Path, archive: Archive, *, is_structural: bool) -> FileKind:
    """Returns the kind that an output becomes.

    If weights alone change, and the output's name ends as the model's does, the output has the kind of the model's
    file: HDF5 under a `.keras` name stays HDF5, and legacy weights stay legacy weights.

    Raises:
        CallError: the name does not ask for a kind, or asks for one that the model cannot be written as.
    """
    asked = kind_of_name(output)
    own = FORMATS[archive.kind]
    kind = asked
    if not is_structural and archive.kind in own.becomes:
        suffix = suffix_of(output.name)
        if suffix == suffix_of(archive.path.name) or suffix in own.suffixes:
            kind = own.kind
    if kind not in own.becomes or is_structural:
        _check_rebuilding(kind, output, archive, is_structural)
    elif kind != archive.kind and not archive.stored and _writer(kind).needs_stored:
        raise CallError(
            f"{archive.path.name} does not tell where Keras keeps each weight in a .weights.h5 file",
            hint="give the model's architecture: --architecture FILE; or name the output ….safetensors",
        )
    return kind


def kind_by_default(kind: str, *, is_structural: bool) -> FileKind:
    """Returns the kind that an output has if nothing else is asked for: that of the model's file, or else `.keras`."""
    own = FORMATS[kind]
    return (
        own.kind if own.writer is not None and (not is_structural or _is_saved_by_keras(own.kind)) else FileKind.KERAS
    )


def output_warnings(output: Path, kind: FileKind) -> tuple[Problem, ...]:
    """Returns a warning if an output's name asks for another kind than it has."""
    own = FORMATS[kind]
    if suffix_of(output.name) in own.suffixes:
        return ()
    message = f"{output} is {own.title}, as the model's file is"
    hint = f"Keras loads it under a name that ends in {own.suffixes[0]}"
    return (Problem(message, hint=hint, is_warning=True),)


def _check_rebuilding(kind: FileKind, output: Path, archive: Archive, is_structural: bool) -> None:
    """Refuses an output that Keras would have to make, and cannot.

    Raises:
        CallError: the model is known by its weights only; or Keras writes no such file.
    """
    name, own, asked = archive.path.name, FORMATS[archive.kind], FORMATS[kind]
    if not _is_saved_by_keras(kind):
        endings = (FORMATS[each].suffixes[0] for each in own.becomes if _is_saved_by_keras(each))
        raise CallError(
            f"the output {output.name} would be {asked.title}, which mutspec reads and does not write"
            if asked.writer is None
            else f"the plan changes the architecture, and {output.name} holds weights alone",
            hint=f"name it …{next(endings, '.keras')}",
        )
    if not is_structural and (suffix := suffix_of(output.name)) in own.refused_as:
        raise CallError(
            f"{name} has the form of Keras 2, which Keras does not load under a name that ends in {suffix}",
            hint=f"name the output …{own.suffixes[0]}",
        )
    if archive.config:  # its own architecture, or one that the call gives
        return
    what = "the plan changes the architecture" if is_structural else f"{output.name} is another kind of file"
    names = " or ".join(f"….{FORMATS[each].suffixes[0].lstrip('.')}" for each in own.becomes)
    raise CallError(
        f"{what}, and {name} holds weights only",
        hint="give the model's architecture: --architecture FILE"
        + ("" if is_structural else f", or name the output {names}"),
    )


def _writer(kind: FileKind) -> Writer:
    writer = FORMATS[kind].writer
    assert writer is not None
    return writer


def _is_saved_by_keras(kind: FileKind) -> bool:
    writer = FORMATS[kind].writer
    return writer is not None and writer.save is not None


def _written_suffixes() -> str:
    """Lists the suffixes of what can be written, the usual one of each format."""
    *others, last = dict.fromkeys(each.suffixes[0] for each in FORMATS.values() if each.writer is not None)
    return f"{', '.join(others)} or {last}"
