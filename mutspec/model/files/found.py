"""The content under a path, by which formats are told apart. It is read once, for all formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mutspec.model.limits import current_limits

if TYPE_CHECKING:
    from mutspec.model.files.hdf5 import StoredHdf5

_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_TABLE = bytes.fromhex("57fb808b247547db")
"""The bytes with which the index of a TensorFlow checkpoint ends."""

END_BYTES = 64
"""The number of bytes at a file's beginning, and at its end, that formats look at."""


@dataclass(frozen=True)
class Found:
    """A file or folder, and the first and last bytes of a file.

    Arguments:
        path: where it is.
        is_folder: whether it is a folder.
        head, tail: its first and last bytes; empty for a folder.
    """

    path: Path
    is_folder: bool
    head: bytes = b""
    tail: bytes = b""

    @property
    def is_zip(self) -> bool:
        """Tells whether it is a zip file."""
        return self.head.startswith(_ZIP)

    @property
    def is_hdf5(self) -> bool:
        """Tells whether it is an HDF5 file."""
        return self.head.startswith(_HDF5)

    @property
    def is_safetensors(self) -> bool:
        """Tells whether it begins as safetensors do: with the length of a JSON object, and the object."""
        return self.head[5:9] == b"\0\0\0{"

    @property
    def is_tensor_bundle(self) -> bool:
        """Tells whether it is the index of a TensorFlow checkpoint."""
        return self.tail.endswith(_TABLE)

    def has(self, name: str) -> bool:
        """Tells whether a folder has a file of this name."""
        return (self.path / name).is_file()

    @cached_property
    def hdf5(self) -> StoredHdf5:
        """The datasets and attributes in it, if it is HDF5.

        Raises:
            ModelError: it is damaged, or above a limit.
        """
        from mutspec.model.files.hdf5 import stored_hdf5

        return stored_hdf5(self.path, 0, str(self.path))

    @cached_property
    def json(self) -> Mapping[str, Any]:
        """The JSON object in it; empty if the file does not begin like one.

        Raises:
            ModelError: it is damaged, or above a limit.
        """
        from mutspec.model.config import parse_json

        if not self.head.lstrip().startswith(b"{"):
            return {}
        with self.path.open("rb") as file:
            return parse_json(file.read(current_limits().config_bytes + 1), str(self.path))
