"""Where the provenance of a model file lies: in the comment at the end of a `.keras` file, or in a file beside it.

A zip file may end with a comment of up to 65,535 bytes. Every reader of zips steps over it. Keras loads a `.keras` file
with one as it loads any other (3.6.0 and 3.15.1 were tried). A further member would cost a copy of the model each time:
for any file of more than three members, Keras unpacks all of them into a temporary folder to look for vocabularies
(`DiskIOStore` in keras/src/saving/saving_lib.py, the same in both versions). A longer `metadata.json` would move all
bytes after it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from mutspec.errors import ModelError
from mutspec.model.files.sink import write_at
from mutspec.model.files.zip_directory import END_BYTES, LONGEST_COMMENT, place_of_end
from mutspec.model.limits import current_limits
from mutspec.model.provenance import FileIdentity, Provenance, read

SUFFIX = ".provenance.json"
"""What the name of a side-car adds to that of its model."""
_MARK = b"mutspec provenance\n"
"""How a comment of ours begins. JSON in ASCII follows."""
COMMENT_BYTES = LONGEST_COMMENT - len(_MARK)
"""The most bytes of a provenance in a comment."""
_BLOCK = 1 << 20
_ZIP = b"PK\x03\x04"


def sidecar_of(model: Path) -> Path:
    """Returns the file beside a model that holds its provenance, if the model's own file does not."""
    return model.with_name(model.name + SUFFIX)


def read_provenance(model: Path) -> Provenance | None:
    """Reads the provenance of a model file, bounded and without Keras.

    Arguments:
        model: the model's file or folder, as `Archive.path` has it.

    Returns:
        The provenance; None if it has none.

    Raises:
        ModelError: it is damaged, or cannot be read.
    """
    shown = f"the provenance of {model}"
    if model.is_file():
        with model.open("rb") as file:
            comment = comment_of(file, str(model)) if file.read(len(_ZIP)) == _ZIP else b""
        if comment.startswith(_MARK):
            return read(comment.removeprefix(_MARK), shown)
    sidecar = sidecar_of(model)
    if not sidecar.is_file():  # opening a pipe would wait
        return None
    try:
        with sidecar.open("rb") as file:
            data = file.read(current_limits().config_bytes + 1)
    except OSError as error:
        raise ModelError(f"{sidecar} cannot be read: {error.strerror or error}", hint="check the file") from None
    return read(data, str(sidecar))


def file_identity(descriptor: int) -> FileIdentity:
    """Returns what the bytes of an open file are, at the cost of one read."""
    size, checksum = 0, 0
    while data := os.pread(descriptor, _BLOCK, size):
        size, checksum = size + len(data), crc32(data, checksum)
    return FileIdentity(size, checksum)


def is_of_other_file(provenance: Provenance, model: Path) -> bool:
    """Returns whether the provenance beside a model was written for a file of other bytes.

    Arguments:
        provenance: what `read_provenance` returned for the model.
        model: the model's file or folder.

    Raises:
        OSError: the model cannot be read.
    """
    if not isinstance(provenance.file, FileIdentity):
        return False
    if not model.is_file() or model.stat().st_size != provenance.file.bytes:
        return True
    with model.open("rb") as file:
        return file_identity(file.fileno()) != provenance.file


def has_other_comment(model: Path) -> bool:
    """Returns whether a zip file ends with a comment that is not ours."""
    with model.open("rb") as file:
        comment = comment_of(file, str(model))
    return bool(comment) and not comment.startswith(_MARK)


def comment_of(file: BinaryIO, shown: str) -> bytes:
    """Returns the comment of an open zip file.

    Raises:
        ModelError: it is not a whole zip file.
    """
    return os.pread(file.fileno(), LONGEST_COMMENT, place_of_end(file, shown) + END_BYTES)


def write_comment(descriptor: int, provenance: bytes | None) -> int:
    """Makes a provenance the comment of a zip file, or removes the one that it has. Other comments are not removed.

    Arguments:
        descriptor: the file, open for reading and writing.
        provenance: of at most `COMMENT_BYTES`; None for none.

    Returns:
        By how many bytes the file grew.

    Raises:
        OSError: it cannot be written.
    """
    with os.fdopen(os.dup(descriptor), "rb") as file:
        start = place_of_end(file, "the output") + END_BYTES
        before = comment_of(file, "the output")
    if provenance is None and not before.startswith(_MARK):
        return 0
    comment = b"" if provenance is None else _MARK + provenance
    write_at(descriptor, comment, start)
    write_at(descriptor, len(comment).to_bytes(2, "little"), start - 2)
    os.ftruncate(descriptor, start + len(comment))
    return len(comment) - len(before)
