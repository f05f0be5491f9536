"""Reading sharded weights: an index, `NAME.weights.json`, and the HDF5 files that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mutspec.errors import ModelError
from mutspec.model.files.archive import Archive, Extent, FilePart
from mutspec.model.files.hdf5 import Attribute, StoredHdf5, check_extents, stored_hdf5
from mutspec.model.files.inner_files import inner_file
from mutspec.model.files.keras_file import names_of_layers
from mutspec.model.files.stamp import stamp_of
from mutspec.model.files.weights_file import weights_archive
from mutspec.model.limits import current_limits

_AGAIN = "copy the index and its shards again, or save the weights again in Keras"


def read_sharded(path: Path, index: Mapping[str, Any], architecture: Path | None) -> Archive:
    """Reads sharded weights.

    Arguments:
        path: the index.
        index: the JSON in it.
        architecture: a file with the model's config; None for a partial spec.

    Raises:
        ModelError: the index is malformed, or names what is not a file in its folder; or a shard is missing, damaged,
            or does not hold what the index says.
    """
    shards_of = _shards_by_group(index, path)
    names = tuple(dict.fromkeys(name for shards in shards_of.values() for name in shards))
    current_limits().check("shards", len(names), str(path))
    parts = tuple(
        FilePart(each, stamp_of(each)) for each in (inner_file(path.parent, name, str(path)) for name in names)
    )
    groups: dict[str, Mapping[str, Attribute]] = {}
    extents: dict[str, Extent] = {}
    for number, part in enumerate(parts):
        stored = stored_hdf5(part.path, 0, str(part.path))
        check_extents(stored.extents, part.path.stat().st_size, str(part.path))
        for at, extent in stored.extents.items():
            if at in extents:
                raise ModelError(f"{path} has {at} in two shards, which Keras never writes", hint=_AGAIN)
            if at.rpartition("/")[0] not in shards_of:  # Keras 3.10 states only the shard in which a group begins
                raise ModelError(f"{part.path} holds {at}, which {path.name} does not say", hint=_AGAIN)
            extents[at] = replace(extent, part=number)
        groups |= {at: {**groups.get(at, {}), **found} for at, found in stored.groups.items()}
        current_limits().check("hdf5_objects", len(groups) + len(extents), f"groups and datasets of {path}")
    for group, shards in shards_of.items():
        if group not in groups:
            raise ModelError(f"{path} says that {shards[0]} holds {group}, which it does not", hint=_AGAIN)
    stored = StoredHdf5(groups, extents)
    archive = weights_archive(path, stored, architecture)
    return replace(archive, parts=parts, stored=extents, names=names_of_layers(stored))


def _shards_by_group(index: Mapping[str, Any], path: Path) -> Mapping[str, tuple[str, ...]]:
    """Returns the names of the shards that hold each group of weights, as the index states them."""
    listed = index.get("weight_map")
    if not isinstance(listed, Mapping) or not listed:
        raise ModelError(f"the `weight_map` of {path} is not a mapping of weights to files", hint=_AGAIN)
    found: dict[str, tuple[str, ...]] = {}
    for group, shards in listed.items():
        names = shards if isinstance(shards, list) else [shards]
        if not names or not all(isinstance(name, str) for name in names):
            raise ModelError(f"{path} does not say in which file {group[:80]!r} is", hint=_AGAIN)
        if any(name.endswith(".safetensors") for name in names):
            raise ModelError(
                f"{path} is the index of safetensors in several files, which mutspec does not read",
                hint="name one of the .safetensors files",
            )
        found[group.strip("/")] = tuple(names)
    return found
