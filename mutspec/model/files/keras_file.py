"""Reading `.keras` files: a zip with the config as JSON and the weights as HDF5."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from mutspec.errors import ModelError
from mutspec.model.asking_keras import in_keras
from mutspec.model.build import build_from_outline
from mutspec.model.config import parse_config, parse_json
from mutspec.model.files.archive import WEIGHTS, Archive, Member
from mutspec.model.files.hdf5 import FileWindow, StoredHdf5, check_extents, stored_hdf5
from mutspec.model.files.unsupported import unsupported_zip
from mutspec.model.files.zip_directory import read_directory
from mutspec.model.files.zip_member import inflated, read_member
from mutspec.model.inner_layers import has_inner_layers
from mutspec.model.limits import current_limits
from mutspec.model.outline import Outline, outline_of

_METADATA_LIMIT = 2**16
"""The most bytes of `metadata.json` that are read: it has a version and a date."""


def read_keras(path: Path) -> Archive:
    """Reads a `.keras` file.

    Raises:
        ModelError: it is damaged, or holds what mutspec does not understand.
    """
    with path.open("rb") as file:
        members = read_directory(file, str(path))
        if refusal := unsupported_zip(path, tuple(members)):
            raise refusal
        version = read_version(file, members, str(path))
        config = parse_config(read_config_member(file, members, str(path)), f"config.json in {path}", version)
        if WEIGHTS not in members:
            if any(name.startswith("model.weights") or name.endswith(".npz") for name in members):
                raise ModelError(
                    f"{path} keeps its weights in another form than {WEIGHTS}",
                    hint="save the model with model.save('name.keras')",
                )
            raise ModelError(
                f"{path} has no member {WEIGHTS}", hint="it is not a whole .keras file; save the model again"
            )
        return _read(path, file, config, version, members[WEIGHTS])


def _read(path: Path, file: BinaryIO, config: Mapping[str, Any], version: str, member: Member) -> Archive:
    shown, outline = f"{WEIGHTS} in {path}", outline_of(config)
    with_names = has_inner_layers(outline)
    if member.is_compressed:
        with inflated(path, WEIGHTS) as copy:
            window = FileWindow(copy, 0, os.fstat(copy.fileno()).st_size)
            stored = stored_hdf5(window, -1, shown, attributes=with_names)
    else:
        window = FileWindow(file, member.offset, member.bytes)
        stored = stored_hdf5(window, member.offset, shown, attributes=with_names)
        check_extents(stored.extents, member.offset + member.bytes, shown)
    stored = replace(stored, extents={name.replace("\\", "/"): extent for name, extent in stored.extents.items()})
    return replace(archive_of(path, config, outline, stored, version), member=member, stored=stored.extents)


def archive_of(path: Path, config: Mapping[str, Any], outline: Outline, stored: StoredHdf5, version: str) -> Archive:
    """Matches stored weights with the model that is saved next to them.

    Arguments:
        path: the file or folder that holds both.
        config: the serialised model.
        outline: its outline.
        stored: the weights; with the groups' attributes, if the model may have layers that are not in its config.
        version: the version of Keras.

    Raises:
        ModelError: they do not fit.
    """
    asked, extents = in_keras(outline, config), stored.extents
    names = names_of_layers(stored) if has_inner_layers(outline) else {}
    build = build_from_outline(
        outline,
        {name: (extent.shape, extent.dtype) for name, extent in extents.items()},
        asked.describe,
        names,
        knows_classes=asked.knows_classes,
    )
    return Archive(
        path=path,
        keras_version=version,
        spec=build.spec,
        extents={tensor: extents[at] for tensor, at in build.stored.items()},
        member=None,
        copies={tensor: tuple(extents[at] for at in places) for tensor, places in build.copies.items()},
        config=config,
        names=names,
    )


def names_of_layers(stored: StoredHdf5) -> dict[str, str]:
    """Returns the layers' names by stored path. Keras states them as attributes since 3.6."""
    return {
        at.replace("\\", "/").removesuffix("vars").rstrip("/"): str(attributes["name"])
        for at, attributes in stored.groups.items()
        if "name" in attributes and (at == "vars" or at.endswith("/vars"))
    }


def read_config_member(file: BinaryIO, members: Mapping[str, Member], shown: str) -> bytes:
    """Returns the bytes of `config.json`.

    Raises:
        ModelError: it is missing, above the limit, or damaged.
    """
    limits = current_limits()
    if "config.json" in members:
        limits.check("config_bytes", members["config.json"].content_bytes, f"config.json in {shown}")
    return read_member(file, members, "config.json", limits.config_bytes, shown)


def read_version(file: BinaryIO, members: Mapping[str, Member], shown: str) -> str:
    """Returns the version of Keras that a `.keras` file states; empty if it states none.

    Raises:
        ModelError: its metadata are damaged.
    """
    if "metadata.json" not in members:
        return ""
    content = read_member(file, members, "metadata.json", _METADATA_LIMIT, shown)
    return str(parse_json(content, f"metadata.json in {shown}").get("keras_version", ""))
