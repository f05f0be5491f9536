"""Reading legacy whole-model `.h5` files, of Keras 2.0 to 3: the config as an attribute, weights by layer and order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mutspec.errors import ModelError, nearest
from mutspec.model.asking_keras import in_keras
from mutspec.model.build import Build, build_from_outline
from mutspec.model.config import parse_config, parse_json
from mutspec.model.files.archive import Archive, Extent
from mutspec.model.files.hdf5 import StoredHdf5, check_extents, stored_hdf5
from mutspec.model.files.legacy_order import legacy_slots, role_in
from mutspec.model.inner_layers import InKeras, holds_code
from mutspec.model.legacy_form import compile_config_of
from mutspec.model.old_configs import is_of_keras_2
from mutspec.model.outline import Outline, OutlineNode, join, outline_of

MODEL_WEIGHTS = "model_weights"
STATE = "optimizer_weights"
OWN_WEIGHTS = "top_level_model_weights"
"""The group of a model's own weights, which belong to none of its layers."""


def is_whole_model(stored: StoredHdf5) -> bool:
    """Tells whether an HDF5 file holds a model's config, not weights alone."""
    return "model_config" in stored.attributes() or MODEL_WEIGHTS in stored.groups or MODEL_WEIGHTS in stored.extents


def read_whole_h5(path: Path, stored: StoredHdf5) -> Archive:
    """Reads a legacy whole-model file.

    Arguments:
        path: the file.
        stored: what it stores.

    Raises:
        ModelError: it is damaged, or holds what mutspec does not understand.
    """
    config = legacy_config(stored, path)
    if MODEL_WEIGHTS not in stored.groups:
        raise ModelError(f"{path} has no weights", hint="save the model again with model.save")
    version = legacy_version(stored)
    weights = legacy_weights(stored.below(MODEL_WEIGHTS), path)
    archive = legacy_archive(path, weights, config, version)
    training = stored.text("training_config")
    compiled = None if training is None or is_of_keras_2(version) else _compiled(training)
    config = archive.config if compiled is None else {**archive.config, "compile_config": compiled}
    return replace(archive, training=training, config=config)


def _compiled(training: str) -> Mapping[str, Any] | None:
    """Returns how a model was compiled in the form of a `.keras` file; None if only Keras can tell."""
    try:
        return compile_config_of(parse_json(training, "the training_config"))
    except ModelError:  # the model is the same without it
        return None


def legacy_state(path: Path) -> Mapping[str, Extent]:
    """Returns the variables of the optimizer in a whole-model file, by the path at which a `.keras` file has them.

    Raises:
        ModelError: the file is damaged.
    """
    stored = stored_hdf5(path, 0, str(path), training=True)
    if STATE not in stored.groups:
        return {}
    names = stored.texts("weight_names", STATE) or ()
    below = stored.below(STATE)
    check_extents(below.extents, path.stat().st_size, str(path))
    return {f"optimizer/vars/{number}": _extent(stored.extents, STATE, name, path) for number, name in enumerate(names)}


def legacy_config(stored: StoredHdf5, path: Path) -> Mapping[str, Any]:
    """Returns the serialised model in a whole-model file.

    Raises:
        ModelError: there is none.
    """
    written = stored.text("model_config")
    if written is None:
        raise ModelError(f"{path} has no model_config", hint="save the whole model, not its weights alone")
    return parse_config(written, f"the model_config of {path}", legacy_version(stored))


def legacy_version(stored: StoredHdf5) -> str:
    """Returns the version of Keras that a whole-model file states; empty if it states none."""
    beside = stored.text("keras_version", MODEL_WEIGHTS) if MODEL_WEIGHTS in stored.groups else None
    return stored.text("keras_version") or beside or ""


@dataclass(frozen=True)
class LegacyWeights:
    """The extents of a group's datasets, and the names of the weights of each layer that has some, in order."""

    extents: Mapping[str, Extent]
    listed: Mapping[str, tuple[str, ...]]


def legacy_weights(stored: StoredHdf5, path: Path) -> LegacyWeights:
    """Returns the weights that a group with the attribute `layer_names` lists.

    Raises:
        ModelError: it does not hold what it lists.
    """
    check_extents(stored.extents, path.stat().st_size, str(path))
    return LegacyWeights(stored.extents, _listed(stored, path))


def legacy_archive(path: Path, weights: LegacyWeights, config: Mapping[str, Any], version: str) -> Archive:
    """Matches listed weights with a serialised model.

    Raises:
        ModelError: they do not fit.
    """
    outline = outline_of(config)
    asked = in_keras(outline, config)
    stored: dict[str, Extent] = {}
    for layer, names in weights.listed.items():
        extents = [_extent(weights.extents, layer, name, path) for name in names]
        slots = _slots_of(layer, names, extents, outline, path, asked)
        stored.update(zip(slots, extents, strict=True))
    build = _build(outline, stored, path, asked)
    return Archive(
        path=path,
        keras_version=version,
        spec=build.spec,
        extents={tensor: stored[at] for tensor, at in build.stored.items()},
        member=None,
        config=config,
    )


def _listed(stored: StoredHdf5, path: Path) -> dict[str, tuple[str, ...]]:
    """Returns the weights' names by layer, without the layers that have no weights."""
    layers = stored.texts("layer_names")
    if layers is None:
        raise ModelError(
            f"{path} does not list its layers (layer_names)", hint="load the model in Keras and save it again"
        )
    listed = {}
    for layer in (*layers, *((OWN_WEIGHTS,) if OWN_WEIGHTS in stored.groups else ())):
        if layer not in stored.groups:
            raise ModelError(f"{path} lists the layer {layer!r}, but holds nothing of it", hint="save the model again")
        names = stored.texts("weight_names", layer)
        if names:
            listed[layer] = names
    return listed


def _extent(extents: Mapping[str, Extent], layer: str, name: str, path: Path) -> Extent:
    at = f"{layer}/{name}"
    if at not in extents:
        raise ModelError(f"{path} lists the weight {at!r}, but does not hold it", hint="save the model again")
    return extents[at]


def _slots_of(
    layer: str, names: tuple[str, ...], weights: list[Extent], outline: Outline, path: Path, asked: InKeras
) -> list[str]:
    """Returns the paths at which a `.keras` file would store the weights of a layer of the outermost model."""
    if layer == OWN_WEIGHTS:
        return [join("vars", str(index)) for index in range(len(names))]
    if not outline.root.is_model:
        raise ModelError(
            f"{path} holds a subclassed model ({outline.root.class_name}), and a legacy .h5 does not say where in it "
            "a layer is",
            hint="load the model in Keras and save it as .keras",
        )
    nodes: dict[str, OutlineNode] = {node.name: node for node in outline.root.children}
    if layer not in nodes:
        raise ModelError(
            f"{path} holds weights of the layer {layer!r}, which its config does not have",
            hint="load the model in Keras and save it again",
            candidates=nearest(layer, nodes),
        )
    shapes = [extent.shape for extent in weights]
    why_not_built = ""
    if holds_code(nodes[layer]):
        placed = asked.order(nodes[layer].stored[0])
        if shapes == [each.shape for each in placed] and list(map(role_in, names)) == [each.name for each in placed]:
            return [each.stored for each in placed]
        if asked.knows_classes:
            why_not_built = _why_not_built(nodes[layer], len(names), len(placed), asked.why_not())
    return legacy_slots(nodes[layer], names, shapes, why_not_built)


def _why_not_built(node: OutlineNode, count: int, built: int, reason: str) -> str:
    """Returns why imported classes do not tell the order of a layer's weights."""
    if reason:
        return f"Keras cannot build {node.path} ({node.class_name}) from its config: {reason}"
    holds = f"{node.path} ({node.class_name}) holds {count} weights in the file, and "
    if count == built:
        return holds + "its class builds others"
    return (
        f"{holds}its class builds {built}; layers in it may have LoRA's adapters or be quantised, of which its config "
        "does not tell"
    )


def _build(outline: Outline, stored: Mapping[str, Extent], path: Path, asked: InKeras) -> Build:
    shapes = {at: (extent.shape, extent.dtype) for at, extent in stored.items()}
    build = build_from_outline(outline, shapes, asked.describe, knows_classes=asked.knows_classes)
    if not any(layer.aliases for layer in build.spec.layers):
        return build
    aliased = next(layer for layer in build.spec.layers if layer.aliases)
    raise ModelError(f"the weights of {aliased.aliases[0]} are not in {path}", hint="save the model again")
