"""Model files as values: the kind, the spec, and the file and offset at which the bytes of each tensor lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mutspec.model.files.stamp import Stamp, check_unchanged
from mutspec.model.spec import ModelSpec

WEIGHTS = "model.weights.h5"
"""Keras's name for the weights in a `.keras` file: a member of the zip, or a file in the unpacked folder."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a tensor is stored.

    Arguments:
        dataset: the HDF5 path within the HDF5 file (or zip member).
        shape: the stored shape.
        dtype: the dtype by NumPy's name, `bfloat16` included.
        is_big_endian: whether its bytes are most significant first.
        offset: the absolute offset in the model file of its first byte; None if its bytes are not one plain range there
            (a chunked or compressed dataset, a compressed zip member).
        bytes: the number of bytes.
        part: which of the archive's parts it lies in, where a model is several files.
    """

    dataset: str
    shape: tuple[int, ...]
    dtype: str
    is_big_endian: bool
    offset: int | None
    bytes: int
    part: int = 0


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file that a model of several files was read from.

    Arguments:
        path: the file.
        stamp: its stamp, when it was opened.
    """

    path: Path
    stamp: Stamp | None


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a zip file. In a `.keras` file, `model.weights.h5` holds the weights.

    Arguments:
        name: its name in the zip.
        offset: the absolute offset of its first data byte.
        bytes: the number of bytes that it takes in the file.
        crc32: of its content, as the file states it.
        is_compressed: whether it is stored deflated, so that no tensor is a plain range of the file.
        crc32_offsets: where in the file the CRC-32 stands (little endian, 4 bytes each): central directory, and local
            header or data descriptor, or both.
        content_bytes: the number of bytes that it has when it is inflated.
    """

    name: str
    offset: int
    bytes: int
    crc32: int
    is_compressed: bool
    crc32_offsets: tuple[int, ...]
    content_bytes: int


@dataclass(frozen=True)
class Archive:
    """A model file, read without values.

    Arguments:
        path: the file or folder that the call names.
        keras_version: as the file states it; empty if it does not.
        spec: the model in it.
        extents: where each tensor of the spec lies, by canonical path.
        member: the zip member with the weights; None if the file itself is HDF5.
        copies: further places that hold the same tensor, by canonical path: Keras stores the kernel of a spectrally
            normalised layer twice. A write to a tensor must write these too.
        config: the serialised model as the file has it; empty for a partial spec.
        stamp: the file's, when it was opened; None if none was taken, or if it is a folder.
        parts: the files that the model lies in, if it is not `path` alone. Extents number them; some hold no values.
        stored: everything that is stored, by the path at which Keras 3 stores it; empty if it is not needed, or not
            known. A `.weights.h5` file can be made of it.
        names: the layers' own names, by their paths in `stored`.
        assets: further members of an unpacked `.keras` folder, by their names in a zip.
        training: how the model was compiled, as JSON, where its file states that apart from `config`.
        kind: the key of its format in the table of formats, by content rather than by name. `open_archive` sets it, as
            one module may read several formats.
    """

    path: Path
    keras_version: str
    spec: ModelSpec
    extents: Mapping[str, Extent]
    member: Member | None
    copies: Mapping[str, tuple[Extent, ...]] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    stamp: Stamp | None = None
    parts: tuple[FilePart, ...] = ()
    stored: Mapping[str, Extent] = field(default_factory=dict, repr=False)
    names: Mapping[str, str] = field(default_factory=dict, repr=False)
    assets: Mapping[str, Path] = field(default_factory=dict, repr=False)
    training: str | None = field(default=None, repr=False)
    kind: str = ""

    @property
    def files(self) -> tuple[FilePart, ...]:
        """The files that extents number: the parts, or the file itself."""
        return self.parts or (FilePart(self.path, self.stamp),)

    def check_unchanged(self) -> None:
        """Compares all files that it was read from with their stamps.

        Raises:
            ModelError: one was replaced, written to or removed.
        """
        check_unchanged(self.path, self.stamp, self.path)
        for part in self.parts:
            check_unchanged(part.path, part.stamp, part.path)


class ExtentReader(Protocol):
    """Reads what is stored in an archive's files."""

    def read_extent(self, extent: Extent, start: int, stop: int) -> Any:
        """Returns the flat entries [start, stop) of an extent, as an array in native byte order."""
        ...
