"""Reading a patch from its file.

The library `safetensors` reads the header, after its size was checked, and finds whether the tensors fill the file. To
get a part of a tensor, it would read all of it (0.8). So values are read from their place.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from safetensors import SafetensorError, safe_open

from mutspec.errors import ModelError, nearest
from mutspec.model.files.found import END_BYTES, Found
from mutspec.model.files.safetensors_file import LENGTH_BYTES, PATCH
from mutspec.model.files.stamp import Stamp, check_unchanged, stamp_of
from mutspec.model.limits import current_limits
from mutspec.patches.document import DOCUMENT, FORMAT_VERSION, PatchDocument, damaged, unpacked
from mutspec.patches.payload import Part, Words

_WORDS: Mapping[str, np.dtype[Any]] = {
    "U8": np.dtype("<u1"),
    "U16": np.dtype("<u2"),
    "U32": np.dtype("<u4"),
    "U64": np.dtype("<u8"),
}
_PARTS = tuple(Part)


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of a patch: its dtype, how many words it has, and where in the file they begin."""

    dtype: np.dtype[Any]
    size: int
    offset: int


class PatchFile:
    """A patch, open for reading. Several threads may read it.

    Arguments:
        path: the file.

    Raises:
        ModelError: it is missing, not a patch, damaged, or above a limit.
    """

    path: Path
    document: PatchDocument
    parts: Mapping[str, Stored]
    """All tensors of it but the document, by name."""

    def __init__(self, path: Path) -> None:
        """Opens the file, and reads all but the values of weights."""
        self.path = path
        self._stamp: Stamp | None = stamp_of(path)
        start = _start_of_values(path)
        parts = dict(_tensors(path, start))
        document = parts.pop(DOCUMENT, None)
        if document is None or document.dtype.itemsize != 1:
            raise damaged(str(path), "it has no document")
        current_limits().check("config_bytes", document.size, f"the document of {path}")
        self.parts = parts
        try:
            self._file: BinaryIO = path.open("rb", buffering=0)
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}", hint="check the path") from None
        try:
            self.check_unchanged()
            self.document = unpacked(self._read(document, 0, document.size).tobytes(), str(path))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        """Returns the patch itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Closes the file."""
        self._file.close()

    def read(self, name: str, start: int, stop: int) -> Words:
        """Returns the words [start, stop) of a tensor.

        Raises:
            ModelError: the file was changed meanwhile, so that it ends before.
        """
        return self._read(self.parts[name], start, stop)

    def check_unchanged(self) -> None:
        """Compares the file with what it was when it was opened.

        Raises:
            ModelError: it was replaced, written to or removed.
        """
        check_unchanged(self.path, self._stamp, self.path)

    def _read(self, stored: Stored, start: int, stop: int) -> Words:
        words = np.empty(max(0, stop - start), stored.dtype)
        unread, position = words.view(np.uint8).data, stored.offset + start * stored.dtype.itemsize
        while unread:
            count = os.preadv(self._file.fileno(), [unread], position)
            if count == 0:
                self.check_unchanged()
                raise damaged(str(self.path), "it is too short")
            unread, position = unread[count:], position + count
        return words


def _tensors(path: Path, start: int) -> Iterator[tuple[str, Stored]]:
    """Yields the tensors of a patch, as the library finds them in its header: it checks that they fill the file."""
    try:
        with safe_open(path, "numpy", backend="pread") as file:
            _check_version(path, file.metadata() or {})
            names = file.offset_keys()
            current_limits().check("hdf5_objects", len(names), f"tensors in {path}")
            found = [(name, file.get_slice(name)) for name in names]
    except (SafetensorError, OSError) as error:
        raise damaged(str(path), _reason(error)) from None
    for name, tensor in found:
        stored = _stored(name, tensor, start, path)
        yield name, stored
        start += stored.size * stored.dtype.itemsize


def _check_version(path: Path, metadata: Mapping[str, str]) -> None:
    version = metadata.get(PATCH)
    if version is None:
        raise ModelError(
            f"{path} is a .safetensors file, but not a patch", hint="`mutspec diff A B --patch FILE` makes patches"
        )
    if version != FORMAT_VERSION:
        raise ModelError(
            f"{path} has version {version[:20]} of the format of patches, and this mutspec reads "
            f"version {FORMAT_VERSION}",
            hint="use the version of mutspec that made it, or a later one",
        )


def _start_of_values(path: Path) -> int:
    """Returns the offset of the first value, which follows the header.

    It refuses what is not a safetensors file, or has a header above the limit, before the library reads it.
    """
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a folder, not a patch", hint="give the .safetensors file")
        if path.exists() and not path.is_file():
            raise ModelError(f"{path} is a pipe or a device, not a patch", hint="write it to a file first")
        with path.open("rb") as file:
            head = file.read(END_BYTES)
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        candidates = _near(path)
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path} cannot be read: {reason}", hint="check the path", candidates=candidates) from None
    if not Found(path, False, head).is_safetensors:
        hint = "a patch is a .safetensors file that `mutspec diff A B --patch FILE` made"
        if path.suffix.lower() in (".yaml", ".yml"):
            hint = f"apply a plan by: mutspec apply {path} MODEL -o OUT"
        raise ModelError(f"{path} is not a patch", hint=hint)
    length = int.from_bytes(head[:LENGTH_BYTES], "little")
    current_limits().check("config_bytes", length, f"the header of {path}")
    if LENGTH_BYTES + length > size:
        raise damaged(str(path), "its header reaches beyond its end")
    return LENGTH_BYTES + length


def _near(path: Path) -> tuple[str, ...]:
    try:
        return nearest(path.name, [each.name for each in path.parent.iterdir() if each.name != path.name])
    except (OSError, ValueError):
        return ()


def _stored(name: str, found: Any, offset: int, path: Path) -> Stored:
    limits = current_limits()
    part, _, weight = name.partition("/")
    if name != DOCUMENT and (part not in _PARTS or not weight):
        raise damaged(str(path), f"it has a tensor {name[:80]!r}, which no patch has")
    limits.check("path_characters", len(weight), f"the name of a tensor in {path}")
    dtype, shape = found.get_dtype(), found.get_shape()
    if dtype not in _WORDS or len(shape) != 1:
        raise damaged(str(path), f"{name[:80]!r} is {dtype} of shape {shape[:8]}, not a list of unsigned words")
    return Stored(_WORDS[dtype], prod(shape), offset)


def _reason(error: BaseException) -> str:
    text = str(error).removeprefix("Error while deserializing header: ")
    return " ".join(text.split())[:200]
