"""Reading an unpacked `.keras` file: a folder with what the zip would hold (`model.save(…, zipped=False)`)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mutspec.errors import ModelError
from mutspec.model.config import parse_config, parse_json
from mutspec.model.files.archive import WEIGHTS, Archive, FilePart
from mutspec.model.files.hdf5 import check_extents, stored_hdf5
from mutspec.model.files.inner_files import inner_file, read_inner
from mutspec.model.files.keras_file import archive_of
from mutspec.model.files.stamp import stamp_of
from mutspec.model.inner_layers import has_inner_layers
from mutspec.model.limits import current_limits
from mutspec.model.outline import outline_of

_CONFIG, _METADATA, _ASSETS = "config.json", "metadata.json", "assets"
_METADATA_LIMIT = 2**16
"""The most bytes of `metadata.json` that are read: it has a version and a date."""


def read_keras_folder(path: Path) -> Archive:
    """Reads an unpacked `.keras` file.

    Raises:
        ModelError: it is damaged, or holds what mutspec does not understand; or a file in it is a link.
    """
    shown = str(path)
    if not (path / WEIGHTS).exists():
        raise ModelError(f"{path} has a {_CONFIG} and no {WEIGHTS}", hint="it is not a whole model; save it again")
    files = [inner_file(path, name, shown) for name in (WEIGHTS, _CONFIG)]
    if (path / _METADATA).exists():
        files.append(inner_file(path, _METADATA, shown))
    parts = tuple(FilePart(each, stamp_of(each)) for each in files)
    config, version = folder_config_and_version(path)
    outline = outline_of(config)
    stored = stored_hdf5(files[0], 0, str(files[0]), attributes=has_inner_layers(outline))
    check_extents(stored.extents, files[0].stat().st_size, str(files[0]))
    archive = archive_of(path, config, outline, stored, version)
    return replace(archive, parts=parts, assets=dict(_assets(path)), stored=stored.extents)


def folder_config_and_version(path: Path) -> tuple[Mapping[str, Any], str]:
    """Returns the serialised model in an unpacked `.keras` file, and the version of Keras; empty if it states none.

    Raises:
        ModelError: a file is missing, above the limit, or damaged.
    """
    version = ""
    if (path / _METADATA).exists():
        metadata = parse_json(read_inner(path, _METADATA, _METADATA_LIMIT, str(path)), f"{_METADATA} in {path}")
        version = str(metadata.get("keras_version", ""))
    written = read_inner(path, _CONFIG, current_limits().config_bytes, str(path))
    return parse_config(written, f"{_CONFIG} in {path}", version), version


def _assets(path: Path) -> Iterator[tuple[str, Path]]:
    """Yields the files that layers keep in addition to their weights, such as vocabularies, by their names in a zip."""
    limits, pending, count = current_limits(), [path / _ASSETS], 0
    if not pending[0].is_dir():
        return
    while pending:
        folder = pending.pop()
        if folder.is_symlink():
            raise ModelError(f"{folder} is a link", hint="copy the files of the model themselves")
        for name in sorted(os.listdir(folder)):
            count += 1
            limits.check("zip_members", count, f"assets in {path}", is_counted=False)
            if (folder / name).is_dir():
                pending.append(folder / name)
            else:
                file = inner_file(folder, name, str(path))
                yield file.relative_to(path).as_posix(), file
