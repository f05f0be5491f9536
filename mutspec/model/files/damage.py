"""Checks of whether the weights in a file are those that were written to it, as far as the file can tell.

A zip states a CRC-32 of each member. That tells whether a bit differs, but not which one. HDF5 files that Keras writes
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
    """Tells whether the checksum of the member with the weights differs from the one that the file states.

    A compressed member is not read here, as it is inflated and checked whenever the file is opened.

    Arguments:
        archive: the file.
        threads: how many parts of it are read at once.

    Raises:
        OSError: the file cannot be read.
    """
    member = archive.member
    return member is not None and not member.is_compressed and _differs(archive.path, member, threads)


def check_weights(path: Path) -> None:
    """Checks the weights in a file that Keras is about to load by their checksum.

    Keras reads them by zipfile, which checks a member only if it is read from its beginning to its end.

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
    """Returns the beginning of the message on a damaged file. The caller adds the consequence."""
    return f"{path} is damaged: {member.name} in it does not have the checksum that the file states"


def _differs(path: Path, member: Member, threads: int) -> bool:
    with path.open("rb") as file:
        return crc32_of_range(file.fileno(), member.offset, member.bytes, threads) != member.crc32
