"""Reading `.keras` files: a zip with the config as JSON and the weights as HDF5."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from mutspec.language.errors import ModelError
from mutspec.model.archive import Archive, FileKind, Member
from mutspec.model.build import build_spec
from mutspec.model.hdf5 import Window, check_extents, extents_of, open_hdf5
from mutspec.model.zip_directory import read_directory
from mutspec.model.zip_member import inflated, read_member

CONFIG_LIMIT = 64 * 2**20
"""The most bytes of JSON that are read."""

_WEIGHTS = "model.weights.h5"


def read_keras(path: Path) -> Archive:
    """Read a `.keras` file.

    Errors: ModelError if it is damaged, or holds what mutspec does not understand.
    """
    with path.open("rb") as file:
        members = read_directory(file, str(path))
        config = _json(file, members, "config.json", path)
        metadata = _json(file, members, "metadata.json", path) if "metadata.json" in members else {}
        if _WEIGHTS not in members:
            if any(name.startswith("model.weights") or name.endswith(".npz") for name in members):
                raise ModelError(
                    f"{path} keeps its weights in another form than {_WEIGHTS}",
                    hint="save the model with model.save('name.keras')",
                )
            raise ModelError(
                f"{path} has no member {_WEIGHTS}", hint="it is not a whole .keras file; save the model again"
            )
        return _read(path, file, config, str(metadata.get("keras_version", "")), members[_WEIGHTS])


def _read(path: Path, file: BinaryIO, config: Mapping[str, Any], version: str, member: Member) -> Archive:
    shown = f"{_WEIGHTS} in {path}"
    if member.is_compressed:
        with inflated(path, _WEIGHTS) as copy, open_hdf5(cast(Any, copy), shown) as weights:
            extents = extents_of(weights["/"], -1, shown)
    else:
        with open_hdf5(Window(file, member.offset, member.bytes), shown) as weights:
            base = member.offset
            extents = extents_of(weights["/"], base, shown)
        check_extents(extents, member.offset + member.bytes, shown)
    extents = {name.replace("\\", "/"): extent for name, extent in extents.items()}
    build = build_spec(config, {name: (extent.shape, extent.dtype) for name, extent in extents.items()})
    return Archive(
        path=path,
        kind=FileKind.KERAS,
        keras_version=version,
        spec=build.spec,
        extents={tensor: extents[stored] for tensor, stored in build.stored.items()},
        member=member,
        copies={tensor: tuple(extents[at] for at in stored) for tensor, stored in build.copies.items()},
        config=config,
    )


def _json(file: BinaryIO, members: Mapping[str, Member], name: str, path: Path) -> Mapping[str, Any]:
    return parse_json(read_member(file, members, name, CONFIG_LIMIT, str(path)), f"{name} in {path}")


def parse_json(data: bytes | str, shown: str) -> Mapping[str, Any]:
    """A JSON object.

    Errors: ModelError if it is none.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{shown} is not JSON ({error})", hint="the file is damaged; save the model again") from None
    if not isinstance(value, dict):
        raise ModelError(f"{shown} is not a JSON object", hint="save the model again in Keras")
    return value
