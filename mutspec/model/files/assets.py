"""The files in a `.keras` file that layers keep in addition to their weights, such as vocabularies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from mutspec.model.files.archive import Archive
from mutspec.model.files.zip_directory import read_directory
from mutspec.model.files.zip_member import content

ASSETS = "assets/"
"""How the names of such members begin. The stored path of the layer follows."""

_BLOCK = 1 << 20


def assets_of(archive: Archive) -> tuple[str, ...]:
    """Returns the names of the assets in a `.keras` file or folder, as members of a zip.

    Raises:
        ModelError: the file is damaged.
    """
    if archive.member is None:
        return tuple(archive.assets)
    with archive.path.open("rb") as file:
        names = read_directory(file, str(archive.path))
    return tuple(sorted(name for name in map(_plain, names) if name.startswith(ASSETS) and not name.endswith("/")))


def read_asset(archive: Archive, name: str) -> Iterator[bytes]:
    """Yields the content of an asset in blocks.

    Raises:
        ModelError: the file is damaged.
    """
    if archive.member is None:
        with archive.assets[name].open("rb") as file:
            while block := file.read(_BLOCK):
                yield block
        return
    shown = str(archive.path)
    with archive.path.open("rb") as file:
        members = {_plain(each): member for each, member in read_directory(file, shown).items()}
        yield from content(file, members[name], shown)


def leads_elsewhere(name: str) -> bool:
    """Returns whether the name of an asset is not that of a file below the assets. Keras refuses to load such a one."""
    return ".." in PurePosixPath(name).parts or "//" in name or name.startswith("/")


def _plain(name: str) -> str:
    return name.replace("\\", "/")
