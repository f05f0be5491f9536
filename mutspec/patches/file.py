"""Reading a patch from its file. The library `safetensors` reads it, a part at a time, after its size was checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Self

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
    """A tensor of a patch: its dtype, and how many words it has."""

    dtype: np.dtype[Any]
    size: int


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
        self._lock = Lock()
        self._stamp: Stamp | None = stamp_of(path)
        _check_beginning(path)
        try:
            self._file = safe_open(path, "numpy", backend="pread")
        except (SafetensorError, OSError) as error:
            raise damaged(str(path), _reason(error)) from None
        try:
            self._slices = {name: self._file.get_slice(name) for name in self._file.keys()}  # noqa: SIM118
            self._check_version()
            current_limits().check("hdf5_objects", len(self._slices), f"tensors in {path}")
            stored = {name: _stored(name, each, path) for name, each in self._slices.items()}
            document = stored.pop(DOCUMENT, None)
            if document is None or document.dtype.itemsize != 1:
                raise damaged(str(path), "it has no document")
            current_limits().check("config_bytes", document.size, f"the document of {path}")
            self.parts = stored
            self.document = unpacked(self._read(DOCUMENT, 0, document.size).tobytes(), str(path))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Returns the patch itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Closes the file."""
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._slices = {}
        self._file.__exit__(None, None, None)

    def read(self, name: str, start: int, stop: int) -> Words:
        """Returns the words [start, stop) of a tensor.

        Raises:
            ModelError: the file was changed meanwhile, so that it ends before.
        """
        return self._read(name, start, stop)

    def check_unchanged(self) -> None:
        """Compares the file with what it was when it was opened.

        Raises:
            ModelError: it was replaced, written to or removed.
        """
        check_unchanged(self.path, self._stamp, self.path)

    def _read(self, name: str, start: int, stop: int) -> Words:
        if start >= stop:
            return np.empty(0, _WORDS[self._slices[name].get_dtype()])
        values: Words
        try:
            with self._lock:
                values = self._slices[name][start:stop]
        except (SafetensorError, OSError) as error:
            self.check_unchanged()
            raise damaged(str(self.path), _reason(error)) from None
        return values

    def _check_version(self) -> None:
        version = (self._file.metadata() or {}).get(PATCH)
        if version is None:
            raise ModelError(
                f"{self.path} is a .safetensors file, but not a patch",
                hint="`mutspec diff A B --patch FILE` makes patches",
            )
        if version != FORMAT_VERSION:
            raise ModelError(
                f"{self.path} has version {version[:20]} of the format of patches, and this mutspec reads "
                f"version {FORMAT_VERSION}",
                hint="use the version of mutspec that made it, or a later one",
            )


def _check_beginning(path: Path) -> None:
    """Refuses what is not a safetensors file, or has a header above the limit, before the library reads it."""
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


def _near(path: Path) -> tuple[str, ...]:
    try:
        return nearest(path.name, [each.name for each in path.parent.iterdir() if each.name != path.name])
    except (OSError, ValueError):
        return ()


def _stored(name: str, found: Any, path: Path) -> Stored:
    limits = current_limits()
    part, _, weight = name.partition("/")
    if name != DOCUMENT and (part not in _PARTS or not weight):
        raise damaged(str(path), f"it has a tensor {name[:80]!r}, which no patch has")
    limits.check("path_characters", len(weight), f"the name of a tensor in {path}")
    dtype, shape = found.get_dtype(), found.get_shape()
    if dtype not in _WORDS or len(shape) != 1:
        raise damaged(str(path), f"{name[:80]!r} is {dtype} of shape {shape[:8]}, not a list of unsigned words")
    return Stored(_WORDS[dtype], prod(shape))


def _reason(error: BaseException) -> str:
    text = str(error).removeprefix("Error while deserializing header: ")
    return " ".join(text.split())[:200]
