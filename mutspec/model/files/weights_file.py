"""Reading `.weights.h5` files: tensors alone, or a whole spec with an architecture from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from mutspec.errors import ModelError
from mutspec.keras_facts.class_names import MODELS, UNKNOWN, WEIGHTLESS
from mutspec.keras_facts.class_table import CLASSES, LayerPart
from mutspec.keras_facts.classes import ancestry_of, snake_case
from mutspec.model.asking_keras import in_keras
from mutspec.model.build import build_from_outline
from mutspec.model.config import parse_config
from mutspec.model.files.archive import Archive
from mutspec.model.files.hdf5 import StoredHdf5, check_extents, stored_hdf5
from mutspec.model.files.keras_file import names_of_layers, read_config_member, read_version
from mutspec.model.files.keras_folder import folder_config_and_version
from mutspec.model.files.legacy_file import legacy_archive, legacy_config, legacy_version, legacy_weights
from mutspec.model.files.legacy_names import named_archive
from mutspec.model.files.old_layout import layers_in_keras_3, path_in_keras_3
from mutspec.model.files.zip_directory import read_directory
from mutspec.model.inner_layers import class_of, only_variables
from mutspec.model.limits import current_limits
from mutspec.model.outline import LAYERS_UNTIL_2_14, Outline, OutlineNode, join, outline_of
from mutspec.model.stored import NOT_THE_MODELS, StoredTree

_ARCHITECTURE = "give the model's architecture: --architecture FILE (a .keras, .h5 or config.json of the same model)"
_WEIGHTLESS_BY_SNAKE = {snake_case(name): name for table in (WEIGHTLESS, UNKNOWN) for name in table}


def read_legacy_weights(path: Path, stored_in: StoredHdf5, architecture: Path | None) -> Archive:
    """Reads weights in the form of Keras 2, which lists them by layer.

    Arguments:
        path: the file.
        stored_in: what it stores.
        architecture: a file with the model's config; None for a partial spec.

    Raises:
        ModelError: it is damaged, or without an architecture it does not tell what some weights are.
    """
    config = None if architecture is None else read_config(architecture)
    version, weights = stored_in.text("keras_version") or "", legacy_weights(stored_in, path)
    if config is None:
        return named_archive(path, weights, version)
    return legacy_archive(path, weights, config, version)


def read_weights_h5(path: Path, stored_in: StoredHdf5, architecture: Path | None) -> Archive:
    """Reads weights as Keras 3 stores them.

    Arguments and errors are those of `read_legacy_weights`.
    """
    check_extents(stored_in.extents, path.stat().st_size, str(path))
    return weights_archive(path, stored_in, architecture)


def read_old_weights_h5(path: Path, stored_in: StoredHdf5, architecture: Path | None) -> Archive:
    """Reads weights as Keras 2.12 to 2.14 store them.

    Arguments and errors are those of `read_legacy_weights`.
    """
    archive = read_weights_h5(path, stored_in, architecture)
    tree = StoredTree({name: (extent.shape, extent.dtype) for name, extent in stored_in.extents.items()})
    layers = layers_in_keras_3(outline_of(archive.config), tree)
    extents = [*archive.extents.values(), *chain.from_iterable(archive.copies.values())]
    return replace(
        archive,
        stored={path_in_keras_3(extent.dataset, layers): extent for extent in extents},
        names=dict(layers.values()),
    )


def weights_archive(path: Path, stored_in: StoredHdf5, architecture: Path | None) -> Archive:
    """Returns the model whose weights Keras 3 has stored, in one file or several.

    Arguments:
        path: what the call names.
        stored_in: what it stores.
        architecture: a file with the model's config; None for a partial spec.

    Raises:
        ModelError: without an architecture it cannot be told what some weights are.
    """
    config = None if architecture is None else read_config(architecture)
    extents = stored_in.extents
    names = names_of_layers(stored_in)
    stored = {name: (extent.shape, extent.dtype) for name, extent in extents.items()}
    if not any(name.startswith("vars/") or "/vars/" in name for name in stored):
        raise ModelError(
            f"{path} holds no weights that Keras wrote", hint="mutspec reads .keras, .h5 and .weights.h5 files of Keras"
        )
    outline = outline_of(config) if config is not None else _guess(StoredTree(stored), names, path)
    asked = in_keras(outline, config or {})
    build = build_from_outline(outline, stored, asked.describe, names, knows_classes=asked.knows_classes)
    spec = build.spec if config is not None else replace(build.spec, name="", class_name="", is_partial=True)
    return Archive(
        path=path,
        keras_version="",
        spec=spec,
        extents={tensor: extents[at] for tensor, at in build.stored.items()},
        member=None,
        copies={tensor: tuple(extents[at] for at in places) for tensor, places in build.copies.items()},
        config=config or {},
        stored=extents,
        names=names,
    )


def read_config(path: Path) -> Mapping[str, Any]:
    """Reads a serialised model from a `.keras` file, a whole-model `.h5`, or JSON.

    Raises:
        ModelError: there is none.
    """
    return read_config_and_version(path)[0]


def read_config_and_version(path: Path) -> tuple[Mapping[str, Any], str]:
    """Reads a serialised model, and the version of Keras that wrote it; empty if the file does not state it.

    Raises:
        ModelError: there is none.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # opening a pipe would wait for its writer
            raise ModelError(f"{path} is a pipe or a device, not a file", hint="write the architecture to a file first")
        if path.is_dir():
            return folder_config_and_version(path)
        with path.open("rb") as file:
            head = file.read(8)
            if head.startswith(b"PK\x03\x04"):
                members = read_directory(file, str(path))
                version = read_version(file, members, str(path))
                content = read_config_member(file, members, str(path))
                return parse_config(content, f"config.json in {path}", version), version
            if not head.startswith(b"\x89HDF"):
                file.seek(0)
                return parse_config(file.read(current_limits().config_bytes + 1), str(path)), ""
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}", hint="check the path of the architecture"
        ) from None
    stored = stored_hdf5(path, 0, str(path))
    return legacy_config(stored, path), legacy_version(stored)


def _guess(tree: StoredTree, names: Mapping[str, str], path: Path) -> Outline:
    """Returns an outline made from stored paths alone.

    Raises:
        ModelError: some weights could have several meanings; it names every layer that has such weights.
    """
    root = OutlineNode("", "", "", (), variables=())
    refused: list[str] = []
    if LAYERS_UNTIL_2_14 in tree:
        refused += dict.fromkeys(below.split("/")[1] for below in tree.groups_below(LAYERS_UNTIL_2_14))
    elif "layers" in tree:
        top = {below.partition("/")[0] for below in tree.groups_below("")}
        refused += [f"{extra}" for extra in sorted(top - {"layers"} - NOT_THE_MODELS)]
        root = replace(root, is_model=True, children=_children(tree, names, "layers", "", refused))
    else:
        root = replace(root, variables=None)  # a subclassed model: its classes would not tell more
    if refused:
        listed = ", ".join(refused[:8]) + (f" and {len(refused) - 8} more" if len(refused) > 8 else "")
        if not names:
            listed = f"its layers, which Keras names in such files since 3.6 ({listed}),"
        raise ModelError(f"{path} does not tell what the weights of {listed} are", hint=_ARCHITECTURE)
    return Outline(root, (), ())


def _children(
    tree: StoredTree, names: Mapping[str, str], stored: str, path: str, refused: list[str]
) -> tuple[OutlineNode, ...]:
    segments = dict.fromkeys(below[len(stored) + 1 :].partition("/")[0] for below in tree.groups_below(stored))
    return tuple(
        _layer(tree, names, join(stored, segment), join(stored.rpartition("/")[2], segment), path, refused)
        for segment in segments
    )


def _layer(
    tree: StoredTree, names: Mapping[str, str], stored: str, relative: str, path: str, refused: list[str]
) -> OutlineNode:
    segment = stored.rpartition("/")[2]
    name = names.get(stored, segment)
    here = join(path, name)
    class_name = class_of(segment)
    node = OutlineNode(here, name, class_name, (), stored=(relative,))
    if stored not in names:
        refused.append(here)
        return node
    if not class_name:
        if any("/layers/" in below for below in tree.groups_below(stored)) or segment in _WEIGHTLESS_BY_SNAKE:
            refused.append(here)
        return node
    node = replace(node, ancestry=ancestry_of({"class_name": class_name}))
    if class_name in MODELS:
        return replace(
            node, is_model=True, variables=(), children=_children(tree, names, join(stored, "layers"), here, refused)
        )
    variables = only_variables(class_name, tree.group(stored))
    if variables is None:
        refused.append(here)
        return replace(node, variables=())
    parts = tuple(
        child
        for part in CLASSES[class_name].parts
        for child in _part(part, tree, names, stored, here, class_name, refused)
    )
    return replace(node, variables=variables, children=parts)


def _part(
    part: LayerPart, tree: StoredTree, names: Mapping[str, str], stored: str, path: str, owner: str, refused: list[str]
) -> list[OutlineNode]:
    at = next((join(stored, option) for option in part.stored if join(stored, option) in tree), "")
    if not at:
        return []
    relative = at[len(stored) + 1 :]
    if part.is_list:
        return list(_children(tree, names, at, path, refused))
    if part.class_name:
        variables = only_variables(part.class_name, tree.group(at))
        if variables is None:
            refused.append(join(path, part.name) or path)
            variables = ()
        ancestry = ancestry_of({"class_name": part.class_name})
        return [
            OutlineNode(
                join(path, part.name),
                part.name,
                part.class_name,
                ancestry,
                stored=(relative,),
                variables=variables,
                is_elided=not part.name,
            )
        ]
    # A wrapped layer: the file does not state its class. Even a `cell` with three weights may be an LSTM's,
    # whose paths do not show it, or an RNN's, whose paths do.
    if owner == "RNN" and join(at, "cells") in tree and at in names:
        cells = _part(
            CLASSES["StackedRNNCells"].parts[0], tree, names, at, join(path, names[at]), "StackedRNNCells", refused
        )
        return [
            OutlineNode(
                join(path, names[at]),
                names[at],
                "StackedRNNCells",
                ("StackedRNNCells", "Layer"),
                stored=(relative,),
                variables=(),
                children=tuple(cells),
            )
        ]
    refused.append(join(path, names.get(at, relative)))
    return []
