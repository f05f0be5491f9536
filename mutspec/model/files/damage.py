"""Whether the weights in a file are those that were written to it, as far as the file can tell.

A zip states a CRC-32 of each member: it tells that a bit of it differs, and not which one. HDF5 files that Keras writes
have no checksums.
"""

from __future__ import annotations

from pathlib import Path

from mutspec.errors import ModelError
from mutspec.model.files.archive import WEIGHTS, Archive, Member
from mutspec.model.files.crc import crc32_of_range
from mutspec.model.files.zip_directory import read_directory
from mutspec.model.files.zip_member import content

COPY_AGAIN = "copy the file again from where it was whole"
COPY_AGAIN_OR_GO_ON = f"{COPY_AGAIN}; --no-verify (in Python verify=False) leaves the check out"
"""Hints on damaged files."""

_THREADS = 4


def is_damaged(archive: Archive, threads: int) -> bool:
    """Tells whether the member with the weights has another checksum than the file states.

    A compressed member is not read: that is inflated, and checked, whenever the file is opened.

    Arguments:
        archive: the file.
        threads: how many parts of it are read at once.

    Raises:
        OSError: the file cannot be read.
    """
    member = archive.member
    return member is not None and not member.is_compressed and _differs(archive.path, member, threads)


def check_weights(path: Path) -> None:
    """Holds the weights in a file that Keras is about to load against their checksum.

    Keras reads them by zipfile, which finds damage only where it happens to read a member from end to end.

    Raises:
        ModelError: they are damaged, or the zip contradicts itself.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return
        member = read_directory(file, str(path)).get(WEIGHTS)
        if member is not None and member.is_compressed:
            for _ in content(file, member, str(path)):
                pass
            return
    if member is not None and _differs(path, member, _THREADS):
        raise ModelError(f"{damage(path, member)}; its weights may be wrong", hint=COPY_AGAIN_OR_GO_ON)


def damage(path: Path, member: Member) -> str:
    """Returns the message on a damaged file: the beginning of a sentence, which goes on with the consequence."""
    return f"{path} is damaged: {member.name} in it does not have the checksum that the file states"


def _differs(path: Path, member: Member, threads: int) -> bool:
    with path.open("rb") as file:
        return crc32_of_range(file.fileno(), member.offset, member.bytes, threads) != member.crc32
